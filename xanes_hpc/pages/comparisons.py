"""Answers of the prediction server about measured spectra: normalised, aligned and matched."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import FormatError, SpectrumError, UnlikeError
from xanes_hpc.experiment.compare import Library, Measured
from xanes_hpc.experiment.kinds import rows_of
from xanes_hpc.experiment.match import match, match_each
from xanes_hpc.experiment.match_options import LINE, MatchOptions
from xanes_hpc.experiment.matched import Match, Matched
from xanes_hpc.experiment.normalised import NormalisedSpectrum, normalised, scale_for
from xanes_hpc.pages.comparison_requests import (
    AlignRequest,
    MatchRequest,
    NormaliseRequest,
    Predicted,
)
from xanes_hpc.pages.served import Served
from xanes_hpc.spectra.spectrum import Spectrum

Array = npt.NDArray[np.float64]
MOST_KNOWN = 256
"""Largest number of ranges of energies for which errors of held-out spectra are kept."""


class _Given(Library):
    """The predictions of a request as a library."""

    def __init__(self, predictions: Sequence[Predicted], origin: str) -> None:
        for own in predictions:
            own.check()
            if own.energies != predictions[0].energies:
                raise FormatError(f"{own.name}: expected the same energies as {predictions[0].name}")
        self.energies: Array = np.array(predictions[0].energies)
        self.origin = origin
        self._mean, self._std = np.array([own.mean for own in predictions]), np.array([own.std for own in predictions])
        self.names = [own.name for own in predictions]
        self.distrust = [own.flag for own in predictions]
        self.e0: Array = np.array([np.nan if own.e0 is None else own.e0 for own in predictions])
        self.rows = np.arange(len(predictions))

    def read(self, rows: Any) -> tuple[Array, Array]:
        """Return mean and sigma, each (n_rows, n_energies)."""
        return self._mean[rows].copy(), self._std[rows].copy()


def normalised_answer(found: NormalisedSpectrum) -> dict[str, Any]:
    """Return a normalised spectrum, its background, and how it is to be scaled in comparisons."""
    background = found.background
    return {
        "energies": found.raw.energies.tolist(),
        "raw": found.raw.intensities.tolist(),
        "intensities": found.spectrum.intensities.tolist(),
        "absolute": found.raw.absolute,
        "pre_edge": None if background is None else background.pre.tolist(),
        "post_edge": None if background is None else background.post.tolist(),
        "scale": scale_for(found),
        "normalisation": found.as_dict(),
    }


def normalised_by(request: NormaliseRequest) -> dict[str, Any]:
    """Normalise a measured spectrum as a request asks."""
    found = normalised(request.experiment.spectrum(), request.options(), request.number(), request.edge)
    return normalised_answer(found)


def aligned(request: AlignRequest) -> dict[str, Any]:
    """Align a measured spectrum with a predicted one.

    Returns
    -------
    dict
        The shift of the measured spectrum from the predicted one (eV); the factor, and the line (offset and slope over
        the prediction's energies), that bring it to the prediction's scale; the chi-square per energy, the error %, the
        residual, and the largest shift tried.

    Raises
    ------
    FormatError, SpectrumError
        If the two cannot be compared.
    """
    measured, library = request.experiment.spectrum(), _Given([request.predicted], request.origin)
    span = float(library.energies[-1] - library.energies[0])
    by_hand = request.shift is not None
    if request.shift is not None:
        measured = replace(measured, energies=measured.energies - request.shift)
    largest = 0.0 if by_hand else min(request.max_shift, span)
    options = MatchOptions(by="chi2", scale=request.scale, max_shift=largest, keep=1)
    try:
        found = match(measured, library, options)
    except UnlikeError:
        raise FormatError(
            f"no alignment within ±{largest:g} eV; the spectrum may need a larger shift (set it by hand), be inverted "
            "or flat, or have a background"
        ) from None
    best = found.ranked[0]
    (slope, offset), residual = _on_scale(measured, library, options, best)
    return {
        "shift": best.shift if request.shift is None else request.shift,
        "factor": best.factor,
        "offset": offset,
        "slope": slope,
        "chi2": best.chi2,
        "error_percent": best.error_percent,
        "max_shift": largest,
        "energies": found.energies.tolist(),
        "residual": residual.tolist(),
    }


def _on_scale(
    measured: Spectrum, library: _Given, options: MatchOptions, best: Matched
) -> tuple[tuple[float, float], Array]:
    """Return slope and offset of the line that brings a scaled spectrum to the prediction's, and the residual."""
    unscaled = Measured(measured, library, replace(options, scale="none"), library.rows)
    y, mean = best.factor * unscaled.beside(0, best.shift), unscaled.read(library.rows[:1])[0][0]
    if options.scale != LINE:
        return (0.0, 0.0), y - mean
    slope, offset = np.polyfit(unscaled.energies, mean - y, 1).tolist()
    return (slope, offset), y + offset + slope * unscaled.energies - mean


def matched(request: MatchRequest, served: Served) -> dict[str, Any]:
    """Rank predictions, or the spectra of the server's library, by their likeness to a measured spectrum.

    Raises
    ------
    FormatError, SpectrumError
        If the spectra cannot be compared, or there is no library.
    """
    if not request.predictions and served.library is None:
        raise FormatError("predictions: expected one or more, because this server has no library of spectra")
    library: Any = _Given(request.predictions, request.origin) if request.predictions else served.library
    span = float(library.energies[-1] - library.energies[0])
    options = MatchOptions(scale=request.scale, max_shift=min(request.max_shift, span), keep=request.keep)
    rows, known = library.rows, dict[Any, Any]()
    if not request.predictions:
        rows = rows_of(library.sites, rows, request.element, request.edge)
        known = served.held_out.setdefault((request.element, request.edge), known)
        if len(known) >= MOST_KNOWN:
            known.clear()
    found = match_each([(request.experiment.spectrum(), options)], library, rows, known=known)[0]
    if isinstance(found, SpectrumError):
        raise found
    return {
        "library": "" if request.predictions else served.library_name,
        "compared": found.n_compared,
        "left_out": found.n_left_out,
        "start_ev": float(found.energies[0]),
        "stop_ev": float(found.energies[-1]),
        "scale": request.scale,
        "verdict": found.verdict,
        "held_out": "" if found.held_out is None else found.held_out.in_words,
        "ranked": [_ranked(own, library, found) for own in found.ranked],
    }


def _ranked(own: Matched, library: Any, found: Match) -> dict[str, Any]:
    mean, std = library.read(np.array([own.row]))
    e0 = float(library.e0[own.row])
    return {
        "row": own.row,
        "site": own.site,
        "error_percent": own.error_percent,
        "score": own.score,
        "shift": own.shift,
        "at_limit": found.is_at_limit(own),
        "flag": library.distrust[own.row],
        "e0": e0 if np.isfinite(e0) else None,
        "energies": library.energies.tolist(),
        "mean": mean[0].tolist(),
        "std": (np.zeros_like(mean[0]) if std is None else std[0]).tolist(),
    }
