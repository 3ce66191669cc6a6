"""Apply recipes: broaden and normalise calculated spectra before training, comparison or export."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import SpectrumError
from xanes_hpc.spectra.broadening import broaden, broadened_treatment
from xanes_hpc.spectra.normalisation import normalise
from xanes_hpc.spectra.recipe import NormalisationConfig, Recipe
from xanes_hpc.spectra.spectrum import NO_TREATMENT, PlacedSpectrum, treatment, treatment_name

EMISSION_TAKES = ("none", "gaussian")


def treatment_after(recipe: Recipe, before: str) -> str:
    """Return the treatment of spectra after a recipe, given their treatment ``before``.

    Raises
    ------
    SpectrumError
        If they were treated already and the broadening is more than an instrument's resolution, or if the recipe
        normalises and they were normalised already.
    """
    after = broadened_treatment(recipe.broadening, before)
    if recipe.normalisation == NormalisationConfig():
        return after
    if _is_normalised(before):
        raise SpectrumError(
            f"normalisation {recipe.normalisation.name}: expected spectra that are not normalised, received treatment "
            f"{treatment_name(before)!r}"
        )
    values = {name: value for name, value in asdict(recipe.normalisation).items() if value is not None}
    own = recipe.normalisation.name if recipe.normalisation.name != "none" else recipe.normalisation.e0
    name = own if after == NO_TREATMENT else f"{treatment_name(after)}+{own}"
    return treatment(name, normalisation=values, before=after)


def _is_normalised(text: str) -> bool:
    """Return True if a treatment, or one before it, normalised intensities."""
    try:
        while text != NO_TREATMENT:
            done = json.loads(text)
            if done.get("normalisation", {}).get("name", "none") != "none":
                return True
            text = done["before"]
    except (ValueError, AttributeError, KeyError, TypeError):  # written by another program
        pass
    return False


def check_kind(kind: str, recipe: Recipe) -> None:
    """Raise an error if a recipe for absorption is to be used for emission.

    Raises
    ------
    SpectrumError
        If so; the message names the broadening.
    """
    if kind == "xes" and recipe.broadening.name not in EMISSION_TAKES:
        raise SpectrumError(
            f"broadening {recipe.broadening.name} applies to absorption only; expected gaussian for emission spectra"
        )


def treat_rows(
    placed: PlacedSpectrum, rows: Iterable[npt.NDArray[np.float64]], element: int, edge: str, recipe: Recipe
) -> npt.NDArray[np.float64]:
    """Apply a recipe to several intensities of one site, such as its draws; return them, (n_rows, n_energies).

    Raises
    ------
    SpectrumError
        As ``treat``.
    """
    every = [replace(placed, spectrum=replace(placed.spectrum, intensities=row)) for row in rows]
    done = treat(every, [element] * len(every), [edge] * len(every), recipe)
    return np.array([p.spectrum.intensities for p in done])


def treat(
    placed: Sequence[PlacedSpectrum], elements: Sequence[int], edges: Sequence[str], recipe: Recipe
) -> list[PlacedSpectrum]:
    """Apply a recipe to spectra, and return them at their own energies.

    Parameters
    ----------
    placed
        Spectra on the scale of their e0.
    elements, edges
        Atomic number and edge of each spectrum's site.
    recipe
        The recipe.

    Raises
    ------
    SpectrumError
        As ``check_kind``, ``treatment_after``, ``broadening.broaden`` and ``normalisation.normalise``.
    """
    for kind in {p.spectrum.kind for p in placed}:
        check_kind(kind, recipe)
    texts = {before: treatment_after(recipe, before) for before in {p.spectrum.treatment for p in placed}}
    done = list(placed)
    if recipe.broadening.name != "none":
        found = broaden(placed, elements, edges, recipe.broadening)
        done = [
            replace(p, spectrum=replace(p.spectrum, intensities=y, sigma=None))
            for p, y in zip(placed, found, strict=True)
        ]
    done = [normalise(p, recipe.normalisation) for p in done]
    return [replace(p, spectrum=replace(p.spectrum, treatment=texts[p.spectrum.treatment])) for p in done]
