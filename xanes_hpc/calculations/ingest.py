"""Check the runs of a program, and add the spectra of the good ones to a structure store."""

import csv
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from xanes_hpc.calculations.program import Program, Run, State, without_folder
from xanes_hpc.calculations.write import COLUMNS, TABLE
from xanes_hpc.errors import FormatError
from xanes_hpc.formats import unreadable
from xanes_hpc.spectra.spectrum import PlacedSpectrum
from xanes_hpc.stores.other_spectra import Added, add_spectra
from xanes_hpc.stores.structures import StructureStore

OUTCOME = "outcome.json"
"""File in the folder of a run that this program started: how it ended."""
Progress = Callable[[int, int], None]


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
    program: Program,
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
    program
        The program that made the runs; its settings do not matter.
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
    found, result = find_runs(folder, program), Ingested()
    with StructureStore(store) as opened:
        rows = {name: row for row, name in enumerate(opened.sites.name)}

        def good_spectra() -> Iterator[tuple[int, PlacedSpectrum]]:
            for done, (path, site) in enumerate(found):
                progress(done, len(found))
                run, own = results_of(program, look_at(program, path, site), opened, rows.get(site))
                yield from ((rows[site], placed) for placed in own)
                result.not_compared += run.state is State.GOOD and not run.compared
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


def results_of(program: Program, run: Run, store: StructureStore, row: int | None) -> tuple[Run, list[PlacedSpectrum]]:
    """Return a run with the state that a comparison with the site at ``row`` shows, and its spectra if it is good."""
    if run.state is not State.GOOD:
        return run, []
    if row is None:
        return replace(run, state=State.OTHER, reason=f"{store.path} has no site {run.site}"), []
    structure, atom = next(store.structures_at(np.array([row])))
    differs = program.difference(run, structure, atom, store.sites.edge[row])
    if differs:
        return replace(run, state=State.OTHER, reason=differs), []
    try:
        return run, program.spectra_of(run)
    except (OSError, ValueError) as error:  # also files that were deleted since
        return replace(run, state=State.FAILED, reason=without_folder(error, run.folder)), []


def find_runs(folder: Path, program: Program) -> list[tuple[Path, str]]:
    """Return the folders of runs in a folder with their sites' names, from its table or else from the folders' names.

    Raises
    ------
    FormatError
        If there are no runs, or the table lacks a column.
    """
    if not folder.is_dir():
        received = "a file" if folder.exists() else "no such folder"
        raise FormatError(f"{folder}: expected a folder of {program.title} runs, received {received}")
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
        found = [(p, p.name) for p in folders if not os.access(p, os.R_OK | os.X_OK) or (p / program.starter).exists()]
        if not found and (folder / program.starter).exists():
            found = [(folder, folder.resolve().name)]
    if not found:
        raise FormatError(
            f"{folder}: no {program.title} runs found; expected {TABLE} or folders with {program.starter}"
        )
    return found


def look_at(program: Program, folder: Path, site: str) -> Run:
    """Return the state of a run; the content of its folder never makes it raise."""
    try:
        if (folder / OUTCOME).exists():
            outcome = json.loads((folder / OUTCOME).read_text(encoding="utf-8"))
            if outcome["state"] != State.GOOD:
                return Run(folder, site, State(outcome["state"]), str(outcome["reason"]))
        if not folder.exists():
            return Run(folder, site, State.NOT_STARTED)
        return program.look_at(folder, site)
    except (OSError, ValueError, KeyError, TypeError) as error:  # such as no permission, or an impossible name
        return Run(folder, site, State.FAILED, without_folder(unreadable(folder, error), folder))
