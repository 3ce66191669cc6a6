"""Choice of absorbers, and chemical formulas."""

from collections import Counter

import numpy as np
import pytest
from ase.data import atomic_numbers, chemical_symbols
from ase.formula import Formula
from hypothesis import given
from hypothesis import strategies as st
from support.strategies import quick

from xanes_hpc.errors import AbsorberError
from xanes_hpc.structures.absorbers import RULES, TRANSITION_METALS, formula, select_absorbers


def numbers(*symbols: str) -> np.ndarray:
    return np.array([atomic_numbers[s] for s in symbols], np.uint8)


COMPLEX = numbers("C", "Fe", "O", "H", "O")
DIMER = numbers("Co", "O", "Fe", "O", "Fe")
ORGANIC = numbers("C", "H", "S", "S")


def chosen(atoms, rule=None):
    result = select_absorbers(atoms, rule)
    assert result.dtype == np.int64
    return result.tolist()


def test_default_is_the_only_transition_metal():
    assert chosen(COMPLEX) == [1]


def test_default_without_a_metal():
    with pytest.raises(AbsorberError, match=r"one transition metal .*, found 0 in CHS2; .* `absorber` \(first"):
        select_absorbers(ORGANIC)


def test_default_with_several_metals_lists_them():
    with pytest.raises(AbsorberError, match=r"found 3: Co \(atom 0\), Fe \(atom 2\), Fe \(atom 4\); .*`absorber`"):
        select_absorbers(DIMER)


def test_default_with_many_metals_lists_some():
    with pytest.raises(AbsorberError, match=r"found 20: .*Fe \(atom 7\), …; ") as error:
        select_absorbers(numbers(*["Fe"] * 20))
    assert "(atom 8)" not in str(error.value)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("first", [0]),
        ("all", [0, 1, 2, 3, 4]),
        ("transition-metals", [0, 2, 4]),
        ("Fe", [2, 4]),
        ("fe", [2, 4]),
        ("FE", [2, 4]),
        (" Fe ", [2, 4]),
        ("O", [1, 3]),
        ("0", [0]),
        ("4", [4]),
    ],
)
def test_rules(rule, expected):
    assert chosen(DIMER, rule) == expected


@pytest.mark.parametrize("rule", ["5", "-1", "1000000", "999999999999999999"])
def test_index_out_of_range(rule):
    with pytest.raises(AbsorberError, match=rf"absorber {rule}: no such atom.* index from 0 to 4"):
        select_absorbers(DIMER, rule)


@pytest.mark.parametrize("rule", ["Cu", "Ni", "S"])
def test_absent_element(rule):
    with pytest.raises(AbsorberError, match=rf"absorber '{rule}': no such atom in CoFe2O2"):
        select_absorbers(DIMER, rule)


def test_no_transition_metals():
    with pytest.raises(AbsorberError, match="absorber 'transition-metals': no such atom in CHS2"):
        select_absorbers(ORGANIC, "transition-metals")


@pytest.mark.parametrize("rule", ["Qq", "", "metal", "1.5", "--5", "²", "1-2", "9" * 5000])
def test_unknown_rule(rule):
    with pytest.raises(AbsorberError) as error:
        select_absorbers(DIMER, rule)
    assert str(error.value) == f"absorber {rule!r}: expected {RULES}"


def test_transition_metals_are_groups_3_to_12():
    symbols = {chemical_symbols[z] for z in TRANSITION_METALS}
    assert {"Sc", "Zn", "Y", "Cd", "La", "Hf", "Hg"} <= symbols
    assert not {"Ca", "Ga", "Sr", "In", "Ce", "Lu", "Tl", "Ac", "Rf"} & symbols
    assert len(symbols) == 30


@pytest.mark.parametrize(
    ("symbols", "expected"),
    [
        (["Fe"], "Fe"),
        (["O", "H", "H"], "H2O"),
        (["Fe", "C", "H", "H", "C"], "C2H2Fe"),
        (["P"] * 6 + ["Fe"] + ["H"] * 39 + ["C"] * 36, "C36H39FeP6"),
        (["Br", "H", "C", "B"], "CHBBr"),
        (["O", "C", "O"], "CO2"),
        (["Na", "Cl"], "ClNa"),
        (["H", "B"], "BH"),
    ],
)
def test_formula_in_hill_order(symbols, expected):
    assert formula(numbers(*symbols)) == expected


@quick
@given(st.lists(st.integers(1, 118), min_size=1, max_size=30))
def test_formula_agrees_with_ase(atoms):
    """Without carbon, Hill's order is alphabetical; ASE puts hydrogen first there."""
    symbols = [chemical_symbols[z] for z in atoms]
    if "C" in symbols or "H" not in symbols:
        assert formula(np.array(atoms)) == Formula.from_list(symbols).format("hill")
    else:
        counts = sorted(Counter(symbols).items())
        assert formula(np.array(atoms)) == "".join(f"{s}{n if n > 1 else ''}" for s, n in counts)
