"""Features of the sites of a source, as a model reads them: stored ones, or those that its descriptor computes."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from xanes_hpc import descriptors
from xanes_hpc.descriptors.base import Descriptor
from xanes_hpc.descriptors.foreign import Foreign
from xanes_hpc.errors import ModelError, StoreError
from xanes_hpc.features.featurise import describe_sites
from xanes_hpc.features.foreign import check_same, read_foreign
from xanes_hpc.features.pairing import PairedFeatures
from xanes_hpc.features.plan import count_defaults
from xanes_hpc.models.model import Model
from xanes_hpc.prediction.sources import Store
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.graph_search import find_graphs
from xanes_hpc.structures.graphs import Graphs

FARTHEST_READ = 16
"""Rows farther apart than this are read separately."""


def model_descriptor(model: Model) -> Descriptor:
    """Return the descriptor of a model's features.

    Raises
    ------
    ModelError
        If this version of the program builds another descriptor from the model's description.
    """
    spec = model.description["descriptor"]
    found = descriptors.from_description(spec["description"])
    if found.hash != spec["hash"]:
        raise ModelError(
            f"{model.path}: expected descriptor {spec['hash']}, but this version builds {found.hash} from the model's "
            "description; predict with the version that trained the model"
        )
    return found


class Features(Protocol):
    """Features of a store's sites in a model's descriptor, and their graphs if the model takes them.

    Attributes
    ----------
    code
        Digest of the code that computes them; empty if they are read from a store.
    properties
        Digest of the structures' properties that the descriptor uses; empty if it uses none.
    foreign
        Digest of the file of foreign features; empty without one.
    without : (n_sites,)
        Which sites of the store have no features.
    """

    code: str
    properties: str
    foreign: str
    without: npt.NDArray[np.bool_]

    def read(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.floating]:
        """Return the features of ascending rows, (n_rows, n_features).

        Raises
        ------
        StoreError
            If a site has no features, or NaN or infinite ones; the message names it.
        """

    def graphs(self, rows: npt.NDArray[np.int64]) -> Graphs | None:
        """Return the graphs of ascending rows; None for a model that takes none."""


def features_of(model: Model, source: Store, foreign: Path | None = None) -> Features:
    """Return an object that reads or computes the features of a store's sites in the model's descriptor.

    Parameters
    ----------
    foreign
        File with the features that another program made, for a model that was trained on such features.

    Raises
    ------
    ModelError
        If the store's features are of another descriptor, or of rattled structures, or the foreign features are
        missing or not those of the model.
    FormatError
        If the file of foreign features is invalid.
    """
    if isinstance(source, StructureStore):
        return _Computed(model, source, foreign)
    if foreign is not None:
        raise ModelError(f"{source.path}: has features already; give `foreign` with structures only")
    return _Stored(model, source)


class _Stored:
    """Features read from a feature store."""

    code = properties = foreign = ""

    def __init__(self, model: Model, source: FeatureStore) -> None:
        if source.rattled:
            raise ModelError(f"{source.path}: holds features of rattled structures; predict from the plain features")
        found, wanted = source.attribute("descriptor_hash"), model.descriptor_hash
        if found != wanted:
            _check_foreign(model, source)
            raise ModelError(
                f"{source.path}: expected features of {model.path}'s descriptor {wanted}, received {found}; featurise "
                "with the model's descriptor, or predict from the structure store"
            )
        if model.graph is not None and source.graph != model.graph:
            received = "none" if source.graph is None else source.graph.in_words
            raise ModelError(
                f"{source.path}: expected graphs for {model.path} ({model.graph.in_words}), received {received}; "
                "featurise with graphs (`graph`), or predict from the structure store"
            )
        self._source, self.without, self._graph = source, source.without_features, model.graph

    def read(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.floating]:
        return read_features(rows, self._source.read, self._source.path, self.without)

    def graphs(self, rows: npt.NDArray[np.int64]) -> Graphs | None:
        return None if self._graph is None else _graphs_at(rows, self._source.read_graphs)


class _Computed:
    """Features computed from a structure store."""

    def __init__(self, model: Model, source: StructureStore, foreign: Path | None) -> None:
        self._source, self._descriptor, self._graph = source, model_descriptor(model), model.graph
        self._paired = _paired(model, self._descriptor, source, foreign)
        self.foreign = "" if self._paired is None else self._paired.foreign.digest
        self.without = np.zeros(source.n_sites, np.bool_) if self._paired is None else self._paired.without
        names = self._descriptor.properties
        if names:
            count_defaults(source, self._descriptor)
        self.code, self.properties = self._descriptor.code, source.digest_of_properties(names) if names else ""

    def read(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.floating]:
        def between(low: int, high: int) -> npt.NDArray[np.floating]:
            return describe_sites(self._descriptor, self._source, low, high, self._paired)

        return read_features(rows, between, self._source.path, self.without)

    def graphs(self, rows: npt.NDArray[np.int64]) -> Graphs | None:
        if (settings := self._graph) is None:
            return None
        return _graphs_at(rows, lambda low, high: find_graphs(self._source.batch(low, high), settings))


def _graphs_at(rows: npt.NDArray[np.int64], between: Callable[[int, int], Graphs]) -> Graphs:
    """Return the graphs of ascending rows, by a function that returns those of start:stop."""
    return Graphs.joined([between(int(run[0]), int(run[-1]) + 1).take(run - run[0]) for run in runs_of(rows)])


def runs_of(rows: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Return ascending rows in runs, each of which is read at once."""
    return np.split(rows, np.flatnonzero(np.diff(rows) > FARTHEST_READ) + 1)


def _paired(
    model: Model, descriptor: Descriptor, source: StructureStore, foreign: Path | None
) -> PairedFeatures | None:
    """Return the foreign features of a store's sites; None for a model without such features."""
    if foreign is not None:
        found = read_foreign(foreign)
        check_same(foreign, found.descriptor, descriptor, model.path)
        return PairedFeatures(found, source.sites, source.path, source.site_formulas)
    if isinstance(descriptor, Foreign):
        raise ModelError(
            f"{model.path}: was trained on {descriptor.in_words}, which structures do not have; give their file "
            "(`foreign`), or a feature store made with it"
        )
    return None


def _check_foreign(model: Model, source: FeatureStore) -> None:
    """Say how features differ from a model's if both are foreign, or only one is.

    Raises
    ------
    ModelError
        If so.
    """
    found, wanted = descriptors.from_description(source.description), model_descriptor(model)
    if not (isinstance(found, Foreign) or isinstance(wanted, Foreign)):
        return
    if isinstance(found, Foreign) and isinstance(wanted, Foreign) and (found.inner is None) == (wanted.inner is None):
        check_same(source.path, found, wanted, model.path)
    words = [d.in_words if isinstance(d, Foreign) else f"{d.name} features" for d in (wanted, found)]
    raise ModelError(f"{source.path}: expected {words[0]} (of {model.path}), received {words[1]}")


def read_features(
    rows: npt.NDArray[np.int64],
    between: Callable[[int, int], npt.NDArray[np.floating]],
    path: Path,
    without: npt.NDArray[np.bool_],
) -> npt.NDArray[np.floating]:
    """Return the features of ascending rows, (n_rows, n_features), by a function that returns those of start:stop.

    Raises
    ------
    StoreError
        If a site is one of those ``without`` features, or has NaN or infinite ones.
    """
    if without[rows].any():
        raise StoreError(f"{path}: site {int(rows[np.argmax(without[rows])])} has no features")
    x = np.concatenate([between(int(run[0]), int(run[-1]) + 1)[run - run[0]] for run in runs_of(rows)])
    finite = np.isfinite(x).all(axis=1)
    if not finite.all():
        raise StoreError(
            f"{path}: site {int(rows[np.argmin(finite)])} has NaN or infinite features; featurise it again"
        )
    return x
