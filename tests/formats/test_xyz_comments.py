"""Comment lines of XYZ files: names, properties, units and cells."""

import re

import numpy as np
import pytest
from ase.units import Bohr
from support.builders import write, write_xyz

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import read_structures
from xanes_hpc.formats.ipi import ASSUMED
from xanes_hpc.formats.tmqm import parse_comment
from xanes_hpc.formats.xyz import CONVERTED

TMQM_2024 = "CSD_code = WELROW | q = -1 | S = 0 | Stoichiometry = C40H36LaN2P3Se6 | MND = 8 | 2020-2024 CSD"
TMQM_2020 = "CSD_code = WELROW | q = -1 | S = 0 | Stoichiometry = C40H36LaN2P3Se6 | MND = 8"


def read(path):
    return list(read_structures(path))


def only(path):
    (structure,) = read(path)
    return structure


@pytest.mark.parametrize("comment", [TMQM_2024, TMQM_2020])
def test_tmqm_comment(tmp_path, comment):
    s = only(write_xyz(tmp_path / "a.xyz", comment=comment))
    assert s.name == "WELROW"
    assert s.properties == {"charge": -1.0, "spin": 0.0, "Stoichiometry": "C40H36LaN2P3Se6", "MND": 8.0}


def test_tmqm_items_in_any_number_and_order():
    assert parse_comment("odd | MND=8|CSD_code=ABC") == ("ABC", {"MND": 8.0})
    assert parse_comment("CSD_code = ABC") == ("ABC", {})


@pytest.mark.parametrize("comment", ["", "free text", "q = 0 | S = 0", "CSD_code = | q = 0"])
def test_not_tmqm(comment):
    assert parse_comment(comment) is None


def test_key_value_comment(tmp_path):
    s = only(write_xyz(tmp_path / "a.xyz", comment='charge=-2 method=GFN2-xTB title="two words" energy=-1.5e1'))
    assert s.properties == {"charge": -2.0, "method": "GFN2-xTB", "title": "two words", "energy": -15.0}


def test_numbers_among_free_text(tmp_path):
    assert only(write_xyz(tmp_path / "a.xyz", comment="relaxed charge=1 C=CC")).properties == {"charge": 1.0}


@pytest.mark.parametrize("comment", ["C=CS(=O)(=O)C", "Cn1ccsc1=N", "O=C1CCS1", "CC(=O)C=C", "CCC=O", "ABC_C6H6"])
def test_smiles_are_free_text(tmp_path, comment):
    assert only(write_xyz(tmp_path / "a.xyz", comment=comment)).properties == {}


@pytest.mark.parametrize(
    ("stem", "charge"), [("A_C6H6Fe(1+)", 1.0), ("A_C6H6Fe(2-)", -2.0), ("A_C6H6Fe(-)", -1.0), ("B_Fe(12+)", 12.0)]
)
@pytest.mark.parametrize("ending", [".xyz", ".xyz.gz"])
def test_charge_in_name(tmp_path, stem, charge, ending):
    s = only(write_xyz(tmp_path / f"{stem}{ending}"))
    assert s.name == stem
    assert s.properties == {"charge": charge}


def test_comment_overrides_the_charge_in_the_name(tmp_path):
    assert only(write_xyz(tmp_path / "A(1+).xyz", comment="charge=0")).properties == {"charge": 0.0}


IPI = "# CELL(abcABC):   18.897261 18.897261 18.897261 90 90 90  Step: 0  Bead: 0 positions{{{0}}}  cell{{{1}}}"


@pytest.mark.parametrize(
    ("positions", "cell", "length"), [("atomic_unit", "angstrom", 1.6), ("angstrom", "angstrom", 3.023562)]
)
def test_i_pi_names_its_units(tmp_path, positions, cell, length):
    text = f"2\n{IPI.format(positions, cell)}\nFe 0 0 0\nO 3.023562 0 0\n"
    found = only(write(tmp_path / "a.xyz", text))
    assert found.positions[1, 0] == pytest.approx(length, abs=1e-5)
    np.testing.assert_allclose(found.cell, 18.897261 * np.eye(3), atol=1e-9)
    assert found.pbc.all()
    bohr = only(write(tmp_path / "b.xyz", text.replace("cell{angstrom}", "cell{atomic_unit}")))
    np.testing.assert_allclose(bohr.cell, 10.0 * np.eye(3), atol=1e-4)


@pytest.mark.parametrize(
    ("comment", "words"),
    [
        (IPI.format("parsec", "angstrom"), "unknown unit 'parsec'"),
        ("units=furlong", "unknown unit 'furlong'"),
        ("coordinates in metres", "unknown unit 'metres'"),
        ("au", "the comment names 'au'"),
        ("a.u. throughout", "the comment names 'a.u.'"),
        ("positions in bohr, cell in angstrom", "several units"),
        ("fractional coordinates", "fractions of a cell"),
        ("velocities [a.u.]", "velocities"),
        (IPI.format("", "").replace("positions{}", "forces{atomic_unit}"), "'forces'"),
        (IPI.format("", "").replace("positions{}", "Traj: velocities{atomic_unit}"), "'velocities'"),
        ("# CELL(XYZ): 10 10 10 90 90 90 positions{angstrom}", "CELL(XYZ)"),
        ("# CELL(H): 10 0 0 1 10 0 0 0 10 positions{angstrom}", "upper triangular"),
        ("# CELL(GENH): 10 0 0 positions{angstrom}", "nine numbers"),
        ("# CELL 10 10 10 90 90 90", "CELL 10 10 10"),
        ("Properties=species:S:1:forces:R:3", "names no positions"),
        ("Properties=species:S:1:pos:R:3 units=furlong", "unknown unit 'furlong'"),
    ],
)
def test_what_is_not_coordinates_in_a_known_unit_is_refused(tmp_path, comment, words):
    error = only(write(tmp_path / "a.xyz", f"2\n{comment}\nFe 0 0 0\nO 3.0 0 0\n"))
    assert isinstance(error, FormatError)
    assert words in str(error)


@pytest.mark.parametrize(
    ("comment", "length"),
    [
        *((text, Bohr) for text in ("Coordinates in a.u.", "atomic units", "coordinates (bohr)", "[a.u.]", "units=au")),
        *((text, 0.01) for text in ("coordinates in pm", "positions [picometres]", "length_unit=pm")),
        *((text, 10.0) for text in ("coordinates in nm", "unit: nm", "in nm")),
        *(
            (text, 1.0)
            for text in ("Coordinates in Angstrom, E in a.u.", "E = -12.5 a.u.", "3:00 pm", "Au", "2 nm ball")
        ),
        ("rms gradient 0.1 hartree/bohr", 1.0),
        ('Properties=species:S:1:pos:R:3 length_unit="Bohr"', Bohr),
        ("Properties=species:S:1:pos:R:3 energy_unit=au", 1.0),
    ],
)
def test_units_in_comments(tmp_path, comment, length):
    found = only(write(tmp_path / "a.xyz", f"2\n{comment}\nFe 0 0 0\nO 3.0 0 0\n"))
    np.testing.assert_allclose(found.positions[1, 0], 3.0 * length)
    assert [what for what, _ in found.choices] == ([] if length == 1.0 else [CONVERTED])
    assert not found.properties.keys() & {"units", "length_unit"}


def test_a_lattice_has_the_unit_of_the_positions(tmp_path):
    comment = 'Lattice="10 0 0 0 10 0 0 0 10" Properties=species:S:1:pos:R:3 units=bohr'
    found = only(write(tmp_path / "a.xyz", f"1\n{comment}\nFe 1 0 0\n"))
    np.testing.assert_allclose(found.cell, 10 * Bohr * np.eye(3))
    np.testing.assert_allclose(found.positions[0, 0], Bohr)


@pytest.mark.parametrize(
    ("cell", "vectors"),
    [
        ("CELL(H): 10 1 2 0 9 3 0 0 8", [[10, 0, 0], [1, 9, 0], [2, 3, 8]]),
        ("CELL{GENH}: 10 1 2 0 9 3 0 0 8", [[10, 1, 2], [0, 9, 3], [0, 0, 8]]),
        ("CELL[abcABC]: 10 9 8 90 90 90", [[10, 0, 0], [0, 9, 0], [0, 0, 8]]),
    ],
)
def test_cells_of_i_pi(tmp_path, cell, vectors):
    rows = "Fe 0 0 0\nO 3.0 0 0\n"
    found = only(write(tmp_path / "a.xyz", f"2\n# {cell} Step: 0 positions{{angstrom}} cell{{angstrom}}\n{rows}"))
    np.testing.assert_allclose(found.cell, vectors, atol=1e-12)
    assert found.pbc.all()
    old = f"2\n# {cell} cell_units(angstrom) Traj[positions_centroid] units(atomic_unit) Step 0\n{rows}"
    found = only(write(tmp_path / "b.xyz", old))
    np.testing.assert_allclose(found.cell, vectors, atol=1e-12)
    np.testing.assert_allclose(found.positions[1, 0], 3.0 * Bohr)
    assert found.choices == ()


def test_i_pi_without_units_means_atomic_units(tmp_path):
    found = only(write(tmp_path / "a.xyz", "2\n# CELL(abcABC): 20 20 20 90 90 90 Step: 0\nFe 0 0 0\nO 3.0 0 0\n"))
    np.testing.assert_allclose([found.positions[1, 0], found.cell[0, 0]], [3.0 * Bohr, 20.0 * Bohr])
    assert found.choices == ((ASSUMED, "positions and cell"),)


@pytest.mark.parametrize("quantity", ["pos", "frc", "vel"])
def test_the_names_of_cp2k_tell_quantities_apart(tmp_path, quantity):
    found = only(write_xyz(tmp_path / f"run-{quantity}-1.xyz", comment=" i = 0, time = 0.000, E = -12.5"))
    assert isinstance(found, FormatError) == (quantity != "pos")


@pytest.mark.parametrize(
    "comment",
    ['LATTICE="8 0 0 0 8 0 0 0 8"', 'Lattice = "8 0 0 0 8 0 0 0 8"', 'cell="8 0 0 0 8 0 0 0 8" pbc="T T T"'],
)
def test_the_cell_of_extended_xyz_in_any_spelling(tmp_path, comment):
    found = only(write(tmp_path / "a.xyz", f"2\n{comment}\nFe 0 0 0\nO 0 0 1.6\n"))
    assert (found.pbc.tolist(), found.cell.tolist()) == ([True] * 3, (8 * np.eye(3)).tolist())


@pytest.mark.parametrize(
    ("comment", "element", "message"),
    [
        ("cell 5.0 5.0 5.0 90 90 90", "Fe", "line 2: the comment names a cell, 'cell 5.0 5.0 5.0'"),
        ("%PBC 5 5 5 90 90 90", "Fe", "line 2: the comment names a cell"),
        ("Atoms. Timestep: 0", "1", "line 3: expected element symbols, received LAMMPS's types"),
        ("ORCA AIMD Velocity Step 1, Unit is Angstrom/fs", "Fe", "the comment names velocity"),
        ("# CELL(H): 10 0 0 0 10 0 0 0 . Traj: positions{angstrom}", "Fe", "CELL.H. with an upper triangular"),
        ('Lattice="8 0 0 0 8 0 0 0 8" Properties=species:S:1:pos:R:3:occupancy:R:1', "Fe", "partial occupancies"),
    ],
)
def test_comments_that_change_the_meaning_of_the_rows(tmp_path, comment, element, message):
    error = only(write(tmp_path / "a.xyz", f"2\n{comment}\n{element} 0 0 0 0.5\n{element} 0 0 2.6 1.0\n"))
    assert isinstance(error, FormatError)
    assert re.search(message, str(error))
