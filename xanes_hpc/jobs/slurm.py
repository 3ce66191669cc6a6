"""SLURM scripts, and the index that a scheduler gives a task of a job array."""

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from xanes_hpc.errors import ConfigError

ARRAY_INDICES = {
    "SLURM_ARRAY_TASK_ID": 0, "PBS_ARRAY_INDEX": 0, "PBS_ARRAYID": 0, "LSB_JOBINDEX": 1, "SGE_TASK_ID": 1,
}  # fmt: skip
"""Variables by which schedulers tell a task of an array which it is, and where each begins to count."""


def array_index(environment: Mapping[str, str] = os.environ) -> int:
    """Which task of a scheduler's array this is.

    Raises
    ------
    ConfigError
        If no scheduler says so, or not by a number.
    """
    for name, first in ARRAY_INDICES.items():
        text = environment.get(name, "")
        if text.isdecimal() and int(text) >= first:
            return int(text) - first
        if text and not text.isdecimal() and text != "undefined":  # as SGE has it outside of arrays
            raise ConfigError(f"{name}: expected the number of a task, from {first} on, received {text!r}")
    raise ConfigError(
        "`partition`: give its number, or run it in a scheduler's job array (which sets SLURM_ARRAY_TASK_ID, …)"
    )


def array_header(name: str, n_tasks: int, directives: Sequence[str], at_once: int | None = None) -> str:
    """Return the first lines of a script for a SLURM job array.

    Parameters
    ----------
    name
        Of the job.
    n_tasks
        Tasks of the array, counted from 0.
    directives
        Further options of sbatch, such as ``--time=02:00:00``.
    at_once
        Number of tasks that run at the same time; by default as SLURM decides.

    Raises
    ------
    ConfigError
        If a directive is no option of sbatch.

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
            raise ConfigError(f"sbatch: expected an option such as --time=02:00:00, received {line!r}")
    limit = "" if at_once is None else f"%{at_once}"
    lines = [f"--job-name={name}", f"--array=0-{n_tasks - 1}{limit}", *directives]
    return "#!/bin/bash\n" + "".join(f"#SBATCH {line}\n" for line in lines)


def script(
    path: Path, command: Sequence[str], last: Sequence[str], n_partitions: int, n_parts: int,
    directives: Sequence[str] = (),
) -> str:  # fmt: skip
    """A SLURM array script that is to stand at a path: runs a command for each partition, and tells of the last one.

    Raises
    ------
    ConfigError
        If there are more partitions than parts, or a directive is none.
    """
    if not 1 <= n_partitions <= n_parts:
        limit = f"expected at most {n_parts:,}, the number of parts" if n_parts > 1 else "the output is a single part"
        raise ConfigError(f"`n_partitions` {n_partitions}: {limit}")
    finalise = shlex.join(last)
    return f"""{array_header("xanes-hpc", n_partitions, directives)}
# Submit it, and what makes one store of the parts once all tasks have ended well:
#   job=$(sbatch --parsable {shlex.quote(str(path))})
#   sbatch --dependency=afterok:$job --wrap {shlex.quote(finalise)}
# A task that was stopped goes on where it was when it is submitted again. Without SLURM: bash {path.name} K

partition=${{SLURM_ARRAY_TASK_ID:-${{1:?which partition, 0 to {n_partitions - 1}?}}}}
exec {shlex.join(command)} --partition "$partition"
"""
