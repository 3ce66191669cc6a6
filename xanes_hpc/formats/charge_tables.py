"""Atomic charges in one block per structure, such as tmQM's natural charges in ``tmQM_X.q``.

    CSD_code = WELROW | 2020-2024 CSD
    La 1.8204
    C -0.4410
    …
    Total charge = 0.0

Each line of a block has an element and a charge (e), in the order of the structure's atoms. Any other line ends it.
"""

from array import array
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers, chemical_symbols

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.text import open_text
from xanes_hpc.formats.tmqm import parse_comment

SUFFIX = ".q"
NATURAL_CHARGE = "natural_charge"


def recognises(path: Path) -> bool:
    """Return True if the file's name is that of a table of charges."""
    return path.name.lower().endswith((SUFFIX, f"{SUFFIX}.gz"))


class ChargeTable:
    """Atomic charges by structure.

    Raises
    ------
    FormatError
        If the file cannot be read, or has no block of charges.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._charges, self._numbers = array("f"), array("B")
        self._places, self._used = dict[str, tuple[int, int]](), set[str]()
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
                    raise FormatError(f"{self.path}: line {number}: second block of {code}; expected one")
                self._places[code] = start, start
                continue
            words = line.split()
            if not code or len(words) != 2:
                code = code if not words else ""
                continue
            try:
                z, charge = atomic_numbers[words[0].capitalize()], float(words[1])
            except (KeyError, ValueError):
                raise FormatError(
                    f"{self.path}: line {number}: expected an element and a charge, received {line.strip()[:40]!r}"
                ) from None
            self._numbers.append(z)
            self._charges.append(charge)
            self._places[code] = start, len(self._charges)

    def of(self, structure: str, numbers: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64] | None:
        """Return the charges (e) of a structure's atoms, whose atomic numbers are given, or None if it has no block.

        Raises
        ------
        FormatError
            If the block is of other atoms.
        """
        place = self._places.get(structure)
        if place is None:
            return None
        self._used.add(structure)
        own = np.array(self._numbers[slice(*place)], np.uint8)
        if own.size != numbers.size:
            raise FormatError(
                f"{self.path}: {structure}: expected {numbers.size} charges, one per atom, received {own.size}"
            )
        if (own != numbers).any():
            at = int(np.argmax(own != numbers))
            wanted, received = (chemical_symbols[int(z[at])] for z in (numbers, own))
            raise FormatError(
                f"{self.path}: {structure}: expected a charge of {wanted} for atom {at}, received {received}"
            )
        return np.array(self._charges[slice(*place)], np.float64)

    @property
    def n_unused(self) -> int:
        """The number of blocks that no structure has used."""
        return len(self._places) - len(self._used)
