"""The symmetry operations that a file may mean: those it lists, or those of the space group it names.

A name may leave the origin or the axes open, and a number leaves the whole setting open. The metric of the cell decides
what it can; a setting that the file names is kept. Of origins the second comes first, which is standard today.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import gemmi
import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.operations import IDENTITY, group_of, keep_metric, turns_of, written
from xanes_hpc.formats.space_group_names import Named, group_named, named_by, numbered, operations_of_hall
from xanes_hpc.formats.stated_symmetry import Stated
from xanes_hpc.structures.symmetry import space_group_number

ORIGIN = "files do not say which origin of their space group they use, so one was chosen"
AXES = "the cell has the axes of another setting of its space group, which was taken"
STANDARD = "files give only the number of their space group, so its standard setting was taken"
LISTED = "files list the operations of another setting of the space group they name; the operations were taken"
MOST_NAMED = 4
"""Most settings that an error names."""
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """Symmetry operations of gemmi, the identity first, and what to note about their choice."""

    operations: Sequence[Any]
    notes: tuple[tuple[str, str], ...] = ()


def settings_of(stated: Stated, cell: Array) -> list[Setting]:
    """Return what a file may mean: the operations it lists, or those of its space group, in each setting that fits.

    Parameters
    ----------
    stated
        What it says.
    cell : (3, 3)
        Vectors of its cell in its rows, Å.

    Raises
    ------
    FormatError
        If its space group is unknown, its operations are no group, or the cell does not have the symmetry.
    """
    if stated.operations:
        return [_listed(stated, cell)]
    _check_settings(stated)
    if stated.hall:
        return [_fitting_or_raise(operations_of_hall(stated.hall), f"Hall symbol {stated.hall!r}", cell)]
    if stated.names:
        named, said = named_by(stated.names, stated.code), f"space group {stated.names[0]!r}"
    elif stated.number:
        named, said = numbered(stated.number, stated.code), f"space group {stated.number}"
    elif stated.other:
        raise FormatError(f"{stated.other} states a symmetry without operations; list them, or name the space group")
    else:
        return [Setting([gemmi.Op(IDENTITY)])]
    groups = [group for group in named.groups if keep_metric(group.operations(), cell)]
    notes: tuple[tuple[str, str], ...] = ()
    if not groups or groups[0] != named.groups[0]:
        groups = groups or _of_other_axes(named, said, cell, not stated.names)
        notes = ((AXES, f"{groups[0].xhm()} for {said}"),)
    elif not stated.names and not stated.code and _has_choice(groups[0], cell):
        notes = ((STANDARD, f"{groups[0].xhm()} for {said}"),)
    return [Setting(list(group.operations()), notes + _origin_note(group, named.explicit)) for group in groups]


def _origin_note(group: Any, explicit: bool) -> tuple[tuple[str, str], ...]:
    return ((ORIGIN, group.xhm()),) if group.ext in ("1", "2") and not explicit else ()


def _known(stated: Stated) -> list[tuple[str, Any, bool]]:
    """Return the names that are known, with their groups, and whether they name the origin."""
    return [(name, *found) for name in stated.names if (found := group_named(name))[0] is not None]


def _check_settings(stated: Stated) -> None:
    """Raise an error if names and Hall symbol mean different settings of one space group.

    Raises
    ------
    FormatError
        If so. Different groups are another matter, ``contradiction``, which a formula may decide.
    """
    found = [(f"{name!r} by name", group, explicit) for name, group, explicit in _known(stated)]
    if stated.hall and (group := _tabulated(operations_of_hall(stated.hall))) is not None:
        found.append((f"{stated.hall!r} by its Hall symbol", group, True))
    for (first, one, named), (second, other, also) in combinations(found, 2):
        origins = named and also and one.ext in ("1", "2") and one.ext != other.ext
        if one.number == other.number and (one.hm != other.hm or origins):
            raise FormatError(f"its space group is {first}, and {second}; correct one of them")


def contradiction(stated: Stated, cell: Array) -> str:
    """Return how the names, the number and the operations of a space group contradict; empty if they do not.

    Raises
    ------
    FormatError
        If the operations are no group.
    """
    numbers = [(f"{name!r} by name", group.number) for name, group, _ in _known(stated)]
    if stated.number:
        numbers.append((f"{stated.number} by number", stated.number))
    if stated.hall and (operations := operations_of_hall(stated.hall, not stated.operations)):
        numbers.append((f"{stated.hall!r} by its Hall symbol", _type_of(operations, cell)))
    if len({number for _, number in numbers if number}) > 1:
        return f"its space group is {', and '.join(said for said, _ in numbers)}"
    if not numbers or not stated.operations or stated.magnetic:
        return ""
    operations = group_of(stated.operations)
    number = _type_of(operations, cell)
    if number in (0, numbers[0][1]):
        return ""
    name = gemmi.find_spacegroup_by_number(number).short_name()
    listed = f"{len(operations)} operation{'s' * (len(operations) > 1)}"
    return f"it lists {listed}, those of {name}, but its space group is {numbers[0][0]}"


def _listed(stated: Stated, cell: Array) -> Setting:
    operations = group_of(stated.operations, stated.centrings)
    found = _fitting_or_raise(operations, "listed operations", cell)
    if stated.magnetic or not stated.names:
        return found
    named, _ = group_named(stated.names[0])
    actual = _tabulated(operations)
    if named and actual and named.number == actual.number and named.hm != actual.hm:
        return Setting(operations, ((LISTED, f"{actual.xhm()} for {stated.names[0]!r}"),))
    return found


def _fitting_or_raise(operations: Sequence[Any], said: str, cell: Array) -> Setting:
    if not keep_metric(operations, cell):
        raise FormatError(f"its cell, {written(cell)}, does not have the symmetry of its {said}; correct one of them")
    return Setting(operations)


def _has_choice(group: Any, cell: Array) -> bool:
    """Return whether other settings of a space group fit a cell; larger cells of triclinic ones are no choice."""
    return group.number > 2 and len({other.hm for other in _fitting(group.number, cell)}) > 1


def _fitting(number: int, cell: Array) -> list[Any]:
    return [g for g in gemmi.spacegroup_table() if g.number == number and keep_metric(g.operations(), cell)]


def _of_other_axes(named: Named, said: str, cell: Array, by_number: bool) -> list[Any]:
    """Return the only setting of a space group whose axes the cell has, with each origin that is left open.

    Of several, a name such as P 21/n leaves the one with that symbol, P 1 1 21/n.

    Raises
    ------
    FormatError
        If there is none, or more than one.
    """
    first = named.groups[0]
    fitting = [g for g in _fitting(first.number, cell) if not named.explicit or g.ext == first.ext]
    alike = [group for group in fitting if not by_number and _symbol(group) == _symbol(first)]
    names = list(dict.fromkeys(group.hm for group in alike or fitting))
    if len(names) == 1:
        return [group for group in fitting if group.hm == names[0]]
    advice = "correct one of them"
    if names:
        listed = ", ".join(names[:MOST_NAMED]) + (", …" if len(names) > MOST_NAMED else "")
        advice = f"name the setting of this cell: {listed}"
    raise FormatError(f"its cell, {written(cell)}, does not have the symmetry of its {said}; {advice}")


def _symbol(group: Any) -> str:
    """Return the name of a monoclinic space group without the axes that have no symmetry."""
    return re.sub(r" 1\b", "", group.hm)


def _tabulated(operations: Sequence[Any]) -> Any:
    """Return the space group of gemmi's table that has these operations, in this setting; None if none has."""
    return gemmi.find_spacegroup_by_ops(gemmi.GroupOps(list(operations)))


def _type_of(operations: Sequence[Any], cell: Array) -> int:
    """Return the number of the space group that operations have with any origin and axes; 0 if it is not found."""
    if (known := _tabulated(operations)) is not None:
        return int(known.number)
    shifts = np.array([operation.tran for operation in operations], np.float64) / operations[0].DEN
    return space_group_number(turns_of(operations), shifts, cell)
