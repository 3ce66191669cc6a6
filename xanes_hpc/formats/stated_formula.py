"""The composition of a crystal in CIF, held to the formula that its block states.

It must be ``_cell_formula_units_Z`` times ``_chemical_formula_sum``, or the formula itself where that is Z times
another formula. Without Z the ratio of the elements must be that of the formula. Hydrogen atoms may be missing, since
many refinements do not locate them, and so may the atoms of solvent that was masked in the refinement (SQUEEZE).
"""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import gemmi
import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers, chemical_symbols

from xanes_hpc.formats.isotopes import HYDROGEN
from xanes_hpc.structures.disorder import ROUNDING

MASKS = ("_platon_squeeze", "_smtbx_masks", "_olex2_masks", "_shelx_fab_", "_iucr_refine_fab_")
"""Beginnings of the items that PLATON's SQUEEZE, Olex2's solvent mask and SHELXL's .fab file leave."""
MASKED = "diffuse solvent was masked in the refinement (SQUEEZE), so its atoms are missing"
WHOLE_CELL = "formulas of CIF are those of the whole cell, as pymatgen writes them"
NO_HYDROGEN = "the formula has hydrogens that the file does not list"
FORMULA = re.compile(r"([A-Z][a-z]?)(\d*\.?\d*)")
PLAIN = re.compile(r"\s*(?:[A-Z][a-z]?\d*(?:\.\d*)?[\s,]*)+(?:\d*[+-]\d*)?\s*")
RATIO = 0.04
"""Relative deviation from the ratio of a formula without Z."""


@dataclass(frozen=True)
class Verdict:
    """What the formula says about a cell.

    Attributes
    ----------
    reason
        Why the cell is not that of the formula; empty if it may be.
    notes
        What to note about it.
    counted
        Whether formula and Z give the number of atoms, and it is right.
    """

    reason: str = ""
    notes: tuple[tuple[str, str], ...] = ()
    counted: bool = False


def judged(block: Any, found: Counter[int], certain: bool) -> Verdict:
    """Return what the formula in a block says about the numbers of atoms found in the cell, by atomic number.

    Parameters
    ----------
    block
        The block, as gemmi read it.
    found
        Sum of occupancies of each element.
    certain
        Whether every atom is always there.
    """
    masked = _is_masked(block)
    notes: tuple[tuple[str, str], ...] = ((MASKED, f"block {block.name}"),) if masked else ()
    formula, z = _formula(block), block.find_value("_cell_formula_units_Z")
    stated = _counts(formula)
    heavy = [number for number in stated | found if number != 1]
    in_formula = np.array([stated[n] for n in heavy], np.float64)
    if not in_formula.any():
        return Verdict(notes=notes)
    in_cell = np.array([found[n] for n in heavy], np.float64)
    units = np.nan if z is None or gemmi.cif.is_null(z) else gemmi.cif.as_number(z)
    counted = bool(np.isfinite(units)) and units > 0
    if not counted:
        units = float(in_cell @ in_formula / (in_formula @ in_formula))
    expected = units * in_formula
    if counted:
        allowed = 0.5 if certain else np.maximum(0.5, ROUNDING * expected)
    else:
        allowed = np.maximum(RATIO * expected, min(0.5, RATIO * expected.max()))
    of_cell = counted and units > 1 and _is_of_cell(in_formula, stated[1], units)
    if of_cell and (np.abs(in_cell - in_formula) < 0.5).all():
        units, expected = 1.0, in_formula
        notes += ((WHOLE_CELL, f"block {block.name}: {formula}"),)
    excess = in_cell - expected
    cell = "".join(f"{chemical_symbols[n]}{round(found[n], 2):g}" for n in sorted(found))
    if (np.abs(excess) < allowed).all():
        hydrogens = units * stated[1]
        if found[1] < hydrogens - max(0.5, RATIO * hydrogens):
            notes += ((NO_HYDROGEN, f"block {block.name}: {cell} of {formula}"),)
        return Verdict("", notes, counted)
    if masked and (excess < allowed).all():
        times = f"{units:g} × " if counted else ""
        return Verdict("", ((MASKED, f"block {block.name}: {cell} of {times}{formula}"),))
    if counted:
        return Verdict(
            f"block {block.name}: its symmetry gives a cell of {cell}, but it states {units:g} × {formula}; "
            "check the space group, its setting, and the operations"
        )
    return Verdict(
        f"block {block.name}: its cell has {cell}, which is not in the ratio of its formula {formula}; "
        "check the atoms, their occupancies and the symmetry"
    )


def _is_of_cell(heavy: npt.NDArray[np.float64], hydrogens: float, units: float) -> bool:
    """Return True if a formula is the stated number of units of a formula that cannot be reduced further."""
    counts = np.append(heavy, hydrogens)
    return bool((counts == np.floor(counts)).all()) and int(np.gcd.reduce(counts.astype(np.int64))) == units


def _formula(block: Any) -> str:
    """Return the formula that a block states; empty if it states none."""
    text = block.find_value("_chemical_formula_sum")
    return "" if text is None or gemmi.cif.is_null(text) else str(gemmi.cif.as_string(text))


def _counts(formula: str) -> Counter[int]:
    """Return the numbers of atoms in a formula; none if it is no plain sum of elements, such as ``Fe(OH)x``."""
    counts = Counter[int]()
    if not PLAIN.fullmatch(formula):
        return counts
    for symbol, count in FORMULA.findall(formula):
        number = HYDROGEN.get(symbol) or atomic_numbers.get(symbol)
        if number is None:
            return Counter()
        counts[number] += float(count or 1)  # type: ignore[assignment]
    return counts


def elements_of(block: Any) -> frozenset[int]:
    """Return the atomic numbers that the formula of a block has, or else its table of atom types; empty without."""
    if counts := _counts(_formula(block)):
        return frozenset(counts)
    types = (re.match("[A-Z][a-z]?", gemmi.cif.as_string(value)) for value in block.find_values("_atom_type_symbol"))
    return frozenset(atomic_numbers[found[0]] for found in types if found and found[0] in atomic_numbers)


def _is_masked(block: Any) -> bool:
    """Return True if the block tells that diffuse solvent was masked in the refinement."""
    for item in block:
        if item.pair is not None:
            tag, value = item.pair
            known = not gemmi.cif.is_null(value)
        elif item.loop is not None:
            tag, known = item.loop.tags[0], item.loop.length() > 0
        else:
            continue
        if known and tag.lower().startswith(MASKS):
            return True
    return False
