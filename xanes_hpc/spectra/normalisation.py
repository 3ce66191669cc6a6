"""Normalisation of spectra, and where their edge is.

With E0 the edge's energy and all windows in eV from it,

    edge-step   [mu(E) - pre(E)] / [post(E0) - pre(E0)]: a line through the pre-edge window, a polynomial through the
                post-edge window; ``flatten`` takes the post-edge's own shape off above E0, so that it goes on at 1
    area        mu(E) over its mean in the window (trapezoids): the area is the window's length
    min-max     [mu(E) - min] / (max - min), both of the window

The first is the field's usual one (Ravel & Newville, doi:10.1107/S0909049505012719). The edge is where it is stored,
or where the spectrum rises steepest (the parabola through the largest slope and its neighbours), or where it first
reaches half of its edge step.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import SpectrumError
from xanes_hpc.spectra.recipe import EDGE_STEP, HALF_STEP, STEEPEST, NormalisationConfig
from xanes_hpc.spectra.spectrum import PlacedSpectrum

Array = npt.NDArray[np.float64]

SLACK = 0.51
"""Of a spectrum's step: by how much a window may reach beyond it, since energies are printed rounded."""
NORMALISED = "normalised"
"""The unit of what is normalised."""
SMALLEST_STEP = 1e-9
"""Of a spectrum's largest value: what is below is rounding."""
PASSES = 20
SETTLED = 1e-6
"""eV by which half of the step moves no more."""


def normalise(placed: PlacedSpectrum, recipe: NormalisationConfig) -> PlacedSpectrum:
    """A spectrum normalised, and its edge moved if the recipe says so; its treatment is the caller's to note.

    Raises
    ------
    SpectrumError
        If it does not reach a window, its edge step is not positive, or it has no edge where one is looked for.
    """
    found = _at_edge(placed, recipe)
    energies, mu = found.relative, found.spectrum.intensities
    name = found.spectrum.source
    if recipe.name == EDGE_STEP:
        mu = _edge_step(name, energies, mu, recipe)
    elif recipe.name == "area":
        inside = _window(name, "window", energies, recipe.start, recipe.stop, 2)
        steps, within = np.diff(energies[inside]), mu[inside]
        mean = np.average(0.5 * (within[1:] + within[:-1]), weights=steps)
        if not mean > 0:
            raise SpectrumError(f"{name}: expected a positive area, received a mean of {mean:g}")
        mu = mu / mean
    elif recipe.name == "min-max":
        inside = _window(name, "window", energies, recipe.start, recipe.stop, 2)
        low, high = mu[inside].min(), mu[inside].max()
        if not high > low:
            raise SpectrumError(f"{name}: is {low:g} everywhere in the window: nothing to normalise by")
        mu = (mu - low) / (high - low)
    unit = unit_after(recipe, found.spectrum.unit)
    return replace(found, spectrum=replace(found.spectrum, intensities=mu, unit=unit))


def unit_after(recipe: NormalisationConfig, before: str) -> str:
    """The unit of intensities that had the unit ``before``."""
    return before if recipe.name == "none" else NORMALISED


def _at_edge(placed: PlacedSpectrum, recipe: NormalisationConfig) -> PlacedSpectrum:
    """The spectrum with its edge where the recipe says."""
    if recipe.e0 == STEEPEST:
        moved = steepest(placed)
    elif recipe.e0 == HALF_STEP:
        moved = half_step(placed, recipe)
    else:
        return placed
    if recipe.align:  # the spectrum is moved to the stored edge
        return moved_by(placed, -moved)
    if placed.energy_origin == "absolute":
        placed = replace(placed, e_cut=placed.e_cut - moved)
    else:  # its energies count from the edge
        placed = moved_by(placed, -moved)
    return replace(placed, e0=placed.e0 + moved, e0_source=recipe.e0)


def moved_by(placed: PlacedSpectrum, shift: float) -> PlacedSpectrum:
    """The spectrum moved up in energy against its edge, by eV."""
    if placed.energy_origin == "absolute":
        return replace(placed, shift=placed.shift + shift, e_cut=placed.e_cut + shift)
    spectrum = replace(placed.spectrum, energies=placed.spectrum.energies + shift)
    return replace(placed, spectrum=spectrum, e_cut=placed.e_cut + shift)


def steepest(placed: PlacedSpectrum) -> float:
    """Energy from e0, in eV, at which a spectrum rises steepest."""
    energies, slopes = placed.relative, np.gradient(placed.spectrum.intensities, placed.relative)
    i = int(np.argmax(slopes))
    if not 0 < i < energies.size - 1:
        return float(energies[i])
    near = slice(i - 1, i + 2)
    second, first, _ = np.polyfit(energies[near] - energies[i], slopes[near], 2)
    return float(energies[i] - 0.5 * first / second) if second < 0 else float(energies[i])


def half_step(placed: PlacedSpectrum, recipe: NormalisationConfig) -> float:
    """Energy from e0, in eV, at which a spectrum first reaches half of its edge step.

    The windows count from there, so it is found again until it stays: first from where the spectrum rises steepest.

    Raises
    ------
    SpectrumError
        If it does not settle, or as ``normalise``.
    """
    name, energies, mu = placed.spectrum.source, placed.relative, placed.spectrum.intensities
    edge = steepest(placed)
    for _ in range(PASSES):
        normalised = _edge_step(name, energies - edge, mu, replace(recipe, flatten=False))
        above = np.flatnonzero((normalised[1:] >= 0.5) & (normalised[:-1] < 0.5))
        if not above.size:
            raise SpectrumError(f"{name}: does not rise through half of its edge step")
        k = int(above[0])
        share = (0.5 - normalised[k]) / (normalised[k + 1] - normalised[k])
        before, edge = edge, float(energies[k] + share * (energies[k + 1] - energies[k]))
        if abs(edge - before) < SETTLED:
            return edge
    raise SpectrumError(f"{name}: half of its edge step is at no energy that its windows agree on")


def _edge_step(name: str, energies: Array, mu: Array, recipe: NormalisationConfig) -> Array:
    before = _window(name, "pre-edge window", energies, recipe.pre_start, recipe.pre_stop, 2)
    after = _window(name, "post-edge window", energies, recipe.post_start, recipe.post_stop, recipe.order + 1)
    line = np.polynomial.Polynomial.fit(energies[before], mu[before], 1)
    curve = np.polynomial.Polynomial.fit(energies[after], mu[after], recipe.order)
    step = float(curve(0.0) - line(0.0))
    if not step > SMALLEST_STEP * np.abs(mu).max():
        raise SpectrumError(f"{name}: expected an edge step above 0, received {step:g}")
    normalised = (mu - line(energies)) / step
    if recipe.flatten:
        above = energies >= 0
        beyond = energies[above]
        normalised[above] -= (curve(beyond) - line(beyond)) / step - 1.0
    return np.asarray(normalised)


def _window(
    name: str, what: str, energies: Array, start: float | None, stop: float | None, fewest: int
) -> npt.NDArray[np.bool_]:
    """Points in a window; one that is not given reaches to the spectrum's end."""
    first, last = energies[0], energies[-1]
    slack = SLACK * float(np.median(np.diff(energies)))
    start, stop = first if start is None else start, last if stop is None else stop
    if start < first - slack or stop > last + slack:
        raise SpectrumError(
            f"{name}: the {what}, {start:g} to {stop:g} eV from the edge, reaches beyond the spectrum, "
            f"{first:g} to {last:g} eV"
        )
    inside = (energies >= start - slack) & (energies <= stop + slack)
    if inside.sum() < fewest:
        raise SpectrumError(
            f"{name}: the {what}, {start:g} to {stop:g} eV from the edge, has {inside.sum()} points: "
            f"expected {fewest} or more"
        )
    return inside
