"""Structures relaxed by a semi-empirical method, into a store of their own; a run that was stopped goes on.

GFN1-xTB and GFN2-xTB (Bannwarth, Ehlert & Grimme, doi:10.1021/acs.jctc.8b01176) through tblite's calculator for ASE.
What is done is written to a journal beside the output, one line a structure, until the store is written.
"""

import fcntl
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from xanes_hpc.errors import ConfigError, StoreError
from xanes_hpc.extras import need
from xanes_hpc.records import Structure
from xanes_hpc.relaxation import METHODS, Relaxed, relax_one
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.structures import StructureStore, create_structures

AHEAD = 2
"""Structures given out for each process."""
MOST_LISTED = 10_000


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
    """What came of it: structures by how they ended, and why those failed that did."""

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


def journal_path(output: Path) -> Path:
    """Where the journal of the run that writes ``output`` stands."""
    return output.with_name(f"{output.name}.relaxing.jsonl")


def relax(
    store: StructureStore,
    output: Path,
    options: RelaxOptions | None = None,
    overwrite: bool = False,
    workers: int | None = None,
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
    workers
        Processes; by default one for each core.

    Raises
    ------
    ConfigError
        If tblite is not installed, there is no such method, or a journal beside the output is of another run.
    StoreError
        If no structure could be relaxed, or the output stands in the way or cannot be written.
    """
    need("tblite", "relax", "relaxing structures")
    options = options or RelaxOptions()
    if options.method not in METHODS:
        raise ConfigError(f"--method {options.method!r}: expected {', '.join(METHODS)}")
    if not 0 < options.fmax < np.inf:
        raise ConfigError(f"--fmax: expected a force above 0 eV/Å, received {options.fmax:g}")
    hdf5.check_output(output, overwrite, sources=[store.path])
    plan = {
        "structures": store.attribute("digest_structures"), "method": options.method, "fmax": options.fmax,
        "steps": options.steps,
    }  # fmt: skip
    journal = journal_path(output)
    _read_journal(journal, plan)  # of another run, it is refused untouched
    with journal.open("a", encoding="utf-8") as stream:
        _lock(stream)
        done, n_bytes = _read_journal(journal, plan)
        summary = RelaxSummary(taken_up=len(done))
        os.truncate(journal, n_bytes)
        if not n_bytes:
            stream.write(json.dumps(plan) + "\n")
        pending = ((k, s) for k, (s, _) in enumerate(store.structures()) if k not in done)
        task = partial(relax_one, method=options.method, fmax=options.fmax, steps=options.steps)
        for row, relaxed in computed(pending, task, workers or os.cpu_count() or 1):
            stream.write(json.dumps({"row": row, **asdict(relaxed)}) + "\n")
            stream.flush()
            done[row] = relaxed
            progress(len(done), store.n_structures, "")
    if all(relaxed.failed for relaxed in done.values()):  # there is nothing to go on from
        journal.unlink()
    _write(store, output, done, options, overwrite, summary)
    with suppress(FileNotFoundError):
        journal.unlink()
    return summary


def _lock(stream: TextIO) -> None:
    """Keep a journal for this run; the lock goes with the process.

    Raises
    ------
    StoreError
        If another run has it.
    """
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StoreError(f"{stream.name}: another run goes on with it; wait for its end") from None
    except OSError:  # a file system without locks
        pass


def _read_journal(journal: Path, plan: dict[str, Any]) -> tuple[dict[int, Relaxed], int]:
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
    if found != plan:
        differs = ", ".join(f"{k} {found.get(k)!r}, now {plan[k]!r}" for k in plan if found.get(k) != plan[k])
        raise ConfigError(f"{journal}: is of another run ({differs}); give its settings, or delete it to begin anew")
    return done, whole


def computed(
    pending: Iterator[tuple[int, Structure]], task: Callable[[Structure], Relaxed], workers: int
) -> Iterator[tuple[int, Relaxed]]:
    """What a task makes of structures, in several processes, as they come. One that ends its process has failed."""
    more = True
    while more:
        suspects: list[tuple[int, Structure]] = []
        with _pool(workers) as pool:
            running: dict[Future[Relaxed], tuple[int, Structure]] = {}
            while True:
                while len(running) < AHEAD * workers and not suspects and (one := next(pending, None)) is not None:
                    running[pool.submit(task, one[1])] = one
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    row, structure = running.pop(future)
                    try:
                        yield row, future.result()
                    except BrokenProcessPool:
                        suspects.append((row, structure))
        more = bool(suspects)
        for row, structure in suspects:  # one of them has ended its process: each alone tells which
            with _pool(1) as alone:
                try:
                    yield row, alone.submit(task, structure).result()
                except BrokenProcessPool:
                    yield row, Relaxed(failed="the process ended within the calculation")


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with the block, at once where it is left by an error."""
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin)
    try:
        yield pool
        pool.shutdown()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in active_children():
            process.terminate()
        raise


def _begin() -> None:
    """In a process of its own: one thread, and Ctrl-C ends it, and the end of the run."""
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the one that began it has ended, however that was: it would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


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
            first = summary.failed[0] if summary.failed else "there are no structures"
            raise StoreError(f"{store.path}: no structure could be relaxed; {first}")
    summary.mean_steps = steps / summary.relaxed
