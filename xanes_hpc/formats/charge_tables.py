"""Charges of atoms, one block a structure, as tmQM has natural ones in ``tmQM_X.q``.

    CSD_code = WELROW | 2020-2024 CSD
    La 1.8204
    C -0.4410
    …
    Total charge = 0.0

A block has an element and a charge (e) a line, in the structure's order, up to a line without them.
"""

from array import array
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.text import open_text
from xanes_hpc.formats.tmqm import parse_comment

SUFFIX = ".q"
NATURAL_CHARGE = "natural_charge"


def recognises(path: Path) -> bool:
    """Whether the file's name is that of such charges."""
    return path.name.lower().endswith((SUFFIX, f"{SUFFIX}.gz"))


class ChargeTable:
    """Charges of atoms by structure.

    Raises
    ------
    FormatError
        If the file cannot be read, or has no such block.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._charges, self._places, self._used = array("f"), dict[str, tuple[int, int]](), set[str]()
        try:
            with open_text(path) as stream:
                self._read(stream)
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise FormatError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
        if not self._places:
            raise FormatError(f"{path}: expected blocks that begin with CSD_code = …, received none")

    def _read(self, stream: TextIO) -> None:
        code, start = "", 0
        for number, line in enumerate(stream, 1):
            found = parse_comment(line) if "=" in line else None
            if found is not None:
                code, start = found[0], len(self._charges)
                if code in self._places:
                    raise FormatError(f"{self.path}: line {number}: {code} has a block already")
                self._places[code] = start, start
                continue
            words = line.split()
            if not code or len(words) != 2:
                code = code if not words else ""
                continue
            try:
                self._charges.append(float(words[1]))
            except ValueError:
                raise FormatError(
                    f"{self.path}: line {number}: expected an element and a charge, received {line.strip()[:40]!r}"
                ) from None
            self._places[code] = start, len(self._charges)

    def of(self, structure: str, n_atoms: int) -> npt.NDArray[np.float64] | None:
        """Charges of a structure's atoms, e; None where it has no block.

        Raises
        ------
        FormatError
            If they are of another number of atoms.
        """
        place = self._places.get(structure)
        if place is None:
            return None
        self._used.add(structure)
        if place[1] - place[0] != n_atoms:
            raise FormatError(
                f"{self.path}: has {place[1] - place[0]} charges of {structure}, which has {n_atoms} atoms"
            )
        return np.array(self._charges[slice(*place)], np.float64)

    @property
    def n_unused(self) -> int:
        """Blocks that no structure has asked for."""
        return len(self._places) - len(self._used)
