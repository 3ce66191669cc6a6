"""Structures relaxed by a semi-empirical method, into a store of their own; a run that was stopped goes on.

GFN1-xTB and GFN2-xTB (Bannwarth, Ehlert & Grimme, doi:10.1021/acs.jctc.8b01176) through tblite's calculator for ASE.
What is done is written to a journal beside the output, one line a structure, until the store is written.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xanes_hpc.errors import MOST_LISTED, ConfigError, StoreError
from xanes_hpc.extras import need
from xanes_hpc.records import Structure
from xanes_hpc.relaxation import METHODS, Relaxed, relax_one
from xanes_hpc.relaxing_journal import journal_path, open_journal
from xanes_hpc.relaxing_processes import ENDED, computed
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.structures import StructureStore, create_structures

if TYPE_CHECKING:
    from distributed import Client

MOST_NAMED = 5


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
        for row, relaxed in _computed(pending, task, workers):
            note(row, relaxed)
            done[row] = relaxed
            progress(len(done), store.n_structures, "")
    if all(relaxed.failed for relaxed in done.values()):  # there is nothing to go on from
        journal.unlink()
    _write(store, output, done, options, overwrite, summary)
    with suppress(FileNotFoundError):
        journal.unlink()
    return summary


def _computed(
    pending: Iterator[tuple[int, Structure]], task: Callable[[Structure], Relaxed], workers: "int | Client | None"
) -> Iterator[tuple[int, Relaxed]]:
    if workers is None or isinstance(workers, int):
        return computed(pending, task, workers or os.cpu_count() or 1)
    from xanes_hpc.dask_execution import results

    return results(workers, pending, task, lambda: Relaxed(failed=ENDED))


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
