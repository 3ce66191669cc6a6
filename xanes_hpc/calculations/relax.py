"""Relax the structures of a store by a semi-empirical method, and resume after a stop.

The methods are GFN1-xTB and GFN2-xTB (Bannwarth, Ehlert & Grimme, doi:10.1021/acs.jctc.8b01176) through tblite's
calculator for ASE. Until the output is written, a journal beside it records each relaxed structure on one line.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.calculations.xtb import METHODS, Relaxed, relax_one
from xanes_hpc.errors import ConfigError, StoreError, note_reason
from xanes_hpc.jobs.processes import processes
from xanes_hpc.jobs.tasks import results
from xanes_hpc.runtime import locks
from xanes_hpc.runtime.optional import need
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.sites import SiteTable
from xanes_hpc.stores.structures import StructureStore, create_structures
from xanes_hpc.structures.structure import Structure

if TYPE_CHECKING:
    from distributed import Client

MOST_NAMED = 5
ENDED = "the process died during the calculation"


@dataclass(frozen=True)
class RelaxOptions:
    """Options of a relaxation.

    Attributes
    ----------
    method
        One of ``METHODS``.
    fmax
        Largest force on an atom at convergence, eV/Å.
    steps
        Largest number of steps.
    keep_unconverged
        Whether to keep structures that have not converged after that many steps.
    """

    method: str = "gfn2"
    fmax: float = 0.05
    steps: int = 300
    keep_unconverged: bool = False


@dataclass
class RelaxSummary:
    """Numbers of structures by outcome, and the reasons of failures.

    ``relaxed`` counts the structures in the output, including ``unconverged`` ones if they are kept. Otherwise the
    unconverged ones count as failed. ``taken_up`` counts those resumed from the journal.
    """

    relaxed: int = 0
    unconverged: int = 0
    failed_count: int = 0
    taken_up: int = 0
    mean_steps: float = 0.0
    largest_move: float = 0.0
    failed: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)


def relax(
    store: StructureStore,
    output: Path,
    options: RelaxOptions | None = None,
    overwrite: bool = False,
    workers: "int | Client | None" = None,
    progress: Callable[[int, int, str], None] = lambda done, total, note: None,
    rows: npt.NDArray[np.int64] | None = None,
) -> RelaxSummary:
    """Relax the structures of a store, and write the relaxed ones with the same sites into another.

    Spectra are not copied, because they belong to the original structures.

    Parameters
    ----------
    store
        Structures to relax. Charge and total spin come from the properties ``charge`` and ``spin``; the defaults are 0
        and the lowest spin.
    output
        Structure store to write. A journal beside it is resumed.
    options
        Method and convergence.
    overwrite
        Whether to replace the output, and a journal of a run with other options.
    workers
        Number of processes, by default one per core; or a client of a Dask cluster.
    rows
        Rows of the sites to take, with their structures; by default all.

    Raises
    ------
    ConfigError
        If tblite is not installed, an option is invalid, or the journal beside the output belongs to a run with other
        options and ``overwrite`` is not set.
    StoreError
        If no structure could be relaxed, or the output already exists or cannot be written.
    """
    need("tblite", "relax", "relaxing structures")
    options = options or RelaxOptions()
    if options.method not in METHODS:
        raise ConfigError(f"`method` {options.method!r}: expected {', '.join(METHODS)}")
    if not 0 < options.fmax < np.inf:
        raise ConfigError(f"`fmax`: expected a force above 0 eV/Å, received {options.fmax:g}")
    hdf5.check_store(output, overwrite, [store.path])
    plan = {
        "structures": store.attribute("digest_structures"), "method": options.method, "fmax": options.fmax,
        "steps": options.steps,
    }  # fmt: skip
    journal = journal_path(output)
    with open_journal(journal, plan, overwrite) as (done, note):
        summary = RelaxSummary(taken_up=len(done))
        pending = ((k, structure) for k, structure, _ in _chosen(store, rows) if k not in done)
        total = store.n_structures if rows is None else np.unique(store.sites.structure[rows]).size
        task = partial(relax_one, method=options.method, fmax=options.fmax, steps=options.steps)
        for row, relaxed in results(_team(workers), pending, task, lambda: Relaxed(failed=ENDED)):
            note(row, relaxed)
            done[row] = relaxed
            progress(min(len(done), total), total, "")
    if all(relaxed.failed for relaxed in done.values()):  # nothing worth resuming
        journal.unlink()
    _write(store, _chosen(store, rows), output, done, options, overwrite, summary)
    with suppress(FileNotFoundError):
        journal.unlink()
    return summary


def _team(workers: "int | Client | None") -> Callable[[int | None], Any]:
    if workers is None or isinstance(workers, int):
        return processes(workers)
    from xanes_hpc.jobs.dask import cluster_team

    return cluster_team(workers)


def _chosen(store: StructureStore, rows: npt.NDArray[np.int64] | None) -> Iterator[tuple[int, Structure, SiteTable]]:
    """Yield the row of every structure with a site in ``rows``, the structure, and these sites; by default all."""
    wanted, at = np.empty(0, np.bool_), 0
    if rows is not None:
        wanted = np.isin(np.argsort(store.sites.structure, kind="stable"), rows)
    for row, (structure, sites) in enumerate(store.structures()):
        own = np.flatnonzero(wanted[at : at + len(sites)])
        at += len(sites)
        if rows is None:
            yield row, structure, sites
        elif own.size:
            yield row, structure, sites.take(own)


def _write(
    store: StructureStore, chosen: Iterable[tuple[int, Structure, SiteTable]], output: Path, done: dict[int, Relaxed],
    options: RelaxOptions, overwrite: bool, summary: RelaxSummary,
) -> None:  # fmt: skip
    steps = 0
    with create_structures(output, overwrite, [store.path]) as writer:
        for row, structure, sites in chosen:
            relaxed = done[row]
            why, kinds = relaxed.failed, sorted(set(sites.edge))
            if not why and len(kinds) > 1:
                why = f"has sites at several edges ({', '.join(kinds)}); relax a store for each edge"
            if not why and not relaxed.converged:
                summary.unconverged += 1
                if not options.keep_unconverged:
                    why = f"not converged: forces above {options.fmax:g} eV/Å after {relaxed.steps} steps"
            if why:
                summary.failed_count += 1
                note_reason(summary.failed, f"{structure.name}: {why}")
                continue
            positions = np.array(relaxed.positions)
            moves = np.linalg.norm(positions - structure.positions, axis=1)
            summary.largest_move = max(summary.largest_move, float(moves.max(initial=0.0)))
            summary.relaxed += 1
            steps += relaxed.steps
            outcome: dict[str, float | str] = {
                f"{options.method}_energy": relaxed.energy,
                f"{options.method}_fmax": relaxed.fmax,
                **{f"{options.method}_{name}": value for name, value in relaxed.of_structure.items()},
            }
            of_sites: list[dict[str, float | str]] = [
                {f"{options.method}_{name}": values[atom] for name, values in relaxed.of_atoms.items()}
                for atom in sites.atom.tolist()
            ]
            found = replace(structure, positions=positions, properties=structure.properties | outcome)
            writer.append(
                found, sites.atom, kinds[0] if kinds else "K", [[] for _ in sites.name], sites.weight, of_sites
            )
        if not summary.relaxed:
            listed = "; ".join(summary.failed[:MOST_NAMED]) or "the store has no structures"
            more = f"; and {summary.failed_count - MOST_NAMED:,} more" if summary.failed_count > MOST_NAMED else ""
            raise StoreError(f"{store.path}: no structure could be relaxed: {listed}{more}")
    summary.mean_steps = steps / summary.relaxed


def journal_path(output: Path) -> Path:
    """Return the path of the journal of a run that writes ``output``."""
    return output.with_name(f"{output.name}.relaxing.jsonl")


@contextmanager
def open_journal(
    journal: Path, plan: dict[str, Any], anew: bool = False
) -> Iterator[tuple[dict[int, Relaxed], Callable[[int, Relaxed], None]]]:
    """Lock a journal; yield its relaxed structures by row, and a function that records another.

    Raises
    ------
    ConfigError
        If the journal has another plan and ``anew`` is not set.
    StoreError
        If the journal is damaged, or in use by another run.
    """
    _read(journal, plan, anew)  # raises before a journal with another plan is touched
    with journal.open("a", encoding="utf-8") as stream:
        if not locks.hold(stream.fileno()):
            raise StoreError(f"{journal}: in use by another run; wait until it ends")
        done, n_bytes = _read(journal, plan, anew)
        os.truncate(journal, n_bytes)
        if not n_bytes:
            stream.write(json.dumps(plan) + "\n")

        def note(row: int, relaxed: Relaxed) -> None:
            stream.write(json.dumps({"row": row, **asdict(relaxed)}) + "\n")
            stream.flush()

        yield done, note


def _read(journal: Path, plan: dict[str, Any], anew: bool) -> tuple[dict[int, Relaxed], int]:
    """Return the relaxed structures by row, and the length of complete lines; a killed run may leave half a line."""
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
        raise StoreError(f"{journal}: damaged; delete it to start anew") from None
    if found != plan and anew:
        return {}, 0
    if found != plan:
        differs = ", ".join(f"{k} {found.get(k)!r}, now {plan[k]!r}" for k in plan if found.get(k) != plan[k])
        raise ConfigError(
            f"{journal}: belongs to a run with other settings ({differs}); use those settings, or start anew with "
            "`overwrite`"
        )
    return done, whole
