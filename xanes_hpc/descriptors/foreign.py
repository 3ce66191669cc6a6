"""Features made by another program, such as the embeddings of a potential, alone or after another descriptor's.

    name = "foreign"
    source = "MACE-MP-0 medium"  # who made the features
    features = 256               # how many there are
    labels = ["scalar 0", …]     # their names; optional
    [descriptor]                 # description of the descriptor whose features come first; optional
    name = "wacsf"
    …

The features themselves are in a file, one row per site. Stores of the same source, number and labels have the same
hash, whichever sites they hold.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from xanes_hpc.descriptors._meaning import Meaning
from xanes_hpc.descriptors.base import Descriptor, Features, check_keys
from xanes_hpc.errors import DescriptorError
from xanes_hpc.structures.neighbours import NeighbourList
from xanes_hpc.structures.sites import SiteBatch

WHERE = "descriptor foreign"


class Foreign(Descriptor):
    """Features that another program made; the module describes its description."""

    name = "foreign"
    PRESETS = MappingProxyType({})

    def __init__(self, description: Mapping[str, Any]) -> None:
        from xanes_hpc.descriptors import from_description

        check_keys(WHERE, description, {"name", "source", "features", "labels", "descriptor"})
        source, width = description.get("source"), description.get("features")
        if not isinstance(source, str) or not source:
            raise DescriptorError(
                f"{WHERE}: expected source as the name of what made the features, received {source!r}"
            )
        if not isinstance(width, int) or isinstance(width, bool) or width < 1:
            raise DescriptorError(f"{WHERE}: expected features as a number of at least 1, received {width!r}")
        labels = description.get("labels", ())
        if not isinstance(labels, (list, tuple)) or not all(isinstance(label, str) for label in labels):
            raise DescriptorError(f"{WHERE}: expected labels as a list of names, received {labels!r}")
        if labels and (len(labels) != width or len(set(labels)) < width):
            raise DescriptorError(
                f"{WHERE}: expected {width} different labels, one for each feature, received {len(labels)} "
                f"({len(set(labels))} different)"
            )
        inner = description.get("descriptor")
        if inner is not None and not isinstance(inner, Mapping):
            raise DescriptorError(f"{WHERE}: expected a table [descriptor] with the features that come first")
        self.source, self.width, self._given = source, width, list(labels)
        self.inner = None if inner is None else from_description(inner)
        if isinstance(self.inner, Foreign):
            raise DescriptorError(f"{WHERE}: expected another descriptor beside it, received foreign")
        self.own_labels = self._given or [f"foreign[{k}]" for k in range(width)]
        first = self.inner
        self.labels = [*(first.labels if first else ()), *self.own_labels]
        self.dtype = first.dtype if first else np.dtype(np.float32)
        self.cutoff = first.cutoff if first else 0.0
        self.properties = first.properties if first else ()
        self.defaults = first.defaults if first else {}

    @property
    def in_words(self) -> str:
        """The source and the number of features, for messages."""
        return f"{self.width} features of {self.source!r}" + (f" with {self.inner.name}" if self.inner else "")

    @property
    def meanings(self) -> list[Meaning]:
        """The meanings of the other descriptor's features, then a label for each foreign one."""
        own = [Meaning("foreign", label) for label in self.own_labels]
        return [*(self.inner.meanings if self.inner else ()), *own]

    def describe(self) -> dict[str, Any]:
        """Return the full description."""
        return {
            "name": self.name,
            "source": self.source,
            "features": self.width,
            **({"labels": self._given} if self._given else {}),
            **({"descriptor": self.inner.describe()} if self.inner else {}),
        }

    def resolve(self) -> dict[str, Any]:
        """Return what the features depend on: their source, number and labels, and the other descriptor's numbers."""
        inner = {"descriptor": {"name": self.inner.name, **self.inner.resolve()}} if self.inner else {}
        return self.describe() | inner

    def compute(self, batch: SiteBatch) -> Features:
        """Return the features of every site of a batch that carries the foreign ones, (n_sites, n_features).

        Raises
        ------
        DescriptorError
            If the batch has no foreign features, or another number of them.
        FormatError
            As the other descriptor does.
        """
        if batch.foreign is None:
            raise DescriptorError(
                f"{self.in_words} are made by another program; they cannot be computed from structures, only read from "
                "its file (`foreign`)"
            )
        if batch.foreign.shape[1] != self.width:
            raise DescriptorError(f"expected {self.in_words}, received {batch.foreign.shape[1]}")
        return super().compute(batch) if self.inner else np.array(batch.foreign, self.dtype)

    def fill(self, batch: SiteBatch, neighbours: NeighbourList, out: Features) -> None:
        """Write the other descriptor's features of the batch's sites, then the foreign ones."""
        if self.inner is not None:
            own = np.empty((batch.n_sites, self.inner.n_features), self.dtype)
            self.inner.fill(batch, neighbours, own)
            out[:, : self.inner.n_features] = own
        out[:, -self.width :] = batch.foreign


PLUGIN = Foreign
