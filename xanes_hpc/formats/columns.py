"""The spectrum in a table of titled columns, as written by a program or at a beamline.

The energy is in eV, keV, Ry or hartree, or given by the angle of the monochromator, E = h c / (2 d sin(theta)). The
spectrum is a column of its own, or follows from detector channels.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.channels import absorption, rises
from xanes_hpc.formats.column_titles import (
    CHANNELS_OF,
    COUNTING,
    EV_PER,
    INTENSITIES,
    KNOWN_ENERGIES,
    OTHER,
    OTHER_UNITS,
    OWN_OF,
    PLAIN_SPECTRA,
    RADIANS_PER,
    channels_of,
    is_angle,
    is_channel,
    is_energy,
    is_other_energy,
    parts,
    plain,
    sigma_of,
    unit_of,
    why_no_spectrum,
)  # fmt: skip
from xanes_hpc.formats.read_options import AS_FOUND, FLUORESCENCE, MODES, REFERENCE, TRANSMISSION, ReadOptions
from xanes_hpc.formats.text_table import Table
from xanes_hpc.spectra.spectrum import Choices

Array = npt.NDArray[np.float64]
HC = 12398.419843320026
"""Planck's constant times the speed of light, eV Å."""
SEVERAL_COLUMNS = "files have several columns that may be the spectrum"
FROM_ANGLES = "energies were computed from the angle of the monochromator"
TAKEN = "columns with unknown titles were taken as spectra"
CONVERTED = "energies were converted from Ry or hartree"
WITH_SIGMA = "standard deviations were read from a column"
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
    at = named[0] if named else _energy_column(path, table, split)
    energies, choices = _energies(path, table, at, split[at], at in units, (options.d_spacing, d_spacing))
    choices = (*table.choices, *choices)
    reference = None if options.mu == REFERENCE else _reference(path, table, names)
    if named and len(named) == 2:
        return _own_column(path, table, names, named[1], Columns(energies, energies, "", choices, None, reference))
    if named:
        mode = options.mu or _mode_of([_name(table, i) for i in named[1:]])
        if mode is None:
            listed = ",".join(options.columns)
            raise FormatError(f"{path}: columns {listed}: give `mu`, one of {', '.join(MODES)}")
        channels: Sequence[int] = named[1:]
    else:
        found, mode, channels, told = _spectrum_columns(path, table, names, at, options.mu, preferred)
        choices += told
        if mode is None:
            return _own_column(path, table, names, found, Columns(energies, energies, "", choices, None, reference))
    mu, counted, told = absorption(path, mode, [(_name(table, i), table.values[:, i]) for i in channels])
    energies, mu = energies[counted], mu[counted]
    if mode != FLUORESCENCE and rises(energies, -mu):
        told += ((EXCHANGED, path.name),)
    reference = None if reference is None or mode == REFERENCE else reference[counted]
    return Columns(energies, mu, mode, (*choices, *told), None, reference, mode)


def _own_column(path: Path, table: Table, names: Sequence[str], column: int, rest: Columns) -> Columns:
    """Return the spectrum in a column of its own, with its standard deviations if another column has them."""
    mu, title, choices = table.values[:, column].copy(), names[column], rest.choices
    mode = next((mode for mode, own in OWN_OF.items() if title in own), "")
    sigma, at = None, sigma_of(table.titles, title) if title else None
    if at is not None and is_sigma(table.values[:, at], mu):
        sigma, choices = table.values[:, at].copy(), (*choices, (WITH_SIGMA, f"{path.name}: {table.titles[at]}"))
    reference = None if mode == REFERENCE else rest.reference
    return replace(rest, intensities=mu, title=title, choices=choices, sigma=sigma, reference=reference, mode=mode)


def is_sigma(values: Array, intensities: Array) -> bool:
    """Return True if values can be the standard deviations of intensities: none below 0, most below their range."""
    if values.shape != intensities.shape or not np.isfinite(values).all() or values.min() < 0 or not values.any():
        return False
    return bool(np.median(values) < np.ptp(intensities))


def _reference(path: Path, table: Table, names: Sequence[str]) -> Array | None:
    """Return the absorption of the reference sample; None without its columns, or if they are not usable."""
    if own := [i for i, name in enumerate(names) if name in OWN_OF[REFERENCE]]:
        mu = table.values[:, own[0]].copy()
    else:
        after, behind = (channels_of(table.titles, role) for role in CHANNELS_OF[REFERENCE])
        if not after or not behind:
            return None
        try:
            mu = absorption(path, REFERENCE, [(_name(table, i), table.values[:, i]) for i in (after[0], behind[0])])[0]
        except FormatError:  # of a dead detector, say: only who asks for the reference needs it
            return None
    there = np.isfinite(mu)
    return np.interp(np.arange(mu.size), np.flatnonzero(there), mu[there]) if there.any() else None


def _name(table: Table, column: int) -> str:
    return table.titles[column] if table.titles else str(column + 1)


def _listed(table: Table) -> str:
    n = table.values.shape[1]
    return f"{n} columns ({', '.join(table.titles)})" if table.titles else f"{n} columns without titles"


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
            raise FormatError(f"{path}: expected a column {name}, received {_listed(table)}")
    if len(set(found)) < len(found):
        raise FormatError(f"{path}: columns {','.join(columns)}: expected different columns of {_listed(table)}")
    return found


def _energy_column(path: Path, table: Table, split: Sequence[tuple[str, str]]) -> int:
    found = [i for i, both in enumerate(split) if is_energy(*both)]
    found = found or [i for i, both in enumerate(split) if is_other_energy(*both)]
    found = found or [i for i, both in enumerate(split) if is_angle(*both)][:1]
    alone = len(split) == 2
    other = [table.titles[i] for i, (name, _) in enumerate(split) if name in OTHER or (alone and name in COUNTING)]
    if other and not found:
        raise FormatError(
            f"{path}: expected energies and a spectrum, received the columns {', '.join(table.titles)}: "
            f"{other[0]} is no energy"
        )
    if alone and not found:
        found = [1 if split[0][0] in INTENSITIES and split[1][0] not in INTENSITIES else 0]
    if len(found) != 1:
        raise _unclear(path, table)
    return found[0]


def _unclear(path: Path, table: Table) -> FormatError:
    named = f" ({', '.join(table.titles)})" if table.titles else ""
    return FormatError(
        f"{path}: expected two columns, energy and intensity, received {table.values.shape[1]}{named}; "
        "`columns` chooses, such as energy,i0,itrans"
    )


def _energies(
    path: Path, table: Table, column: int, name_unit: tuple[str, str], stated: bool, spacings: Sequence[float | None]
) -> tuple[Array, Choices]:
    """Return a column as energies in eV; its unit may be ``stated``; the spacings are the user's and the file's."""
    (name, unit), (given, own) = name_unit, spacings
    values = table.values[:, column]
    energy = is_energy(name, unit) or is_other_energy(name, unit)
    if unit in RADIANS_PER or is_angle(name, unit) or (given is not None and not energy):
        if (d_spacing := given if given is not None else own) is None:
            raise FormatError(
                f"{path}: expected energies, received the column {_name(table, column)}; to convert angles, give the "
                "monochromator's `d_spacing`, in Å"
            )
        if unit and unit not in RADIANS_PER:
            raise FormatError(f"{path}: expected angles in degrees or radians, received {unit!r}")
        radians = values * RADIANS_PER[unit or "deg"]
        if not ((radians > 0) & (radians < np.pi / 2)).all():
            raise FormatError(
                f"{path}: expected angles between 0 and 90 degrees, received {values.min():g} to {values.max():g}"
            )
        detail = f"{path.name}: {values.min():g} to {values.max():g}, d = {d_spacing:g} Å"
        return HC / (2.0 * d_spacing * np.sin(radians)), ((FROM_ANGLES, detail),)
    if unit and unit not in EV_PER and (unit in OTHER_UNITS or stated):
        raise FormatError(f"{path}: {KNOWN_ENERGIES}, received {unit!r}")
    factor = EV_PER.get(unit, 1.0)
    told: Choices = ((CONVERTED, f"{path.name}: 1 {unit} = {factor:.9g} eV"),) if factor not in (1.0, 1000.0) else ()
    return values * factor, told


def _mode_of(titles: Sequence[str]) -> str | None:
    """Return what a list of channels allows to compute; None if their titles do not say."""
    for mode, (first, second) in CHANNELS_OF.items():
        one_too_many = mode != FLUORESCENCE and len(titles) > 2
        if is_channel(titles[0], first) and not one_too_many and all(is_channel(t, second) for t in titles[1:]):
            return mode
    return None


def _spectrum_columns(
    path: Path, table: Table, titles: Sequence[str], energy: int, mode: str | None, preferred: Sequence[Sequence[str]]
) -> tuple[int, str | None, Sequence[int], Choices]:
    """Return the column of the spectrum, or how it is measured and its channels; and what there was to choose from."""
    groups = preferred if mode is None else [OWN_OF[mode]]
    for group in groups:
        if found := [i for i, t in enumerate(titles) if t in group and i != energy]:
            told: Choices = ()
            if len(found) > 1:
                detail = f"{', '.join(table.titles[i] for i in found)}; read {table.titles[found[0]]}, the first"
                told = ((SEVERAL_COLUMNS, f"{path.name}: {detail}"),)
            return found[0], None, (), told
    if mode is None and len(titles) == 2:
        other = 1 - energy
        if not table.titles:
            return other, None, (), ()
        if wrong := why_no_spectrum(table.titles[other]):
            both = f"{table.titles[energy]},{table.titles[other]}"
            raise FormatError(f"{path}: expected a spectrum, received {wrong}; `columns` {both} reads it all the same")
        known = not table.titles[other] or titles[other] in PLAIN_SPECTRA
        told = () if known else ((TAKEN, f"{path.name}: {table.titles[other]}"),)
        return other, None, (), told
    possible = {}
    for own in [mode] if mode else (TRANSMISSION, FLUORESCENCE):
        first, second = (channels_of(table.titles, role) for role in CHANNELS_OF[own])
        if first and second:
            possible[own] = (first[0], *(second if own == FLUORESCENCE else second[:1]))
    if not possible and mode is not None:
        wanted = " and ".join(CHANNELS_OF[mode])
        raise FormatError(f"{path}: expected columns {wanted} for {mode}, received {_listed(table)}; `columns` chooses")
    if not possible:
        raise _unclear(path, table)
    chosen = next(iter(possible))
    told = ()
    if len(possible) > 1:
        told = ((SEVERAL_COLUMNS, f"{path.name}: {' and '.join(possible)}; read {chosen}"),)
    return -1, chosen, possible[chosen], told
