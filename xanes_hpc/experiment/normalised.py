"""Normalise a measured spectrum before it is compared with calculated ones.

The edge is found in the spectrum, and windows before and after it are chosen from its range, unless they are given.
``edge-step`` fits a line and a polynomial to them (``spectra.edge_step``). ``mback`` first fits the whole spectrum,
without the edge region, to tabulated absorption, s mu(E) + polynomial = mu_tab(E), in the manner of Weng, Waldo and
Penner-Hahn (doi:10.1107/S0909049504034193).
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.errors import ConfigError, SpectrumError
from xanes_hpc.spectra import edges
from xanes_hpc.spectra.edge_step import EdgeStep, EdgeWindows, Window, chosen_windows, edge_step, find_edge
from xanes_hpc.spectra.recipe import EDGE_STEP, MOST_ORDER
from xanes_hpc.spectra.spectrum import Spectrum

Array = npt.NDArray[np.float64]
MBACK, NONE = "mback", "none"
METHODS = (EDGE_STEP, MBACK, NONE)
EDGE_REGION = (-20.0, 30.0)
"""Energies from the edge that ``mback`` leaves out, eV."""
MBACK_ORDER = 2
"""Degree of the polynomial of ``mback``."""
MBACK_SPAN = 300.0
"""Range below which ``mback`` is noted, eV. Within 60 eV of the edge, 26 measured spectra of 430 eV or more differ from
``edge-step`` by at most 0.02; 5 of 185 eV by up to 0.2, and 8 of 110 eV or less by 0.4 to 7."""
SHORT_FOR_MBACK = "mback is unreliable for so short a spectrum"
NEAR_EDGE = 10.0
"""Distance from the edge within which a given window meets the rise, pre-edge peaks or the white line, eV."""
FEW_POINTS = 5
"""Number of points below which a given window says little."""
FAR_FROM_RISE = 20.0
"""Distance from the rise at which a given edge energy is noted, eV."""
UNUSUAL_WINDOW, UNUSUAL_EDGE = "a window of the normalisation is unusual", "the given edge energy is far from the rise"
OFFSET = 0.1
"""Fraction of its range: a spectrum whose lowest value is farther from 0 has a background."""


@dataclass(frozen=True)
class NormaliseOptions:
    """How to normalise a measured spectrum.

    Attributes
    ----------
    method
        ``edge-step``, ``mback`` or ``none``.
    e0
        Edge energy on the spectrum's own scale, eV; by default the steepest point of its main rise.
    pre, post
        Windows before and after the edge, eV from it; by default chosen from the spectrum's range.
    order
        Degree of the polynomial through the post-edge window; by default from the window's length.
    flatten
        Whether the post-edge shape is subtracted above the edge.
    """

    method: str = EDGE_STEP
    e0: float | None = None
    pre: Window | None = None
    post: Window | None = None
    order: int | None = None
    flatten: bool = True

    def check(self) -> None:
        """Check the values.

        Raises
        ------
        ConfigError
            If one is not possible.
        """
        if self.method not in METHODS:
            raise ConfigError(f"`normalise` {self.method!r}: expected one of {', '.join(METHODS)}")
        if self.order is not None and not 0 <= self.order <= MOST_ORDER:
            raise ConfigError(f"`order`: expected 0 to {MOST_ORDER}, received {self.order}")
        if self.pre is not None and not self.pre[0] < self.pre[1] <= 0:
            raise ConfigError(
                f"`pre`: expected a window below the edge, received {self.pre[0]:g} to {self.pre[1]:g} eV"
            )
        if self.post is not None and not 0 <= self.post[0] < self.post[1]:
            raise ConfigError(
                f"`post`: expected a window above the edge, received {self.post[0]:g} to {self.post[1]:g} eV"
            )


@dataclass(frozen=True, repr=False)
class NormalisedSpectrum:
    """A measured spectrum and its normalisation.

    Attributes
    ----------
    raw, spectrum
        The spectrum as read and as normalised; the same if it is not normalised.
    e0
        Edge energy on the spectrum's own scale, eV.
    background
        Edge step, pre-edge line and post-edge curve; None if it is not normalised by windows.
    in_words
        What was done, or why nothing was.
    too_short
        Whether its range has no room for windows.
    flattened
        Whether the post-edge shape above the edge was subtracted.
    """

    raw: Spectrum
    spectrum: Spectrum
    e0: float
    background: EdgeStep | None
    in_words: str
    too_short: bool = False
    flattened: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        background = self.background
        windows = None if background is None else background.windows
        return {
            "e0_ev": self.e0,
            "edge_step": None if background is None else background.step,
            "pre_ev": None if windows is None else list(windows.pre),
            "post_ev": None if windows is None else list(windows.post),
            "post_order": None if windows is None else windows.order,
            "normalisation": self.in_words,
        }

    def __repr__(self) -> str:
        return f"<NormalisedSpectrum {self.raw.source}: e0 {self.e0:.2f} eV, {self.in_words}>"


def normalised(
    spectrum: Spectrum, options: NormaliseOptions | None = None, element: int | None = None, edge: str | None = None,
    at: Array | None = None,
) -> NormalisedSpectrum:  # fmt: skip
    """Normalise a measured spectrum.

    Parameters
    ----------
    spectrum
        The spectrum, energies ascending in eV.
    options
        How to normalise it. A spectrum whose range has no room for windows, where none are given, stays as it is.
    element, edge
        Atomic number and edge, which ``mback`` needs; by default those that the file names.
    at
        Energies in eV at which the windows are fitted, such as those of another spectrum; by default its own.

    Raises
    ------
    ConfigError
        If an option is not possible, or ``mback`` lacks the element.
    SpectrumError
        If the spectrum is of another element or edge, a window reaches beyond it, or its edge step is not positive.
    """
    options = options or NormaliseOptions()
    options.check()
    edges.check(spectrum)
    if element is not None:
        edges.check_absorber(spectrum, element, edge or spectrum.edge or "K")
    element, edge = element or spectrum.element, edge or spectrum.edge
    known = edges.tabulated(element, edge)
    spectrum = spectrum if known is None else edges.in_ev(spectrum, known)
    edges.check_span(spectrum)
    if not np.ptp(spectrum.intensities):
        raise SpectrumError(f"{spectrum.source}: the same everywhere (no edge step)")
    rise = find_edge(spectrum.energies, spectrum.intensities)
    e0 = options.e0 if options.e0 is not None else rise
    if abs(e0 - rise) > FAR_FROM_RISE:
        where = "above" if e0 > rise else "below"
        spectrum = spectrum.told(UNUSUAL_EDGE, f"{e0:g} eV is {abs(e0 - rise):.0f} eV {where} it ({rise:.1f} eV)")
    if options.method == NONE:
        return NormalisedSpectrum(spectrum, spectrum, e0, None, "not normalised")
    energies, mu = spectrum.energies - e0, spectrum.intensities
    if not energies[0] < 0 < energies[-1]:
        raise SpectrumError(
            f"{spectrum.source}: e0 = {e0:g} eV lies outside the spectrum, {spectrum.energies[0]:g} to "
            f"{spectrum.energies[-1]:g} eV"
        )
    windows = _windows(spectrum, energies, options)
    if windows is None:
        reach = f"{energies[0]:.0f} to {energies[-1]:.0f} eV from the edge"
        words = f"not normalised: {reach} leave no room for windows"
        return NormalisedSpectrum(spectrum, spectrum, e0, None, words, too_short=True)
    if unusual := _unusual(energies, options):
        spectrum = spectrum.told(UNUSUAL_WINDOW, "; ".join(unusual))
    if options.method == MBACK:
        if element is None or edge is None:
            raise ConfigError(f"{spectrum.source}: mback needs the element and edge; set `absorber` and `edge`")
        if (span := float(energies[-1] - energies[0])) < MBACK_SPAN:
            why = f"{span:.0f} eV; expected {MBACK_SPAN:g} eV or more: its polynomial takes up some of the edge step"
            spectrum = spectrum.told(SHORT_FOR_MBACK, why)
        mu, scale = _matched_to_tables(energies, mu, element, edge)
        words = f"mback to {chemical_symbols[element]} {edge}, "
    else:
        words, scale = "", 1.0
    background = edge_step(spectrum.source, energies, mu, windows, None if at is None else at - e0)
    normal = background.normalised(energies, mu, options.flatten)
    words += f"edge step {background.step:.4g}, {windows.in_words}" + (", flattened" if options.flatten else "")
    sigma = None if spectrum.sigma is None else spectrum.sigma * abs(scale) / background.step
    done = replace(spectrum, intensities=normal, sigma=sigma, unit="normalised")
    return NormalisedSpectrum(spectrum, done, e0, background, words, flattened=options.flatten)


def scale_for(found: NormalisedSpectrum) -> str:
    """Return how to scale a spectrum for a comparison: by a factor, without its straight line if it has a background.

    It may have one if it is not normalised, because it is too short, or not to be and far from 0 everywhere.
    """
    mu = found.spectrum.intensities
    far = abs(mu.min()) > OFFSET * np.ptp(mu)
    return "line" if found.background is None and (found.too_short or far) else "factor"


def _windows(spectrum: Spectrum, energies: Array, options: NormaliseOptions) -> EdgeWindows | None:
    """Return the given windows, completed by those that suit the spectrum's range; None if it has no room for any."""
    chosen = chosen_windows(energies)
    if options.pre is not None and options.post is not None:
        order = options.order if options.order is not None else chosen.order if chosen is not None else 1
        return EdgeWindows(options.pre, options.post, order)
    if chosen is None:
        if options.pre is None and options.post is None:
            return None
        missing = "post" if options.post is None else "pre"
        raise SpectrumError(
            f"{spectrum.source}: {energies[0]:.0f} to {energies[-1]:.0f} eV from the edge leave no room to choose a "
            f"window; give `{missing}` too"
        )
    order = chosen.order if options.order is None else options.order
    return EdgeWindows(options.pre or chosen.pre, options.post or chosen.post, order)


def _unusual(energies: Array, options: NormaliseOptions) -> list[str]:
    """Return what is unusual about the windows that are given."""
    told = []
    if options.pre is not None and -options.pre[1] < NEAR_EDGE:
        told.append(
            f"`pre` ends {-options.pre[1]:g} eV below the edge, where the spectrum may rise already; expected "
            f"{NEAR_EDGE:g} eV or more"
        )
    if options.post is not None and options.post[0] < NEAR_EDGE:
        told.append(
            f"`post` begins {options.post[0]:g} eV above the edge, on its rise or white line; expected "
            f"{NEAR_EDGE:g} eV or more"
        )
    for name, own in (("pre", options.pre), ("post", options.post)):
        if own is not None and (n := int(np.sum((energies >= own[0]) & (energies <= own[1])))) < FEW_POINTS:
            told.append(f"`{name}` has {n} points; expected {FEW_POINTS} or more")
    return told


def _matched_to_tables(energies: Array, mu: Array, element: int, edge: str) -> tuple[Array, float]:
    """Return a spectrum brought to tabulated absorption by a factor and a polynomial, and the factor."""
    tabulated = edges.tabulated_absorption(element, energies + edges.edge_energy(element, edge))
    outside = (energies < EDGE_REGION[0]) | (energies > EDGE_REGION[1])
    scaled = energies / np.abs(energies).max()
    terms = np.stack([mu, *(scaled**n for n in range(MBACK_ORDER + 1))], axis=1)
    below = energies < 0
    weights = np.where(below, 1.0 / np.sqrt(below.sum()), 1.0 / np.sqrt((~below).sum())) * outside
    found = np.linalg.lstsq(terms * weights[:, None], tabulated * weights, rcond=None)[0]
    return np.asarray(terms @ found), float(found[0])
