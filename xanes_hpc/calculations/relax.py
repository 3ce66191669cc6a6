"""Structures relaxed by a semi-empirical method, into a store of their own; a run that was stopped goes on.

GFN1-xTB and GFN2-xTB (Bannwarth, Ehlert & Grimme, doi:10.1021/acs.jctc.8b01176) through tblite's calculator for ASE.
What is done is written to a journal beside the output, one line a structure, until the store is written.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xanes_hpc.calculations.xtb import METHODS, Relaxed, relax_one
from xanes_hpc.errors import MOST_LISTED, ConfigError, StoreError
from xanes_hpc.jobs.processes import processes
from xanes_hpc.jobs.tasks import results
from xanes_hpc.runtime import locks
from xanes_hpc.runtime.optional import need
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.structures import StructureStore, create_structures

if TYPE_CHECKING:
    from distributed import Client

MOST_NAMED = 5
ENDED = "its process died during the calculation"


@dataclass(frozen=True)
class RelaxOptions:
    """How structures are relaxed.

    Attributes
    ----------
    method
        One of ``METHODS``.
    fmax
        The largest force on an atom in the end, eV/Å.
    steps
        The most steps.
    keep_unconverged
        Whether structures that are not there after so many steps are kept as they are then.
    """

    method: str = "gfn2"
    fmax: float = 0.05
    steps: int = 300
    keep_unconverged: bool = False


@dataclass
class RelaxSummary:
    """What came of it: structures by how they ended, and why those failed that did.

    ``relaxed`` are in the output, with those ``unconverged`` if they are kept; otherwise these are among the failed.
    """

    relaxed: int = 0
    unconverged: int = 0
    failed_count: int = 0
    taken_up: int = 0
    mean_steps: float = 0.0
    largest_move: float = 0.0
    failed: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def relax(
    store: StructureStore,
    output: Path,
    options: RelaxOptions | None = None,
    overwrite: bool = False,
    workers: "int | Client | None" = None,
    progress: Callable[[int, int, str], None] = lambda done, total, note: None,
) -> RelaxSummary:
    """Relax every structure of a store, and write those that could be into another, with the same sites.

    Spectra do not go along: they are of the structures as they were.

    Parameters
    ----------
    store
        The structures; charge and total spin are their properties ``charge`` and ``spin``, 0 and the lowest where
        there are none.
    output
        Structure store to write. A journal beside it is gone on with.
    options
        How.
    overwrite
        Whether the output, and a journal of a run with other options, may be replaced.
    workers
        Processes, by default one for each core; or a client of a Dask cluster.

    Raises
    ------
    ConfigError
        If tblite is not installed, there is no such method, or a journal beside the output is of another run and not to
        be replaced.
    StoreError
        If no structure could be relaxed, or the output stands in the way or cannot be written.
    """
    need("tblite", "relax", "relaxing structures")
    options = options or RelaxOptions()
    if options.method not in METHODS:
        raise ConfigError(f"--method {options.method!r}: expected {', '.join(METHODS)}")
    if not 0 < options.fmax < np.inf:
        raise ConfigError(f"--fmax: expected a force above 0 eV/Å, received {options.fmax:g}")
    hdf5.check_store(output, overwrite, [store.path])
    plan = {
        "structures": store.attribute("digest_structures"), "method": options.method, "fmax": options.fmax,
        "steps": options.steps,
    }  # fmt: skip
    journal = journal_path(output)
    with open_journal(journal, plan, overwrite) as (done, note):
        summary = RelaxSummary(taken_up=len(done))
        pending = ((k, s) for k, (s, _) in enumerate(store.structures()) if k not in done)
        task = partial(relax_one, method=options.method, fmax=options.fmax, steps=options.steps)
        for row, relaxed in results(_team(workers), pending, task, lambda: Relaxed(failed=ENDED)):
            note(row, relaxed)
            done[row] = relaxed
            progress(len(done), store.n_structures, "")
    if all(relaxed.failed for relaxed in done.values()):  # there is nothing to go on from
        journal.unlink()
    _write(store, output, done, options, overwrite, summary)
    with suppress(FileNotFoundError):
        journal.unlink()
    return summary


def _team(workers: "int | Client | None") -> Callable[[int | None], Any]:
    if workers is None or isinstance(workers, int):
        return processes(workers)
    from xanes_hpc.jobs.dask import cluster_team

    return cluster_team(workers)


def _write(
    store: StructureStore, output: Path, done: dict[int, Relaxed], options: RelaxOptions, overwrite: bool,
    summary: RelaxSummary,
) -> None:  # fmt: skip
    steps = 0
    with create_structures(output, overwrite, [store.path]) as writer:
        for row, (structure, sites) in enumerate(store.structures()):
            relaxed = done[row]
            why = relaxed.failed
            if not why and not relaxed.converged:
                summary.unconverged += 1
                if not options.keep_unconverged:
                    why = f"forces are above {options.fmax:g} eV/Å after {relaxed.steps} steps"
            if why:
                summary.failed_count += 1
                summary.failed += [f"{structure.name}: {why}"] if len(summary.failed) < MOST_LISTED else []
                continue
            positions = np.array(relaxed.positions)
            moves = np.linalg.norm(positions - structure.positions, axis=1)
            summary.largest_move = max(summary.largest_move, float(moves.max(initial=0.0)))
            summary.relaxed += 1
            steps += relaxed.steps
            told: dict[str, float | str] = {
                f"{options.method}_energy": relaxed.energy,
                f"{options.method}_fmax": relaxed.fmax,
            }
            found = replace(structure, positions=positions, properties=structure.properties | told)
            kinds = set(sites.edge)
            if len(kinds) > 1:
                raise StoreError(
                    f"{store.path}: {structure.name} has sites of several edges: relax one edge's at a time"
                )
            edge = kinds.pop() if kinds else "K"
            writer.append(found, sites.atom, edge, [[] for _ in sites.name], sites.weight)
        if not summary.relaxed:
            listed = "; ".join(summary.failed[:MOST_NAMED]) or "there are no structures"
            more = f"; and {summary.failed_count - MOST_NAMED:,} more" if summary.failed_count > MOST_NAMED else ""
            raise StoreError(f"{store.path}: no structure could be relaxed: {listed}{more}")
    summary.mean_steps = steps / summary.relaxed


def journal_path(output: Path) -> Path:
    """Where the journal of the run that writes ``output`` stands."""
    return output.with_name(f"{output.name}.relaxing.jsonl")


@contextmanager
def open_journal(
    journal: Path, plan: dict[str, Any], anew: bool = False
) -> Iterator[tuple[dict[int, Relaxed], Callable[[int, Relaxed], None]]]:
    """What is done already, by row, and what writes down more; for this process alone.

    Raises
    ------
    ConfigError
        If it is of another plan, unless that may begin ``anew``.
    StoreError
        If it is damaged, or another run goes on with it.
    """
    _read(journal, plan, anew)  # one of another plan stays as it is
    with journal.open("a", encoding="utf-8") as stream:
        if not locks.hold(stream.fileno()):
            raise StoreError(f"{journal}: another run goes on with it; wait for its end")
        done, n_bytes = _read(journal, plan, anew)
        os.truncate(journal, n_bytes)
        if not n_bytes:
            stream.write(json.dumps(plan) + "\n")

        def note(row: int, relaxed: Relaxed) -> None:
            stream.write(json.dumps({"row": row, **asdict(relaxed)}) + "\n")
            stream.flush()

        yield done, note


def _read(journal: Path, plan: dict[str, Any], anew: bool) -> tuple[dict[int, Relaxed], int]:
    """What is done already, by row; and the length of whole lines: a killed run may leave half a line."""
    done: dict[int, Relaxed] = {}
    if not journal.exists():
        return done, 0
    text = journal.read_bytes()
    whole = text.rfind(b"\n") + 1
    lines = text[:whole].decode("utf-8", "replace").splitlines()
    try:
        found = json.loads(lines[0]) if lines else plan
        for line in lines[1:]:
            values = json.loads(line)
            row = int(values.pop("row"))
            done[row] = Relaxed(**values)
    except (ValueError, TypeError, KeyError):
        raise StoreError(f"{journal}: damaged; delete it to begin anew") from None
    if found != plan and anew:
        return {}, 0
    if found != plan:
        differs = ", ".join(f"{k} {found.get(k)!r}, now {plan[k]!r}" for k in plan if found.get(k) != plan[k])
        raise ConfigError(f"{journal}: is of another run ({differs}); give its settings, or --overwrite to begin anew")
    return done, whole
