"""The files of measured spectra that belong together, and how all of them are read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from xanes_hpc.experiment.energy import EnergyOptions, correction
from xanes_hpc.experiment.measured import read_experiment
from xanes_hpc.experiment.measured_files import measured_files, named_twice
from xanes_hpc.experiment.normalised import NormalisedSpectrum, NormaliseOptions, normalised
from xanes_hpc.experiment.series import Series, read_series
from xanes_hpc.experiment.standard_files import of_kind
from xanes_hpc.formats.read_options import AS_FOUND, ReadOptions
from xanes_hpc.spectra.spectrum import Spectrum


@dataclass(frozen=True)
class MeasuredSet:
    """The files of measured spectra, of a series or of different samples, and how to read them.

    Attributes
    ----------
    paths
        Files, folders, patterns and projects, as for ``measured_files``.
    table
        Table of the order of a series, as for ``ordered_files``.
    reading, energy, normalisation
        How to read, correct and normalise them.
    """

    paths: Sequence[Path]
    table: Path | None = None
    reading: ReadOptions = AS_FOUND
    energy: EnergyOptions = field(default_factory=EnergyOptions)
    normalisation: NormaliseOptions = field(default_factory=NormaliseOptions)

    def reader(
        self, element: int | None, edge: str | None, e0: float | None = None
    ) -> Callable[[Path], NormalisedSpectrum]:
        """Return what reads and normalises one of the files, by default of the element and edge that it names.

        Raises
        ------
        XanesHpcError
            If a foil that calibrates them cannot be read.
        """
        correct = correction(self.energy, element, edge)

        def read(path: Path) -> NormalisedSpectrum:
            found = read_experiment(path, self.reading)
            own = element or found.element, edge or found.edge
            return normalised(correct(of_kind(found, *own, e0)), self.normalisation, *own)

        return read

    def read_series(self, element: int | None, edge: str | None, e0: float | None) -> Series:
        """Read the series, of an element and edge at ``e0`` (eV), by default those that its first file names.

        Raises
        ------
        XanesHpcError
            If it cannot be read.
        """
        correct = correction(self.energy, element, edge)

        def read(path: Path) -> Spectrum:
            nonlocal element, edge
            found = read_experiment(path, self.reading)
            if element is None:
                element, edge = found.element, edge or found.edge
            return correct(of_kind(found, element, edge, e0))

        found = read_series(measured_files(self.paths), self.table, read, self.normalisation, element, edge)
        return replace(found, left_out=found.left_out + named_twice(self.paths))
