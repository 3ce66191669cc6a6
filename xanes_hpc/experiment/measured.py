"""Read a measured spectrum, and the calculated or predicted one to compare it with."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.errors import SpectrumError, StoreError
from xanes_hpc.formats import read_spectrum
from xanes_hpc.formats.read_options import AS_FOUND, ReadOptions
from xanes_hpc.spectra import edges
from xanes_hpc.spectra.spectrum import PlacedSpectrum, Spectrum
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.site_spectra import NONE, choose_spectra
from xanes_hpc.stores.sites import MOST_NAMED, SiteTable
from xanes_hpc.stores.spectra import read_spectra
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.absorbers import element_number


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
    """

    name: str
    placed: PlacedSpectrum
    element: int
    edge: str
    std: npt.NDArray[np.float64] | None = None


def read_experiment(path: Path, options: ReadOptions = AS_FOUND) -> Spectrum:
    """Read a measured spectrum in any format that ``import`` reads, with its energies in ascending order.

    Raises
    ------
    FormatError
        If the file cannot be read.
    SpectrumError
        If the spectrum is invalid; the message names the file.
    """
    spectrum = read_spectrum(path, options)
    try:
        edges.check(spectrum)
    except SpectrumError as error:
        raise SpectrumError(f"{path}: {str(error).removeprefix(f'{spectrum.source}: ')}") from None
    return spectrum


def held_to(experiment: Spectrum, element: int, edge: str, e0: float) -> Spectrum:
    """Return a measured spectrum in eV, after a check that it is of an element and edge, and reaches beyond the edge.

    Parameters
    ----------
    experiment
        The spectrum as read.
    element, edge, e0
        Atomic number, edge and edge energy (eV) of the sites to compare it with.

    Raises
    ------
    SpectrumError
        If its file names another element or edge, or it ends before the edge.
    """
    edges.check_absorber(experiment, element, edge)
    experiment = edges.in_ev(experiment, e0)
    last = float(from_edge(experiment, e0)[-1])
    if last <= 0:
        raise SpectrumError(
            f"{experiment.source}: ends {-last:.0f} eV below the {chemical_symbols[element]} {edge} edge at {e0:g} eV; "
            "expected a spectrum of this edge"
        )
    return experiment


def from_edge(experiment: Spectrum, e0: float) -> npt.NDArray[np.float64]:
    """Return a measured spectrum's energies relative to an edge at ``e0``, in eV.

    Energies that are relative already are returned as they are; energies in keV are converted.
    """
    experiment = edges.in_ev(experiment, e0)
    return experiment.energies - e0 if edges.is_absolute(experiment, e0) else experiment.energies


def read_calculated(
    path: Path, site: str | None = None, absorber: str | None = None, edge: str = "K", kind: str = "xanes",
    treatment: str | None = None,
) -> Calculated:  # fmt: skip
    """Read one spectrum from a prediction store, a structure store, or a spectrum file.

    Parameters
    ----------
    path
        The store or file.
    site
        Name of the site; required if a store has several.
    absorber, edge
        Element symbol and edge of a spectrum file; stores record their own.
    kind, treatment
        Which spectrum of the site to take from a structure store.

    Raises
    ------
    XanesHpcError
        If the spectrum cannot be read, or the choice is ambiguous.
    """
    if hdf5.is_kind(path, "predictions"):
        with PredictionStore(path) as store:
            return calculated_of(store, site)
    if hdf5.is_kind(path, "structures"):
        with StructureStore(path) as source:
            return calculated_of(source, site, kind, treatment)
    spectrum = read_spectrum(path)
    if absorber is None:
        raise SpectrumError(f"{path}: does not name its element; set `absorber`, such as Fe")
    number = element_number(absorber)
    if not number:
        raise SpectrumError(f"`absorber` {absorber!r}: expected an element symbol, such as Fe")
    return Calculated(path.name, edges.place(spectrum, number, edge), number, edge)


def calculated_of(
    store: PredictionStore | StructureStore, site: str | None = None, kind: str = "xanes", treatment: str | None = None
) -> Calculated:
    """Return one site's spectrum from a prediction store or a structure store; arguments as of ``read_calculated``.

    Raises
    ------
    XanesHpcError
        If the site has no such spectrum, or the choice is ambiguous.
    """
    row = _row(store.path, store.sites, site)
    if isinstance(store, PredictionStore):
        return _predicted(store, row)
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


def _row(path: Path, sites: SiteTable, name: str | None) -> int:
    """Return the row of the named site, or of the only one."""
    if name is not None:
        return sites.find(name, path)
    if len(sites) == 1:
        return 0
    listed = ", ".join(sites.name[:MOST_NAMED]) + (", …" if len(sites) > MOST_NAMED else "")
    raise StoreError(f"{path}: holds {len(sites):,} sites ({listed}); choose one with `site`")
