"""The energies of a table: which column holds them, and what they are in eV.

They are given in eV, keV, Ry or hartree, or by the angle of the monochromator, E = h c / (2 d sin(theta)).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.column_titles import (
    COUNTING,
    EV_PER,
    INTENSITIES,
    KNOWN_ENERGIES,
    MEASURED_ENERGY,
    OTHER,
    OTHER_UNITS,
    RADIANS_PER,
    is_angle,
    is_energy,
    is_other_energy,
)
from xanes_hpc.formats.table_titles import line_of_chi
from xanes_hpc.formats.text_table import Table
from xanes_hpc.spectra.spectrum import Choices

Array = npt.NDArray[np.float64]
HC = 12398.419843320026
"""Planck's constant times the speed of light, eV Å."""
FROM_ANGLES = "energies were computed from the angle of the monochromator"
CONVERTED = "energies were converted from Ry or hartree"
SEVERAL_ENERGIES = "files have several columns of energies"
FAR, TURNED = 10.0, 3.0
"""The first or last step is wrong if it exceeds all others by the first factor, or by the second and goes back."""
OUTLIER = 10.0
"""A first value of another kind lies this many times the range of the others off them."""


def energy_column(path: Path, table: Table, split: Sequence[tuple[str, str]]) -> tuple[int, Choices]:
    """Return the column of energies or angles by the names and units of the columns, and what there was to choose.

    Raises
    ------
    FormatError
        If the table is one of another quantity, or it is not clear which column holds the energies.
    """
    told: Choices = ()
    found = [i for i, both in enumerate(split) if is_energy(*both)]
    found = found or [i for i, both in enumerate(split) if is_other_energy(*both)]
    measured = [i for i in found if MEASURED_ENERGY.fullmatch(split[i][0])]
    if len(found) > 1 and len(measured) == 1:
        listed = ", ".join(table.titles[i] for i in found)
        told = ((SEVERAL_ENERGIES, f"{path.name}: {listed}; read {table.titles[measured[0]]}"),)
        found = measured
    found = found or [i for i, both in enumerate(split) if is_angle(*both)][:1]
    alone = len(split) == 2
    other = [table.titles[i] for i, (name, _) in enumerate(split) if name in OTHER or (alone and name in COUNTING)]
    if other and not found:
        raise FormatError(
            f"{path}: expected energies and a spectrum, received the columns {', '.join(table.titles)}: "
            f"{other[0]} is no energy"
        )
    if not found and (line := line_of_chi(table.header)):
        raise FormatError(f"{path}: expected energies and a spectrum, received k and chi, says the line {line[:60]!r}")
    if alone and not found:
        found = [1 if split[0][0] in INTENSITIES and split[1][0] not in INTENSITIES else 0]
    if len(found) != 1:
        raise unclear(path, table)
    return found[0], told


def unclear(path: Path, table: Table) -> FormatError:
    """Return the error that it is not clear which columns to read."""
    named = f" ({', '.join(table.titles)})" if table.titles else ""
    return FormatError(
        f"{path}: expected two columns, energy and intensity, received {table.values.shape[1]}{named}; "
        "`columns` chooses, such as energy,i0,itrans"
    )


def energies_of(
    path: Path, table: Table, column: int, name_unit: tuple[str, str], stated: bool, spacings: Sequence[float | None]
) -> tuple[Array, Choices]:
    """Return a column as energies in eV; its unit may be ``stated``; the spacings are the user's and the file's.

    Raises
    ------
    FormatError
        If the unit is not one of energies or angles, or angles have no lattice spacing.
    """
    (name, unit), (given, own) = name_unit, spacings
    values = table.values[:, column]
    energy = is_energy(name, unit) or is_other_energy(name, unit)
    if unit in RADIANS_PER or is_angle(name, unit) or (given is not None and not energy):
        if (d_spacing := given if given is not None else own) is None:
            raise FormatError(
                f"{path}: expected energies, received the column {table.name(column)}; to convert angles, give the "
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


def check_ends(path: Path, energies: Array, intensities: Array) -> None:
    """Check that the first and the last point continue the others: they may be numbers of a header, or sums.

    Raises
    ------
    FormatError
        If one is far away from all others, turns back at once, or is a number of another kind.
    """
    if energies.size < 5 or not (np.isfinite(energies).all() and np.isfinite(intensities).all()):
        return
    for end, inwards in (("first", energies), ("last", energies[::-1])):
        inwards = inwards[max(int(np.argmax(inwards != inwards[0])) - 1, 0) :]  # rows of zeros are one
        if inwards.size < 4:
            continue
        step, others = inwards[1] - inwards[0], np.diff(inwards[1:])
        largest = np.abs(others).max()
        far = abs(step) > FAR * largest and abs(step) > np.ptp(inwards[1:])
        turned = abs(step) > TURNED * largest and bool((others * step < 0).all())
        if far or turned:
            raise FormatError(
                f"{path}: the {end} row, at {inwards[0]:g} eV, does not continue the others, from {inwards[1]:g} eV; "
                "if it is no point, delete it"
            )
    first, rest = intensities[0], intensities[1:]
    another_kind = float(first).is_integer() and np.mean(rest == np.floor(rest)) < 0.1
    off = max(rest.min() - first, first - rest.max())
    if another_kind and off > OUTLIER * np.ptp(rest):
        raise FormatError(
            f"{path}: the first row, {first:g} at {energies[0]:g} eV, does not continue the others, which are "
            f"{rest.min():.4g} to {rest.max():.4g}; if it is no point, delete it"
        )
