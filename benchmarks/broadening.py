"""Broadening of many spectra, compared with the same sums in NumPy."""

from typing import Any

import numpy as np
from options import Options
from tables import number, paragraph, table
from timing import available_cores, interleaved

from xanes_hpc.runtime import threads
from xanes_hpc.spectra.broadening import STEPS_BEYOND, broaden
from xanes_hpc.spectra.recipe import BroadeningConfig
from xanes_hpc.spectra.spectrum import PlacedSpectrum, Spectrum

TITLE = "Broadening"
N_POINTS, WIDTH, CUT = 376, 1.25, -2.5
"""Points as FDMNES writes them for the published Fe set, -15 to 60 eV in steps of 0.2 eV; width and cut in eV."""
RECIPES = {
    "arctangent": BroadeningConfig("arctangent", core_hole=WIDTH),
    "Lorentzian": BroadeningConfig("lorentzian", core_hole=WIDTH),
    "Lorentzian and Gaussian": BroadeningConfig("lorentzian", core_hole=WIDTH, gaussian=0.8),
}
BY_NUMPY = "Lorentzian"


def measure(options: Options) -> dict[str, Any]:
    n = options.size(4096, 20)
    energies = np.linspace(-15.0, 60.0, N_POINTS)
    generator = np.random.default_rng(0)
    placed = [
        PlacedSpectrum(Spectrum(energies, generator.random(N_POINTS)), 7112.0, "given", "e0", e_cut=CUT)
        for _ in range(n)
    ]
    elements, edges = [26] * n, ["K"] * n
    few = placed[: options.size(64, 2)]

    def ours(recipe: BroadeningConfig, n_threads: int) -> None:
        with threads.limited_to(n_threads):
            broaden(placed, elements, edges, recipe)

    np.testing.assert_allclose(
        broaden(few, elements[: len(few)], edges[: len(few)], RECIPES[BY_NUMPY]), _by_numpy(few), rtol=1e-10
    )
    counts = sorted({1, available_cores()})
    runs = {f"{name}, {k}": lambda r=recipe, k=k: ours(r, k) for name, recipe in RECIPES.items() for k in counts}
    taken = interleaved({**runs, "numpy": lambda: _by_numpy(few)}, options.repeats)
    return {
        "n_spectra": n,
        "n_points": N_POINTS,
        "threads": counts,
        "microseconds": {
            name: [1e6 * taken[f"{name}, {k}"]["median"] / n for k in counts] for name in RECIPES
        } | {"numpy": 1e6 * taken["numpy"]["median"] / len(few)},
    }  # fmt: skip


def _by_numpy(placed: list[PlacedSpectrum]) -> list[np.ndarray]:
    """Broaden each spectrum with a table of its weights, as in the formula."""
    found = []
    for own in placed:
        energies, step = own.relative, own.relative[-1] - own.relative[-2]
        middles = 0.5 * (energies[1:] + energies[:-1])
        bounds = np.concatenate(
            [[1.5 * energies[0] - 0.5 * energies[1]], middles, [energies[-1] + STEPS_BEYOND * step]]
        )
        integrals = np.arctan(2.0 / WIDTH * (np.maximum(bounds, CUT) - energies[:, None])) / np.pi
        found.append(np.diff(integrals, axis=1) @ own.spectrum.intensities)
    return found


def section(result: dict[str, Any]) -> list[str]:
    plain = result["microseconds"]["numpy"]
    rows = [
        [name, *(number(v) for v in result["microseconds"][name]), f"{plain / result['microseconds'][name][0]:.1f} ×"]
        for name in RECIPES
    ]
    head = [
        "",
        *(f"µs a spectrum, {k} thread{'s' if k > 1 else ''}" for k in result["threads"]),
        "NumPy's time / ours, 1 thread",
    ]
    return [
        paragraph(
            f"""{result["n_spectra"]:,} spectra of {result["n_points"]} points, broadened at their own energies. For
            comparison, NumPy takes {number(plain)} µs a spectrum for the same Lorentzian, on one thread and with a
            table of weights for each spectrum."""
        ),
        "",
        *table(head, rows),
    ]
