"""Compute a feature store from a structure store: plan, make the parts, finalise.

A part is a whole number of the feature store's chunks, in a separate file, so that a stopped run can continue with the
first missing part. While one batch of sites is computed, the next is read and the previous one written. An ordinary run
makes all parts and appends each one to the output immediately; partitions are made by separate runs on any machines,
and their parts are combined at the end.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from xanes_hpc.descriptors import Descriptor
from xanes_hpc.errors import FormatError
from xanes_hpc.features.pairing import PairedFeatures
from xanes_hpc.features.plan import Plan, check_sites, plan, planned
from xanes_hpc.jobs import run
from xanes_hpc.jobs.parts import Parts, PartsFolder
from xanes_hpc.runtime.new_file import NewFile
from xanes_hpc.runtime.overlap import overlap
from xanes_hpc.stores.features import FEATURES, FeatureStore, create_features
from xanes_hpc.stores.graphs import write_graphs
from xanes_hpc.stores.hdf5 import check_store
from xanes_hpc.stores.part_files import new_part
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.graph_search import find_graphs
from xanes_hpc.structures.graphs import Graphs, GraphSettings
from xanes_hpc.structures.rattling import Rattling
from xanes_hpc.structures.sites import SiteBatch

Progress = Callable[[int, int], None]
Features = npt.NDArray[np.floating[Any]]
ATOMS_AT_ONCE = 1 << 20
"""Largest number of atoms in a batch of sites, unless a single structure has more."""


def describe_batch(descriptor: Descriptor, source: StructureStore, start: int, batch: SiteBatch) -> Features:
    """Compute the features of a batch whose first site is ``start``, (n_sites of the batch, n_features).

    Raises
    ------
    FormatError
        If a structure cannot be described; names the sites.
    """
    try:
        return descriptor.compute(batch)
    except FormatError as error:
        raise FormatError(f"{source.path}: sites {start} to {start + batch.n_sites - 1}: {error}") from None


def describe_sites(
    descriptor: Descriptor, source: StructureStore, start: int, stop: int, foreign: PairedFeatures | None = None
) -> Features:
    """Compute the features of sites ``start:stop`` of a store, (stop - start, n_features).

    ``foreign`` has the features of a foreign descriptor.

    Raises
    ------
    FormatError
        As ``describe_batch`` does.
    """
    batch = source.batch(start, stop, descriptor.properties)
    return describe_batch(descriptor, source, start, batch if foreign is None else foreign.of(batch, start))


@dataclass(frozen=True)
class _Computed:
    """Features of a batch of sites, and their graphs if they are wanted."""

    features: Features
    graphs: Graphs | None

    def write(self, rows: Mapping[str, Any], here: slice) -> None:
        """Write them to the tables of a part or a store."""
        rows[FEATURES][here] = self.features
        if self.graphs is not None:
            write_graphs(rows, self.graphs)


@dataclass(frozen=True)
class _Span:
    """Sites ``start:stop`` of one part; empty if the part already exists."""

    part: int
    start: int
    stop: int


def _spans(plan: Plan, source: StructureStore, parts: Parts, numbers: Iterable[int]) -> Iterator[_Span]:
    """Yield the batches of missing parts in order, and an empty batch for each part that already exists."""
    most = plan.sites_at_once
    for part in numbers:
        first, last = plan.bounds[part : part + 2]
        if parts.is_whole(part, plan.tables, last - first):
            yield _Span(part, last, last)
        else:
            for start, stop in pairwise([first, *source.cuts(first, last, ATOMS_AT_ONCE), last]):
                yield from (_Span(part, a, min(a + most, stop)) for a in range(start, stop, most))


def _read(plan: Plan, source: StructureStore, span: _Span) -> SiteBatch | None:
    if span.start == span.stop:
        return None
    batch = source.batch(span.start, span.stop, plan.descriptor.properties)
    if plan.foreign is not None:
        batch = plan.foreign.of(batch, span.start)
    return batch if plan.rattling is None else plan.rattling.displaced(batch)


def _compute(plan: Plan, source: StructureStore, span: _Span, batch: SiteBatch | None) -> _Computed | None:
    if batch is None:
        return None
    try:
        features = describe_batch(plan.descriptor, source, span.start, batch)
        return _Computed(features, None if plan.graph is None else find_graphs(batch, plan.graph))
    except FormatError as error:
        if plan.rattling is None:
            raise
        raise FormatError(
            f"{error} (atoms rattled by {plan.rattling.std:g} Å; rattle less, or change the seed)"
        ) from None


class _PartWriter:
    """Writes the batches of each part, and calls ``made`` when the part is complete."""

    def __init__(self, plan: Plan, source: StructureStore, parts: Parts, made: Callable[[int], None]) -> None:
        self._plan, self._source, self._parts, self._made = plan, source, parts, made
        self._open = ExitStack()
        self._rows: dict[str, Any] | None = None

    def write(self, span: _Span, computed: _Computed | None) -> None:
        first, last = self._plan.bounds[span.part : span.part + 2]
        if computed is not None:
            if self._rows is None:
                path, tables = self._parts.part(span.part), self._plan.tables
                part = new_part(path, tables, last - first, self._parts.plan_digest)
                self._rows = self._open.enter_context(part).rows
            computed.write(self._rows, slice(span.start - first, span.stop - first))
        if span.stop == last:
            self._source.check_unchanged()
            self._rows = None
            self._open.close()
            self._made(span.part)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> bool | None:
        return self._open.__exit__(*error)


@dataclass(frozen=True)
class FeatureJob:
    """A ``jobs.run.Job`` that computes the features of all sites of a store."""

    source: StructureStore
    plan: Plan
    output: Path

    @property
    def opening(self) -> "FeatureOpening":
        """Opens the job again in another process."""
        return FeatureOpening(self.source.path.resolve(), self.output.resolve())

    def check(self, overwrite: bool) -> None:
        """Check that the output may be written."""
        check_store(self.output, overwrite, [self.source.path])

    def make(self, folder: Parts, numbers: range, made: Callable[[int], None], progress: Progress) -> None:
        """Make the parts that are missing or damaged.

        Raises
        ------
        FormatError
            If a structure cannot be described.
        StoreError
            If the source is damaged.
        OSError
            If a part cannot be written.
        """
        plan, source = self.plan, self.source
        first, total = plan.bounds[numbers.start], plan.bounds[numbers.stop] - plan.bounds[numbers.start]
        with _PartWriter(plan, source, folder, made) as writer:
            progress(0, total)
            written = overlap(
                _spans(plan, source, folder, numbers),
                lambda span: _read(plan, source, span),
                lambda span, batch: _compute(plan, source, span, batch),
                writer.write,
            )
            with closing(written):
                for span in written:
                    progress(span.stop - first, total)

    @contextmanager
    def begin(self, folder: PartsFolder, overwrite: bool) -> Iterator[NewFile]:
        """Create the output without its features."""
        plan, descriptor = self.plan, self.plan.descriptor
        with create_features(
            self.output, self.source, descriptor.describe(), descriptor.hash, descriptor.labels, overwrite,
            folder.whole, plan.attributes, plan.without, plan.graph,
        ) as file:  # fmt: skip
            yield file


@dataclass(frozen=True)
class FeatureOpening:
    """Opens a planned ``FeatureJob`` again."""

    source: Path
    output: Path

    def open(self) -> tuple[FeatureJob, ExitStack]:
        """Return the job, and the stack that keeps its store open."""
        with ExitStack() as opened:
            source = opened.enter_context(StructureStore(self.source))
            return planned_job(source, self.output)[0], opened.pop_all()


def featurise(
    source: StructureStore,
    descriptor: Descriptor,
    output: Path,
    overwrite: bool = False,
    progress: Progress = lambda done, total: None,
    compression: str = "none",
    restart: bool = False,
    rattling: Rattling | None = None,
    foreign: PairedFeatures | None = None,
    graph: GraphSettings | None = None,
) -> None:
    """Write the features of every site of ``source`` to a new feature store, and with ``graph`` also its graph.

    Parts of an earlier run beside ``output`` are kept unless ``restart`` is set. With ``rattling``, atoms are displaced
    before features are computed, and the store records it. ``foreign`` has the features of a foreign descriptor.

    Raises
    ------
    StoreError
        If the source has no sites, the output exists and may not be replaced or cannot be written, or existing parts
        have another plan.
    FormatError
        If a structure cannot be described, a site lacks a property without a default, or all sites lack a property.
    """
    run.run(new_job(source, descriptor, output, compression, rattling, foreign, graph), overwrite, restart, progress)


def featurise_in_memory(
    source: StructureStore,
    descriptor: Descriptor,
    rattling: Rattling | None = None,
    foreign: PairedFeatures | None = None,
    graph: GraphSettings | None = None,
) -> FeatureStore:
    """Return a feature store in memory with the features, and with ``graph`` the graph, of every site of ``source``.

    Raises
    ------
    StoreError
        If the source has no sites.
    FormatError
        If a structure cannot be described, a site lacks a property without a default, or all sites lack a property.
    """
    check_sites(source, descriptor)
    own = plan(source, descriptor, rattling=rattling, foreign=foreign, graph=graph)
    most = own.sites_at_once
    with create_features(
        None, source, descriptor.describe(), descriptor.hash, descriptor.labels,
        attributes=own.attributes, without=own.without, graph=graph,
    ) as file:  # fmt: skip
        rows = {table.name: table.create(file, source.n_sites) for table in own.tables}
        for start, stop in pairwise([0, *source.cuts(0, source.n_sites, ATOMS_AT_ONCE), source.n_sites]):
            for first in range(start, stop, most):
                span = _Span(0, first, min(first + most, stop))
                computed = _compute(own, source, span, _read(own, source, span))
                if computed is not None:
                    computed.write(rows, slice(span.start, span.stop))
    return FeatureStore(file=file, source=source)


def new_job(
    source: StructureStore,
    descriptor: Descriptor,
    output: Path,
    compression: str = "none",
    rattling: Rattling | None = None,
    foreign: PairedFeatures | None = None,
    graph: GraphSettings | None = None,
) -> FeatureJob:
    """Return a job that computes the features of every site of ``source``.

    Raises
    ------
    ConfigError
        If the compression is unknown, or atoms are to be rattled beside foreign features.
    StoreError
        If the source has no sites.
    FormatError
        If a site lacks a property without a default, or all sites lack a property.
    """
    check_sites(source, descriptor)
    return FeatureJob(source, plan(source, descriptor, compression, rattling, foreign, graph), output)


def planned_job(source: StructureStore, output: Path) -> tuple[FeatureJob, int]:
    """Return the job that was planned for an output, and the number of its partitions.

    Raises
    ------
    StoreError, DescriptorError
        As ``features.plan.planned`` does.
    """
    found, n_partitions = planned(source, output)
    return FeatureJob(source, found, output), n_partitions
