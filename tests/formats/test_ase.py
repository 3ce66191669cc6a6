"""Structure files read with ASE: cells, periodicity and properties are kept, disorder is an error."""

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.io.trajectory import TrajectoryReader
from support.builders import write

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import is_structure_file, read_structures

CELL = np.array([[4.2, 0.0, 0.0], [0.3, 4.4, 0.0], [0.1, 0.2, 5.0]])
CIF = """data_made
_cell_length_a 4.0
_cell_length_b 4.0
_cell_length_c 4.0
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt "P 1"
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Fe1 Fe 0.0 0.0 0.0 {iron}
O1 O 0.5 0.5 0.5 1.0
{more}"""


def crystal(shift=0.0, pbc=True, **info):
    atoms = Atoms("FeO", [[0, 0, 0], [2.0, 2.1, 2.2 + shift]], cell=CELL, pbc=pbc)
    atoms.info.update(info)
    return atoms


def read(path):
    return list(read_structures(path))


def only(path):
    (structure,) = read(path)
    return structure


def holds_crystal(structure, pbc=(True, True, True), shift=0.0, tolerance=1e-7):
    assert structure.numbers.tolist() == [26, 8]
    np.testing.assert_allclose(structure.cell, CELL, atol=tolerance)
    np.testing.assert_allclose(structure.positions, crystal(shift).positions, atol=tolerance)
    assert tuple(structure.pbc) == pbc
    return True


@pytest.mark.parametrize("name", ["a.extxyz", "a.xyz", "a.xyz.gz"])
def test_extended_xyz(tmp_path, name):
    path = tmp_path / name
    ase.io.write(path, crystal(pbc=(True, True, False), charge=-1, label="slab"), format="extxyz")
    s = only(path)
    assert holds_crystal(s, pbc=(True, True, False))
    assert s.name == "a"
    assert s.properties == {"charge": -1.0, "label": "slab"}


def test_extended_xyz_with_several_frames(tmp_path):
    path = tmp_path / "run.extxyz"
    ase.io.write(path, [crystal(0.1 * k, step=k) for k in range(3)], format="extxyz")
    structures = read(path)
    assert [s.name for s in structures] == ["run@0", "run@1", "run@2"]
    assert [s.properties["step"] for s in structures] == [0.0, 1.0, 2.0]
    assert all(holds_crystal(s, shift=0.1 * k) for k, s in enumerate(structures))


def test_energy_is_a_property(tmp_path):
    atoms = crystal(tag="x")
    atoms.calc = SinglePointCalculator(atoms, energy=-3.5, forces=np.zeros((2, 3)))
    for name in ("a.extxyz", "a.traj"):
        ase.io.write(tmp_path / name, atoms)
        properties = only(tmp_path / name).properties
        assert properties["energy"] == -3.5
        assert not {"forces", "name"} & set(properties)


def test_names_that_cannot_be_stored_are_left_out(tmp_path):
    path = tmp_path / "a.traj"
    ase.io.write(path, crystal(**{"a/b": 1.0, "name": "x", "flag": True, "list": [1, 2]}))
    assert only(path).properties == {"flag": 1.0}


def test_cif(tmp_path):
    s = only(write(tmp_path / "oxide.cif", CIF.format(iron=1.0, more="")))
    assert s.name == "oxide"
    assert sorted(s.numbers) == [8, 26]
    np.testing.assert_allclose(s.cell, 4 * np.eye(3), atol=1e-9)
    assert s.pbc.all()


@pytest.mark.parametrize(
    ("iron", "more"),
    [(0.8, ""), (0.5, "Co1 Co 0.0 0.0 0.0 0.5")],
)
def test_partial_occupancies_are_refused(tmp_path, iron, more):
    error = only(write(tmp_path / "mixed.cif", CIF.format(iron=iron, more=more)))
    assert isinstance(error, FormatError)
    assert str(error).startswith(f"{tmp_path}/mixed.cif: partial occupancies")
    assert "make an ordered supercell" in str(error)


@pytest.mark.parametrize("name", ["POSCAR", "CONTCAR", "POSCAR.gz"])
def test_poscar_is_named_after_its_folder(tmp_path, name):
    folder = tmp_path / "haematite"
    folder.mkdir()
    ase.io.write(folder / name, crystal(), format="vasp")
    assert is_structure_file(folder / name)
    s = only(folder / name)
    assert holds_crystal(s)
    assert s.name == "haematite"


@pytest.mark.parametrize("name", ["POSCAR_oxide", "oxide.vasp"])
def test_poscar_with_a_name(tmp_path, name):
    ase.io.write(tmp_path / name, crystal(), format="vasp")
    assert is_structure_file(tmp_path / name)
    assert "oxide" in only(tmp_path / name).name


def test_trajectory(tmp_path):
    path = tmp_path / "md.traj"
    ase.io.write(path, [crystal(), crystal(0.2)])
    first, last = read(path)
    assert (first.name, last.name) == ("md@0", "md@1")
    assert holds_crystal(first)
    assert holds_crystal(last, shift=0.2)


def test_database(tmp_path):
    path = tmp_path / "all.db"
    with connect(path) as database:
        database.write(crystal(), name="first", total=2, phase="alpha")
        database.write(crystal(0.1), gap=1.5)
    first, last = read(path)
    assert holds_crystal(first)
    assert holds_crystal(last, shift=0.1)
    assert (first.name, last.name) == ("first", "all@1")
    assert first.properties == {"total": 2.0, "phase": "alpha"}
    assert last.properties == {"gap": 1.5}


def test_trajectories_are_read_one_frame_at_a_time(tmp_path, monkeypatch):
    path = tmp_path / "md.traj"
    ase.io.write(path, [crystal(0.01 * k) for k in range(20)])
    indices = []
    read_frame = TrajectoryReader.__getitem__

    def noted(self, index=-1):
        indices.append(index)
        return read_frame(self, index)

    monkeypatch.setattr(TrajectoryReader, "__getitem__", noted)
    assert next(read_structures(path)).name == "md@0"
    assert 0 < len(indices) < 5


@pytest.mark.parametrize("name", ["a.cif", "a.traj", "a.db", "POSCAR", "a.extxyz"])
def test_files_that_ase_cannot_read(tmp_path, name):
    path = write(tmp_path / name, "this is\nno such file\nat all\n")
    with pytest.raises(FormatError) as error:
        read(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < len(str(path)) + 200


@pytest.mark.parametrize("name", ["a.cif", "a.traj", "a.db", "POSCAR", "a.extxyz"])
def test_empty_files(tmp_path, name):
    with pytest.raises(FormatError, match="empty file"):
        read(write(tmp_path / name, ""))


def test_file_of_unknown_type(tmp_path):
    path = write(tmp_path / "notes.unknown", "words\n")
    assert not is_structure_file(path)
    with pytest.raises(FormatError, match=r"notes\.unknown: ASE recognises no structure format"):
        read(path)


def test_dummy_atoms_are_refused(tmp_path):
    path = tmp_path / "a.traj"
    ase.io.write(path, Atoms("FeX", [[0, 0, 0], [0, 0, 2]]))
    error = only(path)
    assert isinstance(error, FormatError)
    assert "unknown element" in str(error)


@pytest.mark.parametrize("count", ["99999999", "3"])
def test_fewer_atoms_than_announced(tmp_path, count):
    """ASE's own reader would search for them forever."""
    text = f'{count}\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3 pbc="T T T"\nFe 0 0 0\nO 2 2 2\n'
    with pytest.raises(FormatError, match=rf"truncated: line 1 announces {count} atoms, the file ends after 2"):
        list(read_structures(write(tmp_path / "a.extxyz", text)))
    assert len(list(read_structures(write(tmp_path / "b.extxyz", 2 * text.replace(count, "2", 1))))) == 2


@pytest.mark.parametrize("ending", ["extxyz", "xyz", "traj", "db"])
def test_tmqm_means_the_same_in_every_file(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    values = {"CSD_code": "ABCDEF", "q": -1, "S": 0}
    if ending == "db":
        connect(path).write(Atoms("FeO", [[0, 0, 0], [0, 0, 1.6]]), data=values)
    else:
        atoms = Atoms("FeO", [[0, 0, 0], [0, 0, 1.6]])
        atoms.info.update(values)
        ase.io.write(path, atoms, format="extxyz" if ending == "xyz" else None)
    found = only(path)
    assert found.name == "ABCDEF"
    assert (found.properties["charge"], found.properties["spin"]) == (-1.0, 0.0)
    assert "CSD_code" not in found.properties


@pytest.mark.parametrize(
    ("name", "stem"),
    [("POSCAR.mp-1", "mp-1"), ("CONTCAR.a.b", "a.b"), ("POSCAR.vasp", "POSCAR"), ("POSCAR_Fe", "POSCAR_Fe")],
)
def test_names_of_vasp_files_tell_them_apart(tmp_path, name, stem):
    ase.io.write(tmp_path / name, crystal(), format="vasp")
    assert only(tmp_path / name).name == stem


@pytest.mark.parametrize("ending", ["extxyz", "traj", "xyz"])
@pytest.mark.parametrize("key", ["name", "csd_code", "CSD_CODE", "CSD_code"])
def test_names_in_frames(tmp_path, ending, key):
    """Frames in a row that share a name, as in a trajectory, are numbered."""
    ase.io.write(
        tmp_path / f"a.{ending}",
        [crystal(**{key: name, "q": 1}) for name in "ABBC"],
        format={"xyz": "extxyz"}.get(ending),
    )
    found = read(tmp_path / f"a.{ending}")
    assert [s.name for s in found] == ["A", "B@0", "B@1", "C"]
    assert found[0].properties == ({"q": 1.0} if key == "name" else {"charge": 1.0})
    assert [len(s.choices) for s in found] == [0, 1, 1, 0]


def test_formats_that_are_not_read_are_named(tmp_path):
    path = write(tmp_path / "x.lammpstrj", "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n1\n")
    with pytest.raises(FormatError, match=r"files of this format \(lammps-dump-text\) are not read; convert it"):
        read(path)
