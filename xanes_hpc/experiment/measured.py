"""A measured spectrum, and a calculated or predicted one to hold it against."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.errors import SpectrumError, StoreError
from xanes_hpc.formats import read_spectrum
from xanes_hpc.spectra import edges
from xanes_hpc.spectra.normalisation import normalise
from xanes_hpc.spectra.recipe import NormalisationConfig
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
        Of its site or file.
    placed
        On the scale of its e0; the intensities of a prediction are its mean.
    element, edge
        Atomic number and edge of the site.
    std
        Standard deviation of a prediction, (n_points,); None where there is none.
    """

    name: str
    placed: PlacedSpectrum
    element: int
    edge: str
    std: npt.NDArray[np.float64] | None = None


def read_experiment(path: Path) -> Spectrum:
    """A measured spectrum of any format that ``import`` reads, its energies ascending or descending throughout.

    Raises
    ------
    FormatError
        If it cannot be read.
    SpectrumError
        If it is not sound: names the file.
    """
    spectrum = read_spectrum(path)
    if spectrum.energies.size > 1 and (np.diff(spectrum.energies) < 0).all():  # a scan downwards
        spectrum = replace(
            spectrum, energies=spectrum.energies[::-1].copy(), intensities=spectrum.intensities[::-1].copy()
        )
    try:
        edges.check(spectrum)
    except SpectrumError as error:
        raise SpectrumError(f"{path.parent}/{error}" if str(path.parent) != "." else str(error)) from None
    return spectrum


def normalised(experiment: Spectrum, e0: float, recipe: NormalisationConfig) -> Spectrum:
    """A measured spectrum normalised by a pre-edge line and a post-edge polynomial, its edge at ``e0`` (eV).

    Raises
    ------
    SpectrumError
        If it does not reach a window, or its edge step is not positive.
    """
    relative = replace(experiment, energies=from_edge(experiment, e0), absolute=False)
    return normalise(PlacedSpectrum(relative, e0, "given", "e0"), recipe).spectrum


def from_edge(experiment: Spectrum, e0: float) -> npt.NDArray[np.float64]:
    """A measured spectrum's energies from an edge at ``e0``, in eV; those that count from an edge stay.

    Raises
    ------
    SpectrumError
        If they look like keV.
    """
    if looks_like_kev(experiment, e0):
        first, last = experiment.energies[0], experiment.energies[-1]
        raise SpectrumError(
            f"{experiment.source}: energies from {first:g} to {last:g} look like keV of an edge at {e0:g} eV: "
            "expected eV"
        )
    return experiment.energies - e0 if edges.is_absolute(experiment, e0) else experiment.energies


def looks_like_kev(experiment: Spectrum, e0: float) -> bool:
    """Whether energies lie about an edge at ``e0`` (eV) if they are keV, and are not said to be eV."""
    first, last = experiment.energies[0], experiment.energies[-1]
    return bool(experiment.absolute is None and 0 < 0.9 * first <= e0 / 1000.0 <= 1.1 * last < 0.1 * e0)


def read_calculated(
    path: Path, site: str | None = None, element: str | None = None, edge: str = "K", kind: str = "xanes",
    treatment: str | None = None,
) -> Calculated:  # fmt: skip
    """A spectrum of a prediction store, a structure store, or a file.

    Parameters
    ----------
    path
        Where it is.
    site
        Name of the site, where a store has several.
    element, edge
        Of a file's absorber; of a store they are known.
    kind, treatment
        Which of the spectra of a structure store's site.

    Raises
    ------
    XanesHpcError
        If it cannot be read, or it is not clear which is meant.
    """
    if hdf5.is_kind(path, "predictions"):
        with PredictionStore(path) as store:
            row = _row(store.path, store.sites, site)
            return _predicted(store, row)
    if hdf5.is_kind(path, "structures"):
        with StructureStore(path) as source:
            row = _row(source.path, source.sites(), site)
            rows, _ = choose_spectra(source, source.n_sites, kind, treatment)
            own = source.sites(row, row + 1)
            if rows[row] == NONE:
                raise SpectrumError(f"{path}: site {own.name[0]} has no spectrum of kind {kind}")
            with hdf5.reading(path):
                placed = next(iter(read_spectra(source.file, [int(rows[row])])))
            return Calculated(own.name[0], placed, int(own.element[0]), own.edge[0])
    spectrum = read_spectrum(path)
    if element is None:
        raise SpectrumError(f"{path}: of which element? give --absorber, such as Fe")
    number = element_number(element)
    if not number:
        raise SpectrumError(f"--absorber {element!r}: expected an element's symbol, such as Fe")
    return Calculated(path.name, edges.place(spectrum, number, edge), number, edge)


def _predicted(store: PredictionStore, row: int) -> Calculated:
    own = store.sites.take(np.array([row]))
    e0 = float(store.read("sites/e0", row))
    if not np.isfinite(e0):
        symbol = chemical_symbols[int(own.element[0])]
        raise SpectrumError(f"{store.path}: the edge energy of {own.name[0]} ({symbol} {own.edge[0]}) is not known")
    kind, treatment, unit = (store.attribute(name) for name in ("kind", "treatment", "unit"))
    absolute = store.origin != "e0"
    spectrum = Spectrum(
        store.energies, store.read("mean", row), kind, treatment, unit, e0, absolute=absolute, source=own.name[0]
    )
    placed = PlacedSpectrum(spectrum, e0, "store", "absolute" if absolute else "e0")
    return Calculated(own.name[0], placed, int(own.element[0]), own.edge[0], store.read("std", row))


def _row(path: Path, sites: SiteTable, name: str | None) -> int:
    """The row of a site: that of a name, or the only one."""
    if name is not None:
        return sites.find(name, path)
    if len(sites) == 1:
        return 0
    listed = ", ".join(sites.name[:MOST_NAMED]) + (", …" if len(sites) > MOST_NAMED else "")
    raise StoreError(f"{path}: {len(sites):,} sites: choose one with --site; there are {listed}")
