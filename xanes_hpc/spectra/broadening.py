"""Broadening of calculated spectra by the lifetimes of core hole and photoelectron, and by the instrument.

Recipes follow equations (7) to (9) of ``kernels/README.md``. Widths are full widths at half maximum, in eV. E is the
energy above e_cut, where empty states begin. For E > 0 the photoelectron's lifetime adds to the core hole's width

    arctangent    gamma_max [1/2 + arctan(pi/3 gamma_max / width (E / centre - (centre / E)^2)) / pi]
    seah-dench    seah E gamma_max / (gamma_max + seah E)
    lorentzian    nothing

and for E <= 0 nothing. The first two are FDMNES's (Bunau & Joly, doi:10.1088/0953-8984/21/34/345501), which evaluates
the width at the energy of the result; the second follows Seah & Dench, doi:10.1002/sia.740010103. ``summed`` sums a
Lorentzian of fixed width over the points without normalising it; the published Fe K-edge set was made this way.
``gaussian`` is the instrument's resolution. It can be used alone or after any of the others.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import SpectrumError
from xanes_hpc.runtime import threads
from xanes_hpc.spectra.recipe import BROADENING_USES, BroadeningConfig
from xanes_hpc.spectra.spectrum import NO_TREATMENT, PlacedSpectrum, treatment, treatment_name
from xanes_hpc_kernels import broadening as kernels

Array = npt.NDArray[np.float64]

SPECTRA_A_THREAD = 16
STEPS_BEYOND = 500.5
"""A spectrum keeps its last value for this many of its last steps, as in FDMNES."""
EV_BEYOND = 90.0
"""The same for ``summed``, in eV."""
SUMMED = "summed"
OWN = "own"
"""Placeholder in a treatment for a number that differs between sites."""


def broadened_treatment(recipe: BroadeningConfig, before: str) -> str:
    """Return the treatment of spectra after broadening, given their treatment ``before``.

    Raises
    ------
    SpectrumError
        If they were treated already, and the recipe is more than an instrument's resolution.
    """
    if recipe.name == "none":
        return before
    values = {name: getattr(recipe, name) for name in BROADENING_USES[recipe.name]}
    values = {name: OWN if value is None else value for name, value in values.items()}
    if before == NO_TREATMENT:
        return treatment(recipe.name, **values)
    if recipe.name != "gaussian":
        raise SpectrumError(
            f"broadening {recipe.name}: expected unbroadened spectra, received treatment {treatment_name(before)!r}; "
            "only broadening gaussian may follow another treatment"
        )
    return treatment(f"{treatment_name(before)}+gaussian", **values, before=before)


def core_hole_width(element: int, edge: str) -> float:
    """Return XrayDB's width of a core hole in eV; for a pair of edges (L23) the width of the lower edge.

    Raises
    ------
    SpectrumError
        If XrayDB has no width.
    """
    import xraydb
    from ase.data import chemical_symbols

    name = {"L23": "L3", "M23": "M3", "M45": "M5"}.get(edge, edge)
    try:
        width = xraydb.core_width(chemical_symbols[element], name)
    except KeyError:
        width = None
    if not width:
        raise SpectrumError(f"XrayDB has no core-hole width of {chemical_symbols[element]} {edge}; give `core_hole`")
    return float(width)


_known_width = cache(core_hole_width)


def broaden(
    placed: Sequence[PlacedSpectrum], elements: Sequence[int], edges: Sequence[str], recipe: BroadeningConfig
) -> list[Array]:
    """Return the broadened intensities of each spectrum, at its own energies.

    Parameters
    ----------
    placed
        Spectra on the scale of their e0.
    elements, edges
        Atomic number and edge of each spectrum's site.
    recipe
        The broadening; not ``none``.

    Raises
    ------
    SpectrumError
        If neither spectrum nor recipe has an e_cut, e_cut is beyond the spectrum, or XrayDB has no core-hole width.
    """
    if not placed:
        return []
    offsets = np.cumsum([0, *(p.spectrum.energies.size for p in placed)])
    energies = np.concatenate([p.relative for p in placed])
    found = np.concatenate([p.spectrum.intensities for p in placed])
    if recipe.name != "gaussian":
        cuts = np.array([_cut(p, recipe) for p in placed])
        widths = np.concatenate([
            _widths(p.relative - cut, _core_hole(element, edge, recipe), recipe)
            for p, cut, element, edge in zip(placed, cuts, elements, edges, strict=True)
        ])  # fmt: skip
        last, before = energies[offsets[1:] - 1], energies[offsets[1:] - 2]
        if recipe.name == SUMMED:
            found = _run(kernels.summed_lorentzian, offsets, energies, found, cuts, last + EV_BEYOND, widths)
        else:
            ends = last + STEPS_BEYOND * (last - before)
            found = _run(kernels.broaden, offsets, energies, found, cuts, ends, widths, False)
    if recipe.gaussian:
        ends, widths = np.full(len(placed), np.inf), np.full(energies.size, recipe.gaussian)
        found = _run(kernels.broaden, offsets, energies, found, -ends, ends, widths, True)
    return np.split(found, offsets[1:-1])


def _run(
    kernel: Callable[..., None], offsets: npt.NDArray[np.int64], energies: Array, intensities: Array, begins: Array,
    ends: Array, *how: Any,
) -> Array:  # fmt: skip
    out = np.empty_like(intensities)

    def some(start: int, stop: int) -> None:
        own = offsets[start : stop + 1]
        kernel(own, energies, intensities, begins[start:stop], ends[start:stop], *how, out)

    threads.share_out(len(offsets) - 1, SPECTRA_A_THREAD, some)
    return out


def _cut(placed: PlacedSpectrum, recipe: BroadeningConfig) -> float:
    cut = placed.e_cut if recipe.e_cut is None else recipe.e_cut
    if cut >= placed.relative[-1]:
        raise SpectrumError(
            f"{placed.spectrum.source}: expected e_cut below the last energy, {placed.relative[-1]:g} eV from e0, "
            f"received {cut:g} eV: no state would be empty"
        )
    if not np.isfinite(cut):
        raise SpectrumError(
            f"{placed.spectrum.source}: the energy where empty states begin is not recorded; give `e_cut`, in eV "
            "from e0 (E_cut of FDMNES)"
        )
    return cut


def _core_hole(element: int, edge: str, recipe: BroadeningConfig) -> float:
    return _known_width(int(element), edge) if recipe.core_hole is None else recipe.core_hole


def _widths(above: Array, core_hole: float, recipe: BroadeningConfig) -> Array:
    """Return the full widths at energies ``above`` e_cut."""
    widths = np.full(above.size, core_hole)
    there = above > 0
    e = above[there]
    if recipe.name == "arctangent":
        x = e / recipe.centre
        steepness = np.pi / 3.0 * recipe.gamma_max / recipe.width
        widths[there] += recipe.gamma_max * (0.5 + np.arctan(steepness * (x - 1.0 / x**2)) / np.pi)
    elif recipe.name == "seah-dench":
        widths[there] += recipe.seah * e * recipe.gamma_max / (recipe.gamma_max + recipe.seah * e)
    return widths
