"""Which columns of a table are its spectrum: one of its own, or detector channels, and how they were measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.channel_titles import CHANNELS_OF, I0, channels_of, rivals_of
from xanes_hpc.formats.channels import absorption, rises
from xanes_hpc.formats.column_titles import OWN_OF, PLAIN_SPECTRA, why_no_spectrum
from xanes_hpc.formats.energy_columns import unclear
from xanes_hpc.formats.read_options import FLUORESCENCE, REFERENCE, TRANSMISSION
from xanes_hpc.formats.text_table import Table
from xanes_hpc.spectra.spectrum import Choices

Array = npt.NDArray[np.float64]
SEVERAL_COLUMNS = "files have several columns that may be the spectrum"
SEVERAL_DETECTORS = "files have several columns that may be the same detector"
TAKEN = "columns with unknown titles were taken as spectra"
DEFAULT = (TRANSMISSION, FLUORESCENCE)
"""What channels give without a choice, by preference."""
AMBIGUOUS = "intensity"
"""Name of a spectrum that is one of counts beside those of the incoming beam."""


@dataclass(frozen=True)
class Chosen:
    """The column of a spectrum, or how it is measured and its channels; and what there was to choose from."""

    column: int | None
    mode: str | None = None
    channels: Sequence[int] = ()
    choices: Choices = ()


def spectrum_columns(
    path: Path,
    table: Table,
    names: Sequence[str],
    energy: int,
    energies: Array,
    mode: str | None,
    preferred: Sequence[Sequence[str]],
) -> Chosen:
    """Return what to read of a table; of several ways of measuring, the one that rises.

    Parameters
    ----------
    path, table
        The file, for messages, and its titles and numbers.
    names
        Plain names of the columns.
    energy, energies
        The column of the energies, and they in eV.
    mode
        How the spectrum is to be measured; by default as the columns allow.
    preferred
        Names of spectra by preference.

    Raises
    ------
    FormatError
        If no column is known to be a spectrum, or the channels for ``mode`` are missing or dead.
    """
    if own := _own_columns(names, energy, preferred if mode is None else [OWN_OF[mode]]):
        return _among_own(path, table, names, energies, own, mode)
    if mode is None and len(names) == 2:
        return Chosen(1 - energy, None, (), _check_only_column(path, table, names, energy))
    possible = _possible(table, mode)
    if not possible and mode is not None:
        wanted = " and ".join(CHANNELS_OF[mode])
        raise FormatError(f"{path}: expected columns {wanted} for {mode}, received {table.listed()}; `columns` chooses")
    if not possible:
        raise unclear(path, table)
    chosen, told = _that_rises(path, table, energies, possible)
    return Chosen(None, chosen, possible[chosen], told + _rivals(path, table, chosen))


def _own_columns(names: Sequence[str], energy: int, groups: Sequence[Sequence[str]]) -> list[int]:
    """Return the columns of the first group of spectra that occurs."""
    counts = bool(channels_of(names, I0))
    for group in groups:
        doubtful = counts and len(group) > 1  # a group of one was asked for
        if found := [
            i for i, name in enumerate(names) if name in group and i != energy and not (doubtful and name == AMBIGUOUS)
        ]:
            return found
    return []


def _among_own(
    path: Path, table: Table, names: Sequence[str], energies: Array, own: Sequence[int], mode: str | None
) -> Chosen:
    """Return the first of a table's own spectra, or the only one of several ways of measuring that rises."""
    modes = {i: next((way for way in DEFAULT if names[i] in OWN_OF[way]), "") for i in own}
    first = own[0]
    titles = ", ".join(table.titles[i] for i in own)
    told = ((SEVERAL_COLUMNS, f"{path.name}: {titles}; read {table.titles[first]}, the first"),)
    as_listed = Chosen(first, choices=told if len(own) > 1 else ())
    if mode is not None:
        return as_listed
    rest = [i for i in own if modes[i] != modes[first]]
    possible = _possible(table, None)
    if (rest or possible) and not rises(energies, table.values[:, first]):
        other = [i for i in rest if rises(energies, table.values[:, i])]
        if len(other) == 1:
            why = f"{path.name}: {titles}; read {table.titles[other[0]]}, which alone rises (`mu` chooses)"
            return Chosen(other[0], choices=((SEVERAL_COLUMNS, why),))
        rising = {way: columns for way, columns in possible.items() if _rises(path, table, energies, way, columns)}
        if len(rising) == 1 and not other:
            ((way, columns),) = rising.items()
            why = f"{path.name}: {titles} and {way}; read {way}, which alone rises"
            return Chosen(None, way, columns, ((SEVERAL_COLUMNS, why), *_rivals(path, table, way)))
    return as_listed


def _check_only_column(path: Path, table: Table, names: Sequence[str], energy: int) -> Choices:
    """Return what there is to say about the only column beside the energies.

    Raises
    ------
    FormatError
        If it is known to be no spectrum, or one of the reference.
    """
    if not table.titles:
        return ()
    title, name = table.titles[1 - energy], names[1 - energy]
    if name in OWN_OF[REFERENCE]:
        raise FormatError(
            f"{path}: expected a spectrum of the sample, received that of the reference, {title}; "
            f"`mu` {REFERENCE} reads it all the same"
        )
    if wrong := why_no_spectrum(title):
        both = f"{table.titles[energy]},{title}"
        raise FormatError(f"{path}: expected a spectrum, received {wrong}; `columns` {both} reads it all the same")
    return () if not title or name in PLAIN_SPECTRA else ((TAKEN, f"{path.name}: {title}"),)


def _possible(table: Table, mode: str | None) -> dict[str, list[int]]:
    """Return the ways of measuring for which a table has the channels, with their columns."""
    found: dict[str, list[int]] = {}
    if len(table.titles) < 3:
        return found
    for own in [mode] if mode else DEFAULT:
        first, second = (channels_of(table.titles, role) for role in CHANNELS_OF[own])
        if first and second:
            found[own] = [*first, *second]
    return found


def _that_rises(
    path: Path, table: Table, energies: Array, possible: Mapping[str, Sequence[int]]
) -> tuple[str, Choices]:
    """Return the only way of measuring that rises, else the first, and what there is to say about the others."""
    first = next(iter(possible))
    if len(possible) == 1:
        return first, ()
    rising = [way for way, columns in possible.items() if _rises(path, table, energies, way, columns)]
    both = " and ".join(possible)
    if len(rising) == 1:
        return rising[0], ((SEVERAL_COLUMNS, f"{path.name}: {both}, of which one rises; read {rising[0]}"),)
    how_many = "which both rise" if rising else "of which none rises"
    return first, ((SEVERAL_COLUMNS, f"{path.name}: {both}, {how_many} (`mu` chooses); read {first}"),)


def _rises(path: Path, table: Table, energies: Array, mode: str, columns: Sequence[int]) -> bool:
    """Return True if what channels give is a spectrum that rises; False if one is dead."""
    try:
        mu, counted, _ = absorption(path, mode, [table.channel(i) for i in columns])
    except FormatError:
        return False
    return rises(energies[counted], mu[counted])


def _rivals(path: Path, table: Table, mode: str) -> Choices:
    """Return which detectors were chosen among several."""
    told: Choices = ()
    for role in CHANNELS_OF[mode]:
        found = channels_of(table.titles, role)
        if others := rivals_of(table.titles, role):
            names = ", ".join(table.titles[i] for i in sorted([*found, *others]))
            read = ", ".join(table.titles[i] for i in found)
            told += ((SEVERAL_DETECTORS, f"{path.name}: {role} may be {names}; read {read}"),)
    return told
