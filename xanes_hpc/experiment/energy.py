"""Correct the energies of a measured spectrum before it is used: leave out glitches, and calibrate."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from xanes_hpc.errors import ConfigError, SpectrumError
from xanes_hpc.experiment.calibration import Calibration, Foil, by_reference, calibrated, calibration_of
from xanes_hpc.experiment.measured import read_experiment
from xanes_hpc.formats.read_options import ReadOptions
from xanes_hpc.spectra import edges
from xanes_hpc.spectra.glitches import without_glitches
from xanes_hpc.spectra.spectrum import Spectrum

REFERENCE, NONE = "reference", "none"


@dataclass(frozen=True)
class EnergyOptions:
    """How to correct the energies of a measured spectrum.

    Attributes
    ----------
    calibrate
        ``reference`` for the spectrum's own reference channel, the file of a foil's scan, or ``none``.
    foil
        Element and edge of the reference or foil, such as ``Fe`` or ``Au L3``; by default those that the foil's file
        names, or else those of the sample.
    deglitch
        Whether glitches are left out.
    """

    calibrate: str = NONE
    foil: str | None = None
    deglitch: bool = False

    def check(self) -> None:
        """Check the values.

        Raises
        ------
        ConfigError
            If one is not possible.
        """
        if self.foil is not None:
            if self.calibrate == NONE:
                raise ConfigError("`foil`: nothing is calibrated; set `calibrate` too")
            Foil.parse(self.foil)


def correction(
    options: EnergyOptions, element: int | None = None, edge: str | None = None
) -> Callable[[Spectrum], Spectrum]:
    """Return a function that corrects the energies of measured spectra, ascending in eV, and tells so in their choices.

    It raises a ``SpectrumError`` if a spectrum cannot be calibrated or its reference channel has no edge near the
    tabulated energy, and a ``ConfigError`` if the element of the reference is not known.

    Parameters
    ----------
    options
        What to correct.
    element, edge
        Atomic number and edge of the sample; by default those that its file names.

    Raises
    ------
    ConfigError
        If an option is not possible, or the element of the foil is not known.
    FormatError
        If the foil's file cannot be read.
    SpectrumError
        If the foil has no edge near the tabulated energy.
    """
    options.check()
    of_foil = None if options.calibrate in (NONE, REFERENCE) else by_foil(options, element, edge)

    def corrected(spectrum: Spectrum) -> Spectrum:
        if options.deglitch:
            spectrum = without_glitches(spectrum)
        if options.calibrate == NONE:
            return spectrum
        if of_foil is not None:
            return calibrated(spectrum, of_foil)
        foil = foil_of(options, element or spectrum.element, edge or spectrum.edge, spectrum.source)
        return calibrated(spectrum, by_reference(spectrum, foil))

    return corrected


def by_foil(options: EnergyOptions, element: int | None, edge: str | None) -> Calibration:
    """Return the calibration by the scan of a foil; arguments and errors as of ``correction``."""
    path = Path(options.calibrate)
    scan = read_experiment(path, ReadOptions())
    foil = foil_of(options, scan.element or element, scan.edge or (None if scan.element else edge), str(path))
    scan = edges.in_ev(scan, edges.edge_energy(foil.element, foil.edge))
    if not edges.is_absolute(scan, edges.edge_energy(foil.element, foil.edge)):
        raise SpectrumError(f"{path}: energies are relative to the edge; expected the scan of a foil")
    return replace(calibration_of(scan.energies, scan.intensities, foil, str(path)), source=path.name)


def foil_of(options: EnergyOptions, element: int | None, edge: str | None, source: str) -> Foil:
    """Return the given foil, or else one of an element and edge.

    Raises
    ------
    ConfigError
        If neither is known.
    """
    if options.foil is not None:
        return Foil.parse(options.foil)
    if element is None:
        raise ConfigError(
            f"{source}: does not name its element; give it as `absorber`, such as Fe, or the reference's as `foil`"
        )
    if edge is not None and edge not in edges.EDGES:
        raise ConfigError(f"{source}: edge {edge} may be any of its shell; give that of the reference as `foil`")
    return Foil(element, edge or "K")
