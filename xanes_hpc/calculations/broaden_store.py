"""Broaden and normalise the spectra of a structure store into a second store."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from xanes_hpc.errors import SpectrumError, note_reason
from xanes_hpc.formats.site_lists import SiteChoice, SiteList
from xanes_hpc.spectra.recipe import Recipe
from xanes_hpc.spectra.spectrum import PlacedSpectrum
from xanes_hpc.spectra.treatment import treat, treatment_after
from xanes_hpc.stores.other_spectra import copy_spectra, with_other_spectra
from xanes_hpc.stores.site_spectra import NONE, choose_spectra
from xanes_hpc.stores.sites import SiteTable
from xanes_hpc.stores.spectra import ROWS_AT_ONCE, append_spectrum, read_spectra
from xanes_hpc.stores.structures import StructureStore

Progress = Callable[[int, int], None]


@dataclass
class Treated:
    """Summary of treating spectra: their number, the treatment before and after, and those skipped with the reason."""

    spectra: int = 0
    kept: int = 0
    before: str = ""
    treatment: str = ""
    skipped_count: int = 0
    skipped: list[str] = field(default_factory=list)
    store: StructureStore | None = None
    """The store that was written, if it lives in memory."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {name: value for name, value in vars(self).items() if name != "store"}


def treat_store(
    source: StructureStore,
    output: Path | None,
    recipe: Recipe,
    kind: str = "xanes",
    treatment: str | None = None,
    keep: bool = False,
    strict: bool = False,
    overwrite: bool = False,
    progress: Progress = lambda done, total: None,
    sites: SiteChoice | None = None,
) -> Treated:
    """Write a structure store with the same structures and treated spectra, at the same energies.

    Parameters
    ----------
    source
        Store with the spectra.
    output
        Store to write.
    recipe
        Broadening and normalisation to apply.
    kind, treatment
        Which of a site's spectra to treat, as for training.
    keep
        Whether to copy all spectra of the source as well.
    strict
        Whether to stop at the first spectrum that cannot be treated; by default it is skipped.
    sites
        Table or names of the sites whose spectra are treated, as for ``formats.site_lists.SiteList``; by default all.

    Raises
    ------
    SpectrumError
        If the recipe does nothing, the choice of spectra is ambiguous, they are treated already, or none can be treated
        (with ``strict``: any cannot).
    StoreError
        If the output already exists or cannot be written.
    """
    if recipe.does_nothing:
        raise SpectrumError("nothing to do: set `broadening` or `normalisation`")
    rows, table = choose_spectra(source, source.n_sites, kind, treatment)
    there = np.flatnonzero(rows != NONE)
    if sites is not None:
        there = np.intersect1d(there, source.sites.rows_of(SiteList(sites), source.path))
        if not there.size:
            raise SpectrumError(f"{source.path}: none of the sites in {SiteList(sites)} has such a spectrum")
    result = Treated(before=table.treatment[rows[there[0]]])
    try:
        result.treatment = treatment_after(recipe, result.before)
    except SpectrumError as error:
        raise SpectrumError(f"{source.path}: {error}") from None
    with with_other_spectra(source, output, overwrite, [source.path]) as (file, columns):
        for start in range(0, there.size, ROWS_AT_ONCE):
            progress(start, there.size)
            some = there[start : start + ROWS_AT_ONCE]
            placed = list(read_spectra(source.file, rows[some].tolist()))
            for site, done in zip(some, _treated(placed, source.sites.take(some), recipe), strict=True):
                if isinstance(done, SpectrumError):
                    if strict:
                        raise SpectrumError(f"{source.path}: {done}")
                    result.skipped_count += 1
                    note_reason(result.skipped, done)
                else:
                    append_spectrum(columns, int(site), done)
                    result.spectra += 1
        if not result.spectra:
            raise SpectrumError(f"{source.path}: none of {there.size:,} spectra can be treated; {result.skipped[0]}")
        if keep:
            every = list(range(source.n_spectra))
            copy_spectra(source, every, columns)
            result.kept = len(every)
    progress(there.size, there.size)
    result.store = StructureStore(file=file) if output is None else None
    return result


def _treated(placed: list[PlacedSpectrum], sites: SiteTable, recipe: Recipe) -> list[PlacedSpectrum | SpectrumError]:
    """Return each spectrum treated, or the error that prevents it.

    All are treated at once if possible, and one by one otherwise.
    """
    try:
        return list(treat(placed, sites.element.tolist(), sites.edge, recipe))
    except SpectrumError:
        pass
    found: list[PlacedSpectrum | SpectrumError] = []
    for own, element, edge in zip(placed, sites.element.tolist(), sites.edge, strict=True):
        try:
            found += treat([own], [element], [edge], recipe)
        except SpectrumError as error:
            found.append(error)
    return found
