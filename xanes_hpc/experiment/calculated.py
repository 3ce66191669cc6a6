"""Read the calculated or predicted spectrum of one site, and held-out sites to judge a comparison with it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.errors import SpectrumError, StoreError
from xanes_hpc.experiment.kinds import kind_of, kinds_among
from xanes_hpc.experiment.library import PredictionLibrary
from xanes_hpc.formats import read_spectrum
from xanes_hpc.spectra import edges
from xanes_hpc.spectra.spectrum import PlacedSpectrum, Spectrum
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.site_spectra import NONE, choose_spectra
from xanes_hpc.stores.sites import MOST_NAMED, SiteTable
from xanes_hpc.stores.spectra import read_spectra
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.absorbers import given_element

Array = npt.NDArray[np.float64]
MOST_HELD_OUT = 50
"""Largest number of held-out sites that are read."""


@dataclass(frozen=True)
class Calculated:
    """One calculated or predicted spectrum.

    Attributes
    ----------
    name
        Name of its site or file.
    placed
        The spectrum on an energy axis from e0; a prediction's mean.
    element, edge
        Atomic number of the absorber, and the edge.
    std
        Standard deviation of a prediction, (n_points,); None for a calculation.
    held_out
        Held-out sites of the same store, with which it can be judged whether this site explains a measured spectrum.
    """

    name: str
    placed: PlacedSpectrum
    element: int
    edge: str
    std: Array | None = None
    held_out: tuple["HeldOutSite", ...] = ()


@dataclass(frozen=True)
class HeldOutSite:
    """The prediction of a site that no network was trained on, and its reference at the prediction's energies."""

    calculated: Calculated
    reference: Array


def read_calculated(
    path: Path, site: str | None = None, absorber: str | None = None, edge: str | None = None, kind: str = "xanes",
    treatment: str | None = None, measured: Spectrum | None = None,
) -> Calculated:  # fmt: skip
    """Read one spectrum from a prediction store, a structure store, or a spectrum file.

    Parameters
    ----------
    path
        The store or file.
    site
        Name of the site; required if a store has several of the element and edge of ``measured``.
    absorber, edge
        Element symbol and edge of a spectrum file. Default: those that the file names, and the edge K if it names none.
        Stores record their own.
    kind, treatment
        Which spectrum of the site to take from a structure store.
    measured
        The measured spectrum; without it, all sites of a store count.

    Raises
    ------
    XanesHpcError
        If the spectrum cannot be read, or the choice is ambiguous.
    """
    if hdf5.is_kind(path, "predictions"):
        with PredictionStore(path) as store:
            return calculated_of(store, site, measured=measured)
    if hdf5.is_kind(path, "structures"):
        with StructureStore(path) as source:
            return calculated_of(source, site, kind, treatment, measured)
    spectrum = read_spectrum(path)
    number = given_element(absorber) or spectrum.element
    if number is None:
        raise SpectrumError(f"{path}: does not name its element; set `absorber`, such as Fe")
    if edge is None and spectrum.edge is not None and spectrum.edge not in edges.EDGES:
        raise SpectrumError(f"{path}: names the edge {spectrum.edge}; set `edge`, one of {', '.join(edges.EDGES)}")
    edge = edge or spectrum.edge or "K"
    return Calculated(path.name, edges.place(spectrum, number, edge), number, edge)


def calculated_of(
    store: PredictionStore | StructureStore, site: str | None = None, kind: str = "xanes", treatment: str | None = None,
    measured: Spectrum | None = None,
) -> Calculated:  # fmt: skip
    """Return one site's spectrum from a prediction store or a structure store; arguments as of ``read_calculated``.

    Raises
    ------
    XanesHpcError
        If the site has no such spectrum, or the choice is ambiguous.
    """
    row = _row(store.path, store.sites, site, measured)
    if isinstance(store, PredictionStore):
        predicted = _predicted(store, row)
        return replace(predicted, held_out=tuple(held_out_sites(store, predicted.element, predicted.edge)))
    rows, _ = choose_spectra(store, store.n_sites, kind, treatment)
    own = store.site(row)
    if rows[row] == NONE:
        raise SpectrumError(f"{store.path}: site {own.name[0]} has no spectrum of kind {kind}")
    with hdf5.reading(store.path):
        placed = next(iter(read_spectra(store.file, [int(rows[row])])))
    return Calculated(own.name[0], placed, int(own.element[0]), own.edge[0])


def _predicted(store: PredictionStore, row: int) -> Calculated:
    own = store.sites.take(np.array([row]))
    e0 = float(store.read("sites/e0", row))
    if not np.isfinite(e0):
        symbol = chemical_symbols[int(own.element[0])]
        raise SpectrumError(f"{store.path}: site {own.name[0]} ({symbol} {own.edge[0]}): edge energy unknown")
    kind, treatment, unit = (store.attribute(name) for name in ("kind", "treatment", "unit"))
    absolute = store.origin != "e0"
    spectrum = Spectrum(
        store.energies, store.read("mean", row), kind, treatment, unit, e0, absolute=absolute, source=own.name[0]
    )
    placed = PlacedSpectrum(spectrum, e0, "store", "absolute" if absolute else "e0")
    return Calculated(own.name[0], placed, int(own.element[0]), own.edge[0], store.read("std", row))


def held_out_sites(store: PredictionStore, element: int, edge: str) -> Iterator[HeldOutSite]:
    """Yield held-out sites of an element and edge, at most ``MOST_HELD_OUT``."""
    sites, e0 = store.sites, store.read("sites/e0")
    alike = (sites.element == element) & (np.array(sites.edge) == edge) & np.isfinite(e0)
    for own, reference in zip(*PredictionLibrary(store).references(np.flatnonzero(alike), MOST_HELD_OUT), strict=True):
        yield HeldOutSite(_predicted(store, int(own)), reference)


def _row(path: Path, sites: SiteTable, name: str | None, measured: Spectrum | None) -> int:
    """Return the row of the named site, or of the only one of a measured spectrum's element and edge."""
    if name is not None:
        return sites.find(name, path)
    rows, of = np.arange(len(sites)), ""
    kinds = kinds_among(sites, rows)
    if measured is not None and len(kinds) > 1:
        own = kind_of(measured, kinds)
        rows, of = own.rows, f", {own.rows.size:,} of {own.in_words}"
    if rows.size == 1:
        return int(rows[0])
    listed = ", ".join(sites.name[row] for row in rows[:MOST_NAMED]) + (", …" if rows.size > MOST_NAMED else "")
    raise StoreError(f"{path}: holds {len(sites):,} sites{of} ({listed}); choose one with `site`")
