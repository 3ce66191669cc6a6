"""Analyse a measured series from its files: against the sites of a library, or against measured standards."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from xanes_hpc.experiment.compare import Library, Rows
from xanes_hpc.experiment.energy import REFERENCE, EnergyOptions, correction
from xanes_hpc.experiment.joint_fit import JointFit, Progress, SeriesOptions, joint_fit
from xanes_hpc.experiment.measured import held_to, read_experiment
from xanes_hpc.experiment.measured_files import LeftOut, measured_files, read_usable
from xanes_hpc.experiment.normalised import NormalisedSpectrum, NormaliseOptions
from xanes_hpc.experiment.series import Series, read_series
from xanes_hpc.experiment.standards import Standard, StandardsLibrary, normalised_standards
from xanes_hpc.formats.read_options import AS_FOUND, ReadOptions
from xanes_hpc.spectra import edges
from xanes_hpc.spectra.spectrum import Spectrum


@dataclass(frozen=True)
class SeriesFiles:
    """The files of a series and how to read them.

    Attributes
    ----------
    paths
        Files, folders, patterns and projects, as for ``measured_files``.
    table
        Table of their order, as for ``ordered_files``.
    reading, energy, normalisation
        How to read, correct and normalise them.
    """

    paths: Sequence[Path]
    table: Path | None = None
    reading: ReadOptions = AS_FOUND
    energy: EnergyOptions = field(default_factory=EnergyOptions)
    normalisation: NormaliseOptions = field(default_factory=NormaliseOptions)

    def read(self, element: int | None, edge: str | None, e0: float | None) -> Series:
        """Read the series, of an element and edge at ``e0`` (eV) if these are known.

        Raises
        ------
        XanesHpcError
            If it cannot be read.
        """
        correct = correction(self.energy, element, edge)

        def read(path: Path) -> Spectrum:
            return correct(of_kind(read_experiment(path, self.reading), element, edge, e0))

        return read_series(measured_files(self.paths), self.table, read, self.normalisation, element, edge)


def of_kind(spectrum: Spectrum, element: int | None, edge: str | None, e0: float | None = None) -> Spectrum:
    """Return a measured spectrum in eV after a check of its element and edge, as far as these are known.

    Raises
    ------
    SpectrumError
        If it is of another element or edge.
    """
    if element is None:
        return spectrum
    edge = edge or "K"
    return held_to(spectrum, element, edge, edges.edge_energy(element, edge) if e0 is None else e0)


def with_library(
    files: SeriesFiles, library: Library, kind: tuple[int, str], rows: Rows, options: SeriesOptions, progress: Progress
) -> JointFit:
    """Return the sites of a library, of one element and edge (``kind``), that explain a series.

    Raises
    ------
    XanesHpcError
        If the series cannot be read or compared.
    """
    series = files.read(*kind, float(np.nanmedian(library.e0[rows])))
    return joint_fit(series, library, options, rows, progress)


def with_standards(
    files: SeriesFiles, standards: Sequence[Path], kind: tuple[int | None, str | None], options: SeriesOptions,
    progress: Progress,
) -> tuple[JointFit, list[LeftOut]]:  # fmt: skip
    """Return the standards that explain a series, and those that cannot be used.

    Without an element and edge (``kind``) those that the series' first file names are expected.

    Raises
    ------
    XanesHpcError
        If the series or the standards cannot be read or compared.
    """
    element, edge = kind
    if element is None:
        first = next((found for _, found in read_usable(measured_files(files.paths), read_plainly)[0]), None)
        element, edge = (first.element, edge or first.edge) if first is not None else (None, edge)
    series = files.read(element, edge, None)
    usable, left_out = read_standards(standards, series.normal, files.normalisation, files.energy, element, edge)
    library = StandardsLibrary(usable, series.energies)
    return joint_fit(series, library, options, None, progress, alike=True), left_out


def read_plainly(path: Path) -> Spectrum:
    """Read a measured spectrum as its file says."""
    return read_experiment(path)


def read_standards(
    paths: Sequence[Path], sample: NormalisedSpectrum, normalisation: NormaliseOptions, energy: EnergyOptions,
    element: int | None, edge: str | None,
) -> tuple[list[Standard], list[LeftOut]]:  # fmt: skip
    """Read standards from files and folders, and normalise them as a sample was.

    Their glitches are left out and their reference channels calibrate them as those of the sample; the scan of a foil
    that calibrates the sample does not hold for them.

    Raises
    ------
    SpectrumError
        If none can be used.
    """
    own = energy if energy.calibrate == REFERENCE else EnergyOptions(deglitch=energy.deglitch)
    correct: Callable[[Spectrum], Spectrum] = correction(own, element, edge)

    def read(path: Path) -> Spectrum:
        return correct(of_kind(read_experiment(path), element, edge))

    found, left_out = read_usable(measured_files(paths), read)
    named = [(Path(one.name).stem if one.path.is_file() else one.name, spectrum) for one, spectrum in found]
    if len({name for name, _ in named}) < len(named):
        named = [(one.name, spectrum) for one, spectrum in found]
    standards, others = normalised_standards(
        named, replace(sample, raw=replace(sample.raw, element=element)), normalisation, edge
    )
    return standards, left_out + others
