"""Calculate the spectra of a store's sites with a program, and add them to the store.

Every site is calculated in a folder of its own in ``NAME.PROGRAM`` beside the store, which keeps input, spectrum and
log, so a stopped run continues. Once all sites are done, the good spectra are added to the store.

NAME.feff/plan.json         what the results depend on
NAME.feff/runs.csv          one row per site: folder, site, element, edge
NAME.feff/FOLDER/           input, spectrum, log, and outcome.json: state, reason and seconds
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from xanes_hpc.calculations.ingest import OUTCOME, Ingested, find_runs, ingest
from xanes_hpc.calculations.one_site import Outcome, Task, calculate_one, died
from xanes_hpc.calculations.program import Program, State
from xanes_hpc.calculations.programs import PROGRAMS
from xanes_hpc.calculations.write import TABLE, folder_names, write_table
from xanes_hpc.errors import ConfigError, FormatError, StoreError
from xanes_hpc.jobs.slurm import script
from xanes_hpc.jobs.tasks import results, team_of
from xanes_hpc.runtime.outputs import explain, locked_output, whole_output
from xanes_hpc.stores.structures import StructureStore

if TYPE_CHECKING:
    from distributed import Client

PLAN, SCRIPT = "plan.json", "partitions.slurm"
PARTITIONS = "partitions"
"""Entry of a plan for the number of partitions, on which the results do not depend."""
WHOLE, PARTITION = "calculating", "partition-"
"""Names of the locks in the folder, of a run of all sites and of a partition, which its number follows."""


@dataclass
class Calculated:
    """Numbers of sites by state and of sites that an earlier run had finished, and the time of each, s."""

    states: Counter[str] = field(default_factory=Counter)
    not_good: list[str] = field(default_factory=list)
    taken_up: int = 0
    seconds: list[float] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self) | {"states": dict(self.states)}


def runs_folder(store: Path, name: str) -> Path:
    """Return the folder of a store's calculations with the program of this name."""
    return store.with_name(f"{store.stem}.{name}")


class Calculations:
    """The calculations of sites of a store with a program, in the folder that ``new`` or ``planned`` found.

    Attributes
    ----------
    store, program, rows, folder
        Structure store, open; program with its settings; rows of the sites; and the folder beside the store.
    n_partitions
        Number of separate runs among which the sites are divided.
    """

    def __init__(
        self, store: StructureStore, program: Program, rows: npt.NDArray[np.int64], n_partitions: int = 1
    ) -> None:
        self.store, self.program, self.rows, self.n_partitions = store, program, rows, n_partitions
        self.folder = runs_folder(store.path, program.name)
        self._names = [store.sites.name[row] for row in rows]
        self._folders = folder_names(self._names)

    @classmethod
    def new(
        cls,
        store: StructureStore,
        program: Program,
        rows: npt.NDArray[np.int64] | None = None,
        n_partitions: int = 1,
        restart: bool = False,
    ) -> Self:
        """Begin the calculations of sites, or continue those of a stopped run, whose sites are taken along.

        Parameters
        ----------
        store, program, rows, n_partitions
            As the attributes; by default all sites, in one run.
        restart
            Whether to discard the calculations of a stopped run.

        Raises
        ------
        ConfigError
            If the folder beside the store has calculations with other settings, or of other sites.
        FormatError
            If the settings are invalid, or there is no site.
        StoreError
            If the folder cannot be written, or another run is at work in it.
        """
        program.check()
        rows = np.arange(store.n_sites) if rows is None else rows
        if not rows.size:
            raise FormatError(f"{store.path}: no site to calculate; expected at least one")
        if n_partitions > rows.size:
            raise ConfigError(f"`n_partitions` {n_partitions}: expected at most {rows.size:,}, the number of sites")
        folder = runs_folder(store.path, program.name)
        with locked_output(folder):
            if restart and folder.exists():
                _discard(folder)
            if n_partitions == 1 and (folder / PLAN).exists():
                rows = np.union1d(rows, _planned_rows(store, folder, program))
            new = cls(store, program, rows, n_partitions)
            new._begin()
        return new

    @classmethod
    def planned(cls, store: StructureStore, name: str) -> Self:
        """Return the calculations that an earlier run with ``n_partitions`` has planned, with the program's name.

        Raises
        ------
        StoreError
            If there is no plan, or it is of other structures.
        """
        folder = runs_folder(store.path, name)
        plan = read_plan(folder)
        try:
            program = PROGRAMS[plan["program"]].with_settings(plan["settings"], plan["command"])
            n_partitions = int(plan[PARTITIONS])
            structures = plan["structures"]
        except (KeyError, TypeError, ValueError):
            raise StoreError(f"{folder / PLAN}: damaged; discard the calculations with `restart`") from None
        if structures != store.attribute("digest_structures"):
            raise StoreError(f"{folder}: has calculations of other structures than {store.path}")
        return cls(store, program, _planned_rows(store, folder, program), n_partitions)

    def _begin(self) -> None:
        """Write the plan, or check that it is the one that is there."""
        path, table = self.folder / PLAN, self.store.sites
        plan = {
            "program": self.program.name, "command": self.program.program,
            "settings": json.loads(json.dumps(self.program.settings)),
            "structures": self.store.attribute("digest_structures"),
            PARTITIONS: self.n_partitions,
        }  # fmt: skip
        if path.exists():
            check_plan(read_plan(self.folder), plan, self.folder)
        elif self.folder.exists() and any(self.folder.iterdir()):
            raise StoreError(f"{self.folder}: is a folder with other files; move it away")
        entries = [
            (folder, name, int(table.element[row]), table.edge[row])
            for folder, name, row in zip(self._folders, self._names, self.rows.tolist(), strict=True)
        ]
        try:
            self.folder.mkdir(exist_ok=True)
            with whole_output(self.folder / TABLE, True) as temporary:
                write_table(temporary, entries)
            with whole_output(path, True) as temporary:
                temporary.write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise StoreError(f"{self.folder}: cannot be written: {explain(error)}") from None

    def run(
        self,
        partition: int | None = None,
        limit: float | None = None,
        workers: "int | Client | None" = None,
        retry: bool = False,
        progress: Callable[[int, int, str], None] = lambda done, total, note: None,
    ) -> Calculated:
        """Calculate all sites, or those of a partition, that are not done yet.

        Parameters
        ----------
        partition
            Number of the partition, from 0.
        limit
            Time limit of a site, s.
        workers
            Number of processes, by default one per core; or a client of a Dask cluster.
        retry
            Whether to calculate sites again that failed in an earlier run.
        """
        if partition is not None and not 0 <= partition < self.n_partitions:
            raise ConfigError(f"`partition` {partition}: expected 0 to {self.n_partitions - 1}")
        chosen = range(len(self.rows))[partition or 0 :: 1 if partition is None else self.n_partitions]
        found = Calculated()
        one = partial(calculate_one, program=self.program, limit=limit)
        lock = self.folder / (WHOLE if partition is None else f"{PARTITION}{partition}")
        with locked_output(lock):
            done = {k: outcome for k in chosen if (outcome := self._outcome(k, retry)) is not None}
            found.taken_up = len(done)
            for k, outcome in done.items():
                self._count(found, k, outcome)
            pending = self._tasks([k for k in chosen if k not in done])
            for n, (k, outcome) in enumerate(results(team_of(workers), pending, one, died), len(done) + 1):
                self._count(found, k, outcome)
                progress(n, len(chosen), "")
        return found

    def finish(
        self, replace: bool = False, keep: bool = False, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> Ingested:
        """Add the good spectra to the store, and delete the folder unless it is to be kept or a site is not good.

        Raises
        ------
        FormatError
            If no site is good.
        """
        self.store.close()
        found = ingest(self.folder, self.store.path, self.program, replace, progress=progress)
        if not keep and not found.not_good and not found.spectra.differing:
            shutil.rmtree(self.folder, ignore_errors=True)
        return found

    def _outcome(self, k: int, retry: bool) -> Outcome | None:
        """Return the outcome of a site's calculation in an earlier run; None if it is to be done."""
        try:
            values = json.loads((self.folder / self._folders[k] / OUTCOME).read_text(encoding="utf-8"))
            outcome = Outcome(State(values["state"]), str(values["reason"]), float(values["seconds"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return None if retry and outcome.state is not State.GOOD else outcome

    def _tasks(self, numbers: Sequence[int]) -> Iterator[tuple[int, Task]]:
        rows = self.rows[list(numbers)]
        for k, row, (structure, atom) in zip(numbers, rows.tolist(), self.store.structures_at(rows), strict=True):
            yield (
                k,
                Task(
                    (self.folder / self._folders[k]).absolute(),
                    self._names[k],
                    structure,
                    atom,
                    self.store.sites.edge[row],
                ),
            )

    def _count(self, found: Calculated, k: int, outcome: Outcome) -> None:
        found.states[outcome.state] += 1
        found.seconds.append(outcome.seconds)
        if outcome.state is not State.GOOD:
            found.not_good.append(f"{self._names[k]}: {outcome.reason or outcome.state}")


def write_script(calculations: Calculations, command: Sequence[str], directives: Sequence[str]) -> Path:
    """Write a SLURM script beside the plan that calculates its partitions, and return its path."""
    path = calculations.folder.absolute() / SCRIPT
    n_sites = len(calculations.rows)
    text = script(path, command, [*command, "--finalise"], calculations.n_partitions, n_sites, directives)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def _discard(folder: Path) -> None:
    """Delete the calculations of stopped runs.

    Raises
    ------
    StoreError
        If a run is at work in the folder.
    """
    locks = [path.name[1:].removesuffix(".lock") for path in folder.glob(f".{PARTITION}*.lock")]
    with ExitStack() as held:
        for name in (WHOLE, *locks):
            held.enter_context(locked_output(folder / name))
        shutil.rmtree(folder)


def _planned_rows(store: StructureStore, folder: Path, program: Program) -> npt.NDArray[np.int64]:
    """Return the rows of the sites in the table of runs, ascending.

    Raises
    ------
    StoreError
        If the store lacks one.
    """
    known = {site: row for row, site in enumerate(store.sites.name)}
    names = [site for _, site in find_runs(folder, program)]
    if missing := [name for name in names if name not in known]:
        raise StoreError(
            f"{folder}: has calculations of sites that {store.path} lacks: {missing[0]}; `restart` discards them"
        )
    return np.array(sorted(known[name] for name in names))


def read_plan(folder: Path) -> dict[str, Any]:
    """Return the plan of calculations.

    Raises
    ------
    StoreError
        If there is none, or it cannot be read.
    """
    path = folder / PLAN
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(f"{path}: no such file; plan the calculations first with `n_partitions`") from None
    except (OSError, ValueError):
        plan = None
    if not isinstance(plan, dict):
        raise StoreError(f"{path}: cannot be read; discard the calculations with `restart`")
    return plan


def check_plan(found: dict[str, Any], plan: dict[str, Any], folder: Path) -> None:
    """Check that calculations that are there are those that are asked for.

    Raises
    ------
    ConfigError
        If they have other settings or sites; names the first ones.
    """
    theirs, ours = ({**one, **one.get("settings", {}), "settings": None, "command": None} for one in (found, plan))
    differs = [f"{name} {theirs.get(name)!r}, now {ours[name]!r}" for name in ours if theirs.get(name) != ours[name]]
    if differs:
        raise ConfigError(
            f"{folder}: has calculations of a run with other settings ({'; '.join(differs[:3])}); finish it with "
            "those, or discard it with `restart`"
        )
