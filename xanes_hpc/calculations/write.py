"""Write calculations for a store's sites: one folder each, and a script that runs them all.

DIR/runs.csv          one row per site: folder, site, element, edge
DIR/run.sh            runs all that have not finished successfully; also a SLURM array script
DIR/FOLDER/           the program's input, to which it adds its output
"""

import csv
import re
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.calculations.program import Program
from xanes_hpc.errors import FormatError, StoreError, note_reason
from xanes_hpc.jobs.slurm import array_header
from xanes_hpc.runtime.outputs import whole_output
from xanes_hpc.stores.spectra import SpectrumTable
from xanes_hpc.stores.structures import StructureStore

TABLE, SCRIPT = "runs.csv", "run.sh"
COLUMNS = ("folder", "site", "element", "edge")
UNSAFE = re.compile(r"[^\w.+()-]", re.ASCII)
"""Characters that are replaced in names of folders."""
LONGEST_NAME = 80
"""Characters of a folder's name that all programs take."""
MOST_TASKS = 1000
"""Largest number of tasks of a SLURM array, below the default limit of schedulers."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Cluster:
    """Settings of the SLURM script: lines for ``#SBATCH``, and the number of simultaneous tasks."""

    directives: tuple[str, ...] = ("--time=12:00:00", "--ntasks=1", "--mem=4G")
    at_once: int = 100


@dataclass
class Written:
    """The folders of the calculations, the name of the first one's input, and the reasons why sites were skipped."""

    folders: list[str] = field(default_factory=list)
    first_input: str = ""
    skipped_count: int = 0
    skipped: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)


def write_runs(
    store: StructureStore,
    output: Path,
    program: Program,
    rows: npt.NDArray[np.int64] | None = None,
    cluster: Cluster | None = None,
    overwrite: bool = False,
    strict: bool = False,
    progress: Progress = lambda done, total: None,
) -> Written:
    """Write a folder for each site at ``rows`` (all by default) and a script; skip sites that it cannot handle.

    Raises
    ------
    FormatError
        If the program cannot handle any site (with ``strict``: all sites), a setting is
        invalid, or no site is selected.
    StoreError
        If the output already exists, holds results, or cannot be written.
    """
    program.check()
    cluster = cluster or Cluster()
    array_header(program.name, 1, cluster.directives)  # raises for a wrong one before anything is written
    if not store.n_sites:
        raise FormatError(f"{store.path}: has no sites")
    rows = np.arange(store.n_sites) if rows is None else rows
    if not rows.size:
        raise FormatError(f"{store.path}: no site selected; expected at least one")
    table = store.sites
    folders = folder_names([table.name[row] for row in rows])
    written, entries = Written(), []
    before = _listed(output)
    for folder in before:
        if any(not program.is_input(path.name) for path in (output / folder).glob("*")):
            raise StoreError(
                f"{output}: holds results of {program.title} ({folder}); ingest them, and choose another `output`"
            )
    contents = (TABLE, SCRIPT, *folders, *before)
    with whole_output(output, overwrite, contents, [store.path]) as temporary:
        temporary.mkdir()
        made = zip(folders, rows.tolist(), store.structures_at(rows), strict=True)
        for done, (folder, row, (structure, atom)) in enumerate(made):
            if done % 100 == 0:
                progress(done, len(folders))
            try:
                files = program.files(structure, atom, table.edge[row], folder)
            except FormatError as error:
                if strict:
                    raise
                written.skipped_count += 1
                note_reason(written.skipped, error)
                continue
            written.folders.append(folder)
            written.first_input = written.first_input or list(files)[-1]
            entries.append((folder, table.name[row], int(table.element[row]), table.edge[row]))
            (temporary / folder).mkdir()
            for name, text in files.items():
                (temporary / folder / name).write_text(text, encoding="utf-8")
        if not written.folders:
            more = f"all {written.skipped_count:,} sites were skipped; the first: " if written.skipped_count > 1 else ""
            raise FormatError(f"{more}{written.skipped[0]}")
        write_table(temporary / TABLE, entries)
        (temporary / SCRIPT).write_text(script(len(written.folders), program, cluster), encoding="utf-8")
        (temporary / SCRIPT).chmod(0o755)
    return written


def write_table(path: Path, entries: Sequence[tuple[str, str, int, str]]) -> None:
    """Write the table of runs: folder, site, atomic number and edge of each."""
    rows = [(folder, site, chemical_symbols[element], edge) for folder, site, element, edge in entries]
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([COLUMNS, *rows])


def _listed(output: Path) -> list[str]:
    """Return the folders of an earlier run, as listed in the output's table."""
    try:
        with (output / TABLE).open(encoding="utf-8", newline="") as stream:
            return [row["folder"] for row in csv.DictReader(stream)]
    except (OSError, UnicodeDecodeError, csv.Error, KeyError):
        return []


def folder_names(sites: Sequence[str]) -> list[str]:
    """Return a unique name for each site's folder and files, without characters that trouble a shell or a program."""
    taken: Counter[str] = Counter()
    names = []
    for site in sites:
        name = UNSAFE.sub("_", site)[:LONGEST_NAME].lstrip("-.") or "site"
        taken[name.lower()] += 1
        if taken[name.lower()] > 1:  # also on file systems that ignore case
            name = f"{name}_{taken[name.lower()]}"
            taken[name.lower()] += 1
        names.append(name)
    return names


def script(n_runs: int, program: Program, cluster: Cluster) -> str:
    """Return a shell script that runs all folders; as a SLURM array, each task runs some of them."""
    n_tasks = min(n_runs, MOST_TASKS)
    directives = ["--output=/dev/null", *cluster.directives]
    stale = f"rm -f {shlex.join(program.stale)} && " if program.stale else ""
    return f"""{array_header(program.name, n_tasks, directives, min(n_tasks, cluster.at_once))}
# With sbatch {SCRIPT}, the tasks divide the folders in {TABLE} among them. Without SLURM, bash {SCRIPT} runs them all.
# The variable {program.variable} selects another program. Successful runs are skipped, so you can repeat the script.

program=${{{program.variable}:-{shlex.quote(program.program)}}}
task=${{SLURM_ARRAY_TASK_ID:-0}}
tasks=${{SLURM_ARRAY_TASK_COUNT:-1}}
cd "${{SLURM_SUBMIT_DIR:-$(dirname "$0")}}" || exit 1
[ -f {TABLE} ] || {{ echo "no {TABLE} here: submit {SCRIPT} from its own folder" >&2; exit 1; }}

tail -n +2 {TABLE} | cut -d, -f1 | awk -v t="$task" -v n="$tasks" 'NR % n == (t + 1) % n' | while read -r folder; do
    if {program.finished}; then continue; fi
    (cd "$folder" && {stale}"$program" > run.log 2>&1 < /dev/null)
done
"""


def parse_numbers(name: str, text: str, example: str) -> tuple[float, ...]:
    """Return the numbers in the text of a setting, for which an error gives an example.

    Raises
    ------
    FormatError
        If a word is not a number.
    """
    try:
        return tuple(float(word) for word in text.replace(",", " ").split())
    except ValueError:
        raise FormatError(f"`{name}` {text!r}: expected numbers, such as {example}") from None


def unmade(store: StructureStore, program: Program, rows: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.int64]:
    """Return those of the rows, or of all, whose sites have no spectrum by the program with its settings."""
    table = SpectrumTable.read(store.file)
    made = {
        int(site)
        for site, kind, text in zip(table.site, table.kind, table.treatment, strict=True)
        if program.made(kind, text)
    }
    rows = np.arange(store.n_sites) if rows is None else rows
    return rows[~np.isin(rows, sorted(made))]


def without_spectrum(store: StructureStore, program: Program) -> npt.NDArray[np.int64]:
    """Return the rows of sites without a spectrum by the program with its settings.

    Raises
    ------
    FormatError
        If all sites have one.
    """
    rows = unmade(store, program)
    if not rows.size:
        raise FormatError(f"{store.path}: all {store.n_sites:,} sites have a calculated spectrum already")
    return rows
