"""Space groups by their names, Hall symbols, numbers and coordinate systems, in the spellings that files have."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gemmi

from xanes_hpc.errors import FormatError

ICSD_SETTING = re.compile(r"(.*\S)\s*([SZHR])\s*")
"""How ICSD names a space group: S and Z for origins 1 and 2, H and R for hexagonal and rhombohedral axes."""
ORIGIN_CHOICE = re.compile(r"(.*?\S)\s*\(?\b(?:O|origin)(?:\s*choice)?\s*([12])\)?\s*", re.IGNORECASE)
SCREW = re.compile(r"([2346])[(_]\{?([1-5])[)}]?")
NUMBER = re.compile(r"(.*\S)\s*\((?:No\.?\s*)?(\d+)\)\s*", re.IGNORECASE)
"""A name with the group's number behind it, such as ``F m -3 m (225)``."""
CODE = re.compile(r"([12hr]?)(-?[abc][-abc]*[1-6]?)?")
LONGEST = 80
"""Length of the longest name of a space group."""
FULL_PLANES = re.compile(r"\b2[123]?/([a-z])")
FULL_CUBIC = re.compile(r"\b4\d?/(?=[a-z] -3)")
"""What full names have and short ones lack: ``P 2/m 2/m 2/m``, ``F 4/m -3 2/m``."""


@dataclass(frozen=True)
class Named:
    """Settings that a name, a Hall symbol or a number may mean, and whether they leave no origin open."""

    groups: tuple[Any, ...]
    explicit: bool = False


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
    spellings.append(FULL_CUBIC.sub("", FULL_PLANES.sub(r"\1", plain)))
    for spelling in spellings:
        if (group := gemmi.find_spacegroup_by_name(spelling)) is not None:
            return group, group.ext in ("1", "2") and re.search(r":\s*[12]", spelling) is not None
    return None, False


def named_by(names: tuple[str, ...], code: str) -> Named:
    """Return the settings that Hermann-Mauguin names mean, the likeliest first.

    Parameters
    ----------
    names
        Names, of which the first that is known is taken.
    code
        The coordinate system that the file names; empty if it names none.

    Raises
    ------
    FormatError
        If none is known, or they have no such coordinate system.
    """
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
    if group.ext in ("1", "2"):
        return Named(tuple(sorted(alike, key=lambda other: other.ext == "1")))
    return Named((group, *(other for other in alike if other != group)))


def numbered(number: int, code: str) -> Named:
    """Return the settings that a number means: that of the coordinate system, or the standard one."""
    if code:
        return _coded(number, code, None)
    return named_by((gemmi.find_spacegroup_by_number(number).hm,), "")


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
    return Named(tuple(sorted(chosen, key=lambda group: group.ext == "1")), ext in ("1", "2"))


def operations_of_hall(symbol: str, needed: bool = True) -> tuple[Any, ...]:
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
