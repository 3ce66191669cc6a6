"""Crystals in CIF, mmCIF and PDB: the whole cell, held to what the file states, or an error."""

import ase.io
import numpy as np
import pytest
from ase.spacegroup import crystal
from support.builders import write

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import read_structures
from xanes_hpc.formats.cif import CONTRADICTORY
from xanes_hpc.formats.isotopes import READ
from xanes_hpc.formats.pdb import ALL_ZERO
from xanes_hpc.formats.space_group_names import group_named
from xanes_hpc.formats.space_groups import ORIGIN
from xanes_hpc.formats.stated_formula import NO_HYDROGEN, WHOLE_CELL

CELL = "".join(
    f"_cell_{tag} {{{k}}}\n"
    for k, tag in enumerate(("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma"))
)
ATOMS = "loop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
FORMULA = "_chemical_formula_sum '{0}'\n_cell_formula_units_Z {1}\n"
HEXAGONAL = CELL.format(4.96, 4.96, 13.6, 90, 90, 120)
RHOMBOHEDRAL = CELL.format(5.36, 5.36, 5.36, 55.1, 55.1, 55.1)
CORUNDUM = ATOMS + "Cr1 Cr 0 0 0.3475\nO1 O 0.3058 0 0.25\n"
SPINEL = ATOMS + "Fe1 Fe 0.125 0.125 0.125\nCr1 Cr 0.5 0.5 0.5\nO1 O 0.26 0.26 0.26\n"
CUBIC = CELL.format(8.38, 8.38, 8.38, 90, 90, 90)


def read(path):
    return list(read_structures(path))


def cif(tmp_path, *blocks):
    return write(tmp_path / "a.cif", "".join(f"data_b{k}\n{block}" for k, block in enumerate(blocks)))


def only(tmp_path, block):
    (structure,) = read(cif(tmp_path, block))
    return structure


def composition(structure):
    numbers, counts = np.unique(structure.numbers, return_counts=True)
    return dict(zip(numbers.tolist(), counts.tolist(), strict=True))


@pytest.mark.parametrize(
    ("cell", "atoms", "symmetry", "formula", "units", "expected"),
    [
        (HEXAGONAL, CORUNDUM, "_symmetry_space_group_name_H-M 'R -3 c'\n", "Cr2 O3", 6, {24: 12, 8: 18}),
        (HEXAGONAL, CORUNDUM, "_space_group_name_Hall '-R 3 2\"c'\n", "Cr2 O3", 6, {24: 12, 8: 18}),
        (HEXAGONAL, CORUNDUM, "_space_group_IT_number 167\n", "Cr2 O3", 6, {24: 12, 8: 18}),
        (
            RHOMBOHEDRAL, ATOMS + "Cr1 Cr 0.3475 0.3475 0.3475\nO1 O 0.5558 0.9442 0.25\n",
            "_symmetry_space_group_name_H-M 'R -3 c'\n", "Cr2 O3", 2, {24: 4, 8: 6},
        ),
        (CUBIC, SPINEL, "_symmetry_space_group_name_H-M 'F d -3 m'\n", "Fe Cr2 O4", 8, {26: 8, 24: 16, 8: 32}),
        (CUBIC, SPINEL, "_symmetry_space_group_name_H-M 'F d -3 m:2'\n", "Fe Cr2 O4", 8, {26: 8, 24: 16, 8: 32}),
        (
            CUBIC, ATOMS + "Fe1 Fe 0 0 0\nCr1 Cr 0.625 0.625 0.625\nO1 O 0.385 0.385 0.385\n",
            "_symmetry_space_group_name_H-M 'F d -3 m'\n", "Fe Cr2 O4", 8, {26: 8, 24: 16, 8: 32},
        ),
    ],
    ids=["hexagonal", "Hall", "number", "rhombohedral", "origin 2", "origin 2 named", "origin 1"],
)  # fmt: skip
def test_a_space_group_in_any_setting(tmp_path, cell, atoms, symmetry, formula, units, expected):
    found = only(tmp_path, cell + symmetry + FORMULA.format(formula, units) + atoms)
    assert composition(found) == expected
    assert found.pbc.all()


def test_the_cell_and_its_atoms_are_those_of_ase(tmp_path):
    reference = crystal(
        ["Cr", "O"], [(0, 0, 0.3475), (0.3058, 0, 0.25)], spacegroup=167, cellpar=[4.96, 4.96, 13.6, 90, 90, 120]
    )
    ase.io.write(tmp_path / "a.cif", reference)
    (found,) = read(tmp_path / "a.cif")
    np.testing.assert_allclose(np.linalg.norm(found.cell, axis=1), reference.cell.lengths(), atol=1e-3)
    apart = found.positions[:, None] - reference.positions
    fractions = np.linalg.solve(found.cell.T, apart.reshape(-1, 3).T).T
    distances = np.linalg.norm((fractions - np.round(fractions)) @ found.cell, axis=1).reshape(30, 30)
    assert distances.min(axis=1).max() < 1e-3
    assert (found.numbers == reference.numbers[distances.argmin(axis=1)]).all()


def test_a_cell_that_is_not_the_stated_formula_is_refused(tmp_path):
    block = HEXAGONAL + "_symmetry_space_group_name_H-M 'P 1'\n" + FORMULA.format("Cr2 O3", 6) + CORUNDUM
    error = only(tmp_path, block)
    assert isinstance(error, FormatError)
    assert "its symmetry gives a cell of O1Cr1, but it states 6 × Cr2 O3" in str(error)


def test_rounded_special_positions_are_one_atom(tmp_path):
    atoms = ATOMS + "Fe1 Fe 0.333 0.667 0.25\nO1 O 0 0 0\n"
    found = only(tmp_path, CELL.format(3, 3, 5, 90, 90, 120) + "_symmetry_space_group_name_H-M 'P 63/m m c'\n" + atoms)
    assert composition(found) == {26: 2, 8: 2}
    fractions = np.linalg.solve(found.cell.T, found.positions.T).T
    np.testing.assert_allclose(np.sort(fractions[found.numbers == 26, 0]), [1 / 3, 2 / 3], atol=1e-9)


def test_operations_of_a_magnetic_group(tmp_path):
    loop = "loop_\n_space_group_symop_magn_operation.id\n_space_group_symop_magn_operation.xyz\n"
    operations = loop + "1 x,y,z,+1\n2 x+1/2,y+1/2,z+1/2,-1\n"
    cell = CELL.format(4, 4, 4, 90, 90, 90) + FORMULA.format("Fe", 2)
    assert composition(only(tmp_path, cell + operations + ATOMS + "Fe1 Fe 0 0 0\n")) == {26: 2}


@pytest.mark.parametrize("occupancy", ["?", ".", "1", "1.0(1)"])
def test_unknown_occupancies_are_one(tmp_path, occupancy):
    atoms = ATOMS + f"_atom_site_occupancy\nFe1 Fe 0 0 0 {occupancy}\nO1 O 0.5 0.5 0.5 {occupancy}\n"
    block = CELL.format(4.3, 4.3, 4.3, 90, 90, 90) + "_symmetry_space_group_name_H-M 'F m -3 m'\n" + atoms
    assert composition(only(tmp_path, block)) == {26: 4, 8: 4}


@pytest.mark.parametrize("tags", ["_atom_site_occupancy", "_atom_site_disorder_group"])
def test_disorder_is_refused(tmp_path, tags):
    values = ("0.5", "0.5") if "occupancy" in tags else ("1", "2")
    atoms = ATOMS + f"{tags}\nFe1 Fe 0 0 0 .\nO1 O 0.2 0 0 {values[0]}\nO2 O 0.2 0.06 0 {values[1]}\n"
    error = only(tmp_path, CELL.format(10, 10, 10, 90, 90, 90) + atoms)
    assert isinstance(error, FormatError)
    assert "partial occupancies" in str(error)


def test_every_block_is_read_and_a_bad_one_costs_only_itself(tmp_path):
    good = CELL.format(4, 4, 4, 90, 90, 90) + ATOMS + "Fe1 Fe 0 0 0\n"
    bad = good.replace("Fe1 Fe 0 0 0", "X1 Xx 0 0 0")
    unknown = "_symmetry_space_group_name_H-M 'P nonsense'\n" + good
    found = read(cif(tmp_path, good, bad, "_audit_creation_method 'no atoms'\n", unknown, good))
    assert [isinstance(s, FormatError) for s in found] == [False, True, True, False]
    assert "unknown element" in str(found[1])
    assert "block b3: unknown space group 'P nonsense'" in str(found[2])


@pytest.mark.parametrize("text", ["", "no CIF at all", "data_x\nloop_\n_a\n_b\n1 2 3\n"])
def test_what_is_not_cif(tmp_path, text):
    with pytest.raises(FormatError, match=r"a\.cif: "):
        read(write(tmp_path / "a.cif", text))


ATOM = "HETATM{:5d} {:>2}  {}LIG A   1    {:8.3f}{:8.3f}{:8.3f}{:6.2f}  0.00          {:>2}  \n"
CRYST = "CRYST1{:9.3f}{:9.3f}{:9.3f}  90.00  90.00  90.00 {:11}   1\n"
LIGAND = [("FE", " ", 1.0, 1.0, 1.0, 1.0), ("O", " ", 2.9, 1.0, 1.0, 1.0), ("N", " ", 1.0, 2.95, 1.0, 1.0)]


def pdb(tmp_path, first="", atoms=LIGAND, name="a.pdb"):
    rows = "".join(ATOM.format(k, e, alt, x, y, z, occ, e) for k, (e, alt, x, y, z, occ) in enumerate(atoms, 1))
    return read(write(tmp_path / name, first + rows + "END\n"))


def test_a_pdb_crystal_has_its_symmetry_applied(tmp_path):
    (found,) = pdb(tmp_path, CRYST.format(6, 7, 8, "P -1"))
    assert composition(found) == {26: 2, 8: 2, 7: 2}
    assert found.pbc.all()
    np.testing.assert_allclose(found.positions[found.numbers == 26], [[1, 1, 1], [5, 6, 7]], atol=1e-6)


@pytest.mark.parametrize("first", ["", CRYST.format(1, 1, 1, "P 1")])
def test_a_pdb_molecule_has_no_cell(tmp_path, first):
    (found,) = pdb(tmp_path, first)
    assert composition(found) == {26: 1, 8: 1, 7: 1}
    assert not found.pbc.any()
    assert not found.cell.any()


def test_the_box_of_a_simulation_keeps_molecules_whole(tmp_path):
    (found,) = pdb(tmp_path, CRYST.format(2, 20, 20, "P 1"))
    np.testing.assert_allclose(found.positions[1], [2.9, 1.0, 1.0])
    assert found.pbc.all()


@pytest.mark.parametrize(("alternative", "occupancy"), [("A", 0.6), ("A", 1.0), (" ", 0.5)])
def test_alternatives_in_pdb_are_refused(tmp_path, alternative, occupancy):
    (error,) = pdb(tmp_path, atoms=[*LIGAND, ("N", alternative, 1.7, 2.95, 1.0, occupancy)])
    assert isinstance(error, FormatError)
    assert "partial occupancies" in str(error)


def test_models_of_a_pdb_file_are_structures(tmp_path):
    rows = "".join(ATOM.format(k, e, alt, x, y, z, occ, e) for k, (e, alt, x, y, z, occ) in enumerate(LIGAND, 1))
    found = read(write(tmp_path / "a.pdb", f"MODEL        1\n{rows}ENDMDL\nMODEL        2\n{rows}ENDMDL\nEND\n"))
    assert [s.name for s in found] == ["a@0", "a@1"]


def mmcif(y="1.0"):
    tags = "group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id label_seq_id "
    tags += "Cartn_x Cartn_y Cartn_z occupancy"
    loop = "loop_\n" + "".join(f"_atom_site.{tag}\n" for tag in tags.split())
    atoms = f"HETATM 1 Fe FE . LIG A 1 1.0 1.0 1.0 1.0\nHETATM 2 O O . LIG A 1 2.9 {y} 1.0 1.0\n"
    cell = "".join(f"_cell.{n} {v}\n" for n, v in zip(("length_a", "length_b", "length_c"), (6, 7, 8), strict=True))
    angles = "".join(f"_cell.angle_{n} 90\n" for n in ("alpha", "beta", "gamma"))
    return cell + angles + "_symmetry.space_group_name_H-M 'P -1'\n" + loop + atoms


def test_mmcif(tmp_path):
    assert composition(only(tmp_path, mmcif())) == {26: 2, 8: 2}


@pytest.mark.parametrize("place", ["inf", "?", "1e300", "3e308", "-50000"])
def test_atoms_that_are_nowhere_near_the_cell(tmp_path, place):
    """Modulo the cell, such numbers would be some place in it."""
    atoms = CORUNDUM.replace("0.3058", place)
    block = HEXAGONAL + "_symmetry_space_group_name_H-M 'R -3 c'\n" + atoms
    assert "atom O1: has no coordinates, or is far outside the cell" in str(only(tmp_path, block))
    assert "atoms have no coordinates, or are far outside the cell" in str(only(tmp_path, mmcif(place)))


@pytest.mark.parametrize("name", ["a.mcif", "b.mmcif", "c.MCIF.gz"])
def test_other_endings_of_cif(tmp_path, name):
    """``write`` compresses where the name ends in ``.gz``."""
    (found,) = read(write(tmp_path / name, f"data_b\n{mmcif()}"))
    assert composition(found) == {26: 2, 8: 2}


ROCK_SALT = CELL.format(4.3, 4.3, 4.3, 90, 90, 90) + "{}" + ATOMS + "Fe1 Fe 0 0 0\nO1 O 0.5 0.5 0.5\n"


@pytest.mark.parametrize("z", ["", "_cell_formula_units_Z ?\n"])
def test_a_formula_without_z_gives_the_ratio(tmp_path, z):
    block = ROCK_SALT.format("_symmetry_space_group_name_H-M 'F m -3 m'\n_chemical_formula_sum '{}'\n" + z)
    for formula in ("Fe O", "Fe0.97 O", "Fe4 O4"):
        assert composition(only(tmp_path, block.format(formula))) == {26: 4, 8: 4}
    for formula in ("Fe2 O3", "Fe3 O4", "Fe O N"):
        error = only(tmp_path, block.format(formula))
        assert isinstance(error, FormatError)
        assert "O4Fe4, which is not in the ratio" in str(error)


@pytest.mark.parametrize("formula", ["Fe1-x O", "Fe O, 2(H2 O)", "Fe(OH)x"])
def test_formulas_that_are_no_plain_sum_are_passed_over(tmp_path, formula):
    found = only(tmp_path, ROCK_SALT.format(f"_chemical_formula_sum '{formula}'\n_cell_formula_units_Z 0\n"))
    assert composition(found) == {26: 1, 8: 1}


def test_without_z_the_ratio_finds_the_setting(tmp_path):
    block = CUBIC + "_symmetry_space_group_name_H-M 'F d -3 m'\n_chemical_formula_sum 'Fe Cr2 O4'\n" + SPINEL
    found = only(tmp_path, block)
    assert composition(found) == {26: 8, 24: 16, 8: 32}
    assert found.choices == ((ORIGIN, "block b0: F d -3 m:2"),)
    named = only(tmp_path, block.replace("F d -3 m", "F d -3 m:2"))
    assert named.choices == ()
    np.testing.assert_allclose(named.positions, found.positions)


def test_hydrogens_that_are_not_listed_are_noted(tmp_path):
    (choice,) = only(tmp_path, ROCK_SALT.format(FORMULA.format("Fe H2 O", 1))).choices
    assert choice == (NO_HYDROGEN, "block b0: O1Fe1 of Fe H2 O")


@pytest.mark.parametrize(
    "symmetry",
    [
        "_symmetry_space_group_name_H-M 'P 1'\n_symmetry_Int_Tables_number 225\n",
        "_symmetry_space_group_name_H-M 'F m -3 m'\nloop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\n",
        "_symmetry_Int_Tables_number 225\nloop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\n",
    ],
)
def test_statements_about_the_space_group_that_contradict(tmp_path, symmetry):
    """Formula and Z decide; the ratio cannot."""
    for formula in ("", "_chemical_formula_sum 'Fe O'\n", FORMULA.format("Fe O", 4)):
        assert isinstance(only(tmp_path, ROCK_SALT.format(formula + symmetry)), FormatError)
    found = only(tmp_path, ROCK_SALT.format(FORMULA.format("Fe O", 1) + symmetry))
    assert composition(found) == {26: 1, 8: 1}
    assert [what for what, _ in found.choices] == [CONTRADICTORY]


def test_operations_of_another_setting_do_not_contradict(tmp_path):
    group = (
        "_symmetry_space_group_name_H-M 'R -3'\n_symmetry_Int_Tables_number 148\nloop_\n_symmetry_equiv_pos_as_xyz\n"
    )
    operations = "x,y,z\nz,x,y\ny,z,x\n-x,-y,-z\n-z,-x,-y\n-y,-z,-x\n"
    found = only(tmp_path, RHOMBOHEDRAL + group + operations + ATOMS + "Fe1 Fe 0 0 0\n")
    assert composition(found) == {26: 1}
    assert found.choices == ()


@pytest.mark.parametrize(("origin", "n_atoms"), [("S", 8), ("Z", 16), (":1", 8), (":2", 16)])
def test_the_origin_in_a_space_group_name_as_icsd_writes_it(tmp_path, origin, n_atoms):
    group = f"_symmetry_space_group_name_H-M 'F d -3 m {origin}'\n"
    found = only(tmp_path, CELL.format(8, 8, 8, 90, 90, 90) + group + ATOMS + "Fe1 Fe 0 0 0\n")
    assert composition(found) == {26: n_atoms}


def test_deuterium_in_crystals_is_hydrogen(tmp_path):
    block = CELL.format(6, 6, 6, 90, 90, 90) + FORMULA.format("Fe D", 1) + ATOMS + "Fe1 Fe 0 0 0\nD1 D 0.3 0 0\n"
    found = only(tmp_path, block)
    assert composition(found) == {26: 1, 1: 1}
    assert found.choices == ((READ, "1 atom"),)


def test_the_formula_of_the_whole_cell_as_pymatgen_writes_it(tmp_path):
    group = "_symmetry_space_group_name_H-M 'F 4/m -3 2/m'\n"
    found = only(tmp_path, ROCK_SALT.format(group + FORMULA.format("Fe4 O4", 4)))
    assert composition(found) == {26: 4, 8: 4}
    assert [what for what, _ in found.choices] == [WHOLE_CELL]
    error = only(tmp_path, ROCK_SALT.format(FORMULA.format("Fe4 O4", 4)))  # its symmetry is missing
    assert isinstance(error, FormatError)
    error = only(tmp_path, ROCK_SALT.format(group + FORMULA.format("Fe4 O4", 2)))
    assert isinstance(error, FormatError)


@pytest.mark.parametrize(
    ("full", "short"),
    [
        ("P 2/m 2/m 2/m", "P m m m"),
        ("P 63/m 2/m 2/c", "P 63/m m c"),
        ("I 21/a -3", "I a -3"),
        ("F 4/m -3 2/m", "F m -3 m"),
    ],
)
def test_full_names_of_space_groups(full, short):
    assert group_named(full)[0].hm == short


def test_a_pdb_file_that_states_no_occupancies(tmp_path):
    rows = [("FE", 1.0), ("O", 2.6)]
    line = "HETATM{:5d}  {:<3s} LIG A   1    {:8.3f}{:8.3f}{:8.3f}{:6.2f}{:6.2f}          {:>2s}\n"
    text = "".join(line.format(k, name, x, 1.0, 1.0, 0.0, 0.0, name) for k, (name, x) in enumerate(rows, 1))
    path = tmp_path / "a.pdb"
    path.write_text(text + "END\n")
    (found,) = read_structures(path)
    assert found.numbers.tolist() == [26, 8]
    assert found.choices == ((ALL_ZERO, "2 atoms"),)
