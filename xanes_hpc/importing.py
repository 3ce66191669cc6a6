"""From foreign files to a structure store, one structure at a time."""

import hashlib
import os
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.absorbers import select_absorbers
from xanes_hpc.errors import AbsorberError, FormatError, SpectrumError, StoreError, XanesHpcError
from xanes_hpc.formats import charge_tables, is_structure_file, read_spectrum, read_structures
from xanes_hpc.formats.charge_tables import NATURAL_CHARGE, ChargeTable
from xanes_hpc.formats.property_tables import PropertyTable
from xanes_hpc.neighbours import coincident_atoms
from xanes_hpc.records import PlacedSpectrum, Structure
from xanes_hpc.selection import ELEMENT, SAMPLE, Selection, draw, key_of
from xanes_hpc.spectra import edges
from xanes_hpc.stores.structures import StructureWriter, create_structures, site_names
from xanes_hpc.symmetry import SYMPREC, unique_sites

SPECTRUM_SUFFIXES = (".txt", ".csv", ".dat", ".xmu", ".nor", ".spectrum", ".xdi", ".nxs")
SPECTRUM_ENDINGS = [f"{tail}{suffix}" for suffix in SPECTRUM_SUFFIXES for tail in ("", "_conv", "_xes_conv")]
"""What may follow a structure's name in the name of its spectrum's file."""
MOST_LISTED = 10_000
"""Skipped items that a summary lists one by one; all are counted."""

STRUCTURES_BETWEEN_NOTES = 100
"""Structures of one file from one word of progress to the next."""

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class ImportOptions:
    """How to import.

    Attributes
    ----------
    absorber
        Rule of ``absorbers.select_absorbers``.
    edge
        ``K``, ``L3``, …
    spectra
        Folders in which spectra are found by their structure's name.
    e0, shift
        As in ``spectra.edges.place``; eV.
    treatment
        How the spectra were treated, as text of ``records``, where the files do not say or are wrong.
    keep_unpaired
        Whether structures without a spectrum are taken as well.
    strict
        Whether the first unusable structure ends the import.
    lasting
        Whether the store is to outlast the process: it is on the disk, then, before it takes its name.
    selection
        Which structures are taken.
    unique
        Whether of a crystal's sites that its symmetry makes equal only one is taken, with how many there are as weight.
    symprec
        Å within which atoms count as at symmetric places.
    properties
        Tables of properties, found by their structure's name; they add to those that structure files tell.
    """

    absorber: str | None = None
    edge: str = "K"
    spectra: tuple[Path, ...] = ()
    e0: float | None = None
    shift: float | None = None
    treatment: str | None = None
    keep_unpaired: bool = False
    strict: bool = False
    lasting: bool = True
    selection: Selection = field(default_factory=Selection)
    unique: bool = False
    symprec: float = SYMPREC
    properties: tuple[Path, ...] = ()


@dataclass
class ImportSummary:
    """What was taken and what was not."""

    structures: int = 0
    sites: int = 0
    spectra: int = 0
    atoms: int = 0
    files: int = 0
    ignored_files: int = 0
    unused_spectra: int = 0
    without_properties: int = 0
    unused_properties: int = 0
    not_selected: Counter[str] = field(default_factory=Counter)
    properties_left_out: Counter[str] = field(default_factory=Counter)
    skipped_count: int = 0
    skipped: list[dict[str, str]] = field(default_factory=list)
    elements: Counter[str] = field(default_factory=Counter)
    e0_sources: Counter[str] = field(default_factory=Counter)
    treatments: Counter[str] = field(default_factory=Counter)

    def skip(self, error: XanesHpcError) -> None:
        """Count an unusable item and keep its reason."""
        self.skipped_count += 1
        if len(self.skipped) < MOST_LISTED:
            self.skipped.append({"kind": type(error).__name__, "reason": str(error)})

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: dict(v) if isinstance(v, Counter) else v for k, v in values.items()}


def import_structures(
    sources: Sequence[Path],
    output: Path,
    options: ImportOptions | None = None,
    overwrite: bool = False,
    progress: Progress = lambda done, total, note: None,
) -> ImportSummary:
    """Write a structure store from files and folders of structures and, by name, their spectra.

    Memory does not grow with the input, save for 8 bytes' worth of a hash per structure that keep names unique,
    the file names of the folder being read, and tables of properties. For a sample everything is read twice.

    Raises
    ------
    FormatError
        If nothing could be taken, or with ``strict`` if anything could not.
    StoreError
        If the output stands in the way or cannot be written.
    """
    options = options or ImportOptions()
    _check_options(sources, options)
    options = replace(options, spectra=_different_folders(options.spectra))
    summary = ImportSummary()
    files = _structure_files(sources, summary)
    _check_not_a_spectrum(output, options.spectra)
    tables = [ChargeTable(p) if charge_tables.recognises(p) else PropertyTable(p) for p in options.properties]
    inputs = [*sources, *files, *options.properties]
    with create_structures(output, overwrite, inputs, options.lasting) as writer:
        sample = None
        if options.selection.sample is not None:
            looking = _Taker(None, options, ImportSummary(), tables)
            _take_all(looking, files, lambda done, note: progress(done, 2 * len(files), f"looking: {note}"))
            sample = draw(*looking.seen, options.selection.sample)
        taker, passes = _Taker(writer, options, summary, tables, sample), 1 if sample is None else 2
        _take_all(
            taker, files, lambda done, note: progress((passes - 1) * len(files) + done, passes * len(files), note)
        )
        summary.files = len(files)
        if not summary.structures:
            raise _nothing_taken(sources, summary)
    summary.properties_left_out = writer.left_out
    summary.unused_properties = sum(table.n_unused for table in tables)
    summary.unused_spectra = sum(_count_spectra(d) for d in options.spectra) - summary.spectra
    return summary


def _take_all(taker: "_Taker", files: Sequence[Path], progress: Callable[[int, str], None]) -> None:
    for done, path in enumerate(files):
        progress(done, taker.note)
        for n_read, _ in enumerate(taker.take_file(path), 1):
            if n_read % STRUCTURES_BETWEEN_NOTES == 0:
                progress(done, taker.note)
    progress(len(files), taker.note)


def _check_options(sources: Sequence[Path], options: ImportOptions) -> None:
    if not sources:
        raise FormatError("no source: expected structure files or folders")
    for path in sources:
        if not path.exists():
            raise FormatError(f"{path}: no such file or folder")
    for path in options.spectra:
        if not path.is_dir():
            raise FormatError(f"{path}: expected a folder of spectra" + ("" if path.exists() else ", there is none"))
    edges.check_given(options.edge, options.e0, options.shift)


def _different_folders(folders: Sequence[Path]) -> tuple[Path, ...]:
    """Each folder once, under the first of the names given for it."""
    different: dict[Path, Path] = {}
    for folder in folders:
        different.setdefault(folder.resolve(), folder)
    return tuple(different.values())


def _check_not_a_spectrum(output: Path, folders: Sequence[Path]) -> None:
    if output.exists() and output.suffix in SPECTRUM_SUFFIXES and any(output.parent.samefile(f) for f in folders):
        raise StoreError(f"{output}: is what the output is made from; name another output")


def _structure_files(sources: Sequence[Path], summary: ImportSummary) -> list[Path]:
    files = []
    for source in sources:
        if not source.is_dir():
            files.append(source)
            continue
        for folder, subfolders, names in os.walk(source):
            subfolders[:] = sorted(s for s in subfolders if not s.startswith("."))
            found = [Path(folder, n) for n in sorted(names) if not n.startswith(".")]
            chosen = [p for p in found if is_structure_file(p)]
            summary.ignored_files += len(found) - len(chosen)
            files += chosen
    if not files:
        where = ", ".join(map(str, sources))
        raise FormatError(f"{where}: no structure files in it (XYZ, extxyz, CIF, POSCAR, trajectories, ASE databases)")
    return files


def _nothing_taken(sources: Sequence[Path], summary: ImportSummary) -> FormatError:
    if summary.not_selected:
        reasons = ", ".join(f"{n:,} by {why}" for why, n in summary.not_selected.most_common())
        skipped = f", {summary.skipped_count:,} could not be used" if summary.skipped_count else ""
        why = f"; the first: {summary.skipped[0]['reason']}" if summary.skipped else ""
        return FormatError(f"nothing imported: none of the structures is selected ({reasons}{skipped}{why})")
    first = summary.skipped[0]["reason"] if summary.skipped else "no structures"
    if summary.skipped_count <= 1:
        return FormatError(first)
    return FormatError(f"nothing imported: all {summary.skipped_count} structures skipped; the first: {first}")


def _count_spectra(folder: Path) -> int:
    return sum(1 for entry in os.scandir(folder) if os.path.splitext(entry.name)[1] in SPECTRUM_SUFFIXES)


class _Taker:
    """Takes structures into a store, or notes why not; without a store it only looks at those that could be taken."""

    def __init__(
        self, writer: StructureWriter | None, options: ImportOptions, summary: ImportSummary,
        tables: Sequence[PropertyTable | ChargeTable], sample: npt.NDArray[np.uint64] | None = None,
    ) -> None:  # fmt: skip
        self._writer, self._options, self._summary = writer, options, summary
        self._tables = [table for table in tables if isinstance(table, PropertyTable)]
        self._charges, self._sample = [table for table in tables if isinstance(table, ChargeTable)], sample
        self._names: set[int] = set()
        self._seen = array("Q"), array("B")

    @property
    def seen(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8]]:
        """Key and element (of the first absorber) of every structure that was looked at."""
        keys, elements = self._seen
        return np.array(keys, np.uint64), np.array(elements, np.uint8)

    @property
    def note(self) -> str:
        """How far it is, in words."""
        return f"{self._summary.structures:,} structures taken, {self._summary.skipped_count:,} skipped"

    def take_file(self, path: Path) -> Iterator[None]:
        """Every structure of a file; yields after each."""
        structures = read_structures(path)
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
                self._take(structure)
            except (FormatError, AbsorberError, SpectrumError) as error:
                text = str(error)
                self._skip(error if text.startswith(str(path)) else type(error)(f"{path}: {text}"))
            yield

    def _skip(self, error: XanesHpcError) -> None:
        if self._options.strict:
            raise error
        self._summary.skip(error)

    def _take(self, structure: Structure) -> None:
        options, summary, selection = self._options, self._summary, self._options.selection
        told = [table.of(structure.name) for table in self._tables]
        for properties in told:
            structure = replace(structure, properties=structure.properties | (properties or {}))
        reason = selection.why_not(structure)
        if reason:
            summary.not_selected[reason] += 1
            return
        atoms = select_absorbers(structure.numbers, options.absorber)
        atoms = selection.absorbers(structure, atoms)
        if not atoms.size:
            summary.not_selected[ELEMENT] += 1
            return
        weights = None
        if options.unique:
            atoms, weights = unique_sites(structure, atoms, options.symprec)
        place = key_of(structure.name, selection.seed) if selection.sample is not None else 0
        if self._sample is not None and not _is_in(place, self._sample):
            summary.not_selected[SAMPLE] += 1
            return
        keys = {_name_key(name) for name in (structure.name, *site_names(structure.name, atoms))}
        if keys & self._names:
            raise FormatError(f"a structure or site called {structure.name} was taken before; names must be unique")
        check_distances(structure)
        names = site_names(structure.name, atoms)
        own = self._of_sites(structure, names, atoms)
        if len(own) == 1:  # what its only site has is the structure's
            structure, own = replace(structure, properties=structure.properties | own[0]), [{}]
        placed = [self._spectra(structure, n, int(structure.numbers[a])) for n, a in zip(names, atoms, strict=True)]
        if self._writer is None:
            self._seen[0].append(place)
            self._seen[1].append(int(structure.numbers[atoms[0]]))
        else:
            self._writer.append(structure, atoms, options.edge, placed, weights, own)
        self._names |= keys
        summary.without_properties += sum(properties is None for properties in told)
        summary.structures += 1
        summary.sites += len(names)
        summary.atoms += len(structure.numbers)
        summary.elements.update(chemical_symbols[z] for z in structure.numbers[atoms])
        for spectrum in (s for site in placed for s in site):
            summary.spectra += 1
            summary.e0_sources[spectrum.e0_source] += 1
            summary.treatments[spectrum.spectrum.treatment] += 1

    def _of_sites(
        self, structure: Structure, names: Sequence[str], atoms: npt.NDArray[np.int64]
    ) -> list[dict[str, float | str]]:
        """What tables have of sites beside what they have of the structure."""
        found: list[dict[str, float | str]] = [{} for _ in names]
        for table in self._tables:
            for own, name in zip(found, names, strict=True):
                own.update(table.of_site(name) if name != structure.name else {})
        for charges in self._charges:
            values = charges.of(structure.name, len(structure.numbers))
            if values is None:
                self._summary.without_properties += 1
                continue
            for properties, atom in zip(found, atoms, strict=True):
                properties[NATURAL_CHARGE] = float(values[atom])
        return found

    def _spectra(self, structure: Structure, site: str, element: int) -> list[PlacedSpectrum]:
        options = self._options
        placed = []
        for path in _spectrum_files(options.spectra, site):
            spectrum = read_spectrum(path)
            if options.treatment is not None:
                spectrum = replace(spectrum, treatment=options.treatment)
            try:
                placed.append(edges.place(spectrum, element, options.edge, options.e0, options.shift))
            except SpectrumError as error:
                raise SpectrumError(f"{path.parent}/{error}") from None
        if options.spectra and not placed and not options.keep_unpaired:
            advice = "--keep-unpaired takes it without"
            if site != structure.name and next(_spectrum_files(options.spectra, structure.name), None):
                advice = f"{structure.name} has several sites, so a spectrum must bear a site's name ({site})"
            raise SpectrumError(f"no spectrum for {site} in {', '.join(map(str, options.spectra))}; {advice}")
        return placed


def _spectrum_files(folders: Sequence[Path], name: str) -> Iterator[Path]:
    for folder in folders if Path(name).name == name else ():
        for ending in SPECTRUM_ENDINGS:
            path = folder / f"{name}{ending}"
            if path.is_file():
                yield path


def _is_in(place: int, sample: npt.NDArray[np.uint64]) -> bool:
    at = int(np.searchsorted(sample, np.uint64(place)))
    return at < sample.size and int(sample[at]) == place


def _name_key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def check_distances(structure: Structure) -> None:
    """Refuse a structure in which two atoms, or an atom and an image, stand on one spot.

    Raises
    ------
    FormatError
        Naming the two atoms.
    """
    try:
        found = coincident_atoms(structure)
    except FormatError as error:
        raise FormatError(str(error).replace("structure 0 of the batch", structure.name)) from None
    if found is not None:
        raise FormatError(f"two atoms on one spot: {found[0]} and {found[1]} are {found[2]:.3f} Å apart")
