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
from xanes_hpc.models.training_sites import REFERENCE_SITES
from xanes_hpc.training.gaussian_process_fit import Observations, Solved, solve
from xanes_hpc.training.gaussian_process_update import Earlier, kernel_of_update, update
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
    solved, sets
        The regression that the shares were chosen with, and the sets of the split that it was solved for, if any.
    """

    kernel: Matern
    share: float
    aligned: float | None = None
    updates: bool = False
    solved: Solved | None = None
    sets: tuple[str, ...] = ()

    def __str__(self) -> str:
        return shares_in_words(self.share, self.aligned)

    def fit(
        self, data: TrainingData, sets: Sequence[str], scalers: Scalers, seed: int, earlier: Earlier | None = None
    ) -> GaussianProcess:
        """Fit the process to sets of the split, and compute its leave-group-out errors.

        ``earlier`` is the process of the model that training started from, which is updated if the kernel is its.
        """
        seen, solved = Observations.of(data, sets, scalers, seed, self.aligned), self.solved
        if solved is None or tuple(sets) != self.sets:
            solved = _solved(seen, self.kernel, earlier if self.updates else None)
        return solved.process(self.share, seen.aligned)


def kernel_left_out(
    process: GaussianProcess, data: TrainingData, sets: Sequence[str], scalers: Scalers, seed: int
) -> GaussianProcess:
    """Return a process fitted to sets, but its residuals are those of kernels learned without the sites' parts.

    A kernel learned from few sites suits them better than others, and the leave-group-out errors of a process with this
    kernel are too small. The sites are divided into ``N_PARTS`` parts, by formula; each part's residuals come from a
    kernel that was learned from the other parts.
    """
    seen = replace(Observations.of(data, sets, scalers, seed, None), aligned=process.aligned)
    _, groups = np.unique(data.together, return_inverse=True)
    parts = np.random.default_rng(seed).permutation(int(groups.max()) + 1)[groups] % N_PARTS
    assert process.residuals is not None
    residuals = process.residuals.copy()
    for part in range(N_PARTS):
        rest = replace(seen, sites=replace(seen.sites, chosen=seen.sites.chosen & (parts != part)))
        own = parts[seen.sites.chosen] == part
        if own.any() and rest.sites.n_sites:
            found = solve(seen, learn_kernel(data, rest)).of_spectra(process.aligned)
            assert found is not None
            residuals[own] = found[own]
    return replace(process, residuals=residuals)


def choose(
    data: TrainingData, sets: Sequence[str], scalers: Scalers, aligned: bool, seed: int,
    networks: Networks | None = None, shares: tuple[float, float | None] | None = None, earlier: Earlier | None = None,
    kernel: Matern | None = None,
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
    kernel
        The kernel, if it is learned already.
    """
    seen = Observations.of(data, sets, scalers, seed, SHARE if aligned else None)
    if seen.sites.n_sites > REFERENCE_SITES:
        earlier = None
    if kernel is None:
        kernel = learn_kernel(data, seen) if earlier is None else kernel_of_update(seen, earlier)
    if shares is None:
        return replace(choose_shares(seen, kernel, networks, data.sites_in("validation"), earlier), sets=tuple(sets))
    return Choice(kernel, shares[0], shares[1] if aligned else None, earlier is not None)


def learn_kernel(data: TrainingData, seen: Observations, go_on: Callable[[], bool] = lambda: True) -> Matern:
    """Return the kernel that predicts held-out formulas best, learned from sites with labels.

    A seeded sample of ``REFERENCE_SITES`` is used if there are more. The seed also draws the sites to hold out.
    ``go_on`` is as for ``kernel_flow.learn``.
    """
    sampled, scalers = seen.sample(REFERENCE_SITES), seen.scalers
    z, absorbers, targets = sampled.arrays()
    assert sampled.labels is not None
    _, groups = np.unique(sampled.labels, return_inverse=True)
    offsets = scalers.feature_mean / scalers.feature_scale if scalers.transform == "sqrt" else None
    first = first_kernel(z, LENGTHS, offsets, first_coupling(data.seen))
    described, labels = data.first.features.description, data.first.features.labels
    n_foreign = described["features"] if described["name"] == Foreign.name else 0
    return learn(Sites(z, targets, absorbers, groups), blocks_of(labels, n_foreign), first, seen.seed, go_on)


def choose_shares(
    seen: Observations, kernel: Matern, networks: Networks | None, validation: SiteSet, earlier: Earlier | None = None
) -> Choice:
    """Return the shares that give the lowest errors.

    That of shift and shape is chosen on the leave-group-out errors of the sites, that of the process in the mean with
    the networks on the validation set. Without networks it is that of the earlier process, or ``SHARE``.
    """
    solved, aligned = _solved(seen, kernel, earlier), seen.aligned
    if aligned is not None:
        aligned = replace(aligned, share=_best_aligned(solved, aligned))
    share = SHARE if earlier is None else earlier.share
    if networks is not None:
        sampled = validation.sample(MOST_VALIDATION_SITES, seen.seed)
        x, absorbers, y = (np.concatenate(arrays) for arrays in zip(*iterate(sampled), strict=True))
        share = best_share(y, networks(sampled), solved.process(SHARE, aligned).spectra(x, absorbers))[0]
    return Choice(kernel, share, None if aligned is None else aligned.share, earlier is not None, solved)


def _solved(seen: Observations, kernel: Matern, earlier: Earlier | None) -> Solved:
    return solve(seen, kernel) if earlier is None else update(seen, earlier, kernel)


def _best_aligned(solved: Solved, aligned: Aligned) -> float:
    """Return the share of shift and shape with the lowest leave-group-out errors."""
    n, absorbers, scalers = aligned.energies.size, solved.absorbers, solved.scalers
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
