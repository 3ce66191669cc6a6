"""Learn the scales of a Matérn kernel by kernel flows (Owhadi & Yoo, doi:10.1016/j.jcp.2019.03.040).

Every step draws groups of sites to fit and other groups to predict:

    P = K_pf A^-1 Y_f,   A = K_ff + noise · I,   L = mean |P - Y_p|                                               (1)

and follows the gradient of the error L. With C = A^-1 Y_f, G = ∂L/∂P = sign(P - Y_p) / size and B = A^-1 K_fp G,

    ∂L/∂K_pf = G C^T,   ∂L/∂K_ff = -B C^T.                                                                        (2)

Both matrices together are E_ij, between every site i and a fitted site j. The derivative of the Matérn function of
order 3/2 with respect to the squared distance is -3/2 exp(-√3 d), so that with H_ij = -3/2 E_ij amplitude exp(-√3 d_ij)

    ∂L/∂scales_f = sum_ij H_ij (a_if - a_jf)²,   ∂L/∂linear_f = sum_ij E_ij b_if b_jf.                            (3)

These sums are matrix products. With the coupling c_ij between the elements of two sites and their kernel k_ij without
it, c_ij k_ij takes the place of the kernel, and c_ij E_ij that of E_ij in equation (3). All couplings are powers of
those to start from; the derivative with respect to the logarithm of the exponent is sum_ij E_ij k_ij c_ij ln c_ij.

The logarithm of each scale is the sum of a level, a part that it shares with its block of similar features, and a part
of its own; Adam (Kingma & Ba, arXiv:1412.6980) follows the gradients of all of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from xanes_hpc.models.kernels import Matern, coupling, matern
from xanes_hpc.models.scaling import Absorbers, Array

N_STEPS = 40
"""Number of steps; parameters are averaged over the last quarter."""
N_FITTED, N_PREDICTED = 800, 400
"""Largest number of sites that a step fits and predicts."""
STEP = 0.1
"""Length of Adam's steps, in logarithms of the parameters."""
DECAYS = 0.9, 0.999
"""Decay rates of Adam's averages of the gradient and of its square."""
NOISE = 2e-3
"""Variance of the noise, added to the diagonal of the kernel. Amplitudes are relative to it."""
LINEAR = 0.3
"""Initial weight of the linear kernel, on average over the features."""
COUPLING = 0.5
"""Initial factor of the kernel between elements that are next to each other."""
PARTS_OF_BLOCK = 3
"""Features of one kind and element are divided, in their order, into so many blocks: near, middle and far."""

Float = npt.NDArray[np.float64]
Labels = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Sites:
    """Sites to learn from.

    Attributes
    ----------
    z : (n_sites, n_features)
        Standardised features.
    targets : (n_sites, n_energies)
        Scaled targets.
    absorbers : (n_sites,)
        Indices of the sites' elements and edges.
    groups : (n_sites,)
        Sites of one group are drawn together.
    """

    z: Array
    targets: Array
    absorbers: Absorbers
    groups: Labels

    def rows(self, chosen: Labels) -> "Sites":
        """Return some of the sites."""
        return Sites(self.z[chosen], self.targets[chosen], self.absorbers[chosen], self.groups[chosen])

    def drawn(self, random: np.random.Generator) -> tuple["Sites", "Sites"]:
        """Return sites to fit and sites to predict, of different groups."""
        position = random.permutation(int(self.groups.max()) + 1)[self.groups]
        order = np.argsort(position, kind="stable")
        share = min(1.0, len(order) / (N_FITTED + N_PREDICTED))
        n_fitted, n_used = int(share * N_FITTED), int(share * (N_FITTED + N_PREDICTED))
        first = position[order[n_fitted]]  # a group is not divided
        used = order[: max(n_used, n_fitted + 1)]
        return self.rows(used[position[used] < first]), self.rows(used[position[used] >= first])


@dataclass(frozen=True)
class Gradient:
    """Derivatives of the error with respect to the parameters of a kernel, of the same shapes."""

    amplitudes: Float
    scales: Float
    linear: Float
    coupling: float


def error_and_gradient(kernel: Matern, fitted: Sites, predicted: Sites, noise: float = NOISE) -> tuple[float, Gradient]:
    """Return the mean absolute error of predicted spectra, equation (1), and its gradient, equations (2) and (3)."""
    from scipy.linalg import cho_factor, cho_solve

    n = len(fitted.z)
    z = np.concatenate([fitted.z, predicted.z])
    terms = kernel.terms(z, fitted.z)
    coupled = coupling(kernel, np.concatenate([fitted.absorbers, predicted.absorbers]), fitted.absorbers)
    uncoupled = kernel.values(terms)
    values = (uncoupled * coupled).astype(np.float64)
    matrix = values[:n]
    matrix[np.diag_indices(n)] += noise
    factor = cho_factor(matrix, lower=True)
    coefficients = cho_solve(factor, fitted.targets.astype(np.float64))
    residuals = values[n:] @ coefficients - predicted.targets
    signs = np.sign(residuals) / residuals.size
    back = cho_solve(factor, values[n:].T @ signs)
    slopes = (np.concatenate([-back, signs]) @ coefficients.T).astype(np.float32)
    slopes *= coupled
    uncoupled *= slopes
    exponent = float(np.vdot(uncoupled, np.log(np.where(coupled > 0, coupled, np.float32(1.0)))))
    squares, own_squares = np.square(z), np.square(fitted.z)
    amplitudes, scales = [], []
    for amplitude, apart in zip(kernel.amplitudes, terms, strict=False):
        near, u = matern(apart)
        near *= slopes
        amplitudes.append(float(np.vdot(near, u)))
        near *= np.float32(-1.5 * amplitude)
        total = near.sum(axis=1) @ squares + near.sum(axis=0) @ own_squares
        scales.append(total - 2.0 * np.einsum("if,if->f", z, near @ fitted.z))
    sums = kernel.sums(z)
    linear = np.einsum("if,if->f", sums, slopes @ sums[:n])
    return float(np.abs(residuals).mean()), Gradient(
        np.array(amplitudes), np.array(scales, np.float64), linear, exponent
    )


class Logarithms:
    """The parameters that are learned: logarithms of the factors on amplitudes, in parts on scales, and of an exponent.

    Parameters
    ----------
    first
        The kernel to start from.
    blocks : (n_features,)
        Index of each feature's block.
    """

    def __init__(self, first: Matern, blocks: Labels) -> None:
        self._first, self._blocks, self._n_blocks = first, blocks, int(blocks.max()) + 1
        self._n, self._rows = first.amplitudes.size, first.amplitudes.size + 1
        self.start = np.zeros(self._n + self._rows * (1 + self._n_blocks + blocks.size) + 1)

    def kernel(self, values: Float) -> Matern:
        """Return the kernel of a vector of parameters."""
        ends = np.cumsum([self._n, self._rows, self._rows * self._n_blocks])
        amplitudes, levels, *parts = np.split(values[:-1], ends)
        shared, own = (part.reshape(self._rows, -1) for part in parts)
        factors = np.exp(levels[:, None] + shared[:, self._blocks] + own)
        first = self._first
        scales, linear = first.scales * factors[:-1], first.linear * factors[-1]
        coupled = None if first.coupling is None else first.coupling ** np.exp(values[-1])
        return Matern(first.amplitudes * np.exp(amplitudes), scales, linear, first.offsets, coupled)

    def gradient(self, kernel: Matern, gradient: Gradient) -> Float:
        """Return the gradient with respect to the vector of parameters."""
        own = np.concatenate([kernel.scales * gradient.scales, (kernel.linear * gradient.linear)[None]])
        shared = np.array([np.bincount(self._blocks, row, self._n_blocks) for row in own])
        parts = kernel.amplitudes * gradient.amplitudes, own.sum(axis=1), shared.ravel(), own.ravel()
        return np.array([*np.concatenate(parts), gradient.coupling])


def first_coupling(absorbers: Sequence[tuple[int, str]]) -> Float | None:
    """Return the coupling to start from, (n_absorbers, n_absorbers), of atomic numbers and edges; None for only one.

    It is ``COUPLING`` between elements next to each other, falls off exponentially with the difference of their atomic
    numbers, and is 0 between different edges.

    Examples
    --------
    >>> first_coupling([(26, "K"), (27, "K"), (26, "L3")]).tolist()
    [[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    if len(absorbers) < 2:
        return None
    numbers, edges = (np.array(column) for column in zip(*absorbers, strict=True))
    steps = np.abs(numbers[:, None] - numbers)
    return np.asarray(np.where(edges[:, None] == edges, COUPLING**steps, 0.0))


def first_kernel(
    z: Array, lengths: Sequence[float], offsets: Float | None = None, coupled: Float | None = None
) -> Matern:
    """Return the kernel to start from: of equal amplitudes, and equal weights of all features.

    Parameters
    ----------
    z : (n_sites, n_features)
        Standardised features.
    lengths
        Length scale of each component, for the root mean square difference over all features.
    offsets : (n_features,), or None
        Mean of each root over its scale, if the features are roots.
    coupled : (n_absorbers, n_absorbers), or None
        Coupling between elements and edges, if there are several.
    """
    n = z.shape[1]
    scales = np.repeat([[length**-2.0 / n] for length in lengths], n, axis=1)
    plain = Matern(np.full(len(lengths), 1.0 / len(lengths)), scales, np.zeros(n), offsets, coupled)
    squares = np.mean(np.square(plain.sums(z)), axis=0, dtype=np.float64)
    return replace(plain, linear=LINEAR / n / np.maximum(squares, 1.0))  # constant features are rounding errors


def learn(sites: Sites, blocks: Labels, first: Matern, seed: int, go_on: Callable[[], bool] = lambda: True) -> Matern:
    """Return the kernel whose predictions of held-out groups have the lowest error.

    Parameters
    ----------
    sites
        Sites to learn from. If they are a single group, none can be held out, and the first kernel is returned.
    blocks : (n_features,)
        Index of each feature's block; see ``blocks_of``.
    first
        The kernel to start from.
    seed
        Seed of the sites that are drawn.
    go_on
        Called before every step; if it returns False, learning stops, and the first kernel is returned.
    """
    if not sites.groups.any():
        return first
    logarithms, random = Logarithms(first, blocks), np.random.default_rng(seed)
    values = logarithms.start
    mean, square, average = np.zeros_like(values), np.zeros_like(values), np.zeros_like(values)
    n_averaged = max(1, N_STEPS // 4)
    for step in range(1, N_STEPS + 1):
        if not go_on():
            return first
        kernel = logarithms.kernel(values)
        gradient = logarithms.gradient(kernel, error_and_gradient(kernel, *sites.drawn(random))[1])
        mean += (1.0 - DECAYS[0]) * (gradient - mean)
        square += (1.0 - DECAYS[1]) * (gradient**2 - square)
        unbiased, spread = mean / (1.0 - DECAYS[0] ** step), np.sqrt(square / (1.0 - DECAYS[1] ** step))
        values = values - STEP * unbiased / (spread + np.finfo(np.float64).tiny)
        if step > N_STEPS - n_averaged:
            average += values / n_averaged
    return logarithms.kernel(average)


def blocks_of(labels: Sequence[str], n_foreign: int = 0) -> Labels:
    """Return the index of each feature's block, (n_features,), from the labels of a descriptor.

    Features whose labels start with the same words, such as ``G2 C``, are divided in their order into a few blocks. The
    last ``n_foreign`` features were made by another program, and are one block.

    Examples
    --------
    >>> blocks_of(["G1", "G2 C mu=1", "G2 C mu=2", "G2 C mu=3", "G2 N mu=1"]).tolist()
    [0, 1, 2, 3, 4]
    >>> blocks_of(["G1", "foreign[0]", "foreign[1]"], n_foreign=2).tolist()
    [0, 1, 1]
    """
    own = labels[: len(labels) - n_foreign]
    names = [" ".join(word for word in label.split() if "=" not in word) for label in own]
    _, kinds, counts = np.unique(names, return_inverse=True, return_counts=True)
    order = np.argsort(kinds, kind="stable")
    ranks = np.empty(len(names), np.int64)
    ranks[order] = np.arange(len(names)) - np.repeat(np.cumsum(counts) - counts, counts)
    parts = ranks * PARTS_OF_BLOCK // np.maximum(counts[kinds], PARTS_OF_BLOCK)
    _, first, found = np.unique(kinds * PARTS_OF_BLOCK + parts, return_index=True, return_inverse=True)
    return np.concatenate([np.argsort(np.argsort(first))[found], np.full(n_foreign, first.size)])
