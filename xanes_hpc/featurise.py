"""From a structure store to a feature store: plan, compute the parts, finalise.

Parts are whole chunks of the feature store. Each stands in a file of its own until all are there, so that a run that
was stopped, however it was, goes on with the first part that is missing. While one batch of sites is computed the next
is read and the last written. The ordinary run makes all parts and appends each to the output at once; partitions are
made by runs of their own, wherever they run, and one output of their parts in the end.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from xanes_hpc.descriptors import Descriptor
from xanes_hpc.errors import FormatError
from xanes_hpc.feature_plans import Plan, check_sites, plan, planned
from xanes_hpc.overlapping import overlap
from xanes_hpc.partitions import check_whole, parts_of
from xanes_hpc.rattling import Rattling
from xanes_hpc.sites import SiteBatch
from xanes_hpc.stores.features import PART_BYTES, create_features
from xanes_hpc.stores.hdf5 import check_store
from xanes_hpc.stores.new_file import NewFile
from xanes_hpc.stores.part_files import copy_chunks, new_part
from xanes_hpc.stores.parts import PartsFolder
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.stores.virtual import write_virtual

Progress = Callable[[int, int], None]
Features = npt.NDArray[np.floating[Any]]
ATOMS_AT_ONCE = 1 << 20
"""Atoms in memory for one batch of sites, unless one structure has more."""


def describe_batch(descriptor: Descriptor, source: StructureStore, start: int, batch: SiteBatch) -> Features:
    """Features of a batch that starts with site ``start`` of a store, shape (n_sites of the batch, n_features).

    Raises
    ------
    FormatError
        If a structure cannot be described; names the sites.
    """
    try:
        return descriptor.compute(batch)
    except FormatError as error:
        raise FormatError(f"{source.path}: sites {start} to {start + batch.n_sites - 1}: {error}") from None


def describe_sites(descriptor: Descriptor, source: StructureStore, start: int, stop: int) -> Features:
    """Features of sites ``start:stop`` of a store, shape (stop - start, n_features).

    Raises
    ------
    FormatError
        As ``describe_batch``.
    """
    return describe_batch(descriptor, source, start, source.batch(start, stop, descriptor.properties))


@dataclass(frozen=True)
class _Span:
    """Sites ``start:stop``, all of one part; none where the part is there already."""

    part: int
    start: int
    stop: int


def _spans(plan: Plan, source: StructureStore, parts: PartsFolder, numbers: Iterable[int]) -> Iterator[_Span]:
    """The batches of the parts that are missing, in order, and one without sites for each part that is there."""
    for part in numbers:
        first, last = plan.bounds[part : part + 2]
        if parts.is_whole(part, [plan.layout.table], last - first):
            yield _Span(part, last, last)
        else:
            most = max(1, PART_BYTES // plan.layout.row_bytes)
            for start, stop in pairwise([first, *source.cuts(first, last, ATOMS_AT_ONCE), last]):
                yield from (_Span(part, a, min(a + most, stop)) for a in range(start, stop, most))


def _read(plan: Plan, source: StructureStore, span: _Span) -> SiteBatch | None:
    if span.start == span.stop:
        return None
    batch = source.batch(span.start, span.stop, plan.descriptor.properties)
    return batch if plan.rattling is None else plan.rattling.displaced(batch)


def _compute(plan: Plan, source: StructureStore, span: _Span, batch: SiteBatch | None) -> Features | None:
    if batch is None:
        return None
    try:
        return describe_batch(plan.descriptor, source, span.start, batch)
    except FormatError as error:
        if plan.rattling is None:
            raise
        raise FormatError(f"{error} (atoms rattled by {plan.rattling.std:g} Å: take less, or another seed)") from None


class _PartWriter:
    """Writes the batches of each part, and tells of the part when it is whole."""

    def __init__(self, plan: Plan, parts: PartsFolder, made: Callable[[int], None]) -> None:
        self._plan, self._parts, self._made = plan, parts, made
        self._open = ExitStack()
        self._rows: Any = None

    def write(self, span: _Span, features: Features | None) -> None:
        table = self._plan.layout.table
        first, last = self._plan.bounds[span.part : span.part + 2]
        if features is not None:
            if self._rows is None:
                part = new_part(self._parts.part(span.part), [table], last - first, self._parts.plan_digest)
                self._rows = self._open.enter_context(part).rows[table.name]
            self._rows[span.start - first : span.stop - first] = features
        if span.stop == last:
            self._rows = None
            self._open.close()
            self._made(span.part)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> bool | None:
        return self._open.__exit__(*error)


def make_parts(
    plan: Plan,
    source: StructureStore,
    parts: PartsFolder,
    numbers: range,
    made: Callable[[int], None] = lambda number: None,
    progress: Progress = lambda done, total: None,
) -> None:
    """Make the parts of a plan with some numbers, unless they are there and whole; ``made`` is told of each, in order.

    Raises
    ------
    FormatError
        If a structure cannot be described.
    StoreError
        If the source is damaged.
    OSError
        If a part cannot be written.
    """
    first, total = plan.bounds[numbers.start], plan.bounds[numbers.stop] - plan.bounds[numbers.start]
    with _PartWriter(plan, parts, made) as writer:
        progress(0, total)
        written = overlap(
            _spans(plan, source, parts, numbers),
            lambda span: _read(plan, source, span),
            lambda span, batch: _compute(plan, source, span, batch),
            writer.write,
        )
        with closing(written):
            for span in written:
                progress(span.stop - first, total)


@contextmanager
def _output(
    plan: Plan, source: StructureStore, output: Path, overwrite: bool, parts: PartsFolder
) -> Iterator[tuple[NewFile, Callable[[int], None]]]:
    """The output but for its features, and what appends a part to them."""
    descriptor, rattling = plan.descriptor, plan.rattling
    with create_features(
        output, source, descriptor.describe(), descriptor.hash, descriptor.labels, overwrite, parts.whole,
        "" if rattling is None else rattling.text,
    ) as file:  # fmt: skip
        table = plan.layout.table
        features = None

        def append(number: int) -> None:
            nonlocal features
            features = features or table.create(file, source.n_sites)
            copy_chunks(parts.part(number), features, table.name, plan.bounds[number])
            file.sync()

        yield file, append


def featurise(
    source: StructureStore,
    descriptor: Descriptor,
    output: Path,
    overwrite: bool = False,
    progress: Progress = lambda done, total: None,
    compression: str = "none",
    restart: bool = False,
    rattling: Rattling | None = None,
) -> None:
    """Write the features of every site of ``source`` to a new feature store.

    Parts that an earlier run has left beside ``output`` are taken over, unless ``restart`` is set. With ``rattling``
    the features are those of the structures displaced, and the store says so.

    Raises
    ------
    StoreError
        If the source has no sites, the output stands in the way or cannot be written, or parts there are of something
        else.
    FormatError
        If a structure cannot be described, or the property of a site, or that of all, is missing.
    """
    check_sites(source, descriptor)
    whole = plan(source, descriptor, compression, rattling)
    check_store(output, overwrite, [source.path])
    with (
        PartsFolder(output, whole.as_values(), restart) as parts,
        _output(whole, source, output, overwrite, parts) as (_, append),
    ):
        make_parts(whole, source, parts, range(whole.n_parts), append, progress)


def make_partition(
    source: StructureStore, output: Path, partition: int, progress: Progress = lambda done, total: None
) -> range:
    """Make the parts of one partition of an output that was planned; gives their numbers.

    Raises
    ------
    ConfigError
        If there is no such partition.
    StoreError
        If there is no plan, another run makes the partition, or the plan is of something else.
    FormatError
        If a structure cannot be described.
    """
    whole, n_partitions = planned(source, output)
    numbers = parts_of(partition, n_partitions, whole.n_parts)
    with PartsFolder(output, whole.as_values(), partition=partition) as parts:
        make_parts(whole, source, parts, numbers, progress=progress)
    return numbers


def finalise(source: StructureStore, output: Path, overwrite: bool = False, virtual: bool = False) -> Plan:
    """Make one store of the parts that all partitions have made; gives the plan.

    Parameters
    ----------
    source, output
        As they were planned.
    virtual
        Leave the features in the parts, and refer to them.

    Raises
    ------
    StoreError
        If a part is missing or damaged: names it; or as ``featurise``.
    """
    whole, n_partitions = planned(source, output)
    check_store(output, overwrite, [source.path])
    table = whole.layout.table
    with PartsFolder(output, whole.as_values()) as parts:
        check_whole(parts, [table], whole.bounds, n_partitions)
        with _output(whole, source, output, overwrite, parts) as (file, append):
            if virtual:
                write_virtual(file, table, output, whole.bounds, parts.plan_digest)
            else:
                for number in range(whole.n_parts):
                    append(number)
        parts.keep = virtual
    return whole
