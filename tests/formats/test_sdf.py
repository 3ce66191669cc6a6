"""SDF and MOL files: molecules, their titles and charges."""

import pytest
from support.builders import write

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import read_structures
from xanes_hpc.formats.frames import REPEATED
from xanes_hpc.formats.isotopes import READ as READ_AS_HYDROGEN


def read(path):
    return list(read_structures(path))


def only(path):
    (structure,) = read(path)
    return structure


SDF = """{title}
  made

  2  1  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 {metal}  0  0  0  0  0  0  0  0  0  0  0  0
    {x:.4f}    0.0000    0.0000 O   0  0  0  0  0  0  0  0  0  0  0  0
  1  2  1  0  0  0  0
M  END
> <id>
1

$$$$
"""


def test_every_molecule_of_an_sdf_file_is_read(tmp_path):
    molecules = [("one", "Fe", 1.6), ("two", "Co", 1.7), ("", "Ni", 1.8)]
    text = "".join(SDF.format(title=title, metal=metal, x=x) for title, metal, x in molecules)
    found = read(write(tmp_path / "a.sdf", text))
    assert [s.name for s in found] == ["one", "two", "a@2"]
    assert [s.numbers.tolist() for s in found] == [[26, 8], [27, 8], [28, 8]]
    assert [s.positions[1, 0] for s in found] == [1.6, 1.7, 1.8]
    assert only(write(tmp_path / "b.sdf", SDF.format(title="one", metal="Fe", x=1.6))).name == "b"


def test_deuterium_in_an_sdf_file_is_hydrogen(tmp_path):
    found = only(write(tmp_path / "a.sdf", SDF.format(title="D", metal="Fe", x=1.6).replace(" O   0", " D   0")))
    assert found.numbers.tolist() == [26, 1]
    assert found.choices == ((READ_AS_HYDROGEN, "1 atom"),)


def test_a_damaged_molecule_costs_only_itself(tmp_path):
    good = SDF.format(title="one", metal="Fe", x=1.6)
    found = read(write(tmp_path / "a.sdf", good + good.replace("Fe ", "Q? ").replace("one", "bad") + good))
    assert [isinstance(s, FormatError) for s in found] == [False, True, False]
    assert "molecule 2: ASE cannot read it" in str(found[1])


@pytest.mark.parametrize("name", ["a.sdf", "a.mol"])
def test_charges_of_atoms_are_those_of_the_molecule(tmp_path, name):
    text = SDF.format(title="one", metal="Fe", x=1.6)
    assert "charge" not in only(write(tmp_path / name, text)).properties
    charged = text.replace("M  END", "M  CHG  2   1   3   2  -1\nM  CHG  1   1  -1\nM  END")
    assert only(write(tmp_path / name, charged)).properties["charge"] == 1.0


def test_a_molecule_of_version_3000_is_refused_as_such(tmp_path):
    text = "one\n  made\n\n  0  0  0     0  0            999 V3000\nM  V30 BEGIN CTAB\nM  END\n$$$$\n"
    first, second = read(write(tmp_path / "a.sdf", text + SDF.format(title="two", metal="Fe", x=1.6)))
    assert "expected an SDF of version V2000, received V3000" in str(first)
    assert second.name == "two"


def test_conformers_with_one_title_are_numbered(tmp_path):
    molecule = "{}\n\n\n  2  1  0  0  0  0  0  0  0  0999 V2000\n    0.0000    0.0000    0.0000 Fe  0  0\n"
    molecule += "    1.7{}000    0.0000    0.0000 O   0  0\n  1  2  1  0\nM  END\n$$$$\n"
    found = read(write(tmp_path / "a.sdf", "".join(molecule.format(t, k) for k, t in enumerate("ABAA"))))
    assert [s.name for s in found] == ["A@0", "B", "A@1", "A@2"]
    assert [what for s in found for what, _ in s.choices] == 3 * [REPEATED]
    assert [round(float(s.positions[1, 0]), 2) for s in found] == [1.7, 1.71, 1.72, 1.73]


def test_charges_of_molecules_and_drawings(tmp_path):
    plain = SDF.format(title="one", metal="Fe", x=1.6)
    by_code = plain.replace("Fe  0  0", "Fe  0  2").replace("O   0  0", "O   0  5")
    assert only(write(tmp_path / "a.sdf", by_code)).properties["charge"] == 1.0
    by_line = by_code.replace("M  END", "M  CHG  1   1   3\nM  END\n> <note>\nM  CHG  1   1   7\n")
    assert only(write(tmp_path / "b.sdf", by_line)).properties["charge"] == 3.0
    drawing = plain.replace("  made\n", "  OpenBab01012612122D\n".rjust(23))
    header = drawing.splitlines()[1]
    assert header[20:22] == "2D"
    error = only(write(tmp_path / "c.sdf", drawing))
    assert "received a drawing" in str(error)
