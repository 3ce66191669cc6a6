"""Landmarks of a Gaussian process with a Matérn kernel, prepared for comparisons with many sites.

The distances of all sites to all landmarks take as many products as there are sites, landmarks and features. The linear
kernel takes fewer: with the landmarks' coefficients c_l, its part of a prediction for absorber e is linear in the
features b of the site,

    sum_l coupling(e, e_l) c_l sum_f linear_f b_f b_lf = sum_f b_f M_f,
    M_f = linear_f sum_l coupling(e, e_l) b_lf c_l.                                                               (1)
"""

from functools import cached_property

import numpy as np
import numpy.typing as npt

from xanes_hpc.models.kernels import ROOT_3, Matern, coupling
from xanes_hpc.models.scaling import Absorbers, Array


class Landmarks:
    """Landmarks, with their features scaled for every component of the kernel.

    Parameters
    ----------
    kernel
        The kernel.
    z : (n_landmarks, n_features)
        Standardised features.
    absorbers : (n_landmarks,)
        Indices of elements and edges.
    coefficients : (n_landmarks, n_columns)
        Coefficients of the kernel.
    """

    def __init__(self, kernel: Matern, z: Array, absorbers: npt.NDArray[np.integer], coefficients: Array) -> None:
        self._kernel, self._z, self._absorbers, self._coefficients = kernel, z, absorbers, coefficients
        self._roots = [ROOT_3 * np.sqrt(scales).astype(np.float32) for scales in kernel.scales]
        self._main = int(np.argmax(kernel.amplitudes))
        self._maps: dict[int, Array] = {}

    @cached_property
    def _scaled(self) -> list[tuple[Array, Array]]:
        """For every component, -2 times the scaled features, and the sums of their squares."""
        found = []
        for root in self._roots:
            scaled = self._z * root
            squares = np.einsum("lf,lf->l", scaled, scaled)
            scaled *= np.float32(-2.0)
            found.append((scaled, squares))
        return found

    def columns(self, z: Array, absorbers: Absorbers) -> tuple[Array, Array]:
        """Return the columns that the process predicts, and the remoteness of every landmark.

        Parameters
        ----------
        z : (n_sites, n_features)
            Standardised features of sites.
        absorbers : (n_sites,)
            Indices of their elements and edges.

        Returns
        -------
        (n_sites, n_columns), (n_sites, n_landmarks)
        """
        similar = remote = np.empty(0, np.float32)
        for number, (root, (marks, squares)) in enumerate(zip(self._roots, self._scaled, strict=True)):
            own = z * root
            u = own @ marks.T
            u += squares
            u += np.einsum("sf,sf->s", own, own)[:, None]
            np.maximum(u, np.float32(0.0), out=u)
            np.sqrt(u, out=u)
            if number == self._main:
                remote = u.copy()
            falling = np.exp(-u)
            u += np.float32(1.0)
            u *= falling
            u *= np.float32(self._kernel.amplitudes[number])
            similar = u if number == 0 else np.add(similar, u, out=similar)
        similar *= coupling(self._kernel, absorbers, self._absorbers)
        found = similar @ self._coefficients
        sums = self._kernel.sums(z)
        for absorber in np.unique(absorbers).tolist():
            rows = absorbers == absorber
            found[rows] += sums[rows] @ self._map(absorber)
        return found, remote

    def _map(self, absorber: int) -> Array:
        """Return M of equation (1) for an absorber, (n_features, n_columns)."""
        if absorber not in self._maps:
            kernel = self._kernel
            factors = coupling(kernel, np.array([absorber]), self._absorbers)[0]
            linear = (kernel.sums(self._z) * factors[:, None]).T @ self._coefficients
            self._maps[absorber] = np.asarray(linear * kernel.linear[:, None], np.float32)
        return self._maps[absorber]
