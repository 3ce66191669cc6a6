"""Kernels between sites, from their standardised features a and those a' of landmarks.

Laplacian: k(a, a') = exp(-rate · mean_f |a_f - a'_f|).

Matérn plus linear: k(a, a') = sum_m amplitude_m · M(d_m) + sum_f linear_f b_f b'_f, where M(d) = (1 + √3 d) exp(-√3 d)
is the Matérn function of order 3/2 (Rasmussen & Williams, Gaussian Processes for Machine Learning, equation 4.17) and
d_m² = sum_f scales_mf (a_f - a'_f)². A large scale makes a feature important: it is the inverse square of the
feature's length scale. The linear kernel undoes the square root of features, because sums over neighbours add up:
b_f = (a_f + offset_f) |a_f + offset_f| - offset_f |offset_f|, with the mean of the roots over their scale as offset.
Between sites of different elements, the kernel is multiplied with a coupling, a model of coregionalisation (Bonilla,
Chai & Williams, Multi-task Gaussian process prediction, NIPS 20, 153 (2008)).

Every kernel is a function of a few *terms*, each a sum over features. So the change in a kernel when some features are
replaced is computed from these features alone.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from xanes_hpc.models.distances import mean_differences
from xanes_hpc.models.scaling import Absorbers, Array

ROOT_3 = np.float32(np.sqrt(3.0))
SAME = 1e-6
"""Relative difference of couplings that is rounding."""
Columns = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Laplacian:
    """A Laplacian kernel; its only term is the mean absolute difference of the features.

    Attributes
    ----------
    rate
        The rate at which it falls off.
    """

    rate: float
    coupling: ClassVar[None] = None

    def terms(self, z: Array, landmarks: Array, columns: Columns | None = None) -> Array:
        """Return the kernel's terms, (n_terms, n_sites, n_landmarks), between sites and landmarks.

        Parameters
        ----------
        z, landmarks : (n_sites, n_features) and (n_landmarks, n_features)
            Standardised features.
        columns
            Features to sum over; by default all.
        """
        if columns is None:
            return np.asarray(mean_differences(z, landmarks)[None])
        found = mean_differences(*(np.ascontiguousarray(values[:, columns]) for values in (z, landmarks)))
        return np.asarray(found[None] * np.float32(columns.size / z.shape[1]))

    def terms_by_feature(self, z: Array, landmarks: Array) -> Array:
        """Return each feature's part of the terms, (n_terms, n_landmarks, n_features), of one site, (n_features,)."""
        return np.asarray(np.abs(landmarks - z)[None] / np.float32(z.size))

    def values(self, terms: Array) -> Array:
        """Return the kernel, (n_sites, n_landmarks), from its terms."""
        found = self.remoteness(terms)
        np.negative(found, out=found)
        return np.exp(found, out=found)

    def remoteness(self, terms: Array) -> Array:
        """Return the rate at which the kernel falls off, times the distance to each landmark, from the terms."""
        return np.asarray(terms[0] * np.float32(self.rate))

    def parameters(self) -> npt.NDArray[np.float64]:
        """Return all parameters in one vector."""
        return np.array([self.rate])


@dataclass(frozen=True)
class Matern:
    """A sum of Matérn functions of order 3/2 and a linear kernel.

    The terms are the squared distance of each component, and the linear kernel.

    Attributes
    ----------
    amplitudes : (n_components,)
        Weight of each component.
    scales : (n_components, n_features)
        Weight of each feature's squared difference in the squared distance of each component.
    linear : (n_features,)
        Weight of each feature in the linear kernel.
    offsets : (n_features,), or None
        Mean of each root over its scale; None for features without a square root, which enter the linear kernel as they
        are.
    coupling : (n_absorbers, n_absorbers), or None
        Factor of the kernel between sites, by the indices of their elements and edges; None for 1 between equal and 0
        between different ones.

    Examples
    --------
    >>> kernel = Matern(np.array([1.0]), np.array([[1.0, 0.0]]), np.array([0.0, 0.5]))
    >>> z = np.array([[0.0, 1.0], [2.0, 1.0]], np.float32)
    >>> kernel.between(z, z).round(3).tolist()
    [[1.5, 0.6399999856948853], [0.6399999856948853, 1.5]]
    """

    amplitudes: npt.NDArray[np.float64]
    scales: npt.NDArray[np.float64]
    linear: npt.NDArray[np.float64]
    offsets: npt.NDArray[np.float64] | None = None
    coupling: npt.NDArray[np.float64] | None = None

    @cached_property
    def _roots(self) -> Array:
        return np.sqrt(self.scales).astype(np.float32)

    def between(self, z: Array, landmarks: Array) -> Array:
        """Return the kernel, (n_sites, n_landmarks), between standardised features."""
        return self.values(self.terms(z, landmarks))

    def terms(self, z: Array, landmarks: Array, columns: Columns | None = None) -> Array:
        """Return squared distances and linear kernel, (n_components + 1, n_sites, n_landmarks)."""
        roots, weights = self._roots, np.sqrt(self.linear).astype(np.float32)
        sums, their_sums = self.sums(z) * weights, self.sums(landmarks) * weights
        if columns is not None:
            z, landmarks, roots = z[:, columns], landmarks[:, columns], roots[:, columns]
            sums, their_sums = sums[:, columns], their_sums[:, columns]
        found = np.empty((len(roots) + 1, len(z), len(landmarks)), np.float32)
        for root, squares in zip(roots, found, strict=False):
            put_squared_distances(z * root, landmarks * root, squares)
        np.matmul(sums, their_sums.T, out=found[-1])
        return found

    def sums(self, z: Array) -> Array:
        """Return the features that enter the linear kernel: standardised ones without their square root."""
        if self.offsets is None:
            return z
        offsets = self.offsets.astype(np.float32)
        shifted = z + offsets
        return np.asarray(shifted * np.abs(shifted) - offsets * np.abs(offsets))

    def terms_by_feature(self, z: Array, landmarks: Array) -> Array:
        """Return each feature's part of the terms, (n_components + 1, n_landmarks, n_features)."""
        squares = np.square(landmarks - z)
        parts = [squares * scales for scales in self.scales.astype(np.float32)]
        return np.stack([*parts, self.sums(landmarks) * (self.sums(z) * self.linear.astype(np.float32))])

    def values(self, terms: Array) -> Array:
        """Return the kernel, (n_sites, n_landmarks), from its terms."""
        found = np.array(terms[-1])
        for amplitude, squares in zip(self.amplitudes.astype(np.float32), terms, strict=False):
            near, u = matern(squares)
            near *= u
            near *= amplitude
            found += near
        return found

    def remoteness(self, terms: Array) -> Array:
        """Return √3 times the distance of the component with the largest amplitude, (n_sites, n_landmarks)."""
        squares = terms[int(np.argmax(self.amplitudes))]
        return np.asarray(ROOT_3 * np.sqrt(np.maximum(squares, np.float32(0.0))))

    def distances(self, z: Array, others: Array) -> npt.NDArray[np.float64]:
        """Return √3 times the distance between the rows of two arrays, as ``remoteness`` but exact."""
        scales = self.scales[int(np.argmax(self.amplitudes))]
        return np.asarray(np.sqrt(3.0 * (np.square(z - others, dtype=np.float64) @ scales)))

    def parameters(self) -> npt.NDArray[np.float64]:
        """Return amplitudes, scales, linear weights, offsets and coupling in one vector."""
        optional = [numbers.ravel() for numbers in (self.offsets, self.coupling) if numbers is not None]
        return np.concatenate([self.amplitudes, self.scales.ravel(), self.linear, *optional])


Kernel = Laplacian | Matern


def coupling(kernel: Kernel, absorbers: Absorbers, their_absorbers: Absorbers) -> Array:
    """Return the factors of the kernel between sites and landmarks, (n_sites, n_landmarks)."""
    if kernel.coupling is None:
        return np.asarray(absorbers[:, None] == their_absorbers, np.float32)
    return np.asarray(kernel.coupling[np.ix_(absorbers, their_absorbers)], np.float32)


def same_absorber(kernel: Kernel, absorbers: Absorbers, their_absorbers: Absorbers) -> npt.NDArray[np.bool_]:
    """Return whether sites and landmarks are of one element and edge, (n_sites, n_landmarks).

    Landmarks of an earlier model have indices of their own. Their coupling to sites of the same element is the smaller
    of both variances, and that to other elements is smaller still.
    """
    if kernel.coupling is None:
        return np.asarray(absorbers[:, None] == their_absorbers)
    variances = np.diag(kernel.coupling)
    same = kernel.coupling >= (1.0 - SAME) * np.minimum(variances[:, None], variances)
    return np.asarray(same[np.ix_(absorbers, their_absorbers)])


def matern(squares: Array) -> tuple[Array, Array]:
    """Return the factors exp(-√3 d) and 1 + √3 d of the Matérn function of squared distances d²."""
    u = np.maximum(squares, np.float32(0.0))  # sums of parts may be negative by rounding
    np.sqrt(u, out=u)
    u *= ROOT_3
    return np.exp(-u), u + np.float32(1.0)


def put_squared_distances(x: Array, landmarks: Array, out: Array) -> None:
    """Write the squared Euclidean distances between rows, (n_sites, n_landmarks), to ``out``."""
    np.matmul(x, landmarks.T, out=out)
    out *= np.float32(-2.0)
    out += np.einsum("sf,sf->s", x, x)[:, None]
    out += np.einsum("lf,lf->l", landmarks, landmarks)
    np.maximum(out, np.float32(0.0), out=out)


def importance(kernel: Matern, z: Array) -> npt.NDArray[np.float64]:
    """Return each feature's fraction of the squared distances between sites, averaged over components by amplitude.

    Parameters
    ----------
    kernel
        The kernel.
    z : (n_sites, n_features)
        Standardised features of the sites.
    """
    squares = kernel.scales * z.var(axis=0, dtype=np.float64)
    shares = squares / np.maximum(squares.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return np.asarray(kernel.amplitudes @ shares / kernel.amplitudes.sum())
