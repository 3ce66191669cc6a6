"""Which atoms features are made of: what goes when one atom is taken away."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from xanes_hpc.descriptors.base import Descriptor
from xanes_hpc.sites import SiteBatch

Array = npt.NDArray[np.float64]


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
