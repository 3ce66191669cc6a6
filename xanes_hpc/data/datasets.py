"""The data of a training run: the sites of one or several feature stores, their targets, and the split.

Stores are read in chunks, so they never have to fit into memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.data.left_out import LeftOut
from xanes_hpc.errors import StoreError
from xanes_hpc.models.numpy_network import Inputs
from xanes_hpc.models.scaling import CONSTANT, TRANSFORMS, Absorbers, Scalers, scale_of_features
from xanes_hpc.models.training_sites import LEFT_OUT, SETS
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.stores.targets import TargetStore
from xanes_hpc.structures.absorbers import reduced_formula
from xanes_hpc.structures.graphs import Graphs

SOFTNESS = 0.05
"""Softness of positive spectra, as a fraction of the targets' standard deviation over all energies."""
FEWEST = 10
"""With fewer sites, an element and edge gets the standard deviation of all sites."""
HELD_BYTES = 256 << 20
"""Largest size of sites that ``CachedSites`` keeps in memory."""
Pair = tuple[npt.NDArray[Any], npt.NDArray[Any]]


@dataclass(frozen=True)
class Source:
    """A feature store with its targets.

    Attributes
    ----------
    features, targets
        The stores.
    first
        Row of the store's first site among the sites of all sources.
    augmented
        Feature stores of the same sites in rattled structures.
    origin
        The store of the spectra, which has the sites' structures if they are known.
    """

    features: FeatureStore
    targets: TargetStore
    first: int = 0
    augmented: tuple[FeatureStore, ...] = ()
    origin: StructureStore | FeatureStore | None = None

    @property
    def n_variants(self) -> int:
        """Number of feature stores to choose each site's features from."""
        return 1 + len(self.augmented)

    @property
    def chunks(self) -> list["Chunk"]:
        """All chunks of the store, in order."""
        rows, n_sites = self.features.chunk_rows, self.features.n_sites
        return [Chunk(self, start, min(start + rows, n_sites)) for start in range(0, n_sites, rows)]


@dataclass(frozen=True)
class Chunk:
    """Sites ``start:stop`` of a source: one chunk of its features."""

    source: Source
    start: int
    stop: int

    @property
    def rows(self) -> slice:
        """The chunk's rows among the sites of all sources."""
        return slice(self.source.first + self.start, self.source.first + self.stop)

    def read(self, chosen: npt.NDArray[np.bool_], variant: int = 0) -> Pair:
        """Return features and targets of the chosen sites.

        Parameters
        ----------
        chosen : (stop - start,)
            Which sites to return.
        variant
            0 for the plain features, k for those of the k-th augmented store.

        Raises
        ------
        StoreError
            If a feature is NaN or infinite; the message names the site.
        """
        store = self.source.augmented[variant - 1] if variant else self.source.features
        rows = slice(None) if chosen.all() else chosen  # a slice avoids a copy
        x = store.read(self.start, self.stop)[rows]
        with np.errstate(all="ignore"):
            suspect = not np.isfinite(x.sum())  # a sum may also overflow
        if suspect and not np.isfinite(x).all():
            site = self.start + int(np.flatnonzero(chosen)[np.argmin(np.isfinite(x).all(axis=1))])
            raise StoreError(f"{store.path}: site {site} has NaN or infinite features; featurise the structures again")
        return x, self.source.targets.read(self.start, self.stop)[rows]

    def read_graphs(self, chosen: npt.NDArray[np.bool_], variant: int = 0) -> Graphs:
        """Return the graphs of the chosen sites; the arguments are those of ``read``.

        Raises
        ------
        StoreError
            If the store has no graphs, or they are damaged.
        """
        store = self.source.augmented[variant - 1] if variant else self.source.features
        graphs = store.read_graphs(self.start, self.stop)
        return graphs if chosen.all() else graphs.take(np.flatnonzero(chosen))


@dataclass(frozen=True)
class SiteSet:
    """The sites of one or several sets of a split.

    Attributes
    ----------
    sources
        The stores.
    chosen : (n_sites,)
        Whether each site of the sources belongs to the set.
    absorbers : (n_sites,)
        Index of each site's element and edge.
    """

    sources: Sequence[Source]
    chosen: npt.NDArray[np.bool_]
    absorbers: Absorbers

    @property
    def n_sites(self) -> int:
        """Number of sites in the set."""
        return int(self.chosen.sum())

    @property
    def n_absorbers(self) -> int:
        """Number of elements and edges in all sources."""
        return int(self.absorbers.max(initial=0)) + 1

    @property
    def chunks(self) -> list[Chunk]:
        """The chunks with sites of the set, in the order of the stores."""
        every = [chunk for source in self.sources for chunk in source.chunks]
        return [chunk for chunk in every if self.chosen[chunk.rows].any()]

    def sample(self, most: int, seed: int) -> "SiteSet":
        """Return the set, or a seeded sample of ``most`` sites if it has more."""
        rows = np.flatnonzero(self.chosen)
        if rows.size <= most:
            return self
        chosen = np.zeros_like(self.chosen)
        chosen[np.random.default_rng(seed).permutation(rows)[:most]] = True
        return replace(self, chosen=chosen)

    def read(self, chunk: Chunk, variant: int = 0) -> tuple[npt.NDArray[Any], Absorbers, npt.NDArray[Any]]:
        """Return features, absorbers and targets of the set's sites in a chunk.

        Raises
        ------
        StoreError
            If a feature is NaN or infinite.
        """
        chosen = self.chosen[chunk.rows]
        x, y = chunk.read(chosen, variant)
        return x, self.absorbers[chunk.rows][chosen], y

    def read_graphs(self, chunk: Chunk, variant: int = 0) -> Graphs:
        """Return the graphs of the set's sites in a chunk.

        Raises
        ------
        StoreError
            If the store has none, or they are damaged.
        """
        return chunk.read_graphs(self.chosen[chunk.rows], variant)


@dataclass(frozen=True)
class TrainingData:
    """The data of a training run.

    Attributes
    ----------
    sources
        The stores.
    names, formulas
        One per site of all sources.
    absorbers : (n_sites,)
        Index of each site's element and edge in ``seen``.
    seen
        Element (atomic number) and edge of each kind of absorber.
    sets : (n_sites,)
        Each site's set, as an index into ``SETS``; ``LEFT_OUT`` for sites without a target.
    left_out
        How many sites have no target, and why.
    """

    sources: Sequence[Source]
    names: list[str]
    formulas: list[str]
    absorbers: Absorbers
    seen: list[tuple[int, str]]
    sets: npt.NDArray[np.uint8]
    left_out: LeftOut

    def sites_in(self, *names: str) -> SiteSet:
        """Return the sites of one or several sets of the split, by name."""
        chosen = np.isin(self.sets, [SETS.index(name) for name in names])
        return SiteSet(self.sources, chosen, self.absorbers)

    @property
    def all_in_training(self) -> "TrainingData":
        """The same data with all sites that have a target in the training set."""
        return replace(self, sets=np.where(self.sets < LEFT_OUT, SETS.index("train"), self.sets).astype(np.uint8))

    @property
    def together(self) -> npt.NDArray[np.str_]:
        """Each site's compound, or its name if that is unknown; sites of a compound are held out together.

        A compound is a reduced formula, which does not depend on the size of a crystal's cell.
        """
        reduced = {formula: reduced_formula(formula) for formula in set(self.formulas)}
        return np.array([reduced[formula] or name for formula, name in zip(self.formulas, self.names, strict=True)])

    @property
    def first(self) -> Source:
        """The first source, for properties that all sources share."""
        return self.sources[0]

    @property
    def e0(self) -> npt.NDArray[np.float64]:
        """Edge energy of every site in eV; NaN for sites without a spectrum."""
        return np.concatenate([source.targets.e0 for source in self.sources])

    def close(self) -> None:
        """Close the target stores."""
        for source in self.sources:
            source.targets.close()


class _Moments:
    """Mean and standard deviation in one pass (Chan, Golub & LeVeque, doi:10.1080/00031305.1983.10483115)."""

    def __init__(self, width: int) -> None:
        self.n = 0
        self.mean, self._squares = np.zeros(width), np.zeros(width)

    def add(self, values: npt.NDArray[Any]) -> None:
        """Add rows of values, (n_rows, width)."""
        if not len(values):
            return
        n, mean = len(values), values.mean(axis=0, dtype=np.float64)
        squares = ((values - mean) ** 2).sum(axis=0, dtype=np.float64)
        delta, both = mean - self.mean, self.n + n
        self._squares = self._squares + squares + delta**2 * (self.n * n / both)
        self.mean = self.mean + delta * (n / both)
        self.n = both

    @property
    def std(self) -> npt.NDArray[np.float64]:
        """Standard deviation, (width,)."""
        return np.asarray(np.sqrt(self._squares / max(1, self.n)))


@dataclass(frozen=True)
class Statistics:
    """Means and standard deviations of a set of sites.

    Attributes
    ----------
    transform
        Transform of the features.
    feature_mean, feature_std : (n_features,)
        Statistics of the transformed features.
    target_mean, target_std : (n_absorbers, n_energies)
        Statistics of the targets of each element and edge.
    positive
        Whether no target is negative.
    """

    transform: str
    feature_mean: npt.NDArray[np.float64]
    feature_std: npt.NDArray[np.float64]
    target_mean: npt.NDArray[np.float64]
    target_std: npt.NDArray[np.float64]
    positive: bool

    def scalers(self, target_scale: str, positive: bool | None = None) -> Scalers:
        """Return the scalers; constant features and energies are shifted but not scaled.

        Parameters
        ----------
        target_scale
            ``global`` for one scale per element and edge, ``energy`` for one at each energy.
        positive
            Whether to keep spectra positive; by default if no target is negative.
        """
        overall = np.sqrt(np.mean(self.target_std**2, axis=1, keepdims=True))
        overall = np.where(overall > 0, overall, 1.0)
        std = np.where(self.target_std > CONSTANT * overall, self.target_std, overall)
        scale = std if target_scale == "energy" else np.array(np.broadcast_to(overall, std.shape))
        soft = np.array(np.broadcast_to(SOFTNESS * overall, std.shape))
        return Scalers(
            self.feature_mean,
            scale_of_features(self.feature_std),
            self.target_mean,
            scale,
            soft if (self.positive if positive is None else positive) else None,
            self.transform,
        )


def statistics(sites: SiteSet, transform: str) -> Statistics:
    """Compute the statistics of a set of sites in one pass.

    An absorber with fewer than ``FEWEST`` sites gets the standard deviation of all sites; one without sites also gets
    their mean.
    """
    n_energies = sites.sources[0].targets.grid.energies.size
    x_moments = _Moments(sites.sources[0].features.n_features)
    every, by_absorber = _Moments(n_energies), [_Moments(n_energies) for _ in range(sites.n_absorbers)]
    positive = True
    for chunk in sites.chunks:
        x, absorbers, y = sites.read(chunk)
        x_moments.add(TRANSFORMS[transform](x))
        every.add(y)
        positive = positive and bool((y >= 0).all())
        for absorber in np.unique(absorbers):
            by_absorber[absorber].add(y[absorbers == absorber])
    return Statistics(
        transform,
        x_moments.mean,
        x_moments.std,
        np.stack([own.mean if own.n else every.mean for own in by_absorber]),
        np.stack([own.std if own.n >= FEWEST else every.std for own in by_absorber]),
        positive,
    )


def iterate(sites: SiteSet) -> Iterator[tuple[npt.NDArray[Any], Absorbers, npt.NDArray[Any]]]:
    """Yield features, absorbers and targets of a set of sites in chunks, in the order of the stores."""
    for chunk in sites.chunks:
        yield sites.read(chunk)


def iterate_inputs(sites: SiteSet, graphs: bool) -> Iterator[tuple[Inputs, Absorbers, npt.NDArray[Any]]]:
    """Yield what networks take, graphs or features, with absorbers and targets, as ``iterate``."""
    for chunk in sites.chunks:
        x, absorbers, y = sites.read(chunk)
        yield sites.read_graphs(chunk) if graphs else x, absorbers, y


class CachedSites:
    """A set of sites to be read repeatedly, with ``graphs`` in place of features: kept in memory if they fit."""

    def __init__(self, sites: SiteSet, graphs: bool = False) -> None:
        self.n_sites = sites.n_sites
        self._sites, self._graphs = sites, graphs
        source = sites.sources[0]
        width = source.features.n_features + source.targets.grid.energies.size
        self._fits = sites.n_sites * 8 * width <= HELD_BYTES
        self._kept: list[tuple[Inputs, Absorbers, npt.NDArray[Any]]] | None = None

    def __iter__(self) -> Iterator[tuple[Inputs, Absorbers, npt.NDArray[Any]]]:
        """Return an iterator over features or graphs, absorbers and targets of many sites at a time."""
        if not self._fits:
            return iterate_inputs(self._sites, self._graphs)
        if self._kept is None:
            read = list(iterate_inputs(self._sites, self._graphs))
            x, absorbers, y = zip(*read, strict=True) if read else ((), (), ())
            join = Graphs.joined if self._graphs else np.concatenate
            self._kept = [(join(x), np.concatenate(absorbers), np.concatenate(y))] if read else []
        return iter(self._kept)
