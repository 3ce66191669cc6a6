"""Read structure and spectrum files into a structure store, one structure at a time."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from xanes_hpc.errors import FormatError, StoreError
from xanes_hpc.formats import charge_tables, is_structure_file, unreadable
from xanes_hpc.formats.charge_tables import ChargeTable
from xanes_hpc.formats.property_tables import PropertyTable
from xanes_hpc.formats.read_options import AS_FOUND
from xanes_hpc.formats.site_lists import SiteList
from xanes_hpc.importing import lightshow
from xanes_hpc.importing.listed_atoms import ListedAtoms
from xanes_hpc.importing.options import ImportOptions, ImportSummary
from xanes_hpc.importing.selection import sampled_keys
from xanes_hpc.importing.spectrum_folders import SpectrumFolders, endings_of
from xanes_hpc.importing.structures import Importer
from xanes_hpc.importing.unpaired import explain
from xanes_hpc.spectra import edges
from xanes_hpc.stores.structure_writer import StructureWriter, create_structures, structures_in_memory
from xanes_hpc.stores.structures import StructureStore

STRUCTURES_BETWEEN_NOTES = 100
"""Number of structures between two reports of progress within a file."""

Progress = Callable[[int, int, str], None]


def import_structures(
    sources: Sequence[Path],
    output: Path,
    options: ImportOptions | None = None,
    overwrite: bool = False,
    progress: Progress = lambda done, total, note: None,
) -> ImportSummary:
    """Write a structure store from structure files and folders, with the spectra that have the structures' names.

    Memory does not grow with the input, except for an 8-byte hash per structure, which keeps names unique, another per
    file of spectra, the names of the structure files, and property tables. To draw a sample, everything is read twice.

    Raises
    ------
    FormatError
        If no structure can be imported or, with ``strict``, one cannot.
    StoreError
        If the output exists, or cannot be written.
    """
    return _imported(sources, output, options or ImportOptions(), overwrite, progress)[0]


def import_in_memory(
    sources: Sequence[Path],
    options: ImportOptions | None = None,
    progress: Progress = lambda done, total, note: None,
) -> tuple[StructureStore, ImportSummary]:
    """Read structure files and folders, with the spectra that have the structures' names, into a store in memory.

    Raises
    ------
    FormatError
        If no structure can be imported or, with ``strict``, one cannot.
    """
    summary, writer = _imported(sources, None, options or ImportOptions(), False, progress)
    return structures_in_memory(writer), summary


def _imported(
    sources: Sequence[Path], output: Path | None, options: ImportOptions, overwrite: bool, progress: Progress
) -> tuple[ImportSummary, StructureWriter]:
    _check_options(sources, options)
    options = replace(options, spectra=_different_folders(options.spectra))
    summary = ImportSummary()
    if options.layout == lightshow.LIGHTSHOW:
        files = [path for source in sources for path in lightshow.structure_files(source)]
        if not files:
            raise FormatError(f"{', '.join(map(str, sources))}: expected folders ID/POSCAR, found none")
        taken, others = lightshow.choose(files, options.calculation)
        options = replace(options, calculation=taken)
        if others:
            summary.choose(lightshow.TAKEN, f"{taken}; also there: {', '.join(others)}")
    else:
        files = _structure_files(sources, summary, options.strict)
    if output is not None:
        _check_not_a_spectrum(output, options.spectra)
    tables = [ChargeTable(p) if charge_tables.recognises(p) else PropertyTable(p) for p in options.properties]
    folders = SpectrumFolders(options.spectra, options.spectra_suffix)
    listed = None if options.sites is None else ListedAtoms(SiteList(options.sites))
    if listed is not None and options.absorber is not None and listed.names_all:
        raise FormatError("`absorber`: chooses atoms where `sites` names none, but every row names one")
    importer_of = partial(Importer, options=options, folders=folders, listed=listed, tables=tables)
    tabled = [*options.properties, *([options.sites] if isinstance(options.sites, Path) else [])]
    with create_structures(output, overwrite, [*sources, *files, *tabled]) as writer:
        sample = None
        if options.selection.sample is not None:
            survey = importer_of(None, summary=ImportSummary())
            _import_all(survey, files, lambda done, note: progress(done, 2 * len(files), f"first pass: {note}"))
            sample = sampled_keys(*survey.candidates, options.selection.sample)
        importer, passes = importer_of(writer, summary=summary, sample=sample), 1 if sample is None else 2
        _import_all(
            importer, files, lambda done, note: progress((passes - 1) * len(files) + done, passes * len(files), note)
        )
        summary.files = len(files)
        for missing in () if listed is None else listed.missing():
            if options.strict:
                raise missing
            summary.skip(missing)
        nearly = ""
        if importer.unpaired and not summary.spectra:
            advised = [one.advice for one in summary.recurring]
            nearly = importer.spectrum_of_skipped or explain(
                importer.unpaired, options.spectra, folders.projects, advised
            )
        if not summary.structures:
            raise _nothing_imported(summary, nearly)
    if nearly:
        summary.choose("no site has a spectrum", nearly)
    summary.properties_left_out = writer.left_out
    summary.unused_properties = sum(table.n_unused for table in tables)
    summary.unused_spectra = max(0, folders.n_files - summary.spectra)
    return summary, writer


def _import_all(importer: Importer, files: Sequence[Path], progress: Callable[[int, str], None]) -> None:
    for done, path in enumerate(files):
        progress(done, importer.note)
        for n_read, _ in enumerate(importer.import_file(path), 1):
            if n_read % STRUCTURES_BETWEEN_NOTES == 0:
                progress(done, importer.note)
    progress(len(files), importer.note)


def _check_options(sources: Sequence[Path], options: ImportOptions) -> None:
    if not sources:
        raise FormatError("no source given; expected structure files or folders")
    for path in sources:
        if not path.exists():
            raise FormatError(f"{path}: no such file or folder")
    for path in options.spectra:
        if not path.is_dir():
            found = "a file" if path.exists() else "nothing"
            raise FormatError(f"{path}: expected a folder of spectra, found {found}")
        if not os.access(path, os.R_OK | os.X_OK):
            raise FormatError(f"{path}: cannot be read: permission denied")
    if options.only_paired and not options.spectra and options.layout is None:
        raise FormatError("`only_paired` keeps sites that have a spectrum; give folders of `spectra`")
    if options.only_paired and options.keep_unpaired:
        raise FormatError("`only_paired` leaves out what `keep_unpaired` keeps; give one of them")
    if options.layout is not None and options.absorber is not None:
        raise FormatError("`absorber` does not apply to a `layout`: its sites are the atoms that have a spectrum")
    if options.layout is not None and options.spectra:
        raise FormatError("`spectra` does not apply to a `layout`, which has the spectra beside its structures")
    if options.layout not in (None, lightshow.LIGHTSHOW):
        raise FormatError(f"`layout` {options.layout!r}: expected {lightshow.LIGHTSHOW}")
    for name in ("sample", "max_atoms"):
        if (value := getattr(options.selection, name)) is not None and value < 1:
            raise FormatError(f"`{name}`: expected 1 or more, received {value}")
    options.reading.check()
    if options.calculation is not None and options.layout is None:
        raise FormatError("`calculation` chooses among the programs of a `layout`; give the `layout`")
    edges.check_given(options.edge, options.e0, options.shift)
    _check_spectrum_options(options)


def _check_spectrum_options(options: ImportOptions) -> None:
    """Check that options for spectra come with spectra."""
    reading = options.reading
    of_files = {
        "spectra_suffix": options.spectra_suffix,
        "columns": reading.columns,
        "mu": reading.mu,
        "d_spacing": reading.d_spacing is not None,
    }
    of_all = {
        "e0": options.e0 is not None,
        "shift": options.shift is not None,
        "treatment": options.treatment,
        "keep_unpaired": options.keep_unpaired,
        "feff_mu": reading.feff_mu != AS_FOUND.feff_mu,
    }
    given = [name for name, value in of_files.items() if value and not options.spectra]
    given += [name for name, value in of_all.items() if value and not options.spectra and options.layout is None]
    if given:
        raise FormatError(f"`{given[0]}` applies to spectra; give their folders with `spectra`")


def _different_folders(folders: Sequence[Path]) -> tuple[Path, ...]:
    """Return each folder once, under the first name given for it."""
    different: dict[Path, Path] = {}
    for folder in folders:
        different.setdefault(folder.resolve(), folder)
    return tuple(different.values())


def _check_not_a_spectrum(output: Path, folders: Sequence[Path]) -> None:
    if output.exists() and any(endings_of(output.name)) and any(output.parent.samefile(f) for f in folders):
        raise StoreError(f"{output}: is one of the inputs; name another output")


def _structure_files(sources: Sequence[Path], summary: ImportSummary, strict: bool) -> list[Path]:
    """Return the structure files given, and those in folders given; a folder that cannot be read is skipped."""
    files: list[Path] = []

    def skip(error: OSError) -> None:
        reason = unreadable(Path(error.filename), error)
        if strict:
            raise reason
        summary.skip(reason)

    for source in sources:
        if not source.is_dir():
            files.append(source)
            continue
        followed = [source.resolve()]
        for folder, subfolders, names in os.walk(source, onerror=skip, followlinks=True):
            subfolders[:] = sorted(
                s for s in subfolders if not s.startswith(".") and _is_new(Path(folder, s), followed)
            )
            found = [Path(folder, n) for n in sorted(names) if not n.startswith(".")]
            chosen = [p for p in found if is_structure_file(p)]
            summary.ignored_files += len(found) - len(chosen)
            files += chosen
    if not files and not summary.skipped:
        where = ", ".join(map(str, sources))
        raise FormatError(
            f"{where}: no structure files found; expected XYZ, extended XYZ, CIF, POSCAR, trajectories or ASE databases"
        )
    return files


def _is_new(folder: Path, followed: list[Path]) -> bool:
    """Return False for a link to a folder that is read anyway, or to one around it: links may go in circles."""
    if not folder.is_symlink():
        return True
    target = folder.resolve()
    if any(target.is_relative_to(other) or other.is_relative_to(target) for other in followed):
        return False
    followed.append(target)
    return True


def _nothing_imported(summary: ImportSummary, nearly: str) -> FormatError:
    if summary.not_selected:
        reasons = ", ".join(f"{n:,} by {why}" for why, n in summary.not_selected.most_common())
        skipped = f", {summary.skipped_count:,} could not be used" if summary.skipped_count else ""
        why = f"; the first: {summary.skipped[0]['reason']}" if summary.skipped else ""
        return FormatError(f"nothing imported: the selection excludes every structure ({reasons}{skipped}{why})")
    why = summary.main_reasons() or "the files hold no structures"
    every = f"nothing imported: all {summary.skipped_count:,} structures were skipped: "
    return FormatError((every if summary.skipped_count > 1 else "") + why + (f"; {nearly}" if nearly else ""))
