"""Contributions of a site's features and atoms to the mean intensity of its spectrum in energy windows."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from ase.geometry import find_mic

from xanes_hpc.analysis.explanation import AtomContributions, ShapleyValues
from xanes_hpc.analysis.feature_groups import FeatureGroup
from xanes_hpc.analysis.shapley import shapley_values
from xanes_hpc.analysis.switching import Switching
from xanes_hpc.descriptors.base import Descriptor
from xanes_hpc.descriptors.foreign import Foreign
from xanes_hpc.models.model import Model
from xanes_hpc.stores.sites import SiteTable
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.sites import SiteBatch

Array = npt.NDArray[np.float64]
Features = npt.NDArray[np.floating]


def group_contributions(
    models: Sequence[Model],
    masks: Sequence[npt.NDArray[np.bool_]],
    sites: SiteTable,
    x: Features,
    background: Features,
    groups: Sequence[FeatureGroup],
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ShapleyValues:
    """Return the Shapley values of feature groups at sites, for the mean intensity in windows averaged over models.

    A group's features are switched together from those of each background site to the site's own. The background is
    evaluated with each site's own absorber.

    Parameters
    ----------
    models
        Models with the same features and grid.
    masks : each (n_energies,)
        Points of each window.
    sites, x : (n_sites, n_features)
        The sites, and their features.
    background : (n_background, n_features)
        Features of representative sites.
    groups
        Groups that together hold every feature.
    seed
        Seed of ``shapley_values``.
    """
    switching = [Switching(model, groups) for model in models]
    absorbers = [model.absorbers(sites.element, sites.edge) for model in models]
    done, total = 0, len(sites) * len(models) * len(background)

    def report(n: int) -> None:
        nonlocal done
        done += n
        progress(done, total)

    report(0)
    found = []
    for k, own in enumerate(x):

        def means(present: npt.NDArray[np.bool_], k: int = k, own: Features = own) -> Array:
            mean = np.mean(
                [
                    one.spectra(present, own, background, int(absorber[k]), report)
                    for one, absorber in zip(switching, absorbers, strict=True)
                ],
                axis=0,
            )
            return np.stack([mean[:, mask].mean(axis=1) for mask in masks], axis=1)

        found.append(shapley_values(means, len(groups), seed=seed))
    values, bases, outputs = (np.array(part) for part in zip(*found, strict=True))
    return ShapleyValues(list(sites.name), values, bases, outputs)


def atom_contributions(
    descriptor: Descriptor, structures: StructureStore, row: int, groups: Sequence[FeatureGroup], values: Array
) -> AtomContributions:
    """Divide the contributions of feature groups at a site among its atoms.

    Parameters
    ----------
    descriptor
        Descriptor of the features.
    structures, row
        Store of the site, and its row.
    groups
        Groups of features.
    values : (n_windows, n_groups)
        Contribution of each group.
    """
    batch = structures.batch(row, row + 1, descriptor.properties)
    if isinstance(descriptor, Foreign):  # no atom changes what another program made
        batch = replace(batch, foreign=np.zeros((1, descriptor.width)))
    fractions = atom_fractions(descriptor, batch)
    of_groups = np.stack([_of_group(fractions[:, group.columns]) for group in groups], axis=1)
    found = values @ of_groups.T
    rest = values.sum(axis=1) - found.sum(axis=1)
    name = structures.site(row).name[0]
    absorber = int(batch.site_atoms[0])
    positions = _nearest_images(batch.positions, absorber, batch.cells[0], batch.pbc[0])
    return AtomContributions(name, batch.numbers, positions, absorber, found, rest)


def _nearest_images(positions: Array, absorber: int, cell: Array, pbc: npt.NDArray[np.bool_]) -> Array:
    """Return positions with every atom moved to its periodic image nearest to the absorber."""
    if not pbc.any():
        return positions
    vectors, _ = find_mic(positions - positions[absorber], cell, pbc)  # type: ignore[no-untyped-call]
    return np.asarray(positions[absorber] + vectors)


def _of_group(fractions: Array) -> Array:
    """Return each atom's fraction of a group of features, (n_atoms,): the mean over features that depend on an atom."""
    some = fractions[:, fractions.sum(axis=0) > 0]
    return np.asarray(some.mean(axis=1)) if some.shape[1] else np.zeros(len(fractions))


def atom_fractions(descriptor: Descriptor, site: SiteBatch) -> Array:
    """Return the fraction of each feature due to each atom of a site's structure, (n_atoms, n_features).

    A fraction is |x - x without the atom|, normalised to a sum of 1 over atoms. In a sum over neighbours each atom thus
    gets its own term; in a sum over pairs or paths the atoms of a term share it equally. Features that no single atom
    changes, such as properties, have only zeros. The absorber's fractions are zero.

    Parameters
    ----------
    descriptor
        Descriptor of the features.
    site
        One site with its structure.

    Raises
    ------
    FormatError
        If the features cannot be computed for the structure.
    """
    n_atoms, absorber = site.numbers.size, int(site.site_atoms[0])
    others = np.array([k for k in range(n_atoms) if k != absorber], np.int64)
    whole = descriptor.compute(site)[0].astype(np.float64)
    fractions = np.zeros((n_atoms, descriptor.n_features))
    if not others.size:
        return fractions
    fractions[others] = np.abs(whole - descriptor.compute(site.without_each(others)))
    total = fractions.sum(axis=0)
    return np.asarray(fractions / np.where(total > 0, total, 1.0))
