"""Normalisation of spectra, and location of their edge.

With E0 the edge energy, and windows in eV relative to it:

    edge-step   [mu(E) - pre(E)] / [post(E0) - pre(E0)], with a line fitted to the pre-edge window and a polynomial
                fitted to the post-edge window; ``flatten`` subtracts the post-edge shape above E0, so that the
                spectrum levels off at 1
    area        mu(E) / mean of mu over the window (trapezoids), so that the area is the window's length
    min-max     [mu(E) - min] / (max - min), with minimum and maximum of the window

The first is the usual one in the field (Ravel & Newville, doi:10.1107/S0909049505012719). The edge is the stored one,
the energy of the steepest rise (from the parabola through the largest slope and its neighbours), or the energy at which
the spectrum first reaches half of its edge step.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import SpectrumError
from xanes_hpc.spectra.edge_step import EdgeStep, EdgeWindows, edge_step, window
from xanes_hpc.spectra.recipe import EDGE_STEP, HALF_STEP, STEEPEST, NormalisationConfig
from xanes_hpc.spectra.rise import steepest_rise
from xanes_hpc.spectra.spectrum import PlacedSpectrum

Array = npt.NDArray[np.float64]

NORMALISED = "normalised"
"""Unit of normalised intensities."""
PASSES = 20
SETTLED = 1e-6
"""The half-step energy has converged when it moves by less than this, eV."""


def normalise(placed: PlacedSpectrum, recipe: NormalisationConfig) -> PlacedSpectrum:
    """Return a normalised spectrum, its edge moved if the recipe says so; the caller records the treatment.

    Raises
    ------
    SpectrumError
        If a window reaches beyond the spectrum, the edge step is not positive, or no edge is found.
    """
    found = _at_edge(placed, recipe)
    energies, mu, size = found.relative, found.spectrum.intensities, 1.0
    name, sigma = found.spectrum.source, found.spectrum.sigma
    if recipe.name == EDGE_STEP:
        background = _edge_step(name, energies, mu, recipe)
        mu, size = background.normalised(energies, mu, recipe.flatten), background.step
    elif recipe.name == "area":
        inside = window(name, "window", energies, recipe.start, recipe.stop, 2)
        steps, within = np.diff(energies[inside]), mu[inside]
        mean = np.average(0.5 * (within[1:] + within[:-1]), weights=steps)
        if not mean > 0:
            raise SpectrumError(f"{name}: expected a positive area, received a mean of {mean:g}")
        mu, size = mu / mean, float(mean)
    elif recipe.name == "min-max":
        inside = window(name, "window", energies, recipe.start, recipe.stop, 2)
        low, high = mu[inside].min(), mu[inside].max()
        if not high > low:
            raise SpectrumError(f"{name}: the spectrum is {low:g} everywhere in the window; min-max needs a range")
        mu, size = (mu - low) / (high - low), float(high - low)
    unit = unit_after(recipe, found.spectrum.unit)
    sigma = None if sigma is None else sigma / size
    return replace(found, spectrum=replace(found.spectrum, intensities=mu, sigma=sigma, unit=unit))


def unit_after(recipe: NormalisationConfig, before: str) -> str:
    """Return the unit of intensities after a recipe, given their unit ``before``."""
    return before if recipe.name == "none" else NORMALISED


def _at_edge(placed: PlacedSpectrum, recipe: NormalisationConfig) -> PlacedSpectrum:
    """Return the spectrum with its edge where the recipe puts it."""
    if recipe.e0 == STEEPEST:
        moved = steepest_rise(placed.relative, placed.spectrum.intensities)
    elif recipe.e0 == HALF_STEP:
        moved = half_step(placed, recipe)
    else:
        return placed
    if recipe.align:  # move the spectrum to the stored edge
        return moved_by(placed, -moved)
    if placed.energy_origin == "absolute":
        placed = replace(placed, e_cut=placed.e_cut - moved)
    else:  # energies are relative to the edge
        placed = moved_by(placed, -moved)
    return replace(placed, e0=placed.e0 + moved, e0_source=recipe.e0)


def moved_by(placed: PlacedSpectrum, shift: float) -> PlacedSpectrum:
    """Return the spectrum moved up in energy, relative to its edge, by ``shift`` eV."""
    if placed.energy_origin == "absolute":
        return replace(placed, shift=placed.shift + shift, e_cut=placed.e_cut + shift)
    spectrum = replace(placed.spectrum, energies=placed.spectrum.energies + shift)
    return replace(placed, spectrum=spectrum, e_cut=placed.e_cut + shift)


def half_step(placed: PlacedSpectrum, recipe: NormalisationConfig) -> float:
    """Return the energy (eV from e0) at which a spectrum first reaches half of its edge step.

    The windows are relative to this energy, so the search repeats until it converges, starting at the steepest rise.

    Raises
    ------
    SpectrumError
        If it does not converge, or as ``normalise``.
    """
    name, energies, mu = placed.spectrum.source, placed.relative, placed.spectrum.intensities
    edge = steepest_rise(energies, mu)
    for _ in range(PASSES):
        background = _edge_step(name, energies - edge, mu, recipe)
        normalised = background.normalised(energies - edge, mu, flatten=False)
        above = np.flatnonzero((normalised[1:] >= 0.5) & (normalised[:-1] < 0.5))
        if not above.size:
            raise SpectrumError(f"{name}: the spectrum does not rise through half of its edge step")
        k = int(above[0])
        share = (0.5 - normalised[k]) / (normalised[k + 1] - normalised[k])
        before, edge = edge, float(energies[k] + share * (energies[k + 1] - energies[k]))
        if abs(edge - before) < SETTLED:
            return edge
    raise SpectrumError(f"{name}: the search for half of the edge step did not converge; choose other windows")


def _edge_step(name: str, energies: Array, mu: Array, recipe: NormalisationConfig) -> EdgeStep:
    first, last = float(energies[0]), float(energies[-1])
    pre = first if recipe.pre_start is None else recipe.pre_start, recipe.pre_stop or 0.0
    post = recipe.post_start or 0.0, last if recipe.post_stop is None else recipe.post_stop
    return edge_step(name, energies, mu, EdgeWindows(pre, post, recipe.order))
