"""The spectrum in a table of titled columns, as written by a program or at a beamline.

The energy is in eV, keV, Ry or hartree, or given by the angle of the monochromator. The spectrum is a column of its
own, or follows from detector channels.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.channel_titles import CHANNELS_OF, channels_of, is_channel
from xanes_hpc.formats.channels import absorption, rises
from xanes_hpc.formats.column_titles import INTENSITIES, OWN_OF, parts, plain, sigma_of, unit_of
from xanes_hpc.formats.energy_columns import check_ends, energies_of, energy_column
from xanes_hpc.formats.read_options import AS_FOUND, FLUORESCENCE, MODES, REFERENCE, ReadOptions
from xanes_hpc.formats.spectrum_columns import spectrum_columns
from xanes_hpc.formats.text_table import Table
from xanes_hpc.spectra.spectrum import Choices

Array = npt.NDArray[np.float64]
WITH_SIGMA = "standard deviations were read from a column"
NO_SIGMA = "columns called standard deviations were not used: they are below 0, 0 everywhere, or not finite"
EXCHANGED = "the absorption falls through the edge: i0 and itrans may be exchanged"


@dataclass(frozen=True)
class Columns:
    """What a table holds: energies (eV) and intensities, (n_points,), the spectrum's title, and what was chosen.

    ``sigma``, ``reference`` and ``mode`` are as in ``Spectrum``.
    """

    energies: Array
    intensities: Array
    title: str = ""
    choices: Choices = ()
    sigma: Array | None = None
    reference: Array | None = None
    mode: str = ""


def energy_and_intensity(
    path: Path,
    table: Table,
    options: ReadOptions = AS_FOUND,
    units: Mapping[int, str] | None = None,
    preferred: Sequence[Sequence[str]] = (INTENSITIES,),
    d_spacing: float | None = None,
) -> Columns:
    """Return the energies and the spectrum of a table: its columns with such titles, or the only two columns.

    Parameters
    ----------
    path
        The file, for messages.
    table
        Its titles and numbers.
    options
        Which columns to read.
    units
        Units of columns that the file gives besides its titles.
    preferred
        Names of spectra: those of the first group that occurs, and of several the first in the file.
    d_spacing
        The monochromator's lattice spacing in Å that the file gives; that of the options comes first.

    Raises
    ------
    FormatError
        If the columns hold another quantity, such as chi(k), or it is not clear which columns hold the spectrum.
    """
    split = [parts(title) for title in table.titles] or [("", "")] * table.values.shape[1]
    units = {**table.units, **(units or {})}
    split = [(name, unit_of(units.get(i, "")) or unit) for i, (name, unit) in enumerate(split)]
    names = [name for name, _ in split]
    named = _resolved(path, table, options.columns)
    at, told = (named[0], ()) if named else energy_column(path, table, split)
    own_spacing = table.d_spacing if d_spacing is None else d_spacing
    energies, choices = energies_of(path, table, at, split[at], at in units, (options.d_spacing, own_spacing))
    choices = (*table.choices, *told, *choices)
    reference = None if options.mu == REFERENCE else _reference(path, table, names, energies)
    mode: str | None = None
    channels: Sequence[int] = ()
    column = named[1] if len(named) == 2 else None
    if len(named) > 2:
        mode, channels = options.mu or _mode_of([table.name(i) for i in named[1:]]), named[1:]
        if mode is None:
            raise FormatError(f"{path}: columns {','.join(options.columns)}: give `mu`, one of {', '.join(MODES)}")
    elif not named:
        chosen = spectrum_columns(path, table, names, at, energies, options.mu, preferred)
        column, mode, channels, choices = chosen.column, chosen.mode, chosen.channels, (*choices, *chosen.choices)
    rest = Columns(energies, energies, choices=choices, reference=reference)
    if column is not None:
        found = _own_column(path, table, names, column, rest)
    else:
        found = _from_channels(path, table, str(mode), channels, rest)
    check_ends(path, found.energies, found.intensities)
    return found


def _from_channels(path: Path, table: Table, mode: str, channels: Sequence[int], rest: Columns) -> Columns:
    """Return the absorption that detector channels give, where they have counts."""
    mu, counted, told = absorption(path, mode, [table.channel(i) for i in channels])
    energies, mu, reference = rest.energies[counted], mu[counted], rest.reference
    if mode != FLUORESCENCE and rises(energies, -mu):
        told += ((EXCHANGED, path.name),)
    reference = None if reference is None or mode == REFERENCE else reference[counted]
    return Columns(energies, mu, mode, (*rest.choices, *told), None, reference, mode)


def _own_column(path: Path, table: Table, names: Sequence[str], column: int, rest: Columns) -> Columns:
    """Return the spectrum in a column of its own, with its standard deviations if another column has them."""
    mu, title, choices = table.values[:, column].copy(), names[column], rest.choices
    mode = next((mode for mode, own in OWN_OF.items() if title in own), "")
    sigma, at = None, sigma_of(table.titles, title) if title else None
    if at is not None and at != column:
        usable = is_sigma(table.values[:, at], mu)
        sigma = table.values[:, at].copy() if usable else None
        choices = (*choices, (WITH_SIGMA if usable else NO_SIGMA, f"{path.name}: {table.titles[at]}"))
    reference = None if mode == REFERENCE else rest.reference
    return replace(rest, intensities=mu, title=title, choices=choices, sigma=sigma, reference=reference, mode=mode)


def is_sigma(values: Array, intensities: Array) -> bool:
    """Return True if values can be the standard deviations of intensities: none below 0, most below their range."""
    if values.shape != intensities.shape or not np.isfinite(values).all() or values.min() < 0 or not values.any():
        return False
    return bool(np.median(values) < np.ptp(intensities))


def _reference(path: Path, table: Table, names: Sequence[str], energies: Array) -> Array | None:
    """Return the absorption of the reference sample; None without its columns, or if they are not usable."""
    if own := [i for i, name in enumerate(names) if name in OWN_OF[REFERENCE]]:
        mu = table.values[:, own[0]].copy()
    else:
        after, behind = (channels_of(table.titles, role) for role in CHANNELS_OF[REFERENCE])
        if not after or not behind:
            return None
        if rises(energies, table.values[:, behind[0]]):  # an absorption, not counts
            return table.values[:, behind[0]].copy()
        try:
            mu = absorption(path, REFERENCE, [table.channel(i) for i in (after[0], behind[0])])[0]
        except FormatError:  # of a dead detector, say: only who asks for the reference needs it
            return None
    there = np.isfinite(mu)
    return np.interp(np.arange(mu.size), np.flatnonzero(there), mu[there]) if there.any() else None


def _resolved(path: Path, table: Table, columns: Iterable[str]) -> list[int]:
    """Return the columns with the given titles or numbers (from 1)."""
    titles = [plain(title) for title in table.titles]
    names = [parts(title)[0] for title in table.titles]
    lower = [title.lower() for title in table.titles]
    found = []
    for name in columns:
        if name.lower() in lower:
            found.append(lower.index(name.lower()))
        elif plain(name) and plain(name) in titles:
            found.append(titles.index(plain(name)))
        elif plain(name) and plain(name) in names:
            found.append(names.index(plain(name)))
        elif name.isdecimal() and 0 < int(name) <= table.values.shape[1]:
            found.append(int(name) - 1)
        else:
            raise FormatError(f"{path}: expected a column {name}, received {table.listed()}")
    if len(set(found)) < len(found):
        raise FormatError(f"{path}: columns {','.join(columns)}: expected different columns of {table.listed()}")
    return found


def _mode_of(titles: Sequence[str]) -> str | None:
    """Return what a list of channels allows to compute; None if their titles do not say."""
    for mode, (first, second) in CHANNELS_OF.items():
        one_too_many = mode != FLUORESCENCE and len(titles) > 2
        if is_channel(titles[0], first) and not one_too_many and all(is_channel(t, second) for t in titles[1:]):
            return mode
    return None
