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
FEWEST_SATURATED = 5
"""Fewest neighbouring points at a channel's largest value that make it seem saturated."""


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
    counted = np.isfinite(mu)
    lost = int((~counted).sum())
    if lost > MOST_WITHOUT_COUNTS * mu.size:
        where = f"{lost:,} of {mu.size:,} points, where counts are 0 or of different signs"
        raise FormatError(f"{path}: {formula} does not exist at {where}")
    if lost:
        choices += ((NO_COUNTS, f"{path.name}: {lost:,} of {mu.size:,}, where {formula} does not exist"),)
    return mu, counted, ((COMPUTED, f"{path.name}: {formula}"), *choices)


def rises(energies: Array, mu: Array) -> bool:
    """Return True if a spectrum rises clearly, and by more than it falls; energies in any order."""
    if energies.size < 5 or not (np.isfinite(energies).all() and np.isfinite(mu).all()):
        return False
    order = np.argsort(energies, kind="stable")
    energies, mu = energies[order], mu[order]
    return main_rise(energies, mu) is not None and main_fall(energies, mu) is None


def _saturated(counts: Array) -> int:
    """Return the largest number of neighbouring points at the largest value, 0 if there are few."""
    at_top = np.concatenate([[False], counts == counts.max(), [False]])
    ends = np.flatnonzero(np.diff(at_top.astype(np.int8)))
    longest = int((ends[1::2] - ends[::2]).max())
    return longest if longest >= FEWEST_SATURATED else 0
