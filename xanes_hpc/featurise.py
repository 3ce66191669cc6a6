"""From a structure store to a feature store: plan, compute the parts, finalise.

Parts are whole chunks of the feature store. Each stands in a file of its own until all are there, so that a run that
was stopped, however it was, goes on with the first part that is missing. While one batch of sites is computed the next
is read and the last written.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from xanes_hpc import __version__
from xanes_hpc.descriptors import Descriptor
from xanes_hpc.errors import ConfigError, FormatError, StoreError
from xanes_hpc.overlapping import overlap
from xanes_hpc.rattling import Rattling
from xanes_hpc.sites import SiteBatch
from xanes_hpc.stores.features import COMPRESSION, PART_BYTES, Layout, create_features
from xanes_hpc.stores.hdf5 import check_store
from xanes_hpc.stores.parts import PartsFolder
from xanes_hpc.stores.structures import StructureStore

Progress = Callable[[int, int], None]
Features = npt.NDArray[np.floating[Any]]
ATOMS_AT_ONCE = 1 << 20
"""Atoms in memory for one batch of sites, unless one structure has more."""


@dataclass(frozen=True)
class Plan:
    """What is to be computed, and how it is shared out over parts."""

    descriptor: Descriptor
    layout: Layout
    source_digest: str
    rattling: Rattling | None = None
    properties_digest: str = ""

    @property
    def bounds(self) -> tuple[int, ...]:
        """Sites ``bounds[k]:bounds[k + 1]`` are part k."""
        return self.layout.bounds

    @property
    def n_parts(self) -> int:
        """Number of parts."""
        return len(self.bounds) - 1

    def as_values(self) -> dict[str, Any]:
        """All that the parts' bytes depend on."""
        layout = asdict(self.layout) | {
            "dtype": self.layout.dtype.name,
            "chunk_rows": self.layout.chunk_rows,
            "part_rows": self.layout.part_rows,
        }
        return {
            "descriptor_hash": self.descriptor.hash,
            "source_digest": self.source_digest,
            "creator": f"xanes-hpc {__version__}",
            "code": self.descriptor.code,
            "rattle": "none" if self.rattling is None else self.rattling.text,
            **({"properties": self.properties_digest} if self.properties_digest else {}),
            **layout,
        }


def plan(
    source: StructureStore, descriptor: Descriptor, compression: str = "none", rattling: Rattling | None = None
) -> Plan:
    """Share the sites of a store out over parts.

    Raises
    ------
    ConfigError
        If there is no such compression.
    """
    if compression not in COMPRESSION:
        raise ConfigError(f"no compression is called {compression!r}; there are {', '.join(COMPRESSION)}")
    layout = Layout(source.n_sites, descriptor.n_features, descriptor.dtype, compression)
    digest = source.digest_of_properties(descriptor.properties) if descriptor.properties else ""
    return Plan(descriptor, layout, source.attribute("digest_structures"), rattling, digest)


def defaults_taken(source: StructureStore, descriptor: Descriptor) -> dict[str, int]:
    """How many sites of a store take the default of each property that the descriptor takes.

    Raises
    ------
    FormatError
        If a site has neither the property nor a default.
    """
    taken = {}
    for name in descriptor.properties:
        taken[name], first = source.without_property(name)
        if taken[name] and name not in descriptor.defaults:
            site = source.sites(first, first + 1).name[0]
            raise FormatError(
                f"{site} and {taken[name] - 1:,} other sites have no property {name}: "
                "give it in the structures' files or a table (import --properties), or featurise with a default "
                f"({name}=0)"
            )
    return taken


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


def _spans(plan: Plan, source: StructureStore, parts: PartsFolder) -> Iterator[_Span]:
    """The batches of the parts that are missing, in order, and one without sites for each part that is there."""
    for part, (first, last) in enumerate(pairwise(plan.bounds)):
        if parts.is_whole(part, (last - first, plan.descriptor.n_features)):
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
    """Writes the batches of each part, and hands the part on when it is whole."""

    def __init__(self, plan: Plan, parts: PartsFolder, append: Callable[[Path, int], None]) -> None:
        self._plan, self._parts, self._append = plan, parts, append
        self._open = ExitStack()
        self._rows: Any = None

    def write(self, span: _Span, features: Features | None) -> None:
        layout = self._plan.layout
        first, last = self._plan.bounds[span.part : span.part + 2]
        if features is not None:
            if self._rows is None:
                shape = (last - first, layout.n_features)
                part = self._parts.new_part(span.part, shape, layout.dtype, layout.chunks, layout.filters)
                self._rows = self._open.enter_context(part)
            self._rows[span.start - first : span.stop - first] = features
        if span.stop == last:
            self._rows = None
            self._open.close()
            self._append(self._parts.part(span.part), first)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> bool | None:
        return self._open.__exit__(*error)


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
    if not source.n_sites:
        raise StoreError(f"{source.path}: has no sites")
    for name, n in defaults_taken(source, descriptor).items():
        if n == source.n_sites:
            there = ", ".join(source.property_names) or "none"
            raise FormatError(f"{source.path}: no site has the property {name}, there are {there}: leave it out")
    whole = plan(source, descriptor, compression, rattling)
    check_store(output, overwrite, [source.path])
    with PartsFolder(output, whole.as_values(), restart) as parts:
        made = create_features(
            output, source, descriptor.describe(), descriptor.hash, descriptor.labels, whole.layout, overwrite,
            parts.whole, "" if rattling is None else rattling.text,
        )  # fmt: skip
        with made as append, _PartWriter(whole, parts, append) as writer:
            progress(0, source.n_sites)
            written = overlap(
                _spans(whole, source, parts),
                lambda span: _read(whole, source, span),
                lambda span, batch: _compute(whole, source, span, batch),
                writer.write,
            )
            with closing(written):
                for span in written:
                    progress(span.stop, source.n_sites)
