"""What a block of CIF or mmCIF says about its symmetry, in any of the spellings of its items."""

from dataclasses import dataclass
from typing import Any

import gemmi

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.cif_items import tags_of

NAMES = ("_symmetry_space_group_name_h-m", "_space_group_name_h-m_alt", "_space_group_name_h-m_full")
HALL = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
NUMBERS = ("_space_group_it_number", "_symmetry_int_tables_number")
CODES = ("_space_group_it_coordinate_system_code",)
OPERATIONS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
MAGNETIC = "_space_group_symop_magn_operation_xyz"
CENTRINGS = ("_space_group_symop_magn_centering_xyz",)
SYSTEMS = ("_space_group_crystal_system", "_symmetry_cell_setting")
SUPERSPACE = ("_space_group_ssg_", "_space_group_symop_ssg_", "_space_group_symop_magn_ssg_", "_space_group_magn_ssg_")
"""Beginnings of the items that name a superspace group, or list its operations."""
UNAPPLIED = (*SUPERSPACE, "_space_group_magn_", "_space_group_name_", "_symmetry_space_group_name_")
"""Beginnings of these items, and of others that name a group."""


@dataclass(frozen=True)
class Stated:
    """What a file says about its symmetry, as it is written; empty where it says nothing.

    Attributes
    ----------
    names
        Hermann-Mauguin names of the space group.
    hall
        Its Hall symbol.
    number
        Its number in the International Tables; 0 for none.
    code
        Its coordinate system, such as ``2``, ``b3`` or ``cab``.
    operations, centrings
        Triplets; there are centrings only in magnetic groups.
    magnetic
        Whether the operations are those of a magnetic group, which the names do not say.
    modulated
        Whether there is a superspace group, whose average these describe.
    other
        The item of a symmetry that none of these say, such as the name of a magnetic group.
    """

    names: tuple[str, ...] = ()
    hall: str = ""
    number: int = 0
    code: str = ""
    operations: tuple[str, ...] = ()
    centrings: tuple[str, ...] = ()
    magnetic: bool = False
    modulated: bool = False
    other: str = ""


def stated_by(block: Any) -> Stated:
    """Return what a block says about its symmetry.

    Raises
    ------
    FormatError
        If the number of its space group is none.
    """
    items = _items(block)
    names = tuple(dict.fromkeys(text for tag in NAMES for text in items.get(tag, ())[:1]))
    operations = _first(items, OPERATIONS)
    magnetic = not operations and bool(items.get(MAGNETIC))
    systems = [tag for tag in SYSTEMS if items.get(tag) and items[tag][0].lower() != "triclinic"]
    return Stated(
        names=names,
        hall=next(iter(_first(items, HALL)), ""),
        number=_number(items),
        code=next(iter(_first(items, CODES)), "").lower(),
        operations=items.get(MAGNETIC, ()) if magnetic else operations,
        centrings=_first(items, CENTRINGS) if magnetic else (),
        magnetic=magnetic,
        modulated=bool(_with(items, SUPERSPACE)),
        other=next(iter(_with(items, UNAPPLIED) + systems), ""),
    )


def _number(items: dict[str, tuple[str, ...]]) -> int:
    for tag in NUMBERS:
        for text in items.get(tag, ())[:1]:
            if not text.isdecimal() or not 1 <= int(text) <= 230:
                raise FormatError(f"{tag}: expected the number of a space group, 1 to 230, received {text[:20]!r}")
            return int(text)
    return 0


def _first(items: dict[str, tuple[str, ...]], tags: tuple[str, ...]) -> tuple[str, ...]:
    return next((items[tag] for tag in tags if items.get(tag)), ())


def _with(items: dict[str, tuple[str, ...]], beginnings: tuple[str, ...]) -> list[str]:
    return [tag for tag, values in items.items() if values and tag.startswith(beginnings)]


def _items(block: Any) -> dict[str, tuple[str, ...]]:
    """Return the items about symmetry, in small letters and with ``_`` for ``.``, without the values that are null."""
    found: dict[str, tuple[str, ...]] = {}
    for item in block:
        for tag in tags_of(item):
            plain = tag.lower().replace(".", "_")
            if plain.startswith(("_symmetry", "_space_group")):
                values = (value for value in block.find_values(tag) if not gemmi.cif.is_null(value))
                found[plain] = tuple(gemmi.cif.as_string(value).strip() for value in values)
    return found
