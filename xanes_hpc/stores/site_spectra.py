"""Choose one spectrum per site from a store, and resample the spectra on a grid."""

from collections import Counter

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import SpectrumError
from xanes_hpc.spectra.grid import Grid
from xanes_hpc.spectra.normalisation import unit_after
from xanes_hpc.spectra.recipe import Recipe
from xanes_hpc.spectra.spectrum import treatment_name
from xanes_hpc.spectra.treatment import treat
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.sites import SiteTable
from xanes_hpc.stores.spectra import SpectrumTable, read_spectra, spectrum_names
from xanes_hpc.stores.structures import StructureStore

NONE = -1
"""Row of the spectrum of a site that has none."""


def choose_spectra(
    source: StructureStore | FeatureStore, n_sites: int, kind: str, treatment: str | None
) -> tuple[npt.NDArray[np.int64], SpectrumTable]:
    """Return the row of each site's spectrum of a kind and treatment, (n_sites,), and the table of spectra.

    Rows are -1 for sites without such a spectrum. A ``treatment`` of None accepts any, if the store has only one.

    Raises
    ------
    SpectrumError
        If no spectrum matches, or several of a site do; lists the kinds and treatments in the store.
    """
    table = SpectrumTable.read(source.file)
    available = Counter(zip(table.kind, table.treatment, strict=True))
    listed = ", ".join(f"{n:,} {k} with treatment {treatment_name(t)!r}" for (k, t), n in available.most_common(6))
    wanted = {pair for pair in available if pair[0] == kind and treatment in (None, pair[1], treatment_name(pair[1]))}
    if not wanted:
        asked = kind + (f" with treatment {treatment!r}" if treatment else "")
        raise SpectrumError(f"{source.path}: no spectra of kind {asked}; the store has {listed or 'none'}")
    if len(wanted) > 1:
        raise SpectrumError(f"{source.path}: several treatments of {kind}; choose one with `treatment`: {listed}")
    chosen = next(iter(wanted))
    rows = [i for i, pair in enumerate(zip(table.kind, table.treatment, strict=True)) if pair == chosen]
    spectrum_of_site = np.full(n_sites, NONE, np.int64)
    sites = table.site[rows]
    if len(np.unique(sites)) < len(sites):
        twice = int(Counter(sites.tolist()).most_common(1)[0][0])
        raise SpectrumError(
            f"{source.path}: site {twice} has several {kind} spectra with treatment {treatment_name(chosen[1])!r}"
        )
    spectrum_of_site[sites] = rows
    return spectrum_of_site, table


AS_STORED = Recipe()


def units_of(table: SpectrumTable, rows: npt.NDArray[np.int64], recipe: Recipe = AS_STORED) -> Counter[str]:
    """Count the units that spectra at ``rows`` have after a recipe; rows of -1 do not count."""
    there = Counter(table.unit[row] for row in rows.tolist() if row != NONE)
    found: Counter[str] = Counter()
    for unit, n in there.items():
        found[unit_after(recipe.normalisation, unit)] += n
    return found


def gridded(
    source: StructureStore | FeatureStore,
    rows: npt.NDArray[np.int64],
    grid: Grid,
    sites: SiteTable | None = None,
    recipe: Recipe = AS_STORED,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Return spectra at ``rows`` on a grid, (n_rows, n_energies), and their e0, (n_rows,); NaN where a row is -1.

    Parameters
    ----------
    sites
        The sites of the rows; a recipe needs their elements and edges.
    recipe
        Broadening and normalisation to apply before resampling.

    Raises
    ------
    SpectrumError
        If intensities are not finite, or the recipe cannot be applied.
    """
    values = np.full((rows.size, grid.energies.size), np.nan, np.float32)
    e0 = np.full(rows.size, np.nan)
    present = np.flatnonzero(rows != NONE)
    with hdf5.reading(source.path):
        every = list(read_spectra(source.file, rows[present].tolist()))
    for row, placed in zip(rows[present], every, strict=True):
        if not np.isfinite(placed.spectrum.intensities).all():
            raise SpectrumError(f"{source.path}: spectrum {row} has NaN or infinite intensities; import it again")
    if sites is not None and not recipe.does_nothing:
        own = sites.take(present)
        try:
            every = treat(every, own.element.tolist(), own.edge, recipe)
        except SpectrumError as error:
            raise SpectrumError(f"{source.path}: {error}") from None
    for i, placed in zip(present, every, strict=True):
        values[i], e0[i] = grid.resample(placed), placed.e0
    return values, e0


def digest_of_spectra(source: StructureStore | FeatureStore) -> str:
    """Return the digest of spectra that a structure store records, or compute that of a feature store."""
    return source.attribute("digest_spectra") or hdf5.digest(source.file, spectrum_names(source.file))
