"""FDMNES's input file: written files read back equal, and invalid input is an error."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given
from hypothesis import strategies as st
from support import strategies
from support.builders import write

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import fdmnes_input
from xanes_hpc.formats.fdmnes_input import EDGES, FLAGS, Input, Settings, n_energies
from xanes_hpc.structures.structure import Structure

WATER = Structure("w", np.array([26, 8, 1], np.uint8), np.array([[0.0, 0, 0], [1.6, 0.1, 1e-9], [2.0, 1 / 3, -0.5]]))
HEMATITE = """! as the published set was made
Filout
  Fe2O3

Range
 -30. 0.2 60. 0.5 120. ! wide
Radius
7.0
Edge
 K
Absorber
 2
quadrupole
GREEN
SCF
N_self
 50
Crystal
 5.0d0 5.0 13.7 90. 90. 120.
 26 0.0 0.0 0.355
 8 0.306 0.0 0.25
Convolution
End
 anything after the end
"""


def written(calculation, tmp_path):
    return fdmnes_input.read(write(tmp_path / "in.txt", fdmnes_input.write(calculation)))


def settings_drawn():
    ranges = st.lists(st.integers(1, 40), min_size=1, max_size=3).map(
        lambda steps: (*(x for k, n in enumerate(steps) for x in (20.0 * k, 20.0 / n)), 20.0 * len(steps))
    )
    flags = {name: st.booleans() for name in FLAGS}
    keywords = st.lists(st.sampled_from([("N_self", ("50",)), ("Polarized", ("0 0 1", "1 0 0")), ("Relativism", ())]))
    return st.builds(
        Settings, radius=st.floats(0.1, 30.0), energies=ranges, keywords=keywords.map(lambda k: tuple(dict(k).items())),
        **flags,
    )  # fmt: skip


@strategies.quick
@given(strategies.molecules(), settings_drawn(), st.sampled_from(EDGES), st.data())
def test_a_molecule_is_read_back_equal(tmp_path_factory, atoms, settings, edge, data):
    absorber = data.draw(st.integers(0, len(atoms) - 1))
    positions = atoms.positions + data.draw(st.floats(-1e3, 1e3))
    structure = Structure("M", atoms.numbers.astype(np.uint8), positions)
    found = written(Input(structure, absorber, edge, "M", settings), tmp_path_factory.mktemp("fdmnes"))
    assert (found.absorber, found.edge, found.output, found.settings) == (absorber, edge, "M", settings)
    assert found.structure.name == "M"
    np.testing.assert_array_equal(found.structure.numbers, structure.numbers)
    np.testing.assert_array_equal(found.structure.positions, positions)
    assert not found.structure.pbc.any()
    assert not found.structure.cell.any()


@strategies.quick
@given(strategies.crystals())
def test_a_crystal_is_read_back_equal_except_for_its_orientation(tmp_path_factory, atoms):
    atoms.pbc = True
    structure = Structure("C", atoms.numbers.astype(np.uint8), atoms.positions, np.array(atoms.cell), np.full(3, True))
    found = written(Input(structure, 0, "L3", "C"), tmp_path_factory.mktemp("fdmnes")).structure
    again = Atoms(found.numbers, positions=found.positions, cell=found.cell, pbc=found.pbc)
    np.testing.assert_allclose(again.cell.cellpar(), atoms.cell.cellpar(), rtol=1e-12)
    np.testing.assert_allclose(
        again.get_scaled_positions(wrap=False), atoms.get_scaled_positions(wrap=False), atol=1e-12
    )
    np.testing.assert_allclose(again.get_all_distances(mic=True), atoms.get_all_distances(mic=True), atol=1e-9)


def test_an_input_written_by_hand(tmp_path):
    found = fdmnes_input.read(write(tmp_path / "in.txt", HEMATITE))
    expected = Settings(
        7.0, (-30.0, 0.2, 60.0, 0.5, 120.0), scf=True, absolute=False, keywords=(("N_self", ("50",)),)
    )  # fmt: skip
    assert found.settings == expected
    assert (found.absorber, found.edge, found.output) == (1, "K", "Fe2O3")
    assert found.structure.pbc.all()
    np.testing.assert_allclose(found.structure.cell[0], [5.0, 0.0, 0.0])
    np.testing.assert_allclose(found.structure.positions[0], [0.0, 0.0, 0.355 * 13.7], atol=1e-12)
    np.testing.assert_allclose(found.structure.positions[1], [0.306 * 5.0, 0.0, 0.25 * 13.7], atol=1e-12)


def test_the_input_that_reproduces_the_published_set(tmp_path):
    """The same keywords, in the same order, as in the calculations of the published set."""
    text = fdmnes_input.write(Input(WATER, 0, "K", "w"))
    lines = text.splitlines()
    for keyword, value in (("Filout", "w"), ("Range", "-15.0 0.2 60.0"), ("Radius", "6.0"), ("Edge", "K")):
        assert lines[lines.index(keyword) + 1] == value
    assert lines[lines.index("Absorber") + 1] == "1"
    assert {"Energpho", "Green", "Quadrupole", "Convolution"} <= set(lines)
    assert not {"SCF", "Spinorbit", "XES"} & set(lines)
    begin = lines.index("Molecule")
    assert lines[begin + 1] == "1.0 1.0 1.0 90.0 90.0 90.0"
    assert lines[begin + 2 : begin + 5] == [
        "26 0.0 0.0 0.0", "8 1.6 0.1 0.000000001", "1 2.0 0.3333333333333333 -0.5"
    ]  # fmt: skip
    assert lines[-2:] == ["Convolution", "End"]


@pytest.mark.parametrize(
    ("energies", "expected"),
    [
        ((-15.0, 0.2, 60.0), 376),
        ((-30.0, 0.2, 60.0, 0.5, 120.0, 1.0, 300.0), 751),
        ((0.0, 0.1, 0.3), 4),
        ((-5.0, 1.0, 10.0, 3.0, 20.0), 19),
        ((0.0, 54.0, 54.0, 3.0, 250.0), 67),
    ],
)
def test_energies_of_a_range(energies, expected):
    assert n_energies(energies) == expected


@pytest.mark.parametrize(
    ("energies", "said"),
    [
        ((-15.0, 0.7, 60.0), "107.143 steps of 0.7 eV"),
        ((60.0, 0.2, -15.0), "ascend"),
        ((-15.0, 0.0, 60.0), "steps above 0"),
        ((-15.0, -0.2, 60.0), "steps above 0"),
        ((-15.0, 0.2), "a step between each two"),
        ((-15.0,), "a step between each two"),
        ((), "a step between each two"),
        ((-15.0, float("nan"), 60.0), "a step between each two"),
        ((0.0, 1e-9, 60.0), "100,000 steps or fewer"),
    ],
)
def test_invalid_ranges(energies, said):
    with pytest.raises(FormatError, match=said):
        fdmnes_input.write(Input(WATER, 0, "K", "w", Settings(energies=energies)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"edge": "K1"}, "no edge K1; it has K, L1"),
        ({"absorber": 3}, "no atom 3; expected 0 to 2"),
        ({"absorber": -1}, "no atom -1; expected 0 to 2"),
        ({"settings": Settings(radius=0.0)}, "`radius`: expected more than 0 Å"),
        ({"settings": Settings(radius=float("nan"))}, "radius"),
        ({"settings": Settings(keywords=(("radius", ("3",)),))}, "keyword radius: .*other settings"),
        ({"settings": Settings(keywords=(("scf", ()),))}, "keyword scf: .*other settings"),
        ({"settings": Settings(keywords=(("a b", ()),))}, "one word of letters"),
        ({"structure": replace(WATER, cell=np.eye(3), pbc=np.array([True, True, False]))}, "2 of three directions"),
        ({"structure": replace(WATER, pbc=np.full(3, True))}, "w: expected a cell with a volume"),
    ],
)
def test_calculations_that_fdmnes_would_refuse(change, said):
    with pytest.raises(FormatError, match=said):
        fdmnes_input.write(replace(Input(WATER, 0, "K", "w"), **change))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Range\n -30. 0.2 60. 0.5 120. ! wide", "Range", "no Range"),
        ("Absorber\n 2", "Absorber\n 1.5", "number of one atom"),
        ("Absorber\n 2", "Absorber\n 1 2", "number of one atom"),
        ("Absorber\n 2", "Absorber\n 3", "Absorber: expected 1 to 2, received 3"),
        ("7.0", "7.0.0", "Radius: expected numbers"),
        ("Crystal", "Relativism", "expected one Molecule or Crystal, received 0"),
        ("Crystal", "Molecule\n 1 1 1 90 90 90\n 1 0 0 0\nCrystal", "received 2"),
        (" 5.0d0 5.0 13.7 90. 90. 120.\n", " 5.0\n", "expected a line with the cell"),
        (" 8 0.306 0.0 0.25", " 8 0.306 0.0 0.25 0.5", "occupancies are not supported"),
        (" 8 0.306 0.0 0.25", " 8 0.306 0.0", "expected atomic number and x y z"),
        (" 8 0.306 0.0 0.25", " 0 0.306 0.0 0.25", "expected atomic number and x y z"),
        (" 8 0.306 0.0 0.25", " 8.5 0.306 0.0 0.25", "expected atomic number and x y z"),
        (" 8 0.306 0.0 0.25", " 8 0.3O6 0.0 0.25", "atom: expected numbers"),
        (" 8 0.306 0.0 0.25", " 8 1e999 0.0 0.25", "atom: expected numbers"),
        (" 8 0.306 0.0 0.25", " 1e999 0.306 0.0 0.25", "atom: expected numbers"),
        ("Absorber\n 2", "Absorber\n 1e999", "Absorber: expected numbers"),
        ("7.0", "! seven", "no Radius with a value"),
        ("13.7 90. 90. 120.\n", "13.7 90. 90. 500.\n", "no cell has these lengths and angles"),
        ("13.7 90. 90. 120.\n", "13.7 10. 90. 120.\n", "no cell has these lengths and angles"),
    ],
)
def test_invalid_inputs(tmp_path, old, new, said):
    path = write(tmp_path / "in.txt", HEMATITE.replace(old, new))
    assert HEMATITE.count(old) == 1
    with pytest.raises(FormatError, match=said) as error:
        fdmnes_input.read(path)
    assert str(error.value).startswith(str(path))


def test_missing_input(tmp_path):
    with pytest.raises(FormatError, match="cannot be read: no such file"):
        fdmnes_input.read(tmp_path / "in.txt")


def test_what_an_input_leaves_out_is_as_fdmnes_takes_it(tmp_path):
    text = HEMATITE.replace("Filout\n  Fe2O3", "").replace("Edge\n K", "").replace("Absorber\n 2", "")
    found = fdmnes_input.read(write(tmp_path / "in.txt", text))
    assert (found.output, found.edge, found.absorber) == ("fdmnes_out", "K", 0)


@pytest.mark.parametrize(
    ("old", "new", "energies"),
    [
        ("Range\n -30. 0.2 60. 0.5 120. ! wide", "", (-5.0, 0.5, 60.0)),
        ("Range\n -30. 0.2 60. 0.5 120. ! wide", "RANGE\n -10. 5.d-1 5.0D1", (-10.0, 0.5, 50.0)),
        ("Range\n -30. 0.2 60. 0.5 120. ! wide", "gamme -10. 5.d-1 5.0d1", (-10.0, 0.5, 50.0)),
        ("Range\n -30. 0.2 60. 0.5 120. ! wide", "Rangel\n -10. 0.2 50.", ()),
    ],
)
def test_ranges_as_fdmnes_takes_them(tmp_path, old, new, energies):
    assert fdmnes_input.read(write(tmp_path / "in.txt", HEMATITE.replace(old, new))).settings.energies == energies
    assert n_energies((-5.0, 0.5, 60.0)) == 131  # as in FDMNES's source


@pytest.mark.parametrize(
    ("written", "edge"), [("edge\n k", "K"), ("EDGE\n l23", "L23"), ("Seuil\n K1", "K"), ("Edge L3", "L3")]
)
def test_keywords_and_edges_in_any_case(tmp_path, written, edge):
    text = HEMATITE.replace("Edge\n K", written).replace("Crystal\n", "CRYSTAL\n").replace("Filout", "filout")
    found = fdmnes_input.read(write(tmp_path / "in.txt", text))
    assert (found.edge, found.output, found.structure.numbers.tolist()) == (edge, "Fe2O3", [26, 8])


def test_an_absorber_by_its_element(tmp_path):
    text = HEMATITE.replace("Absorber\n 2", "Z_absorber\n 8")
    assert fdmnes_input.read(write(tmp_path / "in.txt", text)).absorber == 1
    with pytest.raises(FormatError, match="Z_absorber: expected one atom of this element, received 0"):
        fdmnes_input.read(write(tmp_path / "in.txt", text.replace("Z_absorber\n 8", "Z_absorber\n 7")))


@pytest.mark.parametrize(
    "keyword", ["Cif_file\n  Fe2O3.cif\n", "crystal_p\n End.pdb\n", "Film_t\n 5. 5. 5.\n 26 0 0 0 0.5\n"]
)
def test_a_structure_that_is_not_in_the_input(tmp_path, keyword):
    begin, end = HEMATITE.index("Crystal"), HEMATITE.index("Convolution")
    text = HEMATITE[:begin] + keyword + HEMATITE[end:]
    found = fdmnes_input.read(write(tmp_path / "in.txt", text))
    assert (found.structure, found.absorber, found.settings.convolution) == (None, 1, True)


def test_a_left_handed_cell_is_written_as_the_same_crystal(tmp_path):
    """Distances between all atoms and their images stay."""
    cell = np.array([[0.0, 4.0, 0.3], [3.0, 0.2, 0.0], [0.1, 0.0, 5.0]])
    assert np.linalg.det(cell) < 0
    left = replace(WATER, cell=cell, pbc=np.full(3, True))
    found = fdmnes_input.read(write(tmp_path / "in.txt", fdmnes_input.write(Input(left, 0, "K", "w")))).structure
    assert np.linalg.det(found.cell) > 0

    def distances(structure):
        images = np.array(list(product(range(-3, 4), repeat=3))) @ structure.cell
        apart = structure.positions[:, None, None] - structure.positions[None, :, None] - images
        every = np.linalg.norm(apart, axis=-1)
        return np.sort(np.where(every < 6.0, every, 6.0).reshape(3, -1), axis=1)

    np.testing.assert_allclose(distances(found), distances(left), atol=1e-9)
