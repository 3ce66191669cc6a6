"""Calculate something for each structure of a store, in processes or on a cluster, and resume after a stop."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import StoreError, first_reasons
from xanes_hpc.jobs.journal import open_journal
from xanes_hpc.jobs.tasks import DIED, results, team_of
from xanes_hpc.stores.sites import SiteTable
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.structure import Structure

if TYPE_CHECKING:
    from distributed import Client


class Outcome(Protocol):
    """The result for one structure, or the reason why it ``failed``."""

    @property
    def failed(self) -> str:
        """Return the reason, or nothing."""


Result = TypeVar("Result", bound=Outcome)
Rows = npt.NDArray[np.int64]


def chosen_structures(store: StructureStore, rows: Rows | None) -> Iterator[tuple[int, Structure, SiteTable]]:
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


class EachStructure:
    """The structures of a store with sites at ``rows``, and a journal of what is calculated for them.

    Parameters
    ----------
    store
        Structure store, open.
    rows
        Rows of the sites to take, with their structures; None for all.
    journal
        Path of the journal; None for none.
    """

    def __init__(self, store: StructureStore, rows: Rows | None, journal: Path | None) -> None:
        self.store, self.rows, self.journal = store, rows, journal

    def calculate(
        self,
        task: Callable[[Structure], Result],
        kind: type[Result],
        settings: dict[str, Any],
        anew: bool,
        workers: "int | Client | None",
        progress: Callable[[int, int, str], None],
    ) -> tuple[dict[int, Result], int]:
        """Run a task on every structure that has no result yet; return the results by row, and how many were resumed.

        Parameters
        ----------
        task
            Picklable.
        kind
            Class of its results, a dataclass that JSON can represent; ``kind(failed=…)`` is the result of a structure
            that kills its process.
        settings
            What the results depend on besides the structures, by name.
        anew
            Whether to discard a journal with other settings.
        workers
            Number of processes, by default one per core; or a client of a Dask cluster.

        Raises
        ------
        ConfigError
            If the journal has other settings and ``anew`` is not set.
        StoreError
            If the journal is damaged, or in use by another run.
        """
        plan = {"structures": self.store.attribute("digest_structures"), **settings}
        total = self.store.n_structures if self.rows is None else np.unique(self.store.sites.structure[self.rows]).size
        make: Any = kind
        opened: AbstractContextManager[Any] = nullcontext(({}, None))
        if self.journal is not None:
            opened = open_journal(self.journal, plan, kind, anew)
        with opened as (done, note):
            n_resumed = len(done)
            pending = ((k, one) for k, one, _ in chosen_structures(self.store, self.rows) if k not in done)
            for row, result in results(team_of(workers), pending, task, lambda: make(failed=DIED)):
                if note is not None:
                    note(row, result)
                done[row] = result
                progress(min(len(done), total), total, "")
        if all(result.failed for result in done.values()):  # nothing worth resuming
            self.discard_journal()
        return done, n_resumed

    def __iter__(self) -> Iterator[tuple[int, Structure, SiteTable]]:
        return chosen_structures(self.store, self.rows)

    def discard_journal(self) -> None:
        """Delete the journal, if there is one."""
        if self.journal is not None:
            with suppress(FileNotFoundError):
                self.journal.unlink()


def none_left(store: StructureStore, what: str, failed: list[str], n_failed: int) -> StoreError:
    """Return the error for a store of which no structure could be ``what``, such as relaxed."""
    listed = first_reasons(failed, n_failed) or "the store has no structures"
    return StoreError(f"{store.path}: no structure could be {what}: {listed}")
