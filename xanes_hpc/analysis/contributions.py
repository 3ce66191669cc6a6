"""What a site's features, and its atoms, add to the mean intensity of windows of its spectrum."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from xanes_hpc.analysis.explanation import AtomShares, ShapleyValues
from xanes_hpc.analysis.feature_groups import FeatureGroup
from xanes_hpc.analysis.permutation import MeanModel
from xanes_hpc.analysis.shapley import shapley_values
from xanes_hpc.descriptors.base import Descriptor
from xanes_hpc.models.model import Model
from xanes_hpc.stores.sites import SiteTable
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.sites import SiteBatch

Array = npt.NDArray[np.float64]
Features = npt.NDArray[np.floating]


@dataclass(frozen=True)
class WindowMeans:
    """The mean intensity in windows, as models predict it on average; ``masks`` (n_energies,) are of their points."""

    models: Sequence[Model]
    masks: Sequence[npt.NDArray[np.bool_]]

    def of(self, site: SiteTable) -> Callable[[Features], Array]:
        """What gives (n_rows, n_windows) of features (n_rows, n_features), all told to be of one site's absorber."""

        def means(x: Features) -> Array:
            found = []
            for model in self.models:
                absorbers = np.repeat(model.absorbers(site.element, site.edge), len(x))
                found.append(MeanModel(model, x, absorbers).spectra().mean(axis=0))
            mean = np.mean(found, axis=0)
            return np.stack([mean[:, mask].mean(axis=1) for mask in self.masks], axis=1)

        return means


def group_contributions(
    means: WindowMeans,
    sites: SiteTable,
    x: Features,
    background: Features,
    groups: Sequence[FeatureGroup],
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ShapleyValues:
    """Shapley values of groups of features at sites, each against a background told to be of its own absorber.

    Parameters
    ----------
    means
        What is explained.
    sites, x : (n_sites, n_features)
        The sites, and their features.
    background : (n_background, n_features)
        Of sites that stand for all.
    groups
        With all features among them.
    seed
        As of ``shapley_values``.

    Raises
    ------
    ConfigError
        If shap is not installed.
    """
    values, bases, outputs = [], [], []
    for k in range(len(sites)):
        progress(k, len(sites))
        function = means.of(sites.take(np.array([k])))
        own, base = shapley_values(function, x[k : k + 1], background, groups, seed=seed)
        values.append(own[0])
        bases.append(base)
        outputs.append(function(x[k : k + 1])[0])
    progress(len(sites), len(sites))
    return ShapleyValues(list(sites.name), np.array(values), np.array(bases), np.array(outputs))


def atom_contributions(
    descriptor: Descriptor, structures: StructureStore, row: int, groups: Sequence[FeatureGroup], values: Array
) -> AtomShares:
    """What each atom around a site adds, from what groups of features do.

    Parameters
    ----------
    descriptor
        Of the features.
    structures, row
        Where the site stands.
    groups
        Of features.
    values : (n_windows, n_groups)
        What they add.
    """
    batch = structures.batch(row, row + 1, descriptor.properties)
    shares = atom_shares(descriptor, batch)
    of_groups = np.stack([_of_group(shares[:, group.columns]) for group in groups], axis=1)
    found = values @ of_groups.T
    rest = values.sum(axis=1) - found.sum(axis=1)
    name = structures.sites(row, row + 1).name[0]
    return AtomShares(name, batch.numbers, batch.positions, int(batch.site_atoms[0]), found, rest)


def _of_group(shares: Array) -> Array:
    """Shares (n_atoms,) in a group of features: the mean of those that some atom has."""
    some = shares[:, shares.sum(axis=0) > 0]
    return np.asarray(some.mean(axis=1)) if some.shape[1] else np.zeros(len(shares))


def atom_shares(descriptor: Descriptor, site: SiteBatch) -> Array:
    """The share that each atom of a site's structure has in each feature, (n_atoms, n_features).

    A feature's shares are |x - x without the atom|, made to add up to 1: for a sum over neighbours their terms, for one
    over pairs or paths half of each term for either atom. All are 0 for features that no single atom changes, such as
    properties; the absorber has none but of its own images.

    Parameters
    ----------
    descriptor
        Of the features.
    site
        One site with its structure.

    Raises
    ------
    FormatError
        If the structure cannot be described.
    """
    n_atoms, absorber = site.numbers.size, int(site.site_atoms[0])
    others = np.array([k for k in range(n_atoms) if k != absorber], np.int64)
    whole = descriptor.compute(site)[0].astype(np.float64)
    shares = np.zeros((n_atoms, descriptor.n_features))
    if not others.size:
        return shares
    kept = np.array([np.delete(np.arange(n_atoms), k) for k in others])
    n = others.size
    without = replace(
        site,
        numbers=site.numbers[kept].reshape(-1),
        positions=site.positions[kept].reshape(-1, 3),
        offsets=np.arange(n + 1) * (n_atoms - 1),
        cells=np.repeat(site.cells, n, axis=0),
        pbc=np.repeat(site.pbc, n, axis=0),
        site_structures=np.arange(n),
        site_atoms=np.where(others < absorber, absorber - 1, absorber),
        properties={name: np.repeat(values, n) for name, values in site.properties.items()},
    )
    shares[others] = np.abs(whole - descriptor.compute(without))
    total = shares.sum(axis=0)
    return np.asarray(shares / np.where(total > 0, total, 1.0))
