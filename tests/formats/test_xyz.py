"""XYZ files: frames, elements, names and errors."""

import gzip
from itertools import islice

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.builders import IRON_OXIDE, frame, many_frames, write, write_xyz
from support.strategies import quick

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import is_structure_file, read_structures
from xanes_hpc.formats.isotopes import READ
from xanes_hpc.formats.xyz import LABELLED


def read(path):
    return list(read_structures(path))


def only(path):
    (structure,) = read(path)
    return structure


def test_symbols_in_any_case(tmp_path):
    s = only(write_xyz(tmp_path / "a.xyz", [("Fe", 0, 0, 0), ("CL", 2, 0, 0), ("h", 0, 1.5, 0)]))
    assert s.numbers.tolist() == [26, 17, 1]
    assert s.numbers.dtype == np.uint8


def test_atomic_numbers(tmp_path):
    s = only(write_xyz(tmp_path / "a.xyz", [(26, 0, 0, 0), (8, "1.6E+00", "-0.25", ".5")]))
    assert s.numbers.tolist() == [26, 8]
    np.testing.assert_array_equal(s.positions[1], [1.6, -0.25, 0.5])


def test_molecules_have_no_cell(tmp_path):
    s = only(write_xyz(tmp_path / "a.xyz"))
    assert not s.pbc.any()
    assert not s.cell.any()


def test_further_columns_are_ignored(tmp_path):
    s = only(write_xyz(tmp_path / "a.xyz", [("Fe", 0, 0, 0, 0.71, "x"), ("O", 0, 0, 1.6, -0.5)]))
    np.testing.assert_array_equal(s.positions, [[0, 0, 0], [0, 0, 1.6]])


def test_windows_line_ends_and_byte_order_mark(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_bytes(("\ufeff" + frame().replace("\n", "\r\n")).encode())
    assert only(path).numbers.tolist() == [26, 8]


@pytest.mark.parametrize("between", ["", "\n", "\n \n\n"])
def test_frames_with_blank_lines_between(tmp_path, between):
    path = write(tmp_path / "many.xyz", between.join([frame(), frame([("Co", 0, 0, 0)]), frame()]) + between)
    structures = read(path)
    assert [s.name for s in structures] == ["many@0", "many@1", "many@2"]
    assert [s.numbers[0] for s in structures] == [26, 27, 26]


def test_one_frame_takes_the_stem(tmp_path):
    assert only(write_xyz(tmp_path / "a.b.xyz")).name == "a.b"


@pytest.mark.parametrize("name", ["a.xyz.gz", "a.XYZ.GZ"])
def test_gzip(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(frame().encode()))
    assert is_structure_file(path)
    assert only(path).name == "a"
    np.testing.assert_array_equal(only(path).positions[1], [0, 0, 1.6])


def test_bad_frame_in_the_middle(tmp_path):
    first, bad, last = read(write(tmp_path / "a.xyz", frame() + frame([("Qq", 0, 0, 0), ("O", 0, 0, 1)]) + frame()))
    assert isinstance(bad, FormatError)
    assert str(bad) == f"{tmp_path}/a.xyz: line 7: unknown element 'Qq'"
    assert (first.name, last.name) == ("a@0", "a@2")


@pytest.mark.parametrize("element", ["Qq", "X", "0", "119", "-1", "²", "9" * 5000])
def test_unknown_elements(tmp_path, element):
    error = only(write_xyz(tmp_path / "a.xyz", [("Fe", 0, 0, 0), (element, 0, 0, 1)]))
    assert isinstance(error, FormatError)
    assert "line 4: unknown element" in str(error)


@pytest.mark.parametrize("coordinate", ["nan", "inf", "-inf"])
def test_non_finite_coordinates(tmp_path, coordinate):
    error = only(write_xyz(tmp_path / "a.xyz", [("Fe", 0, 0, 0), ("O", 0, 0, coordinate)]))
    assert str(error).startswith(f"{tmp_path}/a.xyz: atom 1: expected finite coordinates")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty file"),
        ("\n\n", "empty file"),
        ("two\n\nFe 0 0 0\n", "line 1: expected an atom count, received 'two'"),
        ("0\n\n", "line 1: expected an atom count, received '0'"),
        ("²\n\nFe 0 0 0\n", "line 1: expected an atom count, received '²'"),
        ("-1\n\n", "line 1: expected an atom count, received '-1'"),
        ("9" * 5000 + "\n\n", "line 1: expected an atom count, received '999"),
        ("3\n\nFe 0 0 0\nO 0 0 1.6\n", "truncated: line 1 announces 3 atoms, the file ends after 2"),
        ("2", "truncated: line 1 announces 2 atoms, the file ends after 0"),
        ("1\n\nFe 0 0 0\nO 0 0 1.6\n", "line 4: expected another frame's atom count or the end (line 1 announces 1"),
        (frame([*IRON_OXIDE, ("", "", "", "")]) + frame(), "line 5: line 1 announces 3 atoms, received a blank line"),
        ("3\n\nFe 0 0 0\nO 0 0 1.6\n" + frame(), "line 5: line 1 announces 3 atoms, received '2' in place of atom 2"),
    ],
)
def test_frames_that_cannot_be_separated(tmp_path, text, message):
    with pytest.raises(FormatError) as error:
        read(write(tmp_path / "a.xyz", text))
    assert str(error.value).startswith(f"{tmp_path}/a.xyz: {message}")
    assert len(str(error.value)) < len(str(tmp_path)) + 150


@pytest.mark.parametrize("row", ["Fe 0 0", "Fe 0 0 z", "Fe 1.0D+00 0 0"])
def test_invalid_rows_of_atoms(tmp_path, row):
    good, error, last = read(write(tmp_path / "a.xyz", frame() + f"1\n\n{row}\n" + frame()))
    assert isinstance(error, FormatError)
    assert "line 7: expected" in str(error)
    assert (good.name, last.name) == ("a@0", "a@2")


def test_file_that_is_not_gzip(tmp_path):
    path = tmp_path / "a.xyz.gz"
    path.write_text(frame())
    with pytest.raises(FormatError, match=r"a\.xyz\.gz: cannot be read: not a gzipped file"):
        read(path)


@pytest.mark.parametrize("damage", ["truncated", "altered"])
def test_damaged_gzip(tmp_path, damage):
    data = bytearray(gzip.compress(many_frames(500).encode()))
    if damage == "truncated":
        data = data[: len(data) // 2]
    else:
        data[10:14] = b"\xff\xff\xff\xff"
    path = tmp_path / "a.xyz.gz"
    path.write_bytes(data)
    with pytest.raises(FormatError, match=r"a\.xyz\.gz: cannot be read: "):
        read(path)


def test_frames_are_read_one_at_a_time(tmp_path):
    """Frames are yielded before the rest of the file is read: the damaged end is not reached."""
    path = tmp_path / "a.xyz.gz"
    data = gzip.compress(many_frames(5000).encode())
    path.write_bytes(data[: len(data) // 2])
    structures = read_structures(path)
    assert [s.name for s in islice(structures, 3)] == ["S000000", "S000001", "S000002"]
    with pytest.raises(FormatError):
        list(structures)


FINITE = st.floats(-1e6, 1e6, allow_nan=False)


@settings(quick, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 118), FINITE, FINITE, FINITE), min_size=1, max_size=8))
def test_written_files_read_back_equal(tmp_path, atoms):
    s = only(write_xyz(tmp_path / "a.xyz", atoms))
    assert s.numbers.tolist() == [atom[0] for atom in atoms]
    np.testing.assert_array_equal(s.positions, [atom[1:] for atom in atoms])


def test_a_truncated_second_frame_does_not_lose_the_first(tmp_path):
    path = write(tmp_path / "two.xyz", frame() + "3\n\nFe 0 0 0\n")
    found = read_structures(path)
    assert next(found).name == "two@0"
    with pytest.raises(FormatError, match="truncated"):
        next(found)


def test_a_frame_with_too_many_atoms_is_refused(tmp_path):
    path = write(tmp_path / "one.xyz", "1\n\nFe 0 0 0\nO 0 0 1.9\n")
    with pytest.raises(FormatError, match="expected another frame's atom count or the end"):
        next(read_structures(path))


EXTENDED = """3
Lattice="5 0 0 0 5 0 0 0 5" Properties=species:S:1:forces:R:3:pos:R:3 pbc="T T T"
Fe 9 9 9 0 0 0
O 9.5 9 9 1.6 0 0
O 9 9.5 9 0 1.6 4.0
"""


@pytest.mark.parametrize("ending", ["xyz", "extxyz"])
@pytest.mark.parametrize("first", ["plain", "extended"])
def test_every_frame_is_read_as_what_it_is(tmp_path, ending, first):
    """Training sets of interatomic potentials mix isolated atoms and crystals."""
    frames = {"plain": "1\nconfig_type=IsolatedAtom REF_energy=-3455.0\nFe 0 0 0\n", "extended": EXTENDED}
    kinds = sorted(frames, key=lambda kind: kind != first)
    found = dict(zip(kinds, read(write(tmp_path / f"a.{ending}", "".join(frames[k] for k in kinds))), strict=True))
    np.testing.assert_array_equal(found["extended"].positions, [[0, 0, 0], [1.6, 0, 0], [0, 1.6, 4.0]])
    np.testing.assert_array_equal(found["extended"].cell, 5 * np.eye(3))
    assert found["extended"].pbc.all()
    assert not found["plain"].pbc.any()
    assert found["plain"].properties["REF_energy"] == -3455.0


def test_a_damaged_extended_frame_costs_only_itself(tmp_path):
    found = read(write(tmp_path / "a.xyz", EXTENDED + EXTENDED.replace("9.5 9 9 1.6", "9.5 9 x 1.6") + EXTENDED))
    assert [isinstance(s, FormatError) for s in found] == [False, True, False]
    assert "line 6: ASE cannot read the extended XYZ" in str(found[1])


@pytest.mark.parametrize("comment", ["m", "Properties=species:S:1:pos:R:3", "Properties=id:I:1:species:S:1:pos:R:3"])
def test_deuterium_is_hydrogen(tmp_path, comment):
    first = "1 " if "id:" in comment else ""
    found = only(write(tmp_path / "a.xyz", f"2\n{comment}\n{first}Fe 0 0 0\n{first}D 0 0 1.6\n"))
    assert found.numbers.tolist() == [26, 1]
    assert found.choices == ((READ, "1 atom"),)


def test_more_columns_than_the_atoms_have(tmp_path):
    """ASE would make room for them all."""
    good = "2\nProperties=species:S:1:pos:R:3\nFe 0 0 0\nO 0 0 1.6\n"
    found = list(read_structures(write(tmp_path / "a.xyz", good.replace("S:1", "S:2147483648") + good)))
    assert "line 2: Properties states 2147483651 columns, received 'Fe 0 0 0'" in str(found[0])
    assert found[1].numbers.tolist() == [26, 8]


def test_symbols_in_a_lammps_trajectory_are_read(tmp_path):
    assert only(write(tmp_path / "a.xyz", "1\nAtoms. Timestep: 0\nFe 0 0 0\n")).numbers.tolist() == [26]


def test_elements_in_labels(tmp_path):
    found = only(write(tmp_path / "a.xyz", "2\n\nFe1 0.0 0 0\nO12 0 0 1.6\n"))
    assert found.numbers.tolist() == [26, 8]
    assert found.choices == ((LABELLED, "2 atoms"),)
    assert "unknown element 'FE1'" in str(only(write(tmp_path / "b.xyz", "1\n\nFE1 0 0 0\n")))
