"""The errors of a Gaussian process at the sites it is fitted to, each predicted without its group, in closed form.

A calibration set is a small part of the sites, and may be an easy or a difficult one. These errors are known for all
sites, so that they say how typical the calibration set is; and what sigma depends on, if that set is too small to say.
The networks would have to be trained anew without each group, so their share is known from the calibration set alone.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xanes_hpc.data.datasets import SiteSet, TrainingData, iterate
from xanes_hpc.models.calibration import slopes_and_sizes
from xanes_hpc.models.gaussian_process import ROWS_AT_ONCE, GaussianProcess
from xanes_hpc.models.sigma_factors import Evidence
from xanes_hpc.models.training_sites import REFERENCE_SITES

MOST_SITES = 2000
"""Sites whose errors are used; a seeded sample if there are more, with the whole calibration set."""


@dataclass(frozen=True)
class LeaveGroupOut:
    """Leave-group-out errors of sites.

    Attributes
    ----------
    errors : (n_sites, n_energies)
        Absolute errors of the process.
    evidence
        What is known of each site without its group. The spread of draws is unknown: it is the size of the spectra.
    calibrated : (n_sites,)
        Which sites are in the calibration set.
    """

    errors: npt.NDArray[np.float64]
    evidence: Evidence
    calibrated: npt.NDArray[np.bool_]


def leave_group_out(
    process: GaussianProcess, data: TrainingData, sets: tuple[str, ...], seed: int
) -> LeaveGroupOut | None:
    """Return the errors of a process that was fitted to sets of the split with this seed; None if it has none.

    A single group has no errors, unless there are landmarks of an earlier model beside it.
    """
    sites = data.sites_in(*sets).sample(REFERENCE_SITES, seed)
    alone = len(process.landmarks) == sites.n_sites and np.unique(data.together[sites.chosen]).size < 2
    if process.residuals is None or alone:
        return None
    calibrated = data.sites_in("calibration").chosen[sites.chosen]
    rank = np.random.default_rng(seed).permutation(sites.n_sites) - sites.n_sites * calibrated
    rows = np.sort(np.argsort(rank)[:MOST_SITES])
    energies = data.first.targets.grid.energies
    absorbers, spectra = _targets(sites, rows)
    sizes = np.sqrt(np.mean(np.square(process.scalers.target_scale), axis=1))
    residuals = process.residuals[rows] * process.scalers.target_scale[absorbers]
    distance, local = _around(process, data.together[sites.chosen], rows, absorbers, energies)
    steepness, intensity = slopes_and_sizes(spectra - residuals, energies)
    spread = np.broadcast_to(sizes[absorbers, None], residuals.shape)
    evidence = Evidence(spread, distance, steepness, local, intensity, absorbers)
    return LeaveGroupOut(np.abs(residuals), evidence, calibrated[rows])


def _targets(sites: SiteSet, rows: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.float64]]:
    every = [(absorbers, y) for _, absorbers, y in iterate(sites)]
    absorbers, spectra = (np.concatenate(column)[rows] for column in zip(*every, strict=True))
    return absorbers, spectra.astype(np.float64)


def _around(
    process: GaussianProcess, labels: npt.NDArray[np.str_], rows: npt.NDArray[np.intp],
    absorbers: npt.NDArray[np.integer], energies: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:  # fmt: skip
    """Return the distance to the nearest landmark of another group, (n_rows,), and the mean error at such landmarks."""
    own = process.landmarks[len(process.landmarks) - len(labels) :][rows]
    _, groups = np.unique(labels, return_inverse=True)
    of_landmarks = np.full(len(process.landmarks), -1)  # earlier landmarks are of no group
    of_landmarks[len(of_landmarks) - len(groups) :] = groups
    distances, errors = [], []
    for start in range(0, len(rows), ROWS_AT_ONCE):
        some = slice(start, start + ROWS_AT_ONCE)
        remote = process.kernel.remoteness(process.kernel.terms(own[some], process.landmarks))
        same = groups[rows[some], None] == of_landmarks
        distances.append(np.where(same, np.inf, remote).min(axis=1))
        errors.append(process.local_errors(remote, absorbers[some], energies, same))
    return np.concatenate(distances).astype(np.float64), np.concatenate([e for e in errors if e is not None])
