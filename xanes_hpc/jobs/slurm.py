"""Write SLURM scripts, and read the index of a task in a scheduler's job array."""

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from xanes_hpc.errors import ConfigError

ARRAY_INDICES = {
    "SLURM_ARRAY_TASK_ID": 0, "PBS_ARRAY_INDEX": 0, "PBS_ARRAYID": 0, "LSB_JOBINDEX": 1, "SGE_TASK_ID": 1,
}  # fmt: skip
"""Environment variables in which schedulers set the index of an array's task, and the first index."""


def array_index(environment: Mapping[str, str] = os.environ) -> int:
    """Return the index of this task in a scheduler's job array, counted from 0.

    Raises
    ------
    ConfigError
        If no scheduler has set an index, or it is not a number.
    """
    for name, first in ARRAY_INDICES.items():
        text = environment.get(name, "")
        if text.isdecimal() and int(text) >= first:
            return int(text) - first
        if text and not text.isdecimal() and text != "undefined":  # SGE sets "undefined" outside of arrays
            raise ConfigError(f"{name}: expected the index of a task, {first} or more, received {text!r}")
    raise ConfigError(
        "`partition`: expected a number; it is optional only in a scheduler's job array (which sets "
        "SLURM_ARRAY_TASK_ID or similar)"
    )


def array_header(name: str, n_tasks: int, directives: Sequence[str], at_once: int | None = None) -> str:
    """Return the first lines of a script for a SLURM job array.

    Parameters
    ----------
    name
        Name of the job.
    n_tasks
        Number of tasks of the array; their indices start at 0.
    directives
        Further options of sbatch, such as ``--time=02:00:00``.
    at_once
        Largest number of tasks that run at the same time; by default SLURM decides.

    Raises
    ------
    ConfigError
        If a directive is not an option of sbatch.

    Examples
    --------
    >>> print(array_header("fdmnes", 8, ["--time=02:00:00"], at_once=4), end="")
    #!/bin/bash
    #SBATCH --job-name=fdmnes
    #SBATCH --array=0-7%4
    #SBATCH --time=02:00:00
    """
    for line in directives:
        if not re.fullmatch(r"--?[A-Za-z].*", line) or not line.isprintable():
            raise ConfigError(f"`directives`: expected an option such as --time=02:00:00, received {line!r}")
    limit = "" if at_once is None else f"%{at_once}"
    lines = [f"--job-name={name}", f"--array=0-{n_tasks - 1}{limit}", *directives]
    return "#!/bin/bash\n" + "".join(f"#SBATCH {line}\n" for line in lines)


def script(
    path: Path, command: Sequence[str], last: Sequence[str], n_partitions: int, n_parts: int,
    directives: Sequence[str] = (),
) -> str:  # fmt: skip
    """Return a SLURM array script that runs a command for each partition; its comments name the final command.

    Parameters
    ----------
    path
        Where the script will be saved.
    command, last
        Command that makes a partition, without ``--partition``, and the one that combines the parts.

    Raises
    ------
    ConfigError
        If there are more partitions than parts, or a directive is not an option of sbatch.
    """
    if not 1 <= n_partitions <= n_parts:
        limit = f"expected at most {n_parts:,}, the number of parts" if n_parts > 1 else "the output is a single part"
        raise ConfigError(f"`n_partitions` {n_partitions}: {limit}")
    finalise = shlex.join(last)
    return f"""{array_header("xanes-hpc", n_partitions, directives)}
# Submit this script, and the command that combines the parts once all tasks have succeeded:
#   job=$(sbatch --parsable {shlex.quote(str(path))})
#   sbatch --dependency=afterok:$job --wrap {shlex.quote(finalise)}
# A stopped task continues where it stopped when it is submitted again. Without SLURM: bash {path.name} K

partition=${{SLURM_ARRAY_TASK_ID:-${{1:?expected a partition, 0 to {n_partitions - 1}}}}}
exec {shlex.join(command)} --partition "$partition"
"""
