"""POSCAR, cube and AtomEye files: names, truncated files, and what ASE leaves out."""

import bz2
import gzip
import lzma

import ase.io
import numpy as np
import pytest
from ase import Atoms
from support.builders import write

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import is_structure_file, read_structures
from xanes_hpc.formats.ase_texts import BY_COMMENT, PERIODIC


def read(path):
    return list(read_structures(path))


def only(path):
    (structure,) = read(path)
    return structure


@pytest.mark.parametrize("ending", ["GZ", "bz2", "Xz"])
def test_compressed_files_with_endings_in_capitals(tmp_path, ending):
    compress = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}[ending.lower()]
    atoms = Atoms("FeO", [[0, 0, 0], [0, 0, 1.6]], cell=4 * np.eye(3), pbc=True)
    for plain, kind in (("a.vasp", "vasp"), ("POSCAR", "vasp"), ("a.gen", "gen"), ("a.xsf", "xsf")):
        ase.io.write(tmp_path / plain, atoms, format=kind)
        path = tmp_path / f"{plain}.{ending}"
        path.write_bytes(compress((tmp_path / plain).read_bytes()))
        assert is_structure_file(path)
        assert only(path).numbers.tolist() == [26, 8]


def test_a_comment_in_another_encoding(tmp_path):
    path = tmp_path / "POSCAR"
    ase.io.write(path, Atoms("FeO", [[0, 0, 0], [0, 0, 1.6]], cell=4 * np.eye(3), pbc=True), format="vasp")
    path.write_bytes("f\xfcnf\n".encode("latin-1") + path.read_bytes().partition(b"\n")[2])
    assert only(path).numbers.tolist() == [26, 8]


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("vasp", "  1   1\n", "  1 100000000000000000000\n"),
        ("vasp", "  1   1\n", "  1 40\n"),
        ("cube", "\n    2    0.000", "\n    2147483648    0.000"),
        ("cfg", "Number of particles = 2", "Number of particles = 2147483648"),
    ],
)
def test_a_file_that_announces_more_atoms_than_it_has(tmp_path, kind, old, new):
    """ASE would make room for them all."""
    path = tmp_path / f"a.{kind}"
    ase.io.write(path, Atoms("FeO", [[0, 0, 0], [0, 0, 1.6]], cell=4 * np.eye(3), pbc=True))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(FormatError, match=r"truncated: announces [1-9][0-9]+ atoms, the file has"):
        read(path)


@pytest.mark.parametrize(("comment", "ok"), [("Fe O", True), ("O Fe relaxed 2", False), ("rust", False)])
def test_a_poscar_of_vasp_4_names_its_elements_in_the_comment_or_is_refused(tmp_path, comment, ok):
    text = f"{comment}\n4.0\n1 0 0\n0 1 0\n0 0 1\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n"
    path = write(tmp_path / "POSCAR.a", text)
    if ok:
        found = only(path)
        assert found.numbers.tolist() == [26, 8]
        assert found.choices == ((BY_COMMENT, "POSCAR.a: Fe O"),)
    else:
        with pytest.raises(FormatError, match=r"line 6: expected element symbols, received '1 1' \(VASP 4\)"):
            read(path)


@pytest.mark.parametrize(("side", "kind"), [(4.3, "crystal"), (12.0, "molecule")])
def test_a_cube_file_is_periodic_if_atoms_are_bonded_across_its_box(tmp_path, side, kind):
    path = tmp_path / "a.cube"
    half = side / 2 if kind == "crystal" else 1.7
    ase.io.write(path, Atoms("FeO", [[1, 1, 1], [1 + half, 1, 1]], cell=side * np.eye(3), pbc=True))
    found = only(path)
    assert found.pbc.tolist() == [kind == "crystal"] * 3
    assert [(what, detail.split(":")[0]) for what, detail in found.choices] == [(PERIODIC, kind)]


def test_lengths_of_cube_and_cfg_files(tmp_path):
    crystal = Atoms("FeO", [[0, 0, 0], [2.15, 0, 0]], cell=4.3 * np.eye(3), pbc=True)
    ase.io.write(tmp_path / "a.cfg", crystal)
    text = (tmp_path / "a.cfg").read_text()
    doubled = only(write(tmp_path / "b.cfg", text.replace("A = 1.0", "A = 2.0")))
    np.testing.assert_allclose(doubled.cell, 2 * only(tmp_path / "a.cfg").cell)
    np.testing.assert_allclose(doubled.positions[1], [4.3, 0, 0], atol=1e-6)
    ase.io.write(tmp_path / "a.cube", crystal)
    lines = (tmp_path / "a.cube").read_text().splitlines()
    lines[3] = "-" + lines[3].strip()
    with pytest.raises(FormatError, match=r"expected lengths in bohr, received negative numbers of voxels"):
        read(write(tmp_path / "b.cube", "\n".join(lines)))


@pytest.mark.parametrize("name", ["Fe2O3.POSCAR", "mp-1_POSCAR", "c.poscar", "x.contcar"])
def test_other_names_of_poscars(tmp_path, name):
    path = write(tmp_path / name, "rust\n4.0\n1 0 0\n0 1 0\n0 0 1\nFe O\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n")
    assert is_structure_file(path)
    assert only(path).numbers.tolist() == [26, 8]
