"""Items of CIF in one spelling, and the cell that they state.

Old CIF writes ``_cell_length_a``, mmCIF and CIF 2 dictionaries write ``_cell.length_a``.
"""

import math
from typing import Any

import gemmi

from xanes_hpc.errors import FormatError
from xanes_hpc.structures.neighbours import LARGEST

LENGTHS = ("_cell_length_a", "_cell_length_b", "_cell_length_c")
ANGLES = ("_cell_angle_alpha", "_cell_angle_beta", "_cell_angle_gamma")


def plain(block: Any) -> Any:
    """Return a block whose items have ``_`` in place of a ``.``: itself if it has no such items."""
    if not any("." in tag for item in block for tag in tags_of(item)):
        return block
    document = gemmi.cif.Document()
    found = document.add_new_block(block.name)
    for item in block:
        tags = [tag.replace(".", "_", 1) for tag in tags_of(item)]
        if item.pair is not None:
            found.set_pair(tags[0], item.pair[1])
        elif item.loop is not None:
            values = item.loop.values
            found.init_loop("", tags).set_all_values([values[k :: len(tags)] for k in range(len(tags))])
    return found


def tags_of(item: Any) -> list[str]:
    """Return the names in an item of a block: that of a pair, those of a loop, none of a frame."""
    if item.pair is not None:
        return [item.pair[0]]
    return [] if item.loop is None else list(item.loop.tags)


def check_cell(block: Any) -> None:
    """Raise an error if a block has no cell, or no possible one.

    Raises
    ------
    FormatError
        If an item is missing or is no number, or lengths and angles make no cell.
    """
    values = {}
    missing = []
    for tag in (*LENGTHS, *ANGLES):
        text = block.find_value(tag)
        if text is None or gemmi.cif.is_null(text):
            missing.append(tag)
            continue
        values[tag] = gemmi.cif.as_number(text)
        limit = LARGEST if tag in LENGTHS else 180
        if not 0 < values[tag] < limit:
            expected = (
                f"a length above 0 and below {LARGEST:,.0f} Å" if tag in LENGTHS else "an angle between 0 and 180°"
            )
            raise FormatError(f"{tag}: expected {expected}, received {text[:20]}")
    if missing:
        raise FormatError(f"expected {', '.join(missing)}; the cell is not complete")
    alpha, beta, gamma = (math.cos(math.radians(values[tag])) for tag in ANGLES)
    if not 1 - alpha**2 - beta**2 - gamma**2 + 2 * alpha * beta * gamma > 1e-6:
        angles = ", ".join(f"{values[tag]:g}" for tag in ANGLES)
        raise FormatError(f"no cell has the angles {angles}°; correct them")
