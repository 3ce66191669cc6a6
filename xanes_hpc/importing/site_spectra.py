"""Read the spectra of a site: one of each kind and treatment."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from xanes_hpc.errors import FormatError, SpectrumError, XanesHpcError, reworded
from xanes_hpc.formats import athena, read_spectrum
from xanes_hpc.importing import lightshow
from xanes_hpc.importing.options import ImportOptions
from xanes_hpc.importing.spectrum_folders import SpectrumFolders
from xanes_hpc.spectra import edges
from xanes_hpc.spectra.spectrum import PlacedSpectrum, Spectrum
from xanes_hpc.structures.structure import Structure

BY_LABEL = "groups of Athena projects were taken by their labels"
OWN_FOLDER = "spectra were found in folders named after their sites"
FIRST = "of several spectra of a site the first was taken"


class SiteSpectra:
    """Reads the spectra of sites.

    Parameters
    ----------
    options
        How to read and to place them.
    folders
        The index of ``options.spectra``.
    choose
        Called with what was chosen, as a phrase and its detail.
    """

    def __init__(
        self, options: ImportOptions, folders: SpectrumFolders, choose: Callable[[str, str], None]
    ) -> None:  # fmt: skip
        self._options, self._folders, self._choose = options, folders, choose

    def named(self, names: Sequence[str], element: int) -> tuple[list[PlacedSpectrum], list[XanesHpcError]]:
        """Return the spectra in files with the names of a site, and an error for each that cannot be used.

        Raises
        ------
        FormatError, SpectrumError
            If there are files but none can be used; with ``strict``, if one cannot.
        """
        found: dict[tuple[str, str], tuple[PlacedSpectrum, Path]] = {}
        wrong: list[XanesHpcError] = []
        files = [path for name in dict.fromkeys(names) for path in self._folders.files_of(name)]
        for name in dict.fromkeys(names) if not files else ():
            own = self._folders.in_own_folder(name)
            files += own
            for path in own:
                self._choose(OWN_FOLDER, f"{path} for {name}")
        for path in files:
            try:
                one = self._placed(read_spectrum(path, self._options.reading), path, element)
            except (FormatError, SpectrumError) as error:
                if self._options.strict:
                    raise
                wrong.append(error)
                continue
            which = one.spectrum.kind, one.spectrum.treatment
            if which in found:
                self._choose(FIRST, f"{found[which][1]}, not {path}")
                continue
            found[which] = one, path
            if athena.is_project(path) and path.suffix.lower() != athena.PROJECT:
                self._choose(BY_LABEL, f"{path.name} for {names[0]}")
        if wrong and not found:
            raise wrong[0]
        return [one for one, _ in found.values()], wrong

    def calculated(self, files: Sequence[Path], structure: Structure, atom: int) -> PlacedSpectrum:
        """Return the spectrum of a site in the folders of a layout.

        Raises
        ------
        FormatError, SpectrumError
            If it cannot be used.
        """
        calculation = self._options.calculation or "feff"
        spectrum = lightshow.read(files, structure, atom, calculation, self._options.reading)
        return self._placed(spectrum, files[0], int(structure.numbers[atom]))

    def _placed(self, spectrum: Spectrum, path: Path, element: int) -> PlacedSpectrum:
        options = self._options
        if options.treatment is not None:
            spectrum = replace(spectrum, treatment=options.treatment)
        try:
            return edges.place(spectrum, element, options.edge, options.e0, options.shift)
        except SpectrumError as error:
            reason = error.args[0].removeprefix(f"{spectrum.source}: ")
            raise reworded(error, f"{path}: {reason}") from None
