"""Read a measured spectrum, and hold it to the element and edge that it is compared with."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.errors import SpectrumError
from xanes_hpc.formats import read_spectrum
from xanes_hpc.formats.read_options import AS_FOUND, ReadOptions
from xanes_hpc.spectra import edges
from xanes_hpc.spectra.rise_at_edge import held_to_e0, rises_here
from xanes_hpc.spectra.spectrum import Spectrum


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
    """Return a measured spectrum in eV, after a check that it is of an element and edge, and rises near it.

    A rise at some distance from the edge is noted.

    Parameters
    ----------
    experiment
        The spectrum as read.
    element, edge, e0
        Atomic number, edge and edge energy (eV) of the sites to compare it with.

    Raises
    ------
    SpectrumError
        If its file names another element or edge, it ends before the edge, or rises far from it.
    """
    edges.check_absorber(experiment, element, edge)
    experiment = edges.in_ev(experiment, e0)
    edges.check_span(experiment)
    relative, named = from_edge(experiment, e0), f"the {chemical_symbols[element]} {edge} edge at {e0:g} eV"
    if relative[-1] <= 0:
        raise SpectrumError(
            f"{experiment.source}: ends {-relative[-1]:.0f} eV below {named}; expected a spectrum of this edge"
        )
    if rises_here(relative, experiment.intensities):
        return experiment
    return held_to_e0(experiment, relative, e0, named, advice="check its energies, or `absorber` and `edge`")


def from_edge(experiment: Spectrum, e0: float) -> npt.NDArray[np.float64]:
    """Return a measured spectrum's energies relative to an edge at ``e0``, in eV.

    Energies that are relative already are returned as they are; energies in keV are converted.
    """
    experiment = edges.in_ev(experiment, e0)
    return experiment.energies - e0 if edges.is_absolute(experiment, e0) else experiment.energies
