"""Which structures of an import are taken: by element, charge and size, and a seeded sample of them."""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import ConfigError, FormatError
from xanes_hpc.structures.absorbers import element_number
from xanes_hpc.structures.structure import Structure

LAST_ELEMENT = 118
ELEMENT, CHARGE, SIZE, SAMPLE = "element", "charge", "number of atoms", "sample"
"""Why a structure is not taken."""


@dataclass(frozen=True)
class Selection:
    """What is taken of the structures that can be used.

    Attributes
    ----------
    elements
        Atomic numbers of absorbers; None for all. Absorbers of other elements are passed over.
    charges
        Charges of structures, in e; None for all.
    max_atoms
        The most atoms of a structure.
    sample
        How many of those are drawn, each absorber's element in proportion; None for all.
    seed
        Of the sample.
    """

    elements: frozenset[int] | None = None
    charges: frozenset[float] | None = None
    max_atoms: int | None = None
    sample: int | None = None
    seed: int = 0

    def absorbers(self, structure: Structure, atoms: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Those of a structure's absorbers, 0-based, whose elements are wanted."""
        if self.elements is None:
            return atoms
        return atoms[np.isin(structure.numbers[atoms], list(self.elements))]

    def why_not(self, structure: Structure) -> str:
        """Why a structure is not wanted, by its size and charge; empty where it is.

        Raises
        ------
        FormatError
            If its charge is asked for and nothing tells it.
        """
        if self.max_atoms is not None and len(structure.numbers) > self.max_atoms:
            return SIZE
        if self.charges is None:
            return ""
        charge = structure.properties.get("charge")
        if not isinstance(charge, float):
            raise FormatError("nothing tells its charge: --charge cannot select it")
        return "" if charge in self.charges else CHARGE


def parse_elements(text: str) -> frozenset[int]:
    """Elements as a user gives them: symbols and ranges of symbols, such as ``Ti-Zn,Mo``.

    Raises
    ------
    ConfigError
        If it is something else.
    """
    found: set[int] = set()
    for word in text.split(","):
        ends = [element_number(symbol) for symbol in word.split("-")]
        if not 1 <= len(ends) <= 2 or not all(0 < z <= LAST_ELEMENT for z in ends) or ends[0] > ends[-1]:
            raise ConfigError(
                f"--elements {text!r}: expected symbols and ranges in the order of the periodic table, such as "
                f"Ti-Zn,Mo; received {word.strip()!r}"
            )
        found.update(range(ends[0], ends[-1] + 1))
    return frozenset(found)


def parse_charges(text: str) -> frozenset[float]:
    """Charges as a user gives them: whole numbers, such as ``-1,0,1``.

    Raises
    ------
    ConfigError
        If it is something else.
    """
    try:
        return frozenset(float(int(word)) for word in text.split(","))
    except ValueError:
        raise ConfigError(f"--charge {text!r}: expected whole numbers, such as 0 or -1,0,1") from None


def key_of(name: str, seed: int) -> int:
    """A structure's place in the order that a seed puts all of them in, 64 bits."""
    return int.from_bytes(hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest(), "little")


def shares(elements: npt.NDArray[np.uint8], n: int) -> dict[int, int]:
    """How many of ``n`` sampled structures each element gets: in proportion, and one at least where n allows it.

    Parameters
    ----------
    elements
        Atomic number of every structure's (first) absorber.
    n
        Size of the sample, at most that of ``elements``.
    """
    kinds, counts = np.unique(elements, return_counts=True)
    quotas = n * counts / counts.sum()
    least = int(n >= kinds.size)
    given = np.maximum(np.floor(quotas).astype(np.int64), least)
    while given.sum() < n:
        given[np.argmax(np.where(given < counts, quotas - given, -np.inf))] += 1
    while given.sum() > n:
        given[np.argmin(np.where(given > least, quotas - given, np.inf))] -= 1
    return {int(z): int(k) for z, k in zip(kinds, given, strict=True)}


def draw(keys: npt.NDArray[np.uint64], elements: npt.NDArray[np.uint8], n: int) -> npt.NDArray[np.uint64]:
    """The keys of the structures in a sample of ``n``, ascending: of each element those with the least keys.

    Which they are does not depend on the order of the files.
    """
    if n >= keys.size:
        return np.sort(keys)
    own = [np.sort(keys[elements == z])[:k] for z, k in shares(elements, n).items()]
    return np.sort(np.concatenate(own))
