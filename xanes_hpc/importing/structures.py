"""Import structures into a store one by one, each with its sites, properties and spectra, or record why not."""

import hashlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.errors import AbsorberError, FormatError, RecurringError, SpectrumError, XanesHpcError, reworded
from xanes_hpc.formats import read_structures
from xanes_hpc.formats.charge_tables import NATURAL_CHARGE, ChargeTable
from xanes_hpc.formats.frames import stem
from xanes_hpc.formats.property_tables import PropertyTable
from xanes_hpc.importing import lightshow
from xanes_hpc.importing.listed_atoms import ListedAtoms
from xanes_hpc.importing.options import ImportOptions, ImportSummary
from xanes_hpc.importing.selection import ELEMENT, LISTED, SAMPLE, key_of
from xanes_hpc.importing.site_spectra import SiteSpectra
from xanes_hpc.importing.spectrum_folders import SpectrumFolders
from xanes_hpc.importing.unpaired import MOST_NAMES, NAME_SITES
from xanes_hpc.spectra.spectrum import PlacedSpectrum
from xanes_hpc.stores.structure_writer import StructureWriter, site_names
from xanes_hpc.structures.absorbers import ABSENT, absorbers_of
from xanes_hpc.structures.neighbours import check_distances
from xanes_hpc.structures.structure import Structure
from xanes_hpc.structures.symmetry import unique_sites

NO_ATOMS = np.empty(0, np.int64)
KEEP = "`keep_unpaired` keeps structures without one"
COUNTED = "listed atoms of disordered structures were counted as in their files"
KEPT, LEFT = "sites without a spectrum were kept", "sites without a spectrum were left out"


class Importer:
    """Writes structures to a store, or records in the summary why not.

    Parameters
    ----------
    writer
        Writer of the store; None to write nothing and only collect the candidates for a sample.
    options, summary
        What to import, and the counts to update.
    folders
        The index of ``options.spectra``.
    listed
        The atoms in ``options.sites``; None to choose atoms by the rule.
    tables
        Tables of properties and charges.
    sample
        Keys of the sampled structures, ascending; None for all.
    """

    def __init__(
        self, writer: StructureWriter | None, options: ImportOptions, summary: ImportSummary, folders: SpectrumFolders,
        listed: ListedAtoms | None, tables: Sequence[PropertyTable | ChargeTable],
        sample: npt.NDArray[np.uint64] | None = None,
    ) -> None:  # fmt: skip
        self._writer, self._options, self._summary, self._folders = writer, options, summary, folders
        self._listed, self._spectra = listed, SiteSpectra(options, folders, summary.choose)
        self._tables = [table for table in tables if isinstance(table, PropertyTable)]
        self._charges, self._sample = [table for table in tables if isinstance(table, ChargeTable)], sample
        self._names: set[int] = set()
        self.unpaired: list[str] = []
        """Names of the first sites without a spectrum."""
        self.spectrum_of_skipped = ""
        """The first spectrum whose structure was skipped for lack of one absorber, in words."""
        self._candidates = array("Q"), array("B")

    @property
    def candidates(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8]]:
        """Key and element (of the first absorber) of every structure that a sample may be drawn from."""
        keys, elements = self._candidates
        return np.array(keys, np.uint64), np.array(elements, np.uint8)

    @property
    def note(self) -> str:
        """Progress in words."""
        return f"{self._summary.structures:,} structures kept, {self._summary.skipped_count:,} skipped"

    def import_file(self, path: Path) -> Iterator[None]:
        """Import the structures of a file; yield after each."""
        structures = read_structures(path, self._options.disorder)
        while True:
            try:
                structure = next(structures, None)
            except FormatError as error:
                self._skip(error)
                return
            if structure is None:
                return
            try:
                if isinstance(structure, FormatError):
                    raise structure
                self._import(path, structure)
            except (FormatError, AbsorberError, SpectrumError) as error:
                self._skip(_located(error, path, structure))
                if isinstance(error, AbsorberError) and isinstance(structure, Structure):
                    self._note_spectrum_of(structure.name)
            yield

    def _note_spectrum_of(self, structure: str) -> None:
        files = [] if self.spectrum_of_skipped else self._folders.files_of(structure)
        if files:
            self.spectrum_of_skipped = f"{files[0]} is there, but {structure} was skipped: choose its `absorber`"

    def _skip(self, error: XanesHpcError) -> None:
        if self._options.strict:
            raise error
        self._summary.skip(error)

    def _import(self, path: Path, structure: Structure) -> None:
        options, summary, selection = self._options, self._summary, self._options.selection
        listed, by_rule = (
            (NO_ATOMS, True) if self._listed is None else self._listed.of(structure.name, structure.n_described)
        )
        if not listed.size and not by_rule:
            summary.not_selected[LISTED] += 1
            return
        listed, as_listed = self._there(path, structure, listed)
        if not listed.size and not by_rule:
            return
        own = structure.properties
        rows = [table.of(structure.name) for table in self._tables]
        for properties in rows:
            structure = replace(structure, properties=structure.properties | (properties or {}))
        reason = selection.excluded_by(structure)
        if reason:
            summary.not_selected[reason] += 1
            return
        calculation = options.calculation or "feff"
        of_atoms: dict[int, list[Path]] | None = None
        if options.layout == lightshow.LIGHTSHOW:
            of_atoms, wrong = lightshow.spectra_of(path, structure, calculation)
            for error in wrong:
                self._skip(error)
            if not of_atoms and wrong:
                return
            if not of_atoms:
                raise FormatError(f"no spectra in {lightshow.CALCULATIONS[calculation].folder} beside it")
            atoms = self._with_spectra(structure, listed, by_rule, of_atoms)
        else:
            atoms = absorbers_of(structure, options.absorber) if by_rule else listed
        if by_rule and self._listed is not None:
            atoms = self._listed.together(structure.name, listed, atoms, as_listed)
        atoms = selection.absorbers(structure, atoms)
        if not atoms.size:
            summary.not_selected[ELEMENT] += 1
            return
        weights = None if structure.weights is None else structure.weights[atoms]
        if options.unique:
            atoms, weights = unique_sites(structure, atoms, options.symprec)
        key = key_of(structure.name, selection.seed) if selection.sample is not None else 0
        if self._sample is not None and not _is_in(key, self._sample):
            summary.not_selected[SAMPLE] += 1
            return
        placed = self._placed(structure, atoms, of_atoms)
        if options.only_paired or of_atoms is not None:
            kept = np.array([bool(spectra) for spectra in placed])
            atoms, placed = atoms[kept], [spectra for spectra in placed if spectra]
            weights = None if weights is None else weights[kept]
        names = site_names(structure.name, atoms)
        hashes = {_hash_of(name) for name in (structure.name, *names)}
        if hashes & self._names:
            raise FormatError(
                f"the name {structure.name} (or that of a site) is already used; names must be unique: rename the "
                "file, or the folder of a POSCAR"
            )
        check_distances(structure)
        site_properties = self._site_properties(structure, names, atoms)
        if len(site_properties) == 1:  # a structure with one site has that site's properties
            structure, site_properties = replace(structure, properties=structure.properties | site_properties[0]), [{}]
        if self._writer is None:
            self._candidates[0].append(key)
            self._candidates[1].append(int(structure.numbers[atoms[0]]))
        else:
            self._writer.append(structure, atoms, options.edge, placed, weights, site_properties)
        self._names |= hashes
        summary.properties_replaced.update(name for name in own if own[name] != structure.properties[name])
        if any(
            row is None and not table.names_sites_of(structure.name)
            for row, table in zip(rows, self._tables, strict=True)
        ):
            summary.count_missing_properties(structure.name)
        summary.structures += 1
        summary.sites += len(names)
        summary.atoms += len(structure.numbers)
        summary.elements.update(chemical_symbols[z] for z in structure.numbers[atoms])
        for what, detail in structure.choices:
            summary.choose(what, f"{structure.name}: {detail}")
        for spectrum in (s for site in placed for s in site):
            summary.spectra += 1
            summary.e0_sources[spectrum.e0_source] += 1
            summary.treatments[spectrum.spectrum.treatment] += 1
            summary.units[spectrum.spectrum.unit] += 1
            for what, detail in spectrum.spectrum.choices:
                summary.choose(what, detail)

    def _there(
        self, path: Path, structure: Structure, listed: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the listed atoms that are there, in the structure and as the list counts them; skip the others."""
        found, there = structure.there(listed)
        for atom in listed[~there].tolist():
            self._skip(_located(FormatError(f"atom {atom}: {ABSENT}"), path, structure))
        for own, atom in zip(found.tolist(), listed[there].tolist(), strict=True):
            if own != atom:
                self._summary.choose(COUNTED, f"{structure.name}#{own} is atom {atom} of the file")
        return found, listed[there]

    def _with_spectra(
        self, structure: Structure, listed: npt.NDArray[np.int64], by_rule: bool, of_atoms: dict[int, list[Path]]
    ) -> npt.NDArray[np.int64]:
        """Return those of the listed atoms, or of all if there is no list, that have a spectrum in Lightshow's folders.

        Raises
        ------
        FormatError
            If none has one.
        """
        atoms = np.array(sorted(of_atoms), np.int64)
        without = np.setdiff1d(listed, atoms)
        if without.size and not by_rule and without.size == listed.size:
            raise FormatError(f"no spectrum beside it for atom {without[0]}")
        if without.size:
            self._summary.choose(LEFT, f"{structure.name}#{without[0]}", without.size)
        return atoms if by_rule else np.intersect1d(atoms, listed)

    def _site_properties(
        self, structure: Structure, names: Sequence[str], atoms: npt.NDArray[np.int64]
    ) -> list[dict[str, float | str]]:
        """Return the properties and charges of single sites in the tables."""
        found: list[dict[str, float | str]] = [{} for _ in names]
        for table in self._tables:
            for own, name, atom in zip(found, names, atoms.tolist(), strict=True):
                own.update(table.of_site(name if name != structure.name else f"{name}#{atom}"))
        for charges in self._charges:
            values = charges.of(structure.name, structure.numbers)
            if values is None:
                self._summary.count_missing_properties(structure.name)
                continue
            for properties, atom in zip(found, atoms, strict=True):
                properties[NATURAL_CHARGE] = float(values[atom])
        return found

    def _placed(
        self, structure: Structure, atoms: npt.NDArray[np.int64], of_atoms: dict[int, list[Path]] | None
    ) -> list[list[PlacedSpectrum]]:
        """Return the spectra of every site; one that cannot be used costs only its site, if others have one.

        Raises
        ------
        FormatError, SpectrumError
            If no site has a spectrum, although there should be some.
        """
        options, names = self._options, site_names(structure.name, atoms)
        placed: list[list[PlacedSpectrum]] = []
        wrong: list[XanesHpcError] = []
        for name, atom in zip(names, atoms.tolist(), strict=True):
            try:
                if of_atoms:
                    placed.append([self._spectra.calculated(of_atoms[atom], structure, atom)])
                    continue
                spectra, unusable = self._spectra.named(
                    (name, f"{structure.name}#{atom}"), int(structure.numbers[atom])
                )
                placed.append(spectra)
                wrong += unusable
            except (FormatError, SpectrumError) as error:
                if options.strict:
                    raise
                wrong.append(error)
                placed.append([])
        if not any(placed) and wrong:
            raise wrong[0]
        if options.spectra and not any(placed) and len(self.unpaired) < MOST_NAMES:
            self.unpaired.append(names[0])
        if options.spectra and not any(placed) and not (options.keep_unpaired and not options.only_paired):
            where = ", ".join(map(str, options.spectra))
            fact, kind = f"no spectrum for {names[0]} in {where}", f"no spectrum in {where}"
            if len(names) > 1 and self._folders.files_of(structure.name):
                advice = f"{NAME_SITES} ({names[0]})"
                kind += ", except under the name of a structure with several sites"
                raise RecurringError(fact, f"{structure.name} has several sites, so {advice}", kind, advice)
            raise RecurringError(fact, KEEP, kind)
        for reason in wrong:
            self._summary.skip(reason)
        without = [name for name, spectra in zip(names, placed, strict=True) if not spectra]
        if options.spectra and without and self._writer is not None:
            self._summary.choose(LEFT if options.only_paired else KEPT, without[0], len(without))
        return placed


def _located(error: XanesHpcError, path: Path, structure: Structure | FormatError) -> XanesHpcError:
    """Return the error with the path of its file, and with the structure's name if the path does not show it."""
    text = str(error.args[0])
    if isinstance(structure, Structure) and structure.name != stem(path) and structure.name not in text:
        text = f"{structure.name}: {text}"
    return error if text.startswith(str(path)) else reworded(error, f"{path}: {text}")


def _is_in(key: int, sample: npt.NDArray[np.uint64]) -> bool:
    at = int(np.searchsorted(sample, np.uint64(key)))
    return at < sample.size and int(sample[at]) == key


def _hash_of(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
