"""Complexes from nothing: what they are made of, their charges, and that a seed makes them again."""

import numpy as np
import pytest
from ase.data import chemical_symbols
from support.builders import run

from xanes_hpc.errors import ConfigError
from xanes_hpc.generation.complexes import GEOMETRIES, LIGANDS, ComplexOptions, complexes
from xanes_hpc.importing import demo_data
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.electrons import n_electrons
from xanes_hpc.structures.neighbours import check_distances


def test_complexes_are_made_of_what_is_asked_for():
    options = ComplexOptions((22, 42), ("octahedral",), ("CN", "OH2"), (2, 3), prefix="x")
    made = list(complexes(50, 1, options))
    assert {int(one.numbers[0]) for one in made} == {22, 42}
    for k, one in enumerate(made):
        assert one.name == f"x{k:04d}_{chemical_symbols[one.numbers[0]]}_octahedral"
        n_cyanides = int((one.numbers == 7).sum())
        assert int((one.numbers == 8).sum()) == 6 - n_cyanides
        assert one.properties["charge"] == one.properties["oxidation"] - n_cyanides
        donors = np.linalg.norm(one.positions[1:], axis=1) < 2.3
        assert donors.sum() >= 6
        check_distances(one)
    assert {one.properties["oxidation"] for one in made} == {2.0, 3.0}


def test_charges_do_not_change_shapes():
    plain, charged = complexes(20, 4), complexes(20, 4, ComplexOptions(oxidation=(1, 2, 3), even=True))
    n_changed = 0
    for one, other in zip(plain, charged, strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)
        assert n_electrons(other.numbers, int(other.properties["charge"])) % 2 == 0
        n_changed += one.properties != other.properties
    assert n_changed > 5


def test_the_demo_has_the_complexes_it_always_had(tmp_path):
    demo_data.write(tmp_path / "d", 4, 3)
    sums = {path.stem: np.loadtxt(path)[:, 1].sum() for path in (tmp_path / "d" / "spectra").iterdir()}
    expected = {
        "demo0000_Ni_octahedral": 192.381,
        "demo0001_Cr_trigonal_bipyramidal": 152.678,
        "demo0002_Fe_tetrahedral": 144.361,
        "demo0003_Fe_square_planar": 181.128,
    }
    assert sums == pytest.approx(expected, abs=1e-3)


def test_a_seed_makes_the_same_store(tmp_path, capsys):
    words = ["structures", "build", "-n", 12, "--metals", "Fe,Co", "--ligands", "CO, NH3", "--oxidation", "2,3"]
    for name in ("a", "b"):
        assert run(*words, "--seed", 5, "-o", tmp_path / f"{name}.h5") == 0
    assert run(*words, "--seed", 6, "-o", tmp_path / "c.h5") == 0
    assert "12 sites (Fe K, Co K)" in capsys.readouterr().out
    a, b, c = (StructureStore(tmp_path / f"{name}.h5") for name in "abc")
    with a, b, c:
        digests = [one.attribute("digest_structures") for one in (a, b, c)]
        assert digests[0] == digests[1] != digests[2]
        assert a.property_names == ["charge", "oxidation"]
        assert a.sites.atom.tolist() == [0] * 12
    assert run("featurise", tmp_path / "a.h5", "--preset", "xanesnet-49", "--property", "charge") == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--metals", "Fe,O"], "--metals: expected metals, received O"),
        (["--metals", "Xy"], "--metals 'Xy': expected symbols and ranges"),
        (["--ligands", "CO,en"], "--ligands 'en': expected some of CO, CN, NH3"),
        (["--geometries", "cubic"], "--geometries 'cubic': expected some of octahedral, tetrahedral"),
        (["--oxidation", "two"], "--oxidation 'two': expected whole numbers"),
        (["--oxidation", "9"], "--oxidation: expected oxidation states from -4 to 8, received 9"),
        (["-n", "0"], "--number: expected 1 to 2147483647, received 0"),
        (["--seed", "-1"], "--seed: expected 0 to 2147483647, received -1"),
        (["--prefix", "run@"], "--prefix: expected text without # and @, received 'run@'"),
        (["--edge", "Q"], "edge 'Q': expected one of K, L1"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, capsys, words, message):
    assert run("structures", "build", *words, "-o", tmp_path / "x.h5") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not list(tmp_path.iterdir())


def test_an_empty_list_is_refused():
    with pytest.raises(ConfigError, match="`ligands`: expected at least one"):
        ComplexOptions(ligands=())


def test_every_ligand_and_geometry_can_be_built_alone():
    for ligand in LIGANDS:
        for geometry in GEOMETRIES:
            (one,) = complexes(1, 0, ComplexOptions((26,), (geometry,), (ligand,)))
            assert one.numbers.size == 1 + len(GEOMETRIES[geometry]) * len(LIGANDS[ligand].atoms)
