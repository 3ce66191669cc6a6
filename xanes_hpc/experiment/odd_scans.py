"""Find what is odd about merged scans: one of another sample or scale, or shifts that follow a trend."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from xanes_hpc.experiment.merged import MergedScan
from xanes_hpc.experiment.scans import SAMPLE
from xanes_hpc.spectra.alignment import correlation
from xanes_hpc.spectra.averaging import beside_the_others
from xanes_hpc.spectra.scatter import noise_level
from xanes_hpc.spectra.spectrum import Choices

Array = npt.NDArray[np.float64]

ODD, LEAST_ODD, UNLIKE = 3.0, 0.002, 0.03
"""A scan is noted if it differs from the mean of the others by more than they scatter, by this factor, and by more than
a fraction of the mean's range; or by more than a larger fraction alone."""
OTHER_SCALE = 2.0
"""A scan is noted whose scale is larger, or smaller, than that of the mean by more than this factor."""
LEAST_CORRELATED, MOST_NOISE = 0.985, 0.02
"""Correlation with the other scans below which a scan is noted, and the largest noise, as a fraction of its range, at
which that says anything. Scans of one sample reach 0.990 with 1 % of noise; different oxides of iron 0.984."""
FEWEST, TREND, DRIFT = 4, 0.9, 0.1
"""Fewest scans whose shifts are held to their order, the correlation of both from which they trend, and the smallest
range of the shifts, eV."""
ODD_SCAN = "a scan differs from the others"
SCALED = "a scan has another scale"
OTHER_SAMPLE = "a scan may be of another sample"
TRENDING = "the shifts follow the order of the scans"


def correlations(grid: Array, values: Array) -> list[float]:
    """Return the correlation of each scan's slopes with those of the others' median around the edge; NaN if unknown.

    Parameters
    ----------
    grid, values
        Energies, (n_points,), and scans, (n_scans, n_points).
    """
    if len(values) < 2:
        return [float("nan")] * len(values)
    others = [np.median(np.delete(values, k, axis=0), axis=0) for k in range(len(values))]
    return [correlation((grid, other), (grid, own)) for other, own in zip(others, values, strict=True)]


def odd(scans: Sequence[MergedScan], grid: Array, mean: Array, residuals: Array) -> list[Choices]:
    """Return for each scan what there is to say if it differs from the others.

    Parameters
    ----------
    scans
        The scans in the average.
    grid, mean, residuals
        Energies, the mean, (n_points,), and each scan beside it, (n_scans, n_points).
    """
    sizes, ratios = beside_the_others(residuals, np.array([own.weight for own in scans]))
    noise = [noise_level(grid, mean + own) / (float(np.ptp(mean)) or 1.0) for own in residuals]
    told = list[Choices]()
    for own, size, ratio, noisy in zip(scans, sizes, ratios, noise, strict=True):
        size *= own.residual
        found: Choices = ()
        if size > UNLIKE or (ratio > ODD and size > LEAST_ODD):
            more = f", {ratio:.1f} times as much as they scatter" if 1.0 < ratio < np.inf else ""
            detail = f"{own.name}: it differs from the mean of the others by {100 * size:.2g} % of its range{more}"
            found = ((ODD_SCAN, detail),)
        if own.correlation < LEAST_CORRELATED and noisy < MOST_NOISE:
            detail = f"{own.name}: correlation with the others {own.correlation:.3f}; scans of one sample reach 0.99"
            found += ((OTHER_SAMPLE, detail),)
        if not 1.0 / OTHER_SCALE < own.scale < OTHER_SCALE:
            found += (
                (SCALED, f"{own.name}: {own.scale:.2g} times that of the mean; `normalise` brings scans to one scale"),
            )
        told.append(found)
    if told:
        told[0] += _trending(scans)
    return told


def _trending(scans: Sequence[MergedScan]) -> Choices:
    """Return a note if scans that were aligned by the sample itself shift more and more."""
    shifts = np.array([own.shift for own in scans])
    if len(scans) < FEWEST or np.ptp(shifts) < DRIFT or not all(own.aligned_by == SAMPLE for own in scans):
        return ()
    if abs(float(np.corrcoef(np.arange(shifts.size), shifts)[0, 1])) < TREND:
        return ()
    detail = (
        f"{shifts[0]:+.2f} to {shifts[-1]:+.2f} eV; without a reference channel a sample that changes, as in the beam, "
        "looks the same as a drift of the energies, and is aligned away"
    )
    return ((TRENDING, detail),)
