"""Molecules of SDF and MOL files (version V2000), which ASE reads, and what its reader leaves out.

The atom block states charges by a code (in its sixth column), which ``M  CHG`` lines replace; a header may say that the
coordinates are those of a drawing (``2D``).
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import isotopes
from xanes_hpc.formats.ase_atoms import structure_of
from xanes_hpc.formats.frames import named
from xanes_hpc.formats.text import open_text
from xanes_hpc.structures.structure import Structure

SUFFIXES = (".mol", ".sdf")
ATOM = r"^(?:\s*[-+]?\d+\.\d+){2}\s*([-+]?\d+\.\d+) "
HEAVY_HYDROGEN = re.compile(rf"^((?:\s*[-+]?\d+\.\d+){{3}} )({'|'.join(isotopes.HYDROGEN)})(?=\s)", re.MULTILINE)
"""A line of an atom, up to the end of its symbol."""
Z_AND_CODE = re.compile(rf"{ATOM}\S+\s+[-+]?\d+\s+(\d+)", re.MULTILINE)
"""The third coordinate of an atom and the code of its charge."""
CHARGES = re.compile(r"^M  CHG\s+\d+((?:\s+\d+\s+[-+]?\d+)+)\s*$", re.MULTILINE)
END = re.compile(r"^M  END", re.MULTILINE)
CHARGE_OF_CODE = {1: 3, 2: 2, 3: 1, 5: -1, 6: -2, 7: -3}


def read(path: Path) -> Iterator[Structure | FormatError]:
    """Yield the molecules of a file with their charges, and an error in place of each unusable one."""
    with open_text(path, "replace") as stream:
        blocks = re.split(r"^\$\$\$\$.*\n?", stream.read(), flags=re.MULTILINE)
    blocks = [block for block in blocks if block.strip()]
    titles = Counter(map(_title, blocks))
    yield from named(path, _molecules(blocks), {title for title, n in titles.items() if n > 1})


def _title(block: str) -> str:
    title = block.partition("\n")[0].strip()
    return title if title.isprintable() else ""


def _molecules(blocks: list[str]) -> Iterator[Structure | FormatError]:
    """Yield molecules. If there are several, those with a title line are named by it."""
    for number, block in enumerate(blocks, 1):
        found = _molecule(block, _title(block) if len(blocks) > 1 else "")
        yield FormatError(f"molecule {number}: {found}") if isinstance(found, FormatError) else found


def _molecule(block: str, title: str) -> Structure | FormatError:
    from ase.io import read as read_ase

    header = block.split("\n", 4)[:4]
    if any("V3000" in line for line in header):
        return FormatError("expected an SDF of version V2000, received V3000")
    end = END.search(block)
    table = block[: end.start()] if end else block
    atoms = Z_AND_CODE.findall(table)
    if len(header) > 1 and header[1][20:22] == "2D" and len(atoms) > 1 and not any(float(z) for z, _ in atoms):
        return FormatError("expected a geometry, received a drawing (2D, every z is 0)")
    stated = [int(word) for listed in CHARGES.findall(table) for word in listed.split()[1::2]]
    charges = stated or [charge for _, code in atoms if (charge := CHARGE_OF_CODE.get(int(code)))]
    own: dict[str, Any] = {"charge": sum(charges)} if charges else {}
    block, heavy = HEAVY_HYDROGEN.subn(r"\1H", block)
    try:
        found = structure_of(read_ase(StringIO(block), format="sdf"), title, own)
    except Exception as error:  # ASE's readers raise many types of exception
        reason = " ".join(str(error).split()) or type(error).__name__
        return FormatError(f"ASE cannot read it: {reason[:120]}")
    return found if isinstance(found, FormatError) else replace(found, choices=isotopes.notes(heavy))
