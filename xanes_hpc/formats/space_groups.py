"""The symmetry operations that a file may mean: those it lists, or those of the space group it names.

A name may leave the origin or the axes open, and a number leaves the whole setting open. The metric of the cell decides
what it can; a setting that the file names is kept. Of origins the second comes first, which is standard today.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gemmi
import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.operations import IDENTITY, group_of, keep_metric, turns_of, written
from xanes_hpc.formats.stated_symmetry import Stated
from xanes_hpc.structures.symmetry import space_group_number

ORIGIN = "files do not say which origin of their space group they use, so one was chosen"
AXES = "the cell has the axes of another setting of its space group, which was taken"
STANDARD = "files give only the number of their space group, so its standard setting was taken"
LISTED = "files list the operations of another setting of the space group they name; the operations were taken"
ICSD_SETTING = re.compile(r"(.*\S)\s*([SZHR])\s*")
"""How ICSD names a space group: S and Z for origins 1 and 2, H and R for hexagonal and rhombohedral axes."""
ORIGIN_CHOICE = re.compile(r"(.*?\S)\s*\(?\b(?:O|origin)(?:\s*choice)?\s*([12])\)?\s*", re.IGNORECASE)
SCREW = re.compile(r"([2346])[(_]\{?([1-5])[)}]?")
NUMBER = re.compile(r"(.*\S)\s*\((?:No\.?\s*)?(\d+)\)\s*", re.IGNORECASE)
"""A name with the group's number behind it, such as ``F m -3 m (225)``."""
CODE = re.compile(r"([12hr]?)(-?[abc][-abc]*[1-6]?)?")
MOST_NAMED, LONGEST = 4, 80
"""Most settings that an error names, and the length of the longest name of a space group."""
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """Symmetry operations of gemmi, the identity first, and what to note about their choice."""

    operations: Sequence[Any]
    notes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Named:
    """Settings that a name, a Hall symbol or a number may mean, and whether they leave no origin open."""

    groups: tuple[Any, ...]
    explicit: bool = False


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
    if stated.hall:
        return [_fitting_or_raise(_of_hall(stated.hall), f"Hall symbol {stated.hall!r}", cell)]
    if stated.names:
        named, said = _named(stated.names, stated.code), f"space group {stated.names[0]!r}"
    elif stated.number:
        named, said = _numbered(stated.number, stated.code), f"space group {stated.number}"
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


def contradiction(stated: Stated, cell: Array) -> str:
    """Return how the names, the number and the operations of a space group contradict; empty if they do not.

    Raises
    ------
    FormatError
        If the operations are no group.
    """
    known = [(name, *found) for name in stated.names if (found := group_named(name))[0] is not None]
    numbers = [(f"{name!r} by name", group.number) for name, group, _ in known]
    if stated.number:
        numbers.append((f"{stated.number} by number", stated.number))
    if stated.hall and (operations := _of_hall(stated.hall, not stated.operations)):
        own = gemmi.find_spacegroup_by_ops(gemmi.GroupOps(list(operations)))
        numbers.append((f"{stated.hall!r} by its Hall symbol", own.number if own else _type_of(operations, cell)))
        for name, group, explicit in known:
            if own and (group.hm != own.hm or (explicit and group.ext != own.ext)):
                return f"its space group is {name!r} by name, and {stated.hall!r} by its Hall symbol"
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
    actual = gemmi.find_spacegroup_by_ops(gemmi.GroupOps(list(operations)))
    if named and actual and named.number == actual.number and named.hm != actual.hm:
        return Setting(operations, ((LISTED, f"{actual.xhm()} for {stated.names[0]!r}"),))
    return found


def _fitting_or_raise(operations: Sequence[Any], said: str, cell: Array) -> Setting:
    if not keep_metric(operations, cell):
        raise FormatError(f"its cell, {written(cell)}, does not have the symmetry of its {said}; correct one of them")
    return Setting(operations)


def _of_hall(symbol: str, needed: bool = True) -> tuple[Any, ...]:
    """Return the operations of a Hall symbol; none if it is unknown and not needed.

    Raises
    ------
    FormatError
        If it is unknown, but needed.
    """
    try:
        return tuple(gemmi.symops_from_hall(symbol))
    except (ValueError, RuntimeError):
        if needed:
            raise FormatError(f"unknown Hall symbol {symbol!r}; give the operations") from None
        return ()


def group_named(name: str) -> tuple[Any, bool]:
    """Return the space group that a Hermann-Mauguin name means, and whether it names its origin; None if unknown.

    Examples
    --------
    >>> [group_named(name)[0].xhm() for name in ("P2(1)/n", "P 2_1/c", "F d -3 m S", "R-3:R")]
    ['P 1 21/n 1', 'P 1 21/c 1', 'F d -3 m:1', 'R -3:R']
    """
    if len(name) > LONGEST:
        return None, False
    if (found := NUMBER.fullmatch(name)) and (known := group_named(found[1]))[0] is not None:
        return known if known[0].number == int(found[2]) else (None, False)
    plain = re.sub(r"\s*/\s*", "/", re.sub(r"-\s+", "-", SCREW.sub(r"\1\2", name))).replace("_", " ")
    spellings = [name, plain]
    if found := ICSD_SETTING.fullmatch(plain):
        spellings.append(f"{found[1]}:{ {'S': '1', 'Z': '2'}.get(found[2], found[2]) }")
    if found := ORIGIN_CHOICE.fullmatch(plain):
        spellings.append(f"{found[1]}:{found[2]}")
    for spelling in spellings:
        if (group := gemmi.find_spacegroup_by_name(spelling)) is not None:
            return group, group.ext in ("1", "2") and re.search(r":\s*[12]", spelling) is not None
    return None, False


def _named(names: tuple[str, ...], code: str) -> Named:
    known = [found for name in names if (found := group_named(name))[0] is not None]
    if not known:
        raise FormatError(f"unknown space group {names[0][:LONGEST]!r}; give its operations")
    group, explicit = known[0]
    if explicit:
        if code and group not in _coded(group.number, code, None).groups:
            raise FormatError(
                f"its space group is {names[0]!r}, but its coordinate system {code!r}; correct one of them"
            )
        return Named((group,), True)
    alike = [other for other in gemmi.spacegroup_table() if (other.number, other.hm) == (group.number, group.hm)]
    if code:
        standard = group == gemmi.find_spacegroup_by_number(group.number)
        return _coded(group.number, code, None if standard else alike)
    return Named(tuple(sorted(alike, key=lambda other: other.ext == "1")))


def _numbered(number: int, code: str) -> Named:
    if code:
        return _coded(number, code, None)
    return _named((gemmi.find_spacegroup_by_number(number).hm,), "")


def _coded(number: int, code: str, among: Sequence[Any] | None) -> Named:
    """Return the settings of a coordinate-system code of the International Tables: an origin, axes, a cell choice."""
    every = [group for group in gemmi.spacegroup_table() if group.number == number]
    found = CODE.fullmatch(code)
    if found is None:
        raise FormatError(f"unknown coordinate system {code!r} of a space group; expected one such as 1, 2, h, r or b1")
    ext, axes = found[1].upper(), found[2] or ""
    chosen = [
        group for group in (every if among is None else among)
        if (not ext or group.ext == ext) and (not axes or axes in (group.qualifier or "abc", f"{group.qualifier}1"))
    ]  # fmt: skip
    if not chosen:
        raise FormatError(f"its space group has no coordinate system {code!r}; correct one of them")
    if not axes:  # an origin, or hexagonal or rhombohedral axes, of the standard setting
        chosen = [group for group in chosen if group.hm == chosen[0].hm]
    return Named(tuple(sorted(chosen, key=lambda group: group.ext == "1")), bool(ext))


def _has_choice(group: Any, cell: Array) -> bool:
    """Return whether other settings of a space group fit a cell; larger cells of triclinic ones are no choice."""
    return group.number > 2 and len({other.hm for other in _fitting(group.number, cell)}) > 1


def _fitting(number: int, cell: Array) -> list[Any]:
    return [g for g in gemmi.spacegroup_table() if g.number == number and keep_metric(g.operations(), cell)]


def _of_other_axes(named: Named, said: str, cell: Array, numbered: bool) -> list[Any]:
    """Return the only setting of a space group whose axes the cell has, with each origin that is left open.

    Of several, a name such as P 21/n leaves the one with that symbol, P 1 1 21/n.

    Raises
    ------
    FormatError
        If there is none, or more than one.
    """
    first = named.groups[0]
    fitting = [g for g in _fitting(first.number, cell) if not named.explicit or g.ext == first.ext]
    alike = [group for group in fitting if not numbered and _symbol(group) == _symbol(first)]
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


def _type_of(operations: Sequence[Any], cell: Array) -> int:
    """Return the number of the space group that operations have with any origin and axes; 0 if it is not found."""
    known: Any = gemmi.find_spacegroup_by_ops(gemmi.GroupOps(list(operations)))
    if known is not None:
        return int(known.number)
    shifts = np.array([operation.tran for operation in operations], np.float64) / operations[0].DEN
    return space_group_number(turns_of(operations), shifts, cell)
