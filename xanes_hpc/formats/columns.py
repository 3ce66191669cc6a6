"""The spectrum in a table of titled columns, as written by a program or at a beamline.

The energy is in eV, in keV, or given by the angle of the monochromator, E = h c / (2 d sin(theta)). The spectrum is a
column of its own, or follows from detector channels. Titles are compared by their letters and digits only:
``Energy (eV)`` and ``energy_ev`` are the same.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.channels import absorption
from xanes_hpc.formats.read_options import AS_FOUND, FLUORESCENCE, MODES, REFERENCE, TRANSMISSION, ReadOptions
from xanes_hpc.formats.text_table import Table
from xanes_hpc.spectra.spectrum import Choices

Array = npt.NDArray[np.float64]
HC = 12398.419843320026
"""Planck's constant times the speed of light, eV Å."""
ENERGY_TITLES = (
    "energy", "energies", "e", "ev", "eev", "energyev", "photonenergy", "photonenergyev", "omega",
    "kev", "ekev", "energykev", "photonenergykev",
)  # fmt: skip
RELATIVE_TITLE = "energyevrelativetoe0"
"""Title of the energy column if none of ``ENERGY_TITLES`` occurs."""
ANGLE_TITLE = re.compile(r"(mono|bragg)*(angle|theta|bragg)(deg|degrees|rad|radians)?")
OTHER_TITLES = (
    "k", "kaa1", "k1", "chi", "chik", "kchi", "k2chi", "k3chi", "chik2", "chik3", "r", "rmag", "chir", "chirmag",
    "q", "twotheta", "2theta", "tth", "wavelength", "time", "seconds",
)  # fmt: skip
"""Titles of columns that are neither energies nor spectra."""
I0, ITRANS, IFLUOR, IREFER = "i0", "itrans", "ifluor", "irefer"
CHANNELS = {
    I0: ("i0", "io", "izero", "ic0", "monitor", "i0detector"),
    ITRANS: ("itrans", "it", "itr", "i1", "ic1", "trans", "itransmission"),
    IFLUOR: ("ifluor", "if", "iff", "ifl", "ifluo", "fluor", "fluo", "fluorescence", "ifluorescence", "pips"),
    IREFER: ("irefer", "ir", "iref", "i2", "ic2", "refer", "ref", "ireference"),
}
"""Titles of detector channels, in the words of the XDI dictionary."""
CHANNELS_OF = {TRANSMISSION: (I0, ITRANS), FLUORESCENCE: (I0, IFLUOR), REFERENCE: (ITRANS, IREFER)}
OWN_OF = {
    TRANSMISSION: ("mutrans", "normtrans"),
    FLUORESCENCE: ("mufluor", "normfluor"),
    REFERENCE: ("murefer", "normrefer"),
}
"""Titles of spectra that say how they were measured."""
INTENSITY_TITLES = (
    "xanes", "xes", "mu", "norm", "intensity", "absorption", "xas", "xmu", "mean",
    *(title for mode in (TRANSMISSION, FLUORESCENCE) for title in OWN_OF[mode]),
)  # fmt: skip
SEVERAL_COLUMNS = "files have several columns that may be the spectrum"
FROM_ANGLES = "energies were computed from the angle of the monochromator"
KILO = {"ev": 1.0, "kev": 1000.0}


@dataclass(frozen=True)
class Columns:
    """What a table holds: energies (eV) and intensities, (n_points,), the spectrum's title, and what was chosen."""

    energies: Array
    intensities: Array
    title: str = ""
    choices: Choices = ()


def energy_and_intensity(
    path: Path,
    table: Table,
    options: ReadOptions = AS_FOUND,
    units: Mapping[int, str] | None = None,
    preferred: Sequence[Sequence[str]] = (INTENSITY_TITLES,),
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
        Titles of spectra: those of the first group that occurs, and of several the first in the file.

    Raises
    ------
    FormatError
        If the columns hold another quantity, such as chi(k), or it is not clear which columns hold the spectrum.
    """
    titles = [plain_title(title) for title in table.titles] or [""] * table.values.shape[1]
    named = _resolved(path, table, options.columns)
    at = named[0] if named else _energy_column(path, table, titles, options)
    energies, choices = _energies(path, table, at, titles[at], (units or {}).get(at, ""), options.d_spacing)
    if named and len(named) == 2:
        return Columns(energies, table.values[:, named[1]].copy(), titles[named[1]], (*table.choices, *choices))
    if named:
        mode = options.mu or _mode_of([titles[i] for i in named[1:]])
        if mode is None:
            listed = ",".join(options.columns)
            raise FormatError(f"{path}: columns {listed}: give `mu`, one of {', '.join(MODES)}")
        channels: Sequence[int] = named[1:]
    else:
        found, mode, channels, told = _spectrum_columns(path, table, titles, at, options.mu, preferred)
        choices += told
        if mode is None:
            return Columns(energies, table.values[:, found].copy(), titles[found], (*table.choices, *choices))
    mu, counted, told = absorption(path, mode, [(_name(table, i), table.values[:, i]) for i in channels])
    return Columns(energies[counted], mu[counted], mode, (*table.choices, *choices, *told))


def plain_title(title: str) -> str:
    """Return the letters and digits of a title in lower case.

    Examples
    --------
    >>> plain_title("Energy (eV)"), plain_title("I_0")
    ('energyev', 'i0')
    """
    return re.sub("[^a-z0-9]", "", title.lower())


def _name(table: Table, column: int) -> str:
    return table.titles[column] if table.titles else str(column + 1)


def _listed(table: Table) -> str:
    n = table.values.shape[1]
    return f"{n} columns ({', '.join(table.titles)})" if table.titles else f"{n} columns without titles"


def _resolved(path: Path, table: Table, columns: Iterable[str]) -> list[int]:
    """Return the columns with the given titles or numbers (from 1)."""
    titles = [plain_title(title) for title in table.titles]
    lower = [title.lower() for title in table.titles]
    found = []
    for name in columns:
        if name.lower() in lower:
            found.append(lower.index(name.lower()))
        elif plain_title(name) and plain_title(name) in titles:
            found.append(titles.index(plain_title(name)))
        elif name.isdecimal() and 0 < int(name) <= table.values.shape[1]:
            found.append(int(name) - 1)
        else:
            raise FormatError(f"{path}: expected a column {name}, received {_listed(table)}")
    if len(set(found)) < len(found):
        raise FormatError(f"{path}: columns {','.join(columns)}: expected different columns of {_listed(table)}")
    return found


def _energy_column(path: Path, table: Table, titles: Sequence[str], options: ReadOptions) -> int:
    found = [i for i, t in enumerate(titles) if t in ENERGY_TITLES]
    found = found or [i for i, t in enumerate(titles) if t == RELATIVE_TITLE]
    found = found or [i for i, t in enumerate(titles) if ANGLE_TITLE.fullmatch(t)][:1]
    other = [table.titles[i] for i, t in enumerate(titles) if t in OTHER_TITLES]
    if other and not found:
        raise FormatError(
            f"{path}: expected energies and a spectrum, received the columns {', '.join(table.titles)}: "
            f"{other[0]} is no energy"
        )
    if len(titles) == 2 and not found:
        found = [1 if titles[0] in INTENSITY_TITLES and titles[1] not in INTENSITY_TITLES else 0]
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
    path: Path, table: Table, column: int, title: str, unit: str, d_spacing: float | None
) -> tuple[Array, Choices]:
    """Return a column as energies in eV."""
    values = table.values[:, column]
    unit = unit.lower()
    if ANGLE_TITLE.fullmatch(title) or unit.startswith(("deg", "rad")) or (d_spacing and title not in ENERGY_TITLES):
        if d_spacing is None:
            raise FormatError(
                f"{path}: expected energies, received the column {_name(table, column)}; to convert angles, give the "
                "monochromator's `d_spacing`, in Å"
            )
        radians = values if unit.startswith("rad") or "rad" in title else np.radians(values)
        if not ((radians > 0) & (radians < np.pi / 2)).all():
            raise FormatError(
                f"{path}: expected angles between 0 and 90 degrees, received {values.min():g} to {values.max():g}"
            )
        detail = f"{path.name}: {values.min():g} to {values.max():g}, d = {d_spacing:g} Å"
        return HC / (2.0 * d_spacing * np.sin(radians)), ((FROM_ANGLES, detail),)
    if unit and unit not in KILO:
        raise FormatError(f"{path}: expected energies in eV or keV, received {unit!r}")
    return values * (KILO[unit] if unit else 1000.0 if title.endswith("kev") else 1.0), ()


def _mode_of(titles: Sequence[str]) -> str | None:
    """Return what a list of channels allows to compute; None if their titles do not say."""
    for mode, (first, second) in CHANNELS_OF.items():
        rest = titles[1:] if mode == FLUORESCENCE else titles[1:2]
        one_too_many = mode != FLUORESCENCE and len(titles) > 2
        if titles[0] in CHANNELS[first] and not one_too_many and all(t in CHANNELS[second] for t in rest):
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
        if titles[other] in OTHER_TITLES or ANGLE_TITLE.fullmatch(titles[other]):
            raise FormatError(f"{path}: expected a spectrum, received the column {table.titles[other]}")
        if titles[other] in (*CHANNELS[I0], *CHANNELS[ITRANS], *CHANNELS[IREFER]):
            raise FormatError(f"{path}: expected a spectrum, received the counts of {table.titles[other]} alone")
        return other, None, (), ()
    possible = {}
    for own in [mode] if mode else (TRANSMISSION, FLUORESCENCE):
        first, second = ([i for i, t in enumerate(titles) if t in CHANNELS[role]] for role in CHANNELS_OF[own])
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
