"""Select structures to import: by element, charge and size, and as a seeded sample."""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import ConfigError, FormatError
from xanes_hpc.structures.absorbers import element_number
from xanes_hpc.structures.structure import Structure

LAST_ELEMENT = 118
ELEMENT, CHARGE, SIZE, SAMPLE, LISTED = "element", "charge", "number of atoms", "sample", "the list of sites"
"""Why a structure is excluded."""


@dataclass(frozen=True)
class Selection:
    """Which of the usable structures to import.

    Attributes
    ----------
    elements
        Atomic numbers of the absorbers to keep; None for all.
    charges
        Charges of the structures to keep, e; None for all.
    max_atoms
        Largest number of atoms of a structure; None for any.
    sample
        Number of structures to draw from those that remain, in proportion to their absorbers' elements; None for all.
    seed
        Seed of the sample.
    """

    elements: frozenset[int] | None = None
    charges: frozenset[float] | None = None
    max_atoms: int | None = None
    sample: int | None = None
    seed: int = 0

    def absorbers(self, structure: Structure, atoms: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return those absorbers of a structure whose elements are selected, as indices from 0."""
        if self.elements is None:
            return atoms
        return atoms[np.isin(structure.numbers[atoms], list(self.elements))]

    def excluded_by(self, structure: Structure) -> str:
        """Return what excludes a structure, its size or its charge; empty if neither does.

        Raises
        ------
        FormatError
            If charges are selected and the structure's is unknown.
        """
        if self.max_atoms is not None and len(structure.numbers) > self.max_atoms:
            return SIZE
        if self.charges is None:
            return ""
        charge = structure.properties.get("charge")
        if not isinstance(charge, float):
            raise FormatError(
                "unknown charge, so `charge` cannot select the structure; give its charge in its file, its name, or a "
                "table of `properties`"
            )
        return "" if charge in self.charges else CHARGE


def parse_elements(text: str, parameter: str = "elements") -> frozenset[int]:
    """Return the atomic numbers of symbols and ranges of symbols, such as ``Ti-Zn,Mo``; ``parameter`` is for errors.

    Raises
    ------
    ConfigError
        If ``text`` is something else.
    """
    found: set[int] = set()
    for word in text.split(","):
        ends = [element_number(symbol) for symbol in word.split("-")]
        if not 1 <= len(ends) <= 2 or not all(0 < z <= LAST_ELEMENT for z in ends) or ends[0] > ends[-1]:
            raise ConfigError(
                f"`{parameter}` {text!r}: expected symbols and ranges in the order of the periodic table, such as "
                f"Ti-Zn,Mo; received {word.strip()!r}"
            )
        found.update(range(ends[0], ends[-1] + 1))
    return frozenset(found)


def parse_charges(text: str, parameter: str = "charge") -> frozenset[float]:
    """Return the charges in a list of whole numbers, such as ``-1,0,1``; ``parameter`` is for errors.

    Raises
    ------
    ConfigError
        If ``text`` is something else.
    """
    try:
        return frozenset(float(int(word)) for word in text.split(","))
    except ValueError:
        raise ConfigError(f"`{parameter}` {text!r}: expected whole numbers, such as 0 or -1,0,1") from None


def key_of(name: str, seed: int) -> int:
    """Return a structure's key, 64 bits: a sample takes the structures with the smallest keys."""
    return int.from_bytes(hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest(), "little")


def sample_sizes(elements: npt.NDArray[np.uint8], n: int) -> dict[int, int]:
    """Return how many of ``n`` sampled structures each element gets: its fraction, and at least one if n allows it.

    Parameters
    ----------
    elements
        Atomic number of every structure's first absorber.
    n
        Size of the sample, at most the number of structures.
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


def sampled_keys(keys: npt.NDArray[np.uint64], elements: npt.NDArray[np.uint8], n: int) -> npt.NDArray[np.uint64]:
    """Return the keys of a sample of ``n`` structures, ascending: the smallest keys of each element.

    The sample does not depend on the order of the files.
    """
    if n >= keys.size:
        return np.sort(keys)
    own = [np.sort(keys[elements == z])[:k] for z, k in sample_sizes(elements, n).items()]
    return np.sort(np.concatenate(own))
