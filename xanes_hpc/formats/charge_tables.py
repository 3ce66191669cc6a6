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
                    raise FormatError(f"{self.path}: line {number}: second block of {code}; expected one")
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
        """Return the charges of a structure's atoms (e), or None if it has no block.

        Raises
        ------
        FormatError
            If the number of charges is not ``n_atoms``.
        """
        place = self._places.get(structure)
        if place is None:
            return None
        self._used.add(structure)
        if place[1] - place[0] != n_atoms:
            raise FormatError(
                f"{self.path}: {structure}: expected {n_atoms} charges, one per atom, received {place[1] - place[0]}"
            )
        return np.array(self._charges[slice(*place)], np.float64)

    @property
    def n_unused(self) -> int:
        """The number of blocks that no structure has used."""
        return len(self._places) - len(self._used)
