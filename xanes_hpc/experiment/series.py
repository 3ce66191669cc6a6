"""A measured series on one grid: spectra of one sample along a time, a temperature or another coordinate.

All spectra are cut to the energies that they share, and are normalised with one edge energy and one pair of windows,
those of their mean. Normalised mixtures of two spectra then remain mixtures of the two normalised ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import SpectrumError
from xanes_hpc.experiment.measured_files import LeftOut, MeasuredFile, read_usable
from xanes_hpc.experiment.normalisation_errors import point_noise
from xanes_hpc.experiment.normalised import NONE, NormalisedSpectrum, NormaliseOptions, normalised
from xanes_hpc.experiment.series_order import SeriesAxis, ordered_files
from xanes_hpc.spectra.averaging import shared_by_most
from xanes_hpc.spectra.edge_step import find_edge
from xanes_hpc.spectra.spectrum import Choices, Spectrum

Array = npt.NDArray[np.float64]
FEWEST_SPECTRA, FEWEST_ENERGIES = 3, 10
NEEDED = (-50.0, 100.0)
"""Range around the edge over which most spectra shall overlap, eV."""


@dataclass(frozen=True)
class Series:
    """Normalised spectra on one grid.

    Attributes
    ----------
    names
        Names of the spectra, in the order of the series.
    axis
        What changes along the series.
    energies : (n_energies,)
        The grid, on the spectra's own scale, eV.
    spectra : (n_spectra, n_energies)
        The normalised spectra.
    normal
        Normalisation of their mean, whose edge energy and windows are those of all.
    left_out
        Spectra that cannot be used, with their reasons.
    in_words
        How the grid was chosen.
    choices
        What the reader chose for each spectrum, as in ``Spectrum.choices``.
    sigma : (n_spectra, n_energies)
        Their standard deviations; None unless every file has some.
    """

    names: list[str]
    axis: SeriesAxis
    energies: Array
    spectra: Array
    normal: NormalisedSpectrum
    left_out: list[LeftOut]
    in_words: str
    choices: list[Choices] = field(default_factory=list)
    sigma: Array | None = None

    @property
    def is_normalised(self) -> bool:
        """Whether the spectra are free of their background."""
        return self.normal.background is not None

    def at(self, energies: Array) -> Array:
        """Return the spectra at other energies on their own scale, (n_spectra, n_energies)."""
        return np.array([np.interp(energies, self.energies, one) for one in self.spectra])

    def measured(self, k: int) -> Spectrum:
        """Return spectrum ``k`` on the grid."""
        return replace(
            self.normal.raw, energies=self.energies, intensities=self.spectra[k], source=self.names[k], sigma=None
        )

    def point_noise(self) -> Array:
        """Return the standard deviation of each point, (n_spectra, n_energies): the files', or their own scatter."""
        if self.sigma is not None:
            return self.sigma
        return np.stack([point_noise(self.measured(k)) for k in range(len(self.names))])


def read_series(
    files: Sequence[MeasuredFile],
    table: Path | None,
    read: Callable[[Path], Spectrum],
    options: NormaliseOptions | None = None,
    element: int | None = None,
    edge: str | None = None,
) -> Series:
    """Read a series; spectra that cannot be used are left out with their reasons.

    Parameters
    ----------
    files, table
        The measured spectra, and the table of their order, as for ``ordered_files``.
    read
        Reads one of them, energies in eV.
    options, element, edge
        As for ``make_series``.

    Raises
    ------
    FormatError
        If the table lacks a spectrum.
    SpectrumError
        If too few spectra can be used.
    """
    files = [own for own in files if table is None or own.path.resolve() != table.resolve()]
    if len(files) < FEWEST_SPECTRA:
        read_usable(files, read)  # a file that cannot be read is the better reason
        raise SpectrumError(
            f"expected a series of {FEWEST_SPECTRA} or more spectra, received {len(files)}; single ones are for `match`"
        )
    files, axis = ordered_files(files, table)
    usable, left_out = read_usable(files, read)
    kept = [files.index(own) for own, _ in usable]
    series = make_series([(own.name, found) for own, found in usable], axis.take(kept), options, element, edge)
    return replace(series, left_out=left_out + series.left_out)


def make_series(
    spectra: Sequence[tuple[str, Spectrum]],
    axis: SeriesAxis,
    options: NormaliseOptions | None = None,
    element: int | None = None,
    edge: str | None = None,
) -> Series:
    """Bring the spectra of a series to one grid and normalise them alike.

    Parameters
    ----------
    spectra
        Names and spectra as read, in the order of the series, energies in eV.
    axis
        The value of each spectrum.
    options
        How to normalise them; the edge energy and windows that it leaves open are chosen for their mean.
    element, edge
        As for ``normalised``.

    Raises
    ------
    SpectrumError
        If fewer than three spectra share a range of energies, or they cannot be normalised.
    """
    options = options or NormaliseOptions()
    kept, left_out = _overlapping(spectra)
    if len(kept) < FEWEST_SPECTRA:
        raise SpectrumError(
            f"expected a series of {FEWEST_SPECTRA} or more spectra, received {len(kept)}"
            + (f"; left out: {left_out[0].reason}" if left_out else "")
        )
    own = [spectra[k][1] for k in kept]
    energies, in_words = _common_grid(own)
    raw = np.array([np.interp(energies, one.energies, one.intensities) for one in own])
    span = np.ptp(raw, axis=1)
    if not span.all():
        raise SpectrumError(f"{own[int(np.argmin(span))].source}: the same value at every energy")
    mean = float(np.median(span)) * ((raw - raw.min(axis=1, keepdims=True)) / span[:, None]).mean(axis=0)
    typical = replace(own[0], energies=energies, intensities=mean, source="mean of the series", choices=())
    normal = normalised(typical, options, element, edge)
    alike = replace(options, e0=normal.e0)
    if normal.background is not None:
        windows = normal.background.windows
        alike = replace(alike, pre=windows.pre, post=windows.post, order=windows.order)
    elif options.method != NONE:
        alike = replace(alike, method=NONE)
    found, sigma = np.empty_like(raw), np.full_like(raw, np.nan)
    for k, one in enumerate(own):
        noise = None if one.sigma is None else np.interp(energies, one.energies, one.sigma)
        on_grid = replace(one, energies=energies, intensities=raw[k], source=spectra[kept[k]][0], sigma=noise)
        scaled = normalised(on_grid, alike, element, edge).spectrum
        size = 1.0 if normal.background is not None else span[k]  # the background is fitted along
        found[k] = scaled.intensities / size
        if scaled.sigma is not None:
            sigma[k] = scaled.sigma / size
    names = [spectra[k][0] for k in kept]
    return Series(names, axis.take(kept), energies, found, normal, left_out, in_words,
                  [one.choices for one in own], sigma if np.isfinite(sigma).all() else None)  # fmt: skip


def _overlapping(spectra: Sequence[tuple[str, Spectrum]]) -> tuple[list[int], list[LeftOut]]:
    """Return the numbers of the spectra that share the range around the edge that most cover, and the others."""
    edge = float(np.median([find_edge(own.energies, own.intensities) for _, own in spectra]))
    first = np.array([max(float(own.energies[0]), edge + NEEDED[0]) for _, own in spectra])
    last = np.array([min(float(own.energies[-1]), edge + NEEDED[1]) for _, own in spectra])
    start, stop = shared_by_most(first, last)
    inside = (first <= start) & (last >= stop)
    left_out = [
        LeftOut(
            name, f"{name}: covers {own.energies[0]:g} to {own.energies[-1]:g} eV; most cover {start:g} to {stop:g} eV"
        )
        for (name, own), kept in zip(spectra, inside.tolist(), strict=True)
        if not kept
    ]
    return np.flatnonzero(inside).tolist(), left_out


def _common_grid(spectra: Sequence[Spectrum]) -> tuple[Array, str]:
    """Return the energies of the spectrum with the fewest points in the range that all share, and that in words."""
    low = max(float(own.energies[0]) for own in spectra)
    high = min(float(own.energies[-1]) for own in spectra)
    inside = [own.energies[(own.energies >= low - 1e-9) & (own.energies <= high + 1e-9)] for own in spectra]
    fewest = min(inside, key=lambda own: own.size)
    if fewest.size < FEWEST_ENERGIES:
        raise SpectrumError(
            f"the spectra of the series share {fewest.size} energies, from {low:g} to {high:g} eV; expected "
            f"{FEWEST_ENERGIES} or more"
        )
    same = all(own.size == fewest.size and np.allclose(own, fewest, atol=1e-6) for own in inside)
    how = "as measured" if same else "interpolated to the coarsest spectrum"
    return fewest, f"{fewest.size:,} energies, {fewest[0]:.6g} to {fewest[-1]:.6g} eV, where all overlap; {how}"
