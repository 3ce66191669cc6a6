"""Absorption from the counts of detectors: in transmission, in fluorescence, and of a reference sample.

transmission    mu = ln(i0 / itrans)
fluorescence    mu = (ifluor + …) / i0
reference       mu = ln(itrans / irefer)
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.read_options import FLUORESCENCE
from xanes_hpc.spectra.rise import main_fall, main_rise
from xanes_hpc.spectra.spectrum import Choices

Array = npt.NDArray[np.float64]
Channel = tuple[str, Array]
"""Title and counts of a detector channel, (n_points,)."""
COMPUTED = "spectra were computed from detector channels"
NO_COUNTS = "points without counts were left out"
CONSTANT = "detector channels are constant"
SATURATED = "detector channels seem saturated"
MOST_WITHOUT_COUNTS = 0.05
"""Largest fraction of points without counts that may be left out."""
NEARLY_NONE = 0.01
"""Counts are none if they are below this fraction of their median: the beam was lost."""
FEWEST_SATURATED = 5
"""Fewest neighbouring points at a channel's largest value that make it seem saturated."""
NEAR_TOP, FEWEST_NEAR_TOP, FLATTER = 3e-4, 12, 0.1
"""Also more points within this fraction of the largest value, if they change this much less than the others."""


def absorption(path: Path, mode: str, channels: Sequence[Channel]) -> tuple[Array, npt.NDArray[np.bool_], Choices]:
    """Return the absorption, which points have one, and what there is to say about the channels.

    Parameters
    ----------
    path
        The file, for messages.
    mode
        One of ``read_options.MODES``.
    channels
        Two channels, in the order of the formulas above for logarithms; for fluorescence i0, then the others.

    Returns
    -------
    mu : (n_points,)
    counted : (n_points,) bool
        False where the channels have no counts, so that ``mu`` is NaN.
    choices
        As in ``Spectrum.choices``.

    Raises
    ------
    FormatError
        If a channel is dead.
    """
    choices: Choices = ()
    for title, counts in channels:
        if not np.isfinite(counts).all():
            at = int(np.argmin(np.isfinite(counts)))
            raise FormatError(f"{path}: column {title}: expected finite counts, received {counts[at]:g} at point {at}")
        if not counts.any():
            raise FormatError(f"{path}: column {title}: 0 at every point; the detector seems to have been dead")
        if (counts == counts[0]).all():
            choices += ((CONSTANT, f"{path.name}: {title} is {counts[0]:g} at every point"),)
        elif n := _saturated(counts):
            choices += ((SATURATED, f"{path.name}: {title} is {counts.max():g} at {n} neighbouring points"),)
    (first, i0), rest = channels[0], channels[1:]
    detected = np.sum([counts for _, counts in rest], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        if mode == FLUORESCENCE:
            mu = detected / i0
            summed = " + ".join(title for title, _ in rest)
            formula = f"({summed}) / {first}" if len(rest) > 1 else f"{summed} / {first}"
        else:
            mu = np.log(i0 / detected)
            formula = f"ln({first} / {rest[0][0]})"
    mu[~np.isfinite(mu)] = np.nan
    exists = np.isfinite(mu)
    lost = int((~exists).sum())
    if lost > MOST_WITHOUT_COUNTS * mu.size:
        where = f"{lost:,} of {mu.size:,} points, where counts are 0 or of different signs"
        raise FormatError(f"{path}: {formula} does not exist at {where}")
    if lost:
        choices += ((NO_COUNTS, f"{path.name}: {lost:,} of {mu.size:,}, where {formula} does not exist"),)
    counted = exists & ~_nearly_none([counts for _, counts in (channels[:1] if mode == FLUORESCENCE else channels)])
    low = int((exists & ~counted).sum())
    where = f"{low:,} of {mu.size:,}, where counts are below {NEARLY_NONE:.0%} of their median"
    if lost + low > MOST_WITHOUT_COUNTS * mu.size:
        raise FormatError(f"{path}: {formula} is not known at {where}; the beam seems to have been lost")
    if low:
        choices += ((NO_COUNTS, f"{path.name}: {where}"),)
    mu[~counted] = np.nan
    return mu, counted, ((COMPUTED, f"{path.name}: {formula}"), *choices)


def rises(energies: Array, mu: Array) -> bool:
    """Return True if a spectrum rises clearly, and by more than it falls; energies in any order."""
    if energies.size < 5 or not (np.isfinite(energies).all() and np.isfinite(mu).all()):
        return False
    order = np.argsort(energies, kind="stable")
    energies, mu = energies[order], mu[order]
    return main_rise(energies, mu) is not None and main_fall(energies, mu) is None


def _nearly_none(channels: Sequence[Array]) -> npt.NDArray[np.bool_]:
    """Return at which points a channel has nearly no counts."""
    return np.asarray(np.any([np.abs(counts) < NEARLY_NONE * np.median(np.abs(counts)) for counts in channels], axis=0))


def _saturated(counts: Array) -> int:
    """Return the largest number of neighbouring points at the largest value, or nearly, 0 if there are few."""
    if (longest := np.ptp(_longest_run(counts == counts.max()))) >= FEWEST_SATURATED:
        return int(longest)
    first, end = _longest_run(counts >= (1.0 - NEAR_TOP) * counts.max())
    changes = np.abs(np.diff(counts))
    inside = np.zeros(changes.size, bool)
    inside[first : end - 1] = True
    if end - first < FEWEST_NEAR_TOP or inside.all():
        return 0
    return int(end - first) if changes[inside].max() < FLATTER * np.median(changes[~inside]) else 0


def _longest_run(chosen: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Return the first point of the longest run of chosen ones, and that after its last."""
    ends = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]]).astype(np.int8)))
    if not ends.size:
        return 0, 0
    longest = int(np.argmax(ends[1::2] - ends[::2]))
    return int(ends[2 * longest]), int(ends[2 * longest + 1])
