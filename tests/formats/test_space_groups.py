"""The operations that a file means by what it says about its space group, held to the metric of its cell."""

import gemmi
import numpy as np
import pytest

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.operations import group_of
from xanes_hpc.formats.space_groups import AXES, LISTED, ORIGIN, STANDARD, contradiction, settings_of
from xanes_hpc.formats.stated_symmetry import Stated

CUBIC, HEXAGONAL = (8, 8, 8, 90, 90, 90), (3, 3, 9, 90, 90, 120)
RHOMBOHEDRAL, PRIMITIVE = (5.4, 5.4, 5.4, 60.8, 60.8, 60.8), (3, 3, 3, 70.53, 70.53, 70.53)
UNIQUE_A, UNIQUE_B, UNIQUE_C = (5, 6, 7, 100, 90, 90), (5, 6, 7, 90, 100, 90), (5, 6, 7, 90, 90, 100)


def vectors(cell):
    return np.array(gemmi.UnitCell(*cell).orth.mat.tolist()).T


def said(*names, **others):
    return Stated(tuple(names), **others)


def meant(stated, cell):
    """Return the names of the settings, and what is noted."""
    settings = settings_of(stated, vectors(cell))
    groups = [gemmi.find_spacegroup_by_ops(gemmi.GroupOps(list(one.operations))).xhm() for one in settings]
    return groups, sorted({what for one in settings for what, _ in one.notes})


def cell_of(group):
    system, unique = group.crystal_system_str(), (group.qualifier.lstrip("-") or "b")[0]
    if system in ("hexagonal", "trigonal"):
        return PRIMITIVE if group.ext == "R" else HEXAGONAL
    if system == "monoclinic":
        return {"a": UNIQUE_A, "b": UNIQUE_B, "c": UNIQUE_C}[unique]
    return {
        "cubic": CUBIC, "tetragonal": (5, 5, 7, 90, 90, 90), "orthorhombic": (5, 6, 7, 90, 90, 90),
        "triclinic": (5, 6, 7, 80, 95, 100),
    }[system]  # fmt: skip


def triplets(operations):
    return {operation.triplet() for operation in operations}


def test_every_setting_of_every_space_group():
    """By name, Hall symbol and operations, with the number beside them."""
    for group in gemmi.spacegroup_table():
        cell, own = vectors(cell_of(group)), triplets(group.operations())
        for stated in (
            said(group.xhm(), number=group.number),
            said(group.xhm().replace(" ", ""), number=group.number),
            said(number=group.number, hall=group.hall),
            said(number=group.number, operations=tuple(own)),
        ):
            (found,) = [one for one in settings_of(stated, cell) if triplets(one.operations) == own]
            assert found.operations[0].triplet() == "x,y,z"
            assert contradiction(stated, cell) == ""


@pytest.mark.parametrize(
    ("name", "cell", "expected"),
    [
        ("P2(1)/n", UNIQUE_B, "P 1 21/n 1"),
        ("P 2(1)/n", UNIQUE_B, "P 1 21/n 1"),
        ("P 2_1/a", UNIQUE_B, "P 1 21/a 1"),
        ("P 21 / n", UNIQUE_B, "P 1 21/n 1"),
        ("P6(3)mc", HEXAGONAL, "P 63 m c"),
        ("P 6_{3} m c", HEXAGONAL, "P 63 m c"),
        ("F d -3 m Z (227)", CUBIC, "F d -3 m:2"),
        ("P 21/n (No. 14)", UNIQUE_B, "P 1 21/n 1"),
        ("F d -3 m Z", CUBIC, "F d -3 m:2"),
        ("F d -3 m O1", CUBIC, "F d -3 m:1"),
        ("F d -3 m (origin choice 2)", CUBIC, "F d -3 m:2"),
    ],
)
def test_spellings_of_names(name, cell, expected):
    number = gemmi.find_spacegroup_by_name(expected).number
    assert meant(said(name, number=number), cell) == ([expected], [])


@pytest.mark.parametrize(
    ("stated", "cell", "expected", "noted"),
    [
        (said("R -3 c"), RHOMBOHEDRAL, ["R -3 c:R"], [AXES]),
        (said("R -3 m:R"), PRIMITIVE, ["R -3 m:R"], []),
        (said("R -3 m:R"), HEXAGONAL, ["R -3 m:H"], [AXES]),
        (said("F d -3 m", hall="F 4d 2 3 -1d"), CUBIC, ["F d -3 m:1"], []),
        (said(number=166), PRIMITIVE, ["R -3 m:R"], [AXES]),
        (said("R -3 m H"), CUBIC, ["R -3 m:R"], [AXES]),
        (said(number=166), HEXAGONAL, ["R -3 m:H"], []),
        (said("P 21"), UNIQUE_C, ["P 1 1 21"], [AXES]),
        (said("P 21/c"), UNIQUE_A, ["P 21/c 1 1"], [AXES]),
        (said("P 21/n"), UNIQUE_C, ["P 1 1 21/n"], [AXES]),
        (said(number=14), UNIQUE_B, ["P 1 21/c 1"], [STANDARD]),
        (said(number=2), UNIQUE_B, ["P -1"], []),
        (said("F d -3 m:2", code="2"), CUBIC, ["F d -3 m:2"], []),
        (said("P 21/c", code="c1"), UNIQUE_C, ["P 1 1 21/a"], []),
        (said("R 3", code="r"), PRIMITIVE, ["R 3:R"], []),
        (said("F d -3 m", code="2"), CUBIC, ["F d -3 m:2"], []),
        (said("P n n n", code="1abc"), (5, 6, 7, 90, 90, 90), ["P n n n:1"], []),
        (said("F d -3 m"), CUBIC, ["F d -3 m:2", "F d -3 m:1"], [ORIGIN]),
        (said("P 4/n m m:2", hall="-P 4a 2a"), (5, 5, 7, 90, 90, 90), ["P 4/n m m:2"], []),
        (said("P n m m:2", number=59), (5, 6, 7, 90, 90, 90), ["P n m m:2"], []),
    ],
)
def test_the_setting_that_is_named_or_that_the_cell_has(stated, cell, expected, noted):
    assert meant(stated, cell) == (expected, noted)


@pytest.mark.parametrize(
    ("stated", "cell", "message"),
    [
        (said("P 63 m c"), (3, 3, 9, 90, 90, 60), "does not have the symmetry of its space group 'P 63 m c'"),
        (said("P 63 m c"), (3, 3.3, 9, 90, 90, 120), "3 × 3.3 × 9 Å, 90, 90, 120°"),
        (said("F m -3 m"), (4.3, 4.3, 8, 90, 90, 90), "does not have the symmetry"),
        (said(hall="-F 4 2 3"), (4.3, 4.3, 8, 90, 90, 90), "does not have the symmetry of its Hall symbol"),
        (said("P 21/c"), UNIQUE_C, "name the setting of this cell: P 1 1 21/a, P 1 1 21/n, P 1 1 21/b"),
        (said(number=14), UNIQUE_A, "name the setting of this cell: P 21/b 1 1"),
        (said(operations=("x,y,z", "-y,x,z", "-x,-y,z", "y,-x,z")), UNIQUE_B, "symmetry of its listed operations"),
        (said("P 21/c", hall="-P 2yn"), UNIQUE_B, "'P 21/c' by name, and '-P 2yn' by its Hall symbol"),
        (said("P 21/c", "P 1 21/n 1"), UNIQUE_B, "'P 21/c' by name, and 'P 1 21/n 1' by name"),
        (said("F d -3 m:2", hall="F 4d 2 3 -1d"), CUBIC, "'F d -3 m:2' by name, and"),
        (said("P 21/c (15)"), UNIQUE_B, "unknown space group 'P 21/c (15)'"),
        (said("P 1" + "(1)" * 5000), UNIQUE_B, "unknown space group 'P 1(1)(1)"),
        (said("P 21/q", number=14), UNIQUE_B, "unknown space group 'P 21/q'"),
        (said("F d -3 m", code="9"), CUBIC, "unknown coordinate system '9'"),
        (said("F d -3 m", code="b1"), CUBIC, "no coordinate system 'b1'"),
        (said("F d -3 m:2", code="1"), CUBIC, "'F d -3 m:2', but its coordinate system '1'"),
        (said(hall="nonsense"), CUBIC, "unknown Hall symbol 'nonsense'"),
        (said(other="_space_group_ssg_name"), CUBIC, "_space_group_ssg_name states a symmetry without operations"),
        (said(operations=("-x,-y,-z",)), CUBIC, "expected the identity 'x,y,z' among its 1 symmetry operation"),
        (said(operations=("x,y,z", "x+1/3,y,z")), CUBIC, "no group: x+1/3,y,z after x+1/3,y,z is x+2/3,y,z"),
        (said(operations=("x,y,z", "a,b,c")), CUBIC, "symmetry operation 'a,b,c': expected three sums"),
        (said(operations=("x,y,z", "-x,-y")), CUBIC, "symmetry operation '-x,-y': expected three sums"),
        (said(operations=("x,y,z", "x/2,y,z")), CUBIC, "symmetry operation 'x/2,y,z'"),
    ],
)  # fmt: skip
def test_symmetry_that_cannot_be(stated, cell, message):
    with pytest.raises(FormatError) as error:
        settings_of(stated, vectors(cell))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        (said("P -1", operations=("x,y,z", "x+1/2,y,z")), "those of P1, but its space group is 'P -1' by name"),
        (said("P 21/c", number=15), "'P 21/c' by name, and 15 by number"),
        (said("P 21/c", hall="-C 2yc"), "'P 21/c' by name, and '-C 2yc' by its Hall symbol"),
        (said("P -1", hall="none", operations=("x,y,z", "-x,-y,-z")), ""),
        (said("P -1", number=2, operations=("x,y,z", "1/4-x,-y,-z")), ""),
    ],
)
def test_contradictions_of_sets_of_operations(stated, message):
    found = contradiction(stated, vectors(UNIQUE_B))
    assert message in found
    assert bool(found) == bool(message)


def test_operations_of_another_setting_than_the_named_one_are_noted():
    stated = said("P 21/c", operations=tuple(triplets(gemmi.find_spacegroup_by_name("P 21/n").operations())))
    assert meant(stated, UNIQUE_B) == (["P 1 21/n 1"], [LISTED])


def test_operations_of_a_group_are_each_once_and_the_identity_first():
    assert triplets(group_of(("-x,-y,-z", "x+1,y,z", "X, Y, Z", "-x,-y,-z"))) == {"x,y,z", "-x,-y,-z"}
    found = group_of(("x,y,z,+1", "-x,-y,-z,-1"), ("x,y,z,+1", "x+1/2,y,z,-1"))
    assert triplets(found) == {"x,y,z", "-x,-y,-z", "x+1/2,y,z", "-x+1/2,-y,-z"}
    assert found[0].triplet() == "x,y,z"
