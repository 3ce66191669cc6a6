"""Plan the features of a store: what to compute, and how it is divided into parts."""

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc import __version__, descriptors
from xanes_hpc.descriptors import Descriptor
from xanes_hpc.errors import ConfigError, FormatError, StoreError, XanesHpcError
from xanes_hpc.features.foreign import read_foreign
from xanes_hpc.features.pairing import PairedFeatures
from xanes_hpc.jobs.parts import PARTITIONS, read_plan
from xanes_hpc.stores import part_files
from xanes_hpc.stores.features import COMPRESSION, Layout
from xanes_hpc.stores.graphs import graph_tables
from xanes_hpc.stores.part_files import AnyTable, Table, part_bounds, parts_folder
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.graphs import GraphSettings
from xanes_hpc.structures.rattling import Rattling

KIND, FOREIGN, GRAPH = "features", "foreign", "graph"
"""Kind of plan, and its keys for the file of foreign features and for the settings of graphs."""


@dataclass(frozen=True)
class Plan:
    """The features to compute, and how they are divided into parts."""

    descriptor: Descriptor
    layout: Layout
    source_digest: str
    rattling: Rattling | None = None
    properties_digest: str = ""
    foreign: PairedFeatures | None = None
    graph: GraphSettings | None = None

    @property
    def attributes(self) -> dict[str, str]:
        """Attributes of the feature store that say how its features were made."""
        rattle = {} if self.rattling is None else {"rattle": self.rattling.text}
        return rattle | ({} if self.foreign is None else self.foreign.foreign.attributes)

    @property
    def without(self) -> npt.NDArray[np.bool_] | None:
        """Which sites have no features; None if all have some."""
        return None if self.foreign is None else self.foreign.without

    @property
    def table(self) -> Table:
        """The dataset of features."""
        return self.layout.table

    @property
    def tables(self) -> list[AnyTable]:
        """The datasets made in parts: the features, and the graphs if there are any."""
        return [self.table, *(() if self.graph is None else graph_tables(self.layout.filters))]

    @property
    def sites_at_once(self) -> int:
        """Number of sites of a batch whose datasets fit into memory."""
        return max(1, part_files.PART_BYTES // sum(table.row_bytes for table in self.tables))

    @cached_property
    def bounds(self) -> tuple[int, ...]:
        """Bounds of the parts: part k has sites ``bounds[k]:bounds[k + 1]``."""
        return part_bounds(self.tables, self.layout.n_sites)

    def as_values(self) -> dict[str, Any]:
        """Return everything the parts depend on, as plain values."""
        layout = asdict(self.layout) | {
            "dtype": self.layout.dtype.name,
            "chunk_rows": self.layout.chunk_rows,
            "bounds": list(self.bounds[:2]),
        }
        return {
            "kind": KIND,
            "descriptor_hash": self.descriptor.hash,
            "source_digest": self.source_digest,
            "creator": f"xanes-hpc {__version__}",
            "code": self.descriptor.code,
            "rattle": "none" if self.rattling is None else self.rattling.text,
            **({"properties": self.properties_digest} if self.properties_digest else {}),
            **({} if self.foreign is None else self._of_foreign(self.foreign)),
            **({} if self.graph is None else {GRAPH: self.graph.describe()}),
            **layout,
            "description": self.descriptor.describe(),
        }

    @staticmethod
    def _of_foreign(paired: PairedFeatures) -> dict[str, Any]:
        return {FOREIGN: str(paired.foreign.path.resolve()), "foreign_digest": paired.foreign.digest}


def plan(
    source: StructureStore,
    descriptor: Descriptor,
    compression: str = "none",
    rattling: Rattling | None = None,
    foreign: PairedFeatures | None = None,
    graph: GraphSettings | None = None,
) -> Plan:
    """Plan the features of all sites of a store, and their graphs by these settings.

    Raises
    ------
    ConfigError
        If the compression is unknown, or atoms are to be rattled beside foreign features.
    """
    if foreign is not None and rattling is not None:
        raise ConfigError("`rattle`: foreign features are those of the structures as they are; omit it")
    if compression not in COMPRESSION:
        raise ConfigError(f"`compression` {compression!r}: expected one of {', '.join(COMPRESSION)}")
    layout = Layout(source.n_sites, descriptor.n_features, descriptor.dtype, compression)
    digest = source.digest_of_properties(descriptor.properties) if descriptor.properties else ""
    return Plan(descriptor, layout, source.attribute("digest_structures"), rattling, digest, foreign, graph)


def planned(source: StructureStore, output: Path) -> tuple[Plan, int]:
    """Read the plan beside an output, for this source and program; return it with the number of partitions.

    Raises
    ------
    StoreError
        If the plan is missing, cannot be read, or is not for features.
    DescriptorError
        If this program lacks the descriptor.
    """
    values = read_plan(output)
    path = parts_folder(output)
    try:
        if values["kind"] != KIND:
            raise StoreError(f"{path}: expected parts of features, received parts of {values['kind']}")
        descriptor = descriptors.from_description(values["description"])
        rattle = values["rattle"]
        rattling = None if rattle == "none" else Rattling(**json.loads(rattle))
        foreign = None
        if FOREIGN in values:
            foreign = PairedFeatures(read_foreign(Path(values[FOREIGN])), source.sites, source.path)
        graph = GraphSettings.read(values[GRAPH]) if GRAPH in values else None
        return plan(source, descriptor, values["compression"], rattling, foreign, graph), int(
            values.get(PARTITIONS) or 1
        )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, XanesHpcError):
            raise
        raise StoreError(f"{path}: its plan cannot be read; discard it with `restart`") from None


def count_defaults(source: StructureStore, descriptor: Descriptor) -> dict[str, int]:
    """Return, for each property of the descriptor, the number of sites that lack it and get its default.

    Raises
    ------
    FormatError
        If a site lacks a property without a default.
    """
    missing = {}
    for name in descriptor.properties:
        missing[name], first = source.count_missing(name)
        if missing[name] and name not in descriptor.defaults:
            site = source.site(first).name[0]
            raise FormatError(
                f"property {name} is missing for {missing[name]:,} of {source.n_sites:,} sites (first: {site}); import "
                f"it with the structures or from a table, or featurise with a default ({name}=0)"
            )
    return missing


def check_sites(source: StructureStore, descriptor: Descriptor) -> None:
    """Check that a store has sites, with the properties that the descriptor needs.

    Raises
    ------
    StoreError
        If the store has no sites.
    FormatError
        If a site lacks a property without a default, or all sites lack a property.
    """
    if not source.n_sites:
        raise StoreError(f"{source.path}: has no sites")
    for name, n in count_defaults(source, descriptor).items():
        if n == source.n_sites:
            available = ", ".join(source.property_names) or "none"
            raise FormatError(f"{source.path}: no site has the property {name}; the store has {available}")
