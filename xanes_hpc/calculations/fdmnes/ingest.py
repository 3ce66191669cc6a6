"""Check FDMNES runs, and add the spectra of the good ones to a structure store.

The exit code of FDMNES carries no information, and its error file survives a later good run. A run is therefore good if
its log NAME_bav.txt ends with the closing line of FDMNES and NAME.txt has as many rows as its energy range. Where the
input does not list all atoms, as with ``Cif_file``, the run is held to its site by the absorber that NAME.txt names.
"""

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.calculations.fdmnes.write import COLUMNS, ENDS_WELL, STARTER, TABLE, TAIL_BYTES
from xanes_hpc.errors import FormatError, SpectrumError
from xanes_hpc.formats import fdmnes, fdmnes_input, unreadable
from xanes_hpc.formats.fdmnes_input import Input
from xanes_hpc.spectra import edges
from xanes_hpc.spectra.spectrum import NO_TREATMENT, PlacedSpectrum
from xanes_hpc.stores.other_spectra import Added, add_spectra
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.structure import Structure

LONGEST_REASON = 200
CLOSE = 1e-6
"""Largest difference of distances and cell lengths from the store's, Å."""

Progress = Callable[[int, int], None]


class State(StrEnum):
    """The outcome of a run."""

    GOOD = "good"
    NOT_STARTED = "not started"
    UNFINISHED = "unfinished"
    FAILED = "failed"
    OTHER = "of another site"


@dataclass(frozen=True)
class Run:
    """The calculation of one site, in its folder."""

    folder: Path
    site: str
    state: State
    reason: str = ""
    calculation: Input | None = None
    element: int | None = None

    @property
    def listed(self) -> str:
        """One line on a run that is not good: folder, state and reason."""
        return f"{self.folder.name}: {self.state}" + (f": {self.reason}" if self.reason else "")


@dataclass
class Ingested:
    """Numbers of runs by state and of good ones whose structure was not compared, the other runs, and the spectra."""

    runs: Counter[str] = field(default_factory=Counter)
    not_compared: int = 0
    not_good: list[str] = field(default_factory=list)
    spectra: Added = field(default_factory=Added)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self) | {"runs": dict(self.runs)}


def ingest(
    folder: Path,
    store: Path,
    replace_others: bool = False,
    look_only: bool = False,
    progress: Progress = lambda done, total: None,
) -> Ingested:
    """Add the spectra of all good runs in a folder to a structure store, and list the other runs.

    Parameters
    ----------
    folder
        Folder from ``write_runs``, or any folder with one subfolder per calculation, named after its site.
    store
        Structure store with the calculated sites.
    replace_others
        Whether to replace spectra of the same site, kind and treatment.
    look_only
        Whether to leave the store unchanged.

    Raises
    ------
    FormatError
        If there are no runs, or no run is good and belongs to a site of the store.
    StoreError
        If ``add_spectra`` raises it.
    """
    found, result = find_runs(folder), Ingested()
    with StructureStore(store) as opened:
        rows = {name: row for row, name in enumerate(opened.sites.name)}

        def good_spectra() -> Iterator[tuple[int, PlacedSpectrum]]:
            for done, (path, site) in enumerate(found):
                progress(done, len(found))
                run = look_at(path, site)
                if run.state is State.GOOD:
                    run = check_site(run, opened, rows.get(site))
                if run.state is State.GOOD:
                    try:
                        own = spectra_of(run)
                    except (OSError, ValueError) as error:  # also files that were deleted since
                        run = replace(run, state=State.FAILED, reason=_without_folder(error, path))
                    else:
                        yield from ((rows[site], placed) for placed in own)
                        assert run.calculation is not None
                        result.not_compared += run.calculation.structure is None
                result.runs[run.state] += 1
                if run.state is not State.GOOD:
                    result.not_good.append(run.listed)
            progress(len(found), len(found))
            if not result.runs[State.GOOD] and not look_only:
                counts = ", ".join(f"{n:,} {state}" for state, n in result.runs.most_common())
                first = next((line for line in result.not_good if State.NOT_STARTED not in line), result.not_good[0])
                raise FormatError(f"{folder}: none of {len(found)} runs is good ({counts}); first of them: {first}")

        if look_only:
            for _ in good_spectra():
                pass
        else:
            result.spectra = add_spectra(store, good_spectra(), replace_others)
    return result


def find_runs(folder: Path) -> list[tuple[Path, str]]:
    """Return the folders of runs in a folder with their sites' names, from its table or else from the folders' names.

    Raises
    ------
    FormatError
        If there are no runs, or the table lacks a column.
    """
    if not folder.is_dir():
        raise FormatError(
            f"{folder}: expected a folder of FDMNES runs, received {'a file' if folder.exists() else 'no such folder'}"
        )
    table = folder / TABLE
    if table.exists():
        try:
            with table.open(encoding="utf-8", newline="") as stream:
                rows = list(csv.DictReader(stream))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise unreadable(table, error) from None
        if rows and not {"folder", "site"} <= rows[0].keys():
            raise FormatError(f"{table}: expected columns {', '.join(COLUMNS)}, received {', '.join(rows[0])}")
        found = [(folder / (row["folder"] or ""), row["site"] or "") for row in rows]
    else:
        try:
            folders = sorted(path for path in folder.iterdir() if path.is_dir())
        except OSError as error:
            raise unreadable(folder, error) from None
        found = [(p, p.name) for p in folders if not os.access(p, os.R_OK | os.X_OK) or (p / STARTER).exists()]
        if not found and (folder / STARTER).exists():
            found = [(folder, folder.resolve().name)]
    if not found:
        raise FormatError(f"{folder}: no FDMNES runs found; expected {TABLE} or folders with {STARTER}")
    return found


def look_at(folder: Path, site: str) -> Run:
    """Return the state of a run; the content of its folder never makes it raise."""
    try:
        return _looked_at(folder, site)
    except (OSError, ValueError) as error:  # such as no permission, or a name that the file system does not take
        return Run(folder, site, State.FAILED, _without_folder(unreadable(folder, error), folder))


def _looked_at(folder: Path, site: str) -> Run:
    try:
        calculation = fdmnes_input.read(_input_of(folder))
    except FormatError as error:
        return Run(folder, site, State.FAILED, _without_folder(error, folder))
    output = calculation.output
    log, raw = folder / f"{output}_bav.txt", folder / f"{output}.txt"
    if not log.exists() and not raw.exists():
        message = _error_text(folder)
        state = State.FAILED if message else State.NOT_STARTED
        return Run(folder, site, state, message, calculation)
    if not _ends_well(log):
        message = _error_text(folder)
        reason = message or f"{log.name} does not end with {ENDS_WELL!r}"
        return Run(folder, site, State.FAILED if message else State.UNFINISHED, reason, calculation)
    try:
        spectrum = fdmnes.read(raw)
        if spectrum.treatment != NO_TREATMENT:
            raise FormatError(f"{raw}: line 1: expected '= E_edge, Z, …' after the numbers")
        energies = calculation.settings.energies
        expected = fdmnes_input.n_energies(energies) if energies else None
    except FormatError as error:
        return Run(folder, site, State.FAILED, _without_folder(error, folder), calculation)
    n_rows = spectrum.energies.size
    if expected is not None and n_rows != expected:
        reason = f"{raw.name} has {n_rows} rows, expected {expected} from its energy range"
        return Run(folder, site, State.UNFINISHED, reason, calculation)
    broadened = [f"{output}_conv.txt"]
    if calculation.settings.emission:  # FDMNES then broadens the emission, and the absorption in some versions only
        broadened.insert(0, f"{output}_xes_conv.txt")
    if calculation.settings.convolution and not any((folder / name).exists() for name in broadened):
        return Run(folder, site, State.UNFINISHED, f"{broadened[0]} is missing but requested", calculation)
    own = calculation.structure
    element = spectrum.element if own is None else int(own.numbers[calculation.absorber])
    return Run(folder, site, State.GOOD, "", calculation, element)


def _without_folder(error: Exception, folder: Path) -> str:
    return str(error).replace(f"{folder}/", "").removeprefix(f"{folder}: ")[:LONGEST_REASON]


def _input_of(folder: Path) -> Path:
    """Return the path of the input file that the starter names."""
    starter = folder / STARTER
    try:
        lines = [
            line.partition("!")[0].strip()
            for line in starter.read_text(encoding="utf-8", errors="replace").splitlines()
        ]
    except OSError as error:
        raise unreadable(starter, error) from None
    named = [line for line in lines if line][1:]
    if len(named) != 1:
        raise FormatError(f"{starter}: expected the number 1 and one input file, received {len(named)} files")
    return folder / named[0]


def _ends_well(log: Path) -> bool:
    try:
        with log.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - TAIL_BYTES))
            return ENDS_WELL.encode() in stream.read()
    except OSError:
        return False


def _error_text(folder: Path) -> str:
    """Return the beginning of FDMNES's error file on one line; empty if there is none."""
    try:
        text = (folder / "fdmnes_error.txt").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return " ".join(text.split())[:LONGEST_REASON]


def spectra_of(run: Run) -> list[PlacedSpectrum]:
    """Return the spectra of a good run: unbroadened and, if requested, broadened by FDMNES and the emission.

    Raises
    ------
    FormatError, SpectrumError
        If a spectrum cannot be read or is invalid.
    """
    assert run.calculation is not None
    assert run.element is not None
    output = run.calculation.output
    raw = fdmnes.read(run.folder / f"{output}.txt")
    found = [raw]
    for name in (f"{output}_conv.txt", f"{output}_xes_conv.txt"):
        if (run.folder / name).exists():
            other = fdmnes.read(run.folder / name)
            found.append(replace(other, e_edge=raw.e_edge, e_cut=raw.e_cut, absolute=raw.absolute))
    try:
        return [edges.place(spectrum, run.element, run.calculation.edge) for spectrum in found]
    except SpectrumError as error:
        raise SpectrumError(f"{run.folder.name}/{error}") from None


def check_site(run: Run, store: StructureStore, row: int | None) -> Run:
    """Check a good run against the site at ``row``; return it as ``OTHER`` if structure, absorber or edge differ."""
    if row is None:
        return replace(run, state=State.OTHER, reason=f"{store.path} has no site {run.site}")
    assert run.calculation is not None
    structure, atom = next(store.structures_at(np.array([row])))
    edge, differs = store.sites.edge[row], _difference(run, structure, atom)
    if run.calculation.edge != edge:
        differs = f"its edge is {run.calculation.edge}, expected {edge} of {run.site}"
    return replace(run, state=State.OTHER, reason=differs) if differs else run


def _difference(run: Run, structure: Structure, atom: int) -> str:
    assert run.calculation is not None
    own = run.calculation.structure
    if own is None:
        if run.element == structure.numbers[atom]:
            return ""
        expected = chemical_symbols[structure.numbers[atom]]
        absorber = f"its absorber is {chemical_symbols[run.element]}" if run.element else "its output names no absorber"
        return f"its input does not list all atoms, and {absorber}; expected {expected} of {run.site}"
    if own.numbers.tolist() != structure.numbers.tolist():
        return f"its elements differ from those of {run.site} in the store"
    if run.calculation.absorber != atom:
        return f"its absorber is atom {run.calculation.absorber}, expected atom {atom} of {run.site}"
    if (own.pbc != structure.pbc).any():
        return f"it is a {_kind(own)}, expected a {_kind(structure)} as in the store"
    theirs, ours = (_lengths(s, atom) for s in (structure, own))
    if np.abs(theirs - ours).max(initial=0.0) > CLOSE:
        return f"its positions differ from those of {run.site} in the store"
    return ""


def _kind(structure: Structure) -> str:
    return "crystal" if structure.pbc.all() else "molecule"


def _lengths(structure: Structure, atom: int) -> npt.NDArray[np.float64]:
    """Return distances from the absorber and lengths of the cell vectors, which do not depend on the axes."""
    across = np.linalg.norm(structure.positions - structure.positions[atom], axis=1)
    return np.concatenate([across, np.linalg.norm(structure.cell, axis=1)])
