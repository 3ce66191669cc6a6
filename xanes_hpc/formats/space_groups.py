"""The symmetry operations that a CIF may mean: those it lists, or those of the space group it names."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gemmi

OPERATIONS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz", "_space_group_symop.operation_xyz")
MAGNETIC = ("_space_group_symop_magn_operation.xyz", "_space_group_symop_magn_operation_xyz")
CENTRINGS = ("_space_group_symop_magn_centering.xyz", "_space_group_symop_magn_centering_xyz")
ORIGIN = "files do not say which origin of their space group they use, so one was chosen"
ORIGIN_NAMED = re.compile(r":\s*[12]")
ICSD_SETTING = re.compile(r"(.*\S)\s*([SZHR])\s*")
"""How ICSD names a space group: S and Z for origins 1 and 2, H and R for hexagonal and rhombohedral axes."""


@dataclass(frozen=True)
class Setting:
    """Symmetry operations of gemmi, and the name of their setting if it had to be chosen."""

    operations: list[Any]
    chosen: str = ""


def settings_of(block: Any, small: Any) -> Iterator[Setting]:
    """Yield what a block may mean: its own operations, or those of a space group in each of its settings.

    Parameters
    ----------
    block, small
        The block, and the structure that gemmi made of it.

    Raises
    ------
    ValueError
        If the space group is unknown.
    """
    listed, number = _values(block, OPERATIONS), small.spacegroup_number
    if not listed and (magnetic := _values(block, MAGNETIC)):
        centrings = [gemmi.Op(_without_time(text)) for text in _values(block, CENTRINGS)] or [gemmi.Op("x,y,z")]
        yield Setting([centring * gemmi.Op(_without_time(text)) for centring in centrings for text in magnetic])
    elif listed:
        yield Setting([gemmi.Op(text) for text in listed])
    elif group := (
        small.spacegroup
        or _named_by_icsd(small.spacegroup_hm)
        or (number > 0 and gemmi.find_spacegroup_by_number(number))
    ):
        named = small.spacegroup_hall or ORIGIN_NAMED.search(small.spacegroup_hm)
        for one in (group, *(other for other in _alike(group) if other != group)):
            chosen = one.xhm() if one.ext in ("1", "2") and not (named and one == group) else ""
            yield Setting(list(one.operations()), chosen)
    elif small.spacegroup_hall:
        yield Setting(list(gemmi.symops_from_hall(small.spacegroup_hall)))
    elif small.spacegroup_hm:
        raise ValueError(f"unknown space group {small.spacegroup_hm!r}; give its operations")
    else:
        yield Setting([gemmi.Op("x,y,z")])


def contradiction(block: Any, small: Any) -> str:
    """Return how the name of a block's space group, its number and its operations contradict; empty if they do not."""
    name, number = small.spacegroup_hm, small.spacegroup_number
    group = gemmi.find_spacegroup_by_name(name) if name else None
    if group is not None and number > 0 and group.number != number:
        return f"its space group is {name!r} by name, and {number} by number"
    if group is None and not name and number > 0:
        group = gemmi.find_spacegroup_by_number(number)
    listed = {gemmi.Op(text).wrap().triplet() for text in _values(block, OPERATIONS)}
    if group is None or not listed:
        return ""
    orders = {len(list(one.operations())) for one in gemmi.spacegroup_table() if one.number == group.number}
    if len(listed) in orders:
        return ""
    operations = f"{len(listed)} operation{'s' * (len(listed) > 1)}"
    return f"it lists {operations}, but its space group {name or number} has {max(orders)}"


def _named_by_icsd(name: str) -> Any:
    """Return the space group that a name such as ``F d -3 m S`` means; None if it is none."""
    found = ICSD_SETTING.fullmatch(name)
    return found and gemmi.find_spacegroup_by_name(f"{found[1]}:{ {'S': '1', 'Z': '2'}.get(found[2], found[2]) }")


def _alike(group: Any) -> Iterator[Any]:
    """Yield the settings of a group that have the same name."""
    return (one for one in gemmi.spacegroup_table() if (one.number, one.hm) == (group.number, group.hm))


def _values(block: Any, tags: tuple[str, ...]) -> list[str]:
    for tag in tags:
        if found := [gemmi.cif.as_string(value) for value in block.find_values(tag)]:
            return found
    return []


def _without_time(text: str) -> str:
    """Return an operation of a magnetic group without its sign of time reversal."""
    return ",".join(text.split(",")[:3])
