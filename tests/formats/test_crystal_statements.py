"""What CIF, mmCIF and PDB state about the cell, the symmetry and the atoms: read right, or refused in one line."""

import numpy as np
import pytest
from support.builders import write

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import read_structures
from xanes_hpc.formats.cif import MODULATED
from xanes_hpc.formats.pdb import COPIED
from xanes_hpc.formats.space_groups import STANDARD
from xanes_hpc.formats.symmetry import DUMMIES

CELL = "".join(f"_cell_length_{k} 4.3\n" for k in "abc") + "".join(
    f"_cell_angle_{k} 90\n" for k in ("alpha", "beta", "gamma")
)
SITES = "loop_\n_atom_site_label\n_atom_site_type_symbol\n" + "".join(f"_atom_site_fract_{k}\n" for k in "xyz")
ROCK_SALT = SITES + "Fe1 Fe 0 0 0\nO1 O 0.5 0.5 0.5\n"
GENERAL = SITES + "Fe1 Fe 0 0 0\nO1 O 0.1 0.2 0.3\n"
GROUP = "_symmetry_space_group_name_H-M 'F m -3 m'\n"


def only(tmp_path, text, name="a.cif"):
    (found,) = read_structures(write(tmp_path / name, text))
    return found


def cif(tmp_path, block):
    return only(tmp_path, "data_b\n" + block)


def refused(tmp_path, block):
    found = cif(tmp_path, block)
    assert isinstance(found, FormatError)
    return str(found)


def composition(structure):
    numbers, counts = np.unique(structure.numbers, return_counts=True)
    return dict(zip(numbers.tolist(), counts.tolist(), strict=True))


def loop(*rows):
    return "loop_\n" + "\n".join(rows) + "\n"


@pytest.mark.parametrize("style", ["_space_group_symop.magn_{}_xyz", "_space_group_symop_magn_{}.xyz"])
def test_operations_and_centrings_of_a_magnetic_group(tmp_path, style):
    operations = loop(style.format("operation"), "x,y,z,+1", "-x,-y,-z,+1")
    operations += loop(style.format("centering"), "x,y,z,+1", "x+1/2,y+1/2,z+1/2,-1")
    name = "_space_group_magn.name_BNS 'P_I -1'\n"
    assert composition(cif(tmp_path, CELL + name + operations + GENERAL)) == {26: 2, 8: 4}


@pytest.mark.parametrize(
    "symmetry",
    [
        "_space_group_magn.name_BNS 'P_I -1'\n",
        "_space_group.magn_number_BNS 2.7\n",
        "_space_group_ssg_name 'Fm-3m(00g)000'\n",
        loop("_space_group_symop_ssg_operation_algebraic", "x1,x2,x3,x4", "-x1,-x2,-x3,-x4"),
        "_symmetry_cell_setting cubic\n",
        "_space_group_name_Schoenflies O_h^5\n",
        "_space_group_name_Hall nonsense\n",
        "_space_group_IT_number 231\n",
        "_space_group_IT_number 225.1\n",
    ],
)
def test_symmetry_that_is_named_but_cannot_be_applied(tmp_path, symmetry):
    assert "block b: " in refused(tmp_path, CELL + symmetry + GENERAL)


def test_the_average_of_a_modulated_structure_is_noted(tmp_path):
    found = cif(tmp_path, CELL + GROUP + "_space_group_ssg_name 'Fm-3m(00g)000'\n" + ROCK_SALT)
    assert composition(found) == {26: 4, 8: 4}
    assert found.choices == ((MODULATED, "block b"),)


@pytest.mark.parametrize("symmetry", ["", "_symmetry_cell_setting triclinic\n", "_space_group_name_H-M_alt ?\n"])
def test_a_block_without_symmetry_is_as_it_stands(tmp_path, symmetry):
    assert composition(cif(tmp_path, CELL + symmetry + GENERAL)) == {26: 1, 8: 1}


def test_items_with_points(tmp_path):
    """As dictionaries of CIF 2 write them."""
    block = (CELL + GROUP + ROCK_SALT).replace("_cell_", "_cell.").replace("_atom_site_", "_atom_site.")
    found = cif(tmp_path, block.replace("_symmetry_space_group_name_H-M", "_space_group.name_H-M_alt"))
    assert composition(found) == {26: 4, 8: 4}
    np.testing.assert_allclose(found.cell, 4.3 * np.eye(3), atol=1e-9)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("_cell_length_b 4.3\n", "", "expected _cell_length_b"),
        ("_cell_angle_gamma 90\n", "", "expected _cell_angle_gamma"),
        ("_cell_angle_gamma 90", "_cell_angle_gamma ?", "expected _cell_angle_gamma"),
        ("_cell_angle_gamma 90", "_cell_angle_gamma 200", "_cell_angle_gamma: expected an angle between 0 and 180°"),
        ("_cell_angle_gamma 90", "_cell_angle_gamma ninety", "_cell_angle_gamma: expected an angle"),
        ("_cell_length_a 4.3", "_cell_length_a 0", "_cell_length_a: expected a length above 0 and"),
        ("_cell_length_a 4.3", "_cell_length_a 1e300", "_cell_length_a: expected a length above 0 and below 1,000,000"),
        ("alpha 90\n_cell_angle_beta 90", "alpha 150\n_cell_angle_beta 150", "no cell has the angles 150, 150, 90°"),
    ],
)
def test_cells_that_are_incomplete_or_impossible(tmp_path, old, new, message):
    assert f"block b: {message}" in refused(tmp_path, (CELL + GROUP + ROCK_SALT).replace(old, new))


def test_cartesian_coordinates_in_old_cif(tmp_path):
    message = refused(tmp_path, (CELL + GROUP + ROCK_SALT).replace("fract", "Cartn"))
    assert "expected coordinates as fractions of the cell" in message


def test_dummy_atoms_are_left_out(tmp_path):
    atoms = SITES + "_atom_site_calc_flag\nFe1 Fe 0 0 0 .\nCg1 C 0.2 0.2 0.2 dum\nO1 O 0.5 0.5 0.5 d\n"
    found = cif(tmp_path, CELL + atoms)
    assert composition(found) == {26: 1, 8: 1}
    assert found.choices == ((DUMMIES, "block b: 1"),)


@pytest.mark.parametrize(
    ("formula", "number"),
    [("_chemical_formula_sum 'Fe C'\n", 6), ("_chemical_formula_sum 'Fe Cd'\n", 48), ("_chemical_formula_sum ?\n", 0)],
)
def test_labels_that_can_be_two_elements(tmp_path, formula, number):
    block = CELL + formula + (SITES + "FE1 0 0 0\nCD1 0.5 0.5 0.5\n").replace("_atom_site_type_symbol\n", "")
    if number:
        assert composition(cif(tmp_path, block)) == {26: 1, number: 1}
    else:
        assert "atom CD1: may be Cd or C by its label" in refused(tmp_path, block)


def test_all_images_listed_beside_the_symmetry(tmp_path):
    atoms = ROCK_SALT + "Fe2 Fe 0 0.5 0.5\n"
    assert "atom Fe2 is an image of atom Fe1" in refused(tmp_path, CELL + GROUP + atoms)


@pytest.mark.parametrize("last", [0, 1])
def test_the_order_of_atoms_and_images(tmp_path, last):
    """Every atom of the file, then its images in the order of the operations, wherever the identity is listed."""
    operations = ["'x,y,z'", "'-x,-y,-z'"]
    symmetry = loop("_symmetry_equiv_pos_as_xyz", *(operations[::-1] if last else operations))
    atoms = SITES + "Fe1 Fe 0.1 0.2 1.3\nD1 Cu 0.4 0.4 0.4\nO1 O -0.3 0 0\nZn1 Zn 0.5 0.5 0.5\n"
    found = cif(tmp_path, CELL + symmetry + atoms)
    assert found.numbers.tolist() == [26, 26, 29, 29, 8, 8, 30]
    expected = [[0.1, 0.2, 0.3], [0.9, 0.8, 0.7], [0.4] * 3, [0.6] * 3, [0.7, 0, 0], [0.3, 0, 0], [0.5] * 3]
    np.testing.assert_allclose(found.positions / 4.3, expected, atol=1e-9)


def test_blocks_with_names_of_their_own(tmp_path):
    block = CELL + GROUP + ROCK_SALT
    names = [s.name for s in read_structures(write(tmp_path / "a.cif", f"data_MATA\n{block}data_MATB\n{block}"))]
    assert names == ["MATA", "MATB"]
    names = [s.name for s in read_structures(write(tmp_path / "a.cif", f"data_I\n{block}data_II\n{block}"))]
    assert names == ["a@0", "a@1"]
    names = [s.name for s in read_structures(write(tmp_path / "a.cif", f"data_MATA\n{block}data_global\n_x 1\n"))]
    assert names == ["a"]


ATOM = "HETATM{0:5d} {1:>2}   LIG A   1    {2:8.3f}{3:8.3f}{4:8.3f}  1.00  0.00          {1:>2}  \n"
ATOMS = ATOM.format(1, "FE", 1.0, 1.0, 1.0) + ATOM.format(2, "O", 3.0, 1.0, 1.0) + "END\n"
CRYST = "CRYST1{:9.3f}{:9.3f}{:9.3f}{:7.2f}{:7.2f}{:7.2f} {:11}   1\n"
CUBE = (20, 20, 20, 90, 90, 90)
TAGS = "group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id label_seq_id "
TAGS += "Cartn_x Cartn_y Cartn_z"
MMCIF = (
    (CELL.replace("4.3", "20").replace("_cell_", "_cell."))
    + "{}"
    + loop(
        *(f"_atom_site.{tag}" for tag in TAGS.split()), "HETATM 1 Fe FE . LIG A 1 1 1 1", "HETATM 2 O O . LIG A 1 3 1 1"
    )
)


@pytest.mark.parametrize(
    "symmetry",
    [
        "_symmetry.Int_Tables_number 5\n",
        "_space_group.IT_number 5\n",
        "_space_group.name_H-M_alt 'C 1 2 1'\n",
        "_symmetry.space_group_name_H-M 'C 1 2 1'\n",
        "_symmetry.space_group_name_Hall 'C 2y'\n",
        loop("_space_group_symop.operation_xyz", "x,y,z", "-x,y,-z", "x+1/2,y+1/2,z", "-x+1/2,y+1/2,-z"),
    ],
)
def test_symmetry_in_mmcif(tmp_path, symmetry):
    found = cif(tmp_path, MMCIF.format(symmetry))
    assert composition(found) == {26: 4, 8: 4}
    assert [what for what, _ in found.choices] == [STANDARD] * ("number" in symmetry)


@pytest.mark.parametrize(
    ("symmetry", "message"),
    [
        ("_symmetry.space_group_name_H-M 'P nonsense'\n", "unknown space group 'P nonsense'"),
        ("_symmetry.space_group_name_H-M 'P 6'\n", "does not have the symmetry of its space group 'P 6'"),
        ("_symmetry.space_group_name_H-M 'P 2'\n_symmetry.Int_Tables_number 5\n", "'P 2' by name, and 5 by number"),
    ],
)
def test_symmetry_in_mmcif_that_cannot_be(tmp_path, symmetry, message):
    assert message in refused(tmp_path, MMCIF.format(symmetry))
    assert "expected _cell_length_b" in refused(tmp_path, MMCIF.format(symmetry).replace("_cell.length_b 20\n", ""))


@pytest.mark.parametrize(
    ("cell", "name", "n"),
    [((20, 20, 20, 80, 80, 80), "R 3", 3), ((20, 20, 25, 90, 90, 120), "H 3", 9), (CUBE, "P2(1)/c", 4)],
)
def test_space_groups_of_pdb(tmp_path, cell, name, n):
    atoms = ATOMS.replace("   1.000   1.000   1.000", "   1.000   5.000   2.000")
    assert composition(only(tmp_path, CRYST.format(*cell, name) + atoms, "a.pdb")) == {26: n, 8: n}


def test_a_space_group_of_pdb_that_the_cell_does_not_have(tmp_path):
    found = only(tmp_path, CRYST.format(20, 21, 22, 90, 90, 90, "P 6") + ATOMS, "a.pdb")
    assert "a.pdb: its cell, 20 × 21 × 22 Å, 90, 90, 90°, does not have the symmetry" in str(found)


MTRIX = "MTRIX1   2 -1.000000  0.000000  0.000000        0.00000    {0}\n"
MTRIX += "MTRIX2   2  0.000000 -1.000000  0.000000        0.00000    {0}\n"
MTRIX += "MTRIX3   2  0.000000  0.000000  1.000000        5.00000    {0}\n"


@pytest.mark.parametrize("given", [" ", "1"])
def test_non_crystallographic_symmetry_in_pdb(tmp_path, given):
    """Operators that are marked as given have their copies in the file."""
    found = only(tmp_path, CRYST.format(*CUBE, "P 1") + MTRIX.format(given) + ATOMS, "a.pdb")
    assert composition(found) == ({26: 1, 8: 1} if given == "1" else {26: 2, 8: 2})
    if given == " ":
        np.testing.assert_allclose(found.positions, [[1, 1, 1], [3, 1, 1], [-1, -1, 6], [-3, -1, 6]])
        assert found.choices == ((COPIED, "2 atoms once"),)


def test_non_crystallographic_symmetry_in_mmcif(tmp_path):
    parts = [f"matrix[{i}][{j}]" for i in (1, 2, 3) for j in (1, 2, 3)] + [f"vector[{i}]" for i in (1, 2, 3)]
    tags = [f"_struct_ncs_oper.{tag}" for tag in ("id", "code", *parts)]
    operators = loop(*tags, "1 given 1 0 0 0 1 0 0 0 1 0 0 0", "2 generate -1 0 0 0 -1 0 0 0 1 0 0 5")
    assert composition(cif(tmp_path, MMCIF.format(operators))) == {26: 2, 8: 2}


def test_the_origin_of_the_coordinates_in_pdb(tmp_path):
    scale = "".join(
        f"SCALE{k + 1}    " + "".join(f"{0.05 * (k == other):10.6f}" for other in range(3)) + f"     {0.25:10.5f}\n"
        for k in range(3)
    )
    found = only(tmp_path, CRYST.format(*CUBE, "P -1") + scale + ATOMS, "a.pdb")
    np.testing.assert_allclose(found.positions[found.numbers == 26], [[6, 6, 6], [14, 14, 14]], atol=1e-6)
    error = only(tmp_path, CRYST.format(*CUBE, "P -1") + scale.replace("0.050000", "0.100000") + ATOMS, "a.pdb")
    assert "10 × 10 × 10 Å" in str(error)


def test_dummies_and_the_origin_of_the_coordinates_in_mmcif(tmp_path):
    matrix = "".join(f"_atom_sites.fract_transf_matrix[{i}][{j}] {0.05 * (i == j)}\n" for i in "123" for j in "123")
    origin = matrix + "".join(f"_atom_sites.fract_transf_vector[{i}] 0.25\n" for i in "123")
    text = MMCIF.format("_symmetry.space_group_name_H-M 'P -1'\n" + origin).replace(
        "Cartn_z\n", "Cartn_z\n_atom_site.calc_flag\n"
    )
    rows = [line + (" dum" if line.startswith("HETATM 2") else " d") for line in text.splitlines() if "HETATM" in line]
    found = cif(tmp_path, text[: text.index("HETATM")] + "\n".join(rows) + "\n")
    np.testing.assert_allclose(found.positions, [[6, 6, 6], [14, 14, 14]], atol=1e-6)
    assert found.choices == ((DUMMIES, "1"),)
