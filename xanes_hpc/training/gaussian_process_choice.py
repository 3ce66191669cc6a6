"""Choose the Gaussian process that runs beside the networks: learn its kernel, and choose its share in the mean."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from xanes_hpc.data.datasets import SiteSet, TrainingData, iterate
from xanes_hpc.descriptors.foreign import Foreign
from xanes_hpc.models.aligned import Aligned
from xanes_hpc.models.gaussian_process import GaussianProcess, shares_in_words
from xanes_hpc.models.kernels import Matern
from xanes_hpc.models.scaling import Scalers
from xanes_hpc.models.training_sites import LEFT_OUT, REFERENCE_SITES
from xanes_hpc.training.gaussian_process_fit import Solved, fit, scaled, solve
from xanes_hpc.training.gaussian_process_update import Earlier, kernel_of_update, solve_update, update, updated
from xanes_hpc.training.kernel_flow import Sites, blocks_of, first_coupling, first_kernel, learn

MOST_VALIDATION_SITES = 10_000
"""Validation sites that the share is chosen on; a seeded sample if there are more."""
N_PARTS = 3
"""Number of parts of the sites whose residuals come from kernels learned without them."""
LENGTHS = (0.7, 2.0)
"""Initial length scales of the kernel's components."""
SHARES = np.linspace(0.0, 0.95, 20)
"""Shares to try. The networks always keep some weight, because the spread of their draws gives the uncertainty."""
ALIGNED_SHARES = np.linspace(0.0, 1.0, 21)
"""Shares of shift and shape in the process to try."""
SHARE = 0.5
"""Shares without a validation set, or folds, to choose them on."""

Networks = Callable[[SiteSet], npt.NDArray[np.float64]]
"""Returns the networks' spectra of a set, (n_sites, n_energies)."""


@dataclass(frozen=True)
class Choice:
    """What all fits of the process share.

    Attributes
    ----------
    kernel
        The kernel.
    share
        Share of the process in the mean with the networks.
    aligned
        Share of shift and shape in the spectra of the process; None if it has plain spectra alone.
    updates
        Whether the process is an update of an earlier one.
    """

    kernel: Matern
    share: float
    aligned: float | None = None
    updates: bool = False

    def __str__(self) -> str:
        return shares_in_words(self.share, self.aligned)

    def fit(
        self, data: TrainingData, sets: Sequence[str], scalers: Scalers, seed: int, earlier: Earlier | None = None
    ) -> GaussianProcess:
        """Fit the process to sets of the split, and compute its leave-group-out errors.

        ``earlier`` is the process of the model that training started from, which is updated if the kernel is its.
        """
        aligned = Aligned(data.first.targets.grid.energies, scalers, self.aligned) if self.aligned else None
        if earlier is not None and self.updates:
            return update(data.sites_in(*sets), scalers, earlier, self.kernel, self.share, seed, data.together, aligned)
        return fit(data.sites_in(*sets), scalers, self.kernel, self.share, seed, data.together, aligned)


def kernel_left_out(
    choice: Choice, data: TrainingData, sets: Sequence[str], scalers: Scalers, seed: int
) -> GaussianProcess:
    """Return the process fitted to sets, but its residuals are those of kernels learned without the sites' parts.

    A kernel learned from few sites suits them better than others, and the leave-group-out errors of a process with this
    kernel are too small. The sites are divided into ``N_PARTS`` parts, by formula; each part's residuals come from a
    kernel that was learned from the other parts.
    """
    aligned = Aligned(data.first.targets.grid.energies, scalers, choice.aligned) if choice.aligned else None
    sites = data.sites_in(*sets)
    _, groups = np.unique(data.together, return_inverse=True)
    parts = np.random.default_rng(seed).permutation(int(groups.max()) + 1)[groups] % N_PARTS
    process = fit(sites, scalers, choice.kernel, choice.share, seed, data.together, aligned)
    assert process.residuals is not None
    residuals = process.residuals.copy()
    for part in range(N_PARTS):
        rest = replace(data, sets=np.where(parts == part, LEFT_OUT, data.sets).astype(np.uint8))
        own = parts[sites.chosen] == part
        if own.any() and rest.sites_in(*sets).n_sites:
            kernel = learn_kernel(rest, sets, scalers, seed, aligned)
            fitted = fit(sites, scalers, kernel, choice.share, seed, data.together, aligned)
            assert fitted.residuals is not None
            residuals[own] = fitted.residuals[own]
    return replace(process, residuals=residuals)


def choose(
    data: TrainingData, sets: Sequence[str], scalers: Scalers, aligned: bool, seed: int,
    networks: Networks | None = None, shares: tuple[float, float | None] | None = None, earlier: Earlier | None = None,
) -> Choice:  # fmt: skip
    """Learn the kernel from sets of the split, and choose the shares with the lowest errors.

    Parameters
    ----------
    data, sets, scalers
        The data, the sets, and the scalers fitted to them.
    aligned
        Whether the process learns shifts and shapes too.
    seed
        Seed of the samples of sites.
    networks
        Networks trained on the same sets.
    shares
        Shares of the process, and of shift and shape in it, if they are chosen already.
    earlier
        The process of the model that the networks started from. It is updated with these sets, unless they are larger
        than a process may be.
    """
    parts = Aligned(data.first.targets.grid.energies, scalers, SHARE) if aligned else None
    if data.sites_in(*sets).n_sites > REFERENCE_SITES:
        earlier = None
    if earlier is None:
        kernel = learn_kernel(data, sets, scalers, seed, parts)
    else:
        kernel = kernel_of_update(data, sets, scalers, seed, earlier, parts)
    if shares is None:
        return choose_shares(data, sets, scalers, networks, kernel, seed, parts, earlier)
    return Choice(kernel, shares[0], shares[1] if aligned else None, earlier is not None)


def learn_kernel(
    data: TrainingData, sets: Sequence[str], scalers: Scalers, seed: int, aligned: Aligned | None = None
) -> Matern:
    """Return the kernel that predicts held-out formulas best, learned from sets of the split.

    A seeded sample of ``REFERENCE_SITES`` is used if they have more. The seed also draws the sites to hold out.
    """
    sampled = data.sites_in(*sets).sample(REFERENCE_SITES, seed)
    z, absorbers, targets = (np.concatenate(arrays) for arrays in zip(*scaled(sampled, scalers, aligned), strict=True))
    _, groups = np.unique(data.together[sampled.chosen], return_inverse=True)
    offsets = scalers.feature_mean / scalers.feature_scale if scalers.transform == "sqrt" else None
    first = first_kernel(z, LENGTHS, offsets, first_coupling(data.seen))
    described, labels = data.first.features.description, data.first.features.labels
    n_foreign = described["features"] if described["name"] == Foreign.name else 0
    return learn(Sites(z, targets, absorbers, groups), blocks_of(labels, n_foreign), first, seed)


def choose_shares(
    data: TrainingData, sets: Sequence[str], scalers: Scalers, networks: Networks | None, kernel: Matern, seed: int,
    aligned: Aligned | None = None, earlier: Earlier | None = None,
) -> Choice:  # fmt: skip
    """Return the shares that give the lowest errors.

    That of shift and shape is chosen on the leave-group-out errors of the sets, that of the process in the mean with
    the networks on the validation set. Without networks it is that of the earlier process, or ``SHARE``.
    """
    own, updates = data.sites_in(*sets), earlier is not None
    if earlier is None:
        solved = solve(own, scalers, kernel, seed, data.together, aligned)
    else:
        solved = solve_update(own, scalers, earlier, kernel, seed, data.together, aligned)
    if aligned is not None:
        aligned = replace(aligned, share=_best_aligned(solved, scalers, aligned))
    aligned_share = None if aligned is None else aligned.share
    if networks is None:
        return Choice(kernel, SHARE if earlier is None else earlier.share, aligned_share, updates)
    if earlier is None:
        process = solved.process(kernel, SHARE, scalers, aligned)
    else:
        process = updated(solved, scalers, earlier, kernel, SHARE, aligned)
    sampled = data.sites_in("validation").sample(MOST_VALIDATION_SITES, seed)
    x, absorbers, y = (np.concatenate(arrays) for arrays in zip(*iterate(sampled), strict=True))
    share = best_share(y, networks(sampled), process.spectra(x, absorbers))[0]
    return Choice(kernel, share, aligned_share, updates)


def _best_aligned(solved: Solved, scalers: Scalers, aligned: Aligned) -> float:
    """Return the share of shift and shape with the lowest leave-group-out errors."""
    n, absorbers = aligned.energies.size, solved.absorbers
    scale = scalers.target_scale[absorbers]
    spectra = solved.y[:, :n] * scale + scalers.target_mean[absorbers]
    plain, moved = (
        spectra - scale * np.asarray(solved.of_spectra(replace(aligned, share=share))) for share in (0.0, 1.0)
    )
    return best_share(spectra, plain, moved, ALIGNED_SHARES)[0]


def best_share(
    reference: npt.NDArray[np.floating], first: npt.NDArray[np.floating], second: npt.NDArray[np.floating],
    shares: npt.NDArray[np.float64] = SHARES,
) -> tuple[float, float]:  # fmt: skip
    """Return the share of the second spectra in the mean that gives the lowest mean error %, and that error.

    The first three arguments are (n_sites, n_energies); ``shares`` are those to try.
    """
    there = np.abs(reference).sum(axis=1) > 0
    y, a, b = reference[there], second[there], first[there]
    level = np.abs(y).sum(axis=1)
    errors = [
        float(np.mean(100.0 * np.abs(share * a + (1.0 - share) * b - y).sum(axis=1) / level)) if there.any() else 0.0
        for share in shares
    ]
    best = int(np.argmin(errors))
    return float(shares[best]), errors[best]
