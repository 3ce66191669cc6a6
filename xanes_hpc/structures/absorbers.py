"""Choose the atoms of a structure that are absorption sites."""

import math
import re
from collections import Counter

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers, chemical_symbols

from xanes_hpc.errors import AbsorberError, ConfigError
from xanes_hpc.structures.structure import Structure

TRANSITION_METALS = frozenset((*range(21, 31), *range(39, 49), 57, *range(72, 81)))
"""Atomic numbers of groups 3 to 12, with La, without the radioactive seventh period."""

IS_METAL = np.isin(np.arange(256), list(TRANSITION_METALS))

ABSENT = "this atom of the disordered structure was left out in ordering it; choose another"
INDEX = re.compile(r"-?[0-9]{1,18}")
RULES = "first, transition-metals, all, an element such as Fe, or a 0-based atom index"


def formula(numbers: npt.NDArray[np.integer]) -> str:
    """Return the chemical formula in Hill order (C, H, then alphabetical), as in ``C36H39FeP6``."""
    counts = Counter(chemical_symbols[z] for z in numbers)
    if "C" in counts:
        order = ["C", *(["H"] if "H" in counts else []), *sorted(counts.keys() - {"C", "H"})]
    else:
        order = sorted(counts)
    return "".join(f"{s}{counts[s] if counts[s] > 1 else ''}" for s in order)


def reduced_formula(formula: str) -> str:
    """Return a chemical formula divided by the common divisor of its numbers: that of the compound, whatever the cell.

    Examples
    --------
    >>> reduced_formula("Cu4O8Sr4"), reduced_formula("C36H39FeP6")
    ('CuO2Sr', 'C36H39FeP6')
    """
    counts = [(symbol, int(number or 1)) for symbol, number in re.findall(r"([A-Z][a-z]?)(\d*)", formula)]
    divisor = math.gcd(*(n for _, n in counts))
    return "".join(f"{symbol}{n // divisor if n > divisor else ''}" for symbol, n in counts)


def element_number(symbol: str) -> int:
    """Return the atomic number of an element symbol in any case, or 0 if there is no such element."""
    return int(atomic_numbers.get(symbol.strip().capitalize(), 0))


def given_element(symbol: str | None) -> int | None:
    """Return the atomic number of the element symbol that a user gives as ``absorber``; None without one.

    Raises
    ------
    ConfigError
        If there is no such element.
    """
    return None if symbol is None else named_element(symbol, "absorber")


def named_element(symbol: str, parameter: str) -> int:
    """Return the atomic number of the element symbol that a user gives as ``parameter``.

    Raises
    ------
    ConfigError
        If there is no such element.
    """
    if not (number := element_number(symbol)):
        raise ConfigError(f"`{parameter}` {symbol!r}: expected an element symbol, such as Fe")
    return number


def select_absorbers(numbers: npt.NDArray[np.integer], rule: str | None = None) -> npt.NDArray[np.int64]:
    """Return the indices (from 0) of the absorbers of one structure.

    Parameters
    ----------
    numbers
        Atomic numbers of the structure, shape (n_atoms,).
    rule
        ``first``, ``transition-metals``, ``all``, an element symbol, or an atom index; by default the structure's only
        transition metal.

    Raises
    ------
    AbsorberError
        If no atom matches, or if no rule is given and there is not exactly one transition metal.
    """
    numbers = np.asarray(numbers)
    metals = np.flatnonzero(IS_METAL[numbers])
    if rule is None:
        if metals.size == 1:
            return metals
        found = ", ".join(f"{chemical_symbols[numbers[a]]} (atom {a})" for a in metals[:8])
        found += ", …" if metals.size > 8 else ""
        raise AbsorberError(
            f"expected exactly one transition metal as the absorber, found {metals.size}"
            + (f": {found}" if metals.size else f" in {formula(numbers)}")
            + f"; choose with `absorber` ({RULES})"
        )
    text = rule.strip()
    if text == "first":
        chosen = np.arange(min(1, numbers.size))
    elif text == "all":
        chosen = np.arange(numbers.size)
    elif text == "transition-metals":
        chosen = metals
    elif INDEX.fullmatch(text):
        index = int(text)
        if not 0 <= index < numbers.size:
            raise AbsorberError(
                f"absorber {index}: no such atom; expected an atom index from 0 to {numbers.size - 1} "
                f"in {formula(numbers)}"
            )
        chosen = np.array([index])
    elif text.capitalize() in atomic_numbers:
        chosen = np.flatnonzero(numbers == element_number(text))
    else:
        raise AbsorberError(f"absorber {rule!r}: expected {RULES}")
    if chosen.size == 0:
        raise AbsorberError(f"absorber {rule!r}: no such atom in {formula(numbers)}")
    return chosen.astype(np.int64)


def absorbers_of(structure: Structure, rule: str | None = None) -> npt.NDArray[np.int64]:
    """Return the indices of a structure's absorbers; an atom index and ``first`` count the atoms as its file does.

    Raises
    ------
    AbsorberError
        As ``select_absorbers``, and if a disordered structure was ordered without the atom.
    """
    text = (rule or "").strip()
    if structure.described is None or not (text == "first" or INDEX.fullmatch(text)):
        return select_absorbers(structure.numbers, rule)
    atom = np.array([0 if text == "first" else int(text)])
    if not 0 <= atom[0] < structure.n_described:
        raise AbsorberError(
            f"absorber {atom[0]}: no such atom; expected an atom index from 0 to {structure.n_described - 1}"
        )
    found, there = structure.there(atom)
    if not there.all():
        raise AbsorberError(f"absorber {atom[0]}: {ABSENT}")
    return found
