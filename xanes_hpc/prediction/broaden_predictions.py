"""Broaden and normalise predicted spectra further, with sigma computed from the treated draws."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import SpectrumError, StoreError
from xanes_hpc.spectra.normalisation import unit_after
from xanes_hpc.spectra.recipe import Recipe
from xanes_hpc.spectra.spectrum import PlacedSpectrum, Spectrum
from xanes_hpc.spectra.treatment import check_kind, treat_rows, treatment_after
from xanes_hpc.stores.predictions import PredictionStore, copy_site_columns, create_derived

STORED = "stored"


@dataclass(frozen=True)
class TreatedPredictions:
    """The treatment before and after, and the new store if it is in memory."""

    before: str
    after: str
    store: PredictionStore | None = None


def treat_predictions(
    store: PredictionStore,
    output: Path | None,
    recipe: Recipe,
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> TreatedPredictions:
    """Write a prediction store whose means, draws and references are treated; sigma is that of the treated draws.

    Raises
    ------
    SpectrumError
        If the recipe does nothing or moves edges, the spectra already have its treatment, or one cannot be treated.
    StoreError
        If the store has no draws, or the output exists or cannot be written.
    """
    if recipe.does_nothing:
        raise SpectrumError("nothing to do: choose a broadening or a normalisation")
    if recipe.normalisation.e0 != STORED:
        raise SpectrumError("`edge_at`: predictions share one grid, so their edges cannot be moved")
    if not store.has_draws:
        raise StoreError(
            f"{store.path}: has no draws to compute sigma from; predict again and keep the draws (`keep_draws`)"
        )
    before, kind = store.attribute("treatment"), store.attribute("kind")
    try:
        check_kind(kind, recipe)
        after = treatment_after(recipe, before)
    except SpectrumError as error:
        raise SpectrumError(f"{store.path}: {error}") from None
    sites, e0 = store.sites, store.read("sites/e0")
    changed = {"treatment": after, "unit": unit_after(recipe.normalisation, store.attribute("unit"))}
    if before_units := store.attribute("reference_unit"):
        changed["reference_unit"] = unit_after(recipe.normalisation, before_units)
    with create_derived(output, store, sites, overwrite, changed) as file:
        for row in range(store.n_sites):
            progress(row, store.n_sites)
            reference = store.read("reference", row) if store.has_reference else np.empty(0)
            whole = reference.size and np.isfinite(reference).all()
            rows = [store.read("mean", row), *([reference] if whole else []), *store.calibrated_draws(row)]
            site = sites.name[row], int(sites.element[row]), sites.edge[row], float(e0[row])
            store.check_finite(np.array([row]), np.array(rows))
            done = _treated(store, np.array(rows), site, recipe)
            file["mean"][row] = done[0]
            drawn = done[1 + bool(whole) :]
            file["draws"][row], file["std"][row] = drawn, drawn.std(axis=0, ddof=1)
            if store.has_reference:
                file["reference"][row] = done[1] if whole else np.nan
        copy_site_columns(store, file)
    progress(store.n_sites, store.n_sites)
    return TreatedPredictions(before, after, PredictionStore(file=file) if output is None else None)


def _treated(
    store: PredictionStore, rows: npt.NDArray[np.float64], site: tuple[str, int, str, float], recipe: Recipe
) -> npt.NDArray[np.float64]:
    name, element, edge, e0 = site
    spectrum = Spectrum(store.energies, rows[0], store.attribute("kind"), store.attribute("treatment"), source=name)
    absolute = store.origin != "e0"
    placed = PlacedSpectrum(spectrum, e0, "store", "absolute" if absolute else "e0")
    return treat_rows(placed, rows, element, edge, recipe)
