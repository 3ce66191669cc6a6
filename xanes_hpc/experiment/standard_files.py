"""Read measured standards from files and folders."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from xanes_hpc.errors import SpectrumError
from xanes_hpc.experiment.energy import REFERENCE, EnergyOptions, correction
from xanes_hpc.experiment.measured import held_to, read_experiment
from xanes_hpc.experiment.measured_files import LeftOut, measured_files, read_usable
from xanes_hpc.experiment.normalised import NormalisedSpectrum, NormaliseOptions
from xanes_hpc.experiment.standards import Standard, normalised_standards
from xanes_hpc.spectra import edges
from xanes_hpc.spectra.spectrum import Spectrum


@dataclass(frozen=True)
class StandardFiles:
    """Standards as read: their names and spectra, and which cannot be read."""

    spectra: list[tuple[str, Spectrum]]
    unreadable: list[LeftOut]

    @classmethod
    def read(cls, paths: Sequence[Path], energy: EnergyOptions) -> Self:
        """Read standards from files, folders, patterns and projects, each as its file says.

        Glitches are left out and reference channels calibrate standards as they do samples. The scan of a foil that
        calibrates a sample does not hold for them.

        Raises
        ------
        XanesHpcError
            If none can be read.
        """
        own = energy if energy.calibrate == REFERENCE else EnergyOptions(deglitch=energy.deglitch)
        correct = correction(own)

        def read(path: Path) -> Spectrum:
            return correct(read_experiment(path))

        found, unreadable = read_usable(measured_files(paths), read)
        names = [Path(one.name).stem if one.path.is_file() else one.name for one, _ in found]
        if len(set(names)) < len(names):
            names = [one.name for one, _ in found]
        return cls([(name, spectrum) for name, (_, spectrum) in zip(names, found, strict=True)], unreadable)

    def normalised_for(
        self, sample: NormalisedSpectrum, options: NormaliseOptions, element: int | None = None, edge: str | None = None
    ) -> tuple[list[Standard], list[LeftOut]]:
        """Return the standards of a sample's element and edge, normalised as it was, and those that are left out.

        Parameters
        ----------
        sample, options
            The sample, and how it was normalised.
        element, edge
            Atomic number and edge; by default those that the sample's file names.

        Raises
        ------
        SpectrumError
            If none can be used.
        """
        element, edge = element or sample.raw.element, edge or sample.raw.edge
        usable: list[tuple[str, Spectrum]] = []
        left_out = list(self.unreadable)
        for name, spectrum in self.spectra:
            try:
                own = of_kind(spectrum, element, edge)
                if not own.energies[0] < sample.e0 < own.energies[-1]:
                    raise SpectrumError(
                        f"{name}: covers {own.energies[0]:g} to {own.energies[-1]:g} eV; expected the sample's edge at "
                        f"{sample.e0:.0f} eV inside"
                    )
                usable.append((name, own))
            except SpectrumError as error:
                left_out.append(LeftOut(name, str(error)))
        if not usable:
            raise SpectrumError(f"no standard can be used; {left_out[0].reason}")
        known = replace(sample, raw=replace(sample.raw, element=element))
        standards, others = normalised_standards(usable, known, options, edge)
        return standards, left_out + others


def of_kind(spectrum: Spectrum, element: int | None, edge: str | None, e0: float | None = None) -> Spectrum:
    """Return a measured spectrum in eV after a check of its element and edge, as far as these are known.

    Raises
    ------
    SpectrumError
        If it is of another element or edge.
    """
    if element is None:
        return spectrum
    edge = edge if edge in edges.EDGES else "K" if edge is None else f"{edge[0]}3"
    return held_to(spectrum, element, edge, edges.edge_energy(element, edge) if e0 is None else e0)
