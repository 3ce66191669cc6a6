"""wACSF with one weighting in plain NumPy, vectorised over the pairs and triplets of a site. Molecules only."""

from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]


def wacsf(description: dict[str, Any], numbers: npt.NDArray[np.uint8], positions: Vector, site: int) -> Vector:
    """Return G1, G2 and G4 of a site, ordered as in ``xanes_hpc.descriptors.wacsf``, for weights Z and mu = 0 in G4."""
    cutoff, (weighting,) = description["cutoff"], description["weighting"]
    radial, angular = weighting["g2"], weighting["g4"]
    vectors = positions - positions[site]
    squares = (vectors**2).sum(axis=1)
    near = squares < cutoff**2
    near[site] = False
    vectors, squares = vectors[near], squares[near]
    weights, distances = weighting["scale"] * numbers[near], np.sqrt(squares)
    cut = 0.5 * (np.cos(np.pi * distances / cutoff) + 1.0)
    from_mu = distances[:, None] - np.array(radial["mu"])
    g2 = (weights * cut) @ np.exp(-np.array(radial["eta"]) * from_mu**2)
    j, k = np.triu_indices(distances.size, 1)
    opposite = ((vectors[j] - vectors[k]) ** 2).sum(axis=1)
    close = opposite < cutoff**2
    j, k, opposite = j[close], k[close], opposite[close]
    cosine = (squares[j] + squares[k] - opposite) / (2.0 * distances[j] * distances[k])
    pair = (weights * cut)[j] * (weights * cut)[k] * 0.5 * (np.cos(np.pi * np.sqrt(opposite) / cutoff) + 1.0)
    gaussians = np.exp(-np.array(angular["eta"])[:, None] * (squares[j] + squares[k] + opposite))
    factors = [
        2.0 ** (1.0 - zeta) * pair * (1.0 + lam * cosine) ** zeta
        for lam in angular["lambda"]
        for zeta in angular["zeta"]
    ]
    return np.concatenate([[cut.sum()], g2, (gaussians @ np.array(factors).T).ravel()])
