"""A descriptor that appends properties of the structure or site to another's features: charge, spin, oxidation state, …

    name = "extended"
    properties = ["charge", "spin"]  # numeric properties of structures or sites in the store
    defaults = {spin = 0.0}          # for sites without the property; without a default they are an error
    [descriptor]                     # description of the other descriptor
    name = "rdc"
    …

Values are used unchanged; training standardises them like any feature. A site's own property takes precedence over its
structure's.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from xanes_hpc.descriptors._meaning import Meaning
from xanes_hpc.descriptors._values import is_number
from xanes_hpc.descriptors.base import Descriptor, Features, check_keys
from xanes_hpc.errors import DescriptorError, FormatError
from xanes_hpc.structures.neighbours import NeighbourList
from xanes_hpc.structures.sites import SiteBatch

WHERE = "descriptor extended"


class Extended(Descriptor):
    """Another descriptor's features, then properties; the module describes its description."""

    name = "extended"

    def __init__(self, description: Mapping[str, Any]) -> None:
        from xanes_hpc.descriptors import from_description

        check_keys(WHERE, description, {"name", "properties", "defaults", "descriptor"})
        names, defaults = description.get("properties"), description.get("defaults", {})
        if not isinstance(names, (list, tuple)) or not names or not all(isinstance(n, str) and n for n in names):
            raise DescriptorError(f"{WHERE}: expected properties as a list of names, received {names!r}")
        if len(set(names)) < len(names):
            raise DescriptorError(f"{WHERE}: expected every property once, received {', '.join(names)}")
        check_keys(f"{WHERE}: defaults", defaults, set(names))
        for name, value in defaults.items():
            if not is_number(value):
                raise DescriptorError(f"{WHERE}: defaults: expected a number for {name}, received {value!r}")
        if not isinstance(description.get("descriptor"), Mapping):
            raise DescriptorError(f"{WHERE}: expected a table [descriptor] with the description to extend")
        self.inner = from_description(description["descriptor"])
        if self.inner.properties:
            raise DescriptorError(f"{WHERE}: expected a descriptor without properties, received {self.inner.name}")
        self.properties = tuple(names)
        self.defaults = {name: float(value) for name, value in defaults.items()}
        self.cutoff, self.dtype = self.inner.cutoff, self.inner.dtype
        self.labels = [*self.inner.labels, *(f"property {name}" for name in names)]

    @property
    def meanings(self) -> list[Meaning]:
        """The meanings of the other descriptor's features, then of the properties."""
        return [*self.inner.meanings, *(Meaning("property", name) for name in self.properties)]

    def describe(self) -> dict[str, Any]:
        """Return the full description."""
        return {
            "name": self.name,
            "properties": list(self.properties),
            "defaults": self.defaults,
            "descriptor": self.inner.describe(),
        }

    def resolve(self) -> dict[str, Any]:
        """Return what the features depend on: the other descriptor's numbers, the properties and their defaults."""
        return {
            "properties": list(self.properties),
            "defaults": self.defaults,
            "descriptor": {"name": self.inner.name, **self.inner.resolve()},
        }

    def fill(self, batch: SiteBatch, neighbours: NeighbourList, out: Features) -> None:
        """Write features and properties of the batch's sites."""
        own = np.empty((batch.n_sites, self.inner.n_features), self.dtype)
        self.inner.fill(batch, neighbours, own)
        out[:, : self.inner.n_features] = own
        out[:, self.inner.n_features :] = self._values(batch)

    def _values(self, batch: SiteBatch) -> Features:
        columns = []
        for name in self.properties:
            values = batch.properties.get(name, np.full(batch.n_sites, np.nan))
            missing = ~np.isfinite(values)
            if missing.any() and name not in self.defaults:
                site = int(np.argmax(missing))
                raise FormatError(
                    f"site {site} of the batch has no property {name}; give it in the structure's file or in a table "
                    f"when importing, or give a default ({name}=0)"
                )
            columns.append(np.where(missing, self.defaults.get(name, 0.0), values))
        return np.stack(columns, axis=1)


def _charged() -> dict[str, Any]:
    from xanes_hpc.descriptors import load

    zeros = {"charge": 0.0, "spin": 0.0}
    return {"properties": list(zeros), "defaults": zeros, "descriptor": load("wacsf").describe()}


Extended.PRESETS = {"charged": _charged}
PLUGIN = Extended
