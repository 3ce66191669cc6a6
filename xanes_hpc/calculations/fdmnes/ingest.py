"""What has become of FDMNES calculations, and their spectra into a store.

FDMNES's exit code says nothing, and its error file stays after a later good run. So a run is good when its log
NAME_bav.txt ends as logs of good runs do and NAME.txt has as many rows as the range asks for.
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.calculations.fdmnes.write import COLUMNS, ENDS_WELL, STARTER, TABLE, TAIL_BYTES
from xanes_hpc.errors import FormatError, SpectrumError, XanesHpcError
from xanes_hpc.formats import fdmnes, fdmnes_input
from xanes_hpc.formats.fdmnes_input import Input
from xanes_hpc.spectra import edges
from xanes_hpc.spectra.spectrum import NO_TREATMENT, PlacedSpectrum
from xanes_hpc.stores.other_spectra import Added, add_spectra
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.structure import Structure

CLOSE = 1e-6
"""Å by which positions may differ from the store's."""

Progress = Callable[[int, int], None]


class State(StrEnum):
    """What has become of a run."""

    GOOD = "good"
    NOT_STARTED = "not started"
    UNFINISHED = "unfinished"
    FAILED = "failed"
    OTHER = "of another site"


@dataclass(frozen=True)
class Run:
    """A folder of a site's calculation."""

    folder: Path
    site: str
    state: State
    reason: str = ""
    calculation: Input | None = None

    @property
    def listed(self) -> str:
        """A line on a run that is not good."""
        return f"{self.folder.name}: {self.state}" + (f": {self.reason}" if self.reason else "")


@dataclass
class Ingested:
    """What came of runs: how many there are by state, those that are not good, and the spectra that were added."""

    runs: Counter[str] = field(default_factory=Counter)
    not_good: list[str] = field(default_factory=list)
    spectra: Added = field(default_factory=Added)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self) | {"runs": dict(self.runs)}


def ingest(
    folder: Path,
    store: Path,
    replace_others: bool = False,
    look_only: bool = False,
    progress: Progress = lambda done, total: None,
) -> Ingested:
    """The spectra of all good runs of a folder into a structure store; the others are listed and left alone.

    Parameters
    ----------
    folder
        As ``fdmnes_runs.write_runs`` made it, or any with a folder per calculation that bears its site's name.
    store
        The structure store whose sites were calculated.
    replace_others
        Whether a spectrum takes the place of another of its kind and treatment.
    look_only
        Whether the store is left as it is.

    Raises
    ------
    FormatError
        If there are no runs, or none is good and of a site of the store.
    StoreError
        As ``add_spectra``.
    """
    found, result = find_runs(folder), Ingested()
    with StructureStore(store) as opened:
        rows = {name: row for row, name in enumerate(opened.sites.name)}

        def good_spectra() -> Iterator[tuple[int, PlacedSpectrum]]:
            for done, (path, site) in enumerate(found):
                progress(done, len(found))
                run = look_at(path, site)
                if run.state is State.GOOD:
                    run = hold_to_site(run, opened, rows.get(site))
                if run.state is State.GOOD:
                    try:
                        own = spectra_of(run)
                    except (FormatError, SpectrumError) as error:
                        run = replace(run, state=State.FAILED, reason=_without_folder(error, path))
                    else:
                        yield from ((rows[site], placed) for placed in own)
                result.runs[run.state] += 1
                if run.state is not State.GOOD:
                    result.not_good.append(run.listed)
            progress(len(found), len(found))
            if not result.runs[State.GOOD] and not look_only:
                counts = ", ".join(f"{n:,} {state}" for state, n in result.runs.most_common())
                first = next((line for line in result.not_good if State.NOT_STARTED not in line), result.not_good[0])
                raise FormatError(f"{folder}: none of {len(found)} runs is good ({counts}); the first: {first}")

        if look_only:
            for _ in good_spectra():
                pass
        else:
            result.spectra = add_spectra(store, good_spectra(), replace_others)
    return result


def find_runs(folder: Path) -> list[tuple[Path, str]]:
    """The folders of calculations in a folder with their sites' names: of its table, or else their own.

    Raises
    ------
    FormatError
        If there are none, or the table is none.
    """
    if not folder.is_dir():
        raise FormatError(
            f"{folder}: expected a folder of FDMNES runs" + ("" if folder.exists() else ", there is none")
        )
    table = folder / TABLE
    if table.exists():
        with table.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        if rows and not {"folder", "site"} <= rows[0].keys():
            raise FormatError(f"{table}: expected columns {', '.join(COLUMNS)}, received {', '.join(rows[0])}")
        found = [(folder / row["folder"], row["site"]) for row in rows]
    else:
        found = [(p.parent, p.parent.name) for p in sorted(folder.glob(f"*/{STARTER}"))]
        if not found and (folder / STARTER).exists():
            found = [(folder, folder.resolve().name)]
    if not found:
        raise FormatError(f"{folder}: no FDMNES runs in it (neither {TABLE} nor folders with {STARTER})")
    return found


def look_at(folder: Path, site: str) -> Run:
    """What has become of a run; never raises for what stands in its folder."""
    try:
        calculation = fdmnes_input.read(_input_of(folder))
    except FormatError as error:
        return Run(folder, site, State.FAILED, _without_folder(error, folder))
    output = calculation.output
    log, raw = folder / f"{output}_bav.txt", folder / f"{output}.txt"
    if not log.exists() and not raw.exists():
        said = _said(folder)
        state = State.FAILED if said else State.NOT_STARTED
        return Run(folder, site, state, said, calculation)
    if not _ends_well(log):
        said = _said(folder)
        reason = said or f"{log.name} does not end with {ENDS_WELL!r}"
        return Run(folder, site, State.FAILED if said else State.UNFINISHED, reason, calculation)
    try:
        spectrum = fdmnes.read(raw)
        if spectrum.treatment != NO_TREATMENT:
            raise FormatError(f"{raw}: line 1: expected FDMNES's '= E_edge, Z, …' after its numbers")
    except FormatError as error:
        return Run(folder, site, State.FAILED, _without_folder(error, folder), calculation)
    expected = fdmnes_input.n_energies(calculation.settings.energies)
    n_rows = spectrum.energies.size
    if n_rows != expected:
        reason = f"{raw.name} has {n_rows} rows; its range asks for {expected}"
        return Run(folder, site, State.UNFINISHED, reason, calculation)
    if calculation.settings.convolution and not (folder / f"{output}_conv.txt").exists():
        return Run(folder, site, State.UNFINISHED, f"no {output}_conv.txt, which it asks for", calculation)
    return Run(folder, site, State.GOOD, "", calculation)


def _without_folder(error: XanesHpcError, folder: Path) -> str:
    return str(error).replace(f"{folder}/", "")


def _input_of(folder: Path) -> Path:
    """The input file that the starter names."""
    starter = folder / STARTER
    try:
        lines = [line.partition("!")[0].strip() for line in starter.read_text(errors="replace").splitlines()]
    except OSError as error:
        raise FormatError(f"{starter}: cannot be read: {(error.strerror or str(error)).lower()}") from None
    named = [line for line in lines if line][1:]
    if len(named) != 1:
        raise FormatError(f"{starter}: expected 1 and one input file, received {len(named)} of them")
    return folder / named[0]


def _ends_well(log: Path) -> bool:
    try:
        with log.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - TAIL_BYTES))
            return ENDS_WELL.encode() in stream.read()
    except OSError:
        return False


def _said(folder: Path) -> str:
    """The first lines of FDMNES's error file, on one line."""
    try:
        text = (folder / "fdmnes_error.txt").read_text(errors="replace")
    except OSError:
        return ""
    return " ".join(text.split())[:200]


def spectra_of(run: Run) -> list[PlacedSpectrum]:
    """The spectra of a good run: as calculated, broadened by FDMNES, emission; as many as it asked for.

    Raises
    ------
    FormatError, SpectrumError
        If one cannot be read, or is none.
    """
    assert run.calculation is not None
    output, element = run.calculation.output, int(run.calculation.structure.numbers[run.calculation.absorber])
    raw = fdmnes.read(run.folder / f"{output}.txt")
    found = [raw]
    for name in (f"{output}_conv.txt", f"{output}_xes_conv.txt"):
        if (run.folder / name).exists():
            other = fdmnes.read(run.folder / name)
            found.append(replace(other, e_edge=raw.e_edge, e_cut=raw.e_cut, absolute=raw.absolute))
    try:
        return [edges.place(spectrum, element, run.calculation.edge) for spectrum in found]
    except SpectrumError as error:
        raise SpectrumError(f"{run.folder.name}/{error}") from None


def hold_to_site(run: Run, store: StructureStore, row: int | None) -> Run:
    """A good run, or the same as one of another site where it is not of the structure and absorber at a row."""
    if row is None:
        return replace(run, state=State.OTHER, reason=f"{store.path} has no site {run.site}")
    structure, atom = next(store.structures_at(np.array([row])))
    differs = _what_differs(run, structure, atom)
    return replace(run, state=State.OTHER, reason=differs) if differs else run


def _what_differs(run: Run, structure: Structure, atom: int) -> str:
    assert run.calculation is not None
    own = run.calculation.structure
    if own.numbers.tolist() != structure.numbers.tolist():
        return f"its atoms are not those of {run.site} in the store"
    if run.calculation.absorber != atom:
        return f"its absorber is atom {run.calculation.absorber}, that of {run.site} is atom {atom}"
    if (own.pbc != structure.pbc).any():
        return f"expected a {_kind(structure)} as in the store, received a {_kind(own)}"
    theirs, ours = (_lengths(s, atom) for s in (structure, own))
    if np.abs(theirs - ours).max(initial=0.0) > CLOSE:
        return f"its atoms stand elsewhere than those of {run.site} in the store"
    return ""


def _kind(structure: Structure) -> str:
    return "crystal" if structure.pbc.all() else "molecule"


def _lengths(structure: Structure, atom: int) -> npt.NDArray[np.float64]:
    """Distances from the absorber and lengths of the cell's vectors: what no turning of axes changes."""
    across = np.linalg.norm(structure.positions - structure.positions[atom], axis=1)
    return np.concatenate([across, np.linalg.norm(structure.cell, axis=1)])
