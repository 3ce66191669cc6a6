"""Exchanging elements: bond lengths, charge, spin, names, sites, and what cannot be exchanged."""

import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.data import covalent_radii
from support.builders import run, write_xyz

from xanes_hpc.generation.exchange import atoms_to_replace, exchanged
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.electrons import even_charge
from xanes_hpc.structures.structure import Structure

CARBONYL = (("Fe", 0, 0, 0), ("C", 1.8, 0, 0), ("O", 2.95, 0, 0), ("N", -2.0, 0, 0), ("N", -2.6, 0.9, 0))


def structure(atoms=CARBONYL, **properties):
    symbols = [atom[0] for atom in atoms]
    numbers = Atoms(symbols).numbers.astype(np.uint8)
    return Structure("a", numbers, np.array([atom[1:] for atom in atoms], float), properties=properties)


def lengths(one):
    return np.linalg.norm(one.positions - one.positions[0], axis=1)


def swapped(one, old, new, **options):
    return exchanged(one, atoms_to_replace(one, old), new, **options)


def test_a_metal_with_scaled_bonds():
    before, after = structure(), swapped(structure(), 26, 29, scale_bonds=True)
    assert after.numbers.tolist() == [29, *before.numbers[1:]]
    for donor in (1, 3):
        radii = covalent_radii[[26, 29]] + covalent_radii[before.numbers[donor]]
        assert lengths(after)[donor] == pytest.approx(lengths(before)[donor] * radii[1] / radii[0])
    for first, second in ((1, 2), (3, 4)):  # ligands move as a whole
        bonds = [one.positions[second] - one.positions[first] for one in (before, after)]
        np.testing.assert_allclose(*bonds)
    np.testing.assert_array_equal(swapped(before, 26, 29).positions, before.positions)


def test_a_chelate_moves_by_the_mean():
    ring = (("Fe", 0, 0, 0), ("N", 1.9, 0, 0), ("N", 0, 1.9, 0), ("C", 1.4, 1.9, 0.1), ("C", 1.9, 1.4, -0.1))
    before, after = structure(ring), swapped(structure(ring), 26, 22, scale_bonds=True)
    np.testing.assert_allclose(np.diff(after.positions[1:], axis=0), np.diff(before.positions[1:], axis=0))
    assert lengths(after)[1] == pytest.approx(lengths(after)[2]) != pytest.approx(1.9, abs=0.01)


def test_two_replaced_neighbours_share_their_bond():
    after = swapped(structure((("S", 0, 0, 0), ("S", 2.05, 0, 0))), 16, 34, scale_bonds=True)
    assert lengths(after)[1] == pytest.approx(2.05 * covalent_radii[34] / covalent_radii[16])


def test_donors_only():
    assert atoms_to_replace(structure(), 7).tolist() == [3, 4]
    assert atoms_to_replace(structure(), 7, donors_of=26).tolist() == [3]


@pytest.mark.parametrize(
    ("properties", "even", "expected"),
    [
        ({}, False, {"charge": 0.0}),
        ({}, True, {"charge": 1.0}),
        ({"charge": 2.0}, True, {"charge": 1.0}),
        ({"charge": -2.0, "oxidation": 2.0}, True, {"charge": -1.0}),
        ({"charge": 1.0}, True, {"charge": 1.0}),
        ({"charge": 2.0, "spin": 2.0}, False, {"charge": 2.0}),
        ({"charge": 2.0, "spin": 2.0}, True, {"charge": 1.0, "spin": 2.0}),
        ({"charge": 2.0, "spin": 1.5}, False, {"charge": 2.0, "spin": 1.5}),
    ],
)
def test_charge_and_spin(properties, even, expected):
    """The structure has 54 electrons and a charge's fewer; with cobalt one more."""
    assert structure().numbers.sum() == 54
    assert swapped(structure(**properties), 26, 27, even=even).properties == expected


def test_even_charges_are_the_nearest():
    for charge in range(-3, 4):
        found = even_charge(np.array([8, 1]), charge)
        assert (9 - found) % 2 == 0
        assert abs(found - charge) == charge % 2 ^ 1


def test_frames_stay_frames():
    water = Structure("run@3", molecule("H2O").numbers.astype("u1"), molecule("H2O").positions)
    assert swapped(water, 8, 16).name == "run_S@3"


@pytest.fixture
def store(tmp_path):
    """An iron complex, and one of cobalt, with a site at the metal and at each oxygen."""
    write_xyz(tmp_path / "xyz" / "iron.xyz", CARBONYL, "charge=1 spin=0.5")
    write_xyz(tmp_path / "xyz" / "cobalt.xyz", [("Co", 0, 0, 0), *CARBONYL[1:]])
    assert run("import", tmp_path / "xyz", "--absorber", "all", "-o", tmp_path / "s.h5") == 0
    return tmp_path / "s.h5"


def test_a_store_with_an_element_exchanged(store, tmp_path, capsys):
    words = ["structures", "substitute", store, "--from", "fe", "--to", "Ni,Co", "--even", "-o", tmp_path / "x.h5"]
    capsys.readouterr()
    assert run(*words, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["written"], found["without"], found["skipped_count"]) == (2, 1, 0)
    assert (found["charges_changed"], found["spins_dropped"]) == (1, 2)
    with StructureStore(tmp_path / "x.h5") as made:
        one, other = made.structures()
        assert [one[0].name, other[0].name] == ["iron_Co", "iron_Ni"]
        assert [one[0].properties, other[0].properties] == [{"charge": 1.0}, {"charge": 0.0}]
        assert one[1].name == [f"iron_Co#{atom}" for atom in range(5)]
        assert one[1].element.tolist() == [27, 6, 8, 7, 7]
    first = (tmp_path / "x.h5").read_bytes()
    assert run(*words, "--overwrite") == 0
    assert "without it" in capsys.readouterr().out
    assert len((tmp_path / "x.h5").read_bytes()) == len(first)


def test_what_cannot_be_exchanged_is_listed(store, tmp_path, capsys):
    write_xyz(tmp_path / "xyz" / "odd.xyz", CARBONYL, "charge=0.5")
    assert run("import", tmp_path / "xyz", "--absorber", "Fe", "-o", tmp_path / "t.h5") == 0
    capsys.readouterr()
    assert (
        run("structures", "substitute", tmp_path / "t.h5", "--from", "Fe", "--to", "Co", "-o", tmp_path / "x.h5") == 0
    )
    assert "skipped: odd: charge: expected a multiple of 1, received 0.5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--from", "U", "--to", "Co"], "s.h5: nothing to exchange: no structure has U"),
        (["--from", "O", "--to", "S", "--donors-of", "N"], "nothing to exchange: no structure has O bonded to N"),
        (["--from", "Fe", "--to", "Co,Fe"], "--to: expected other elements than Fe, received it too"),
        (["--from", "Iron", "--to", "Co"], "--from 'Iron': expected an element symbol, such as Fe"),
        (["--from", "Fe", "--to", "Cobalt"], "--to 'Cobalt': expected symbols and ranges"),
        (["--from", "Fe", "--to", "Co", "--donors-of", "Q"], "--donors-of 'Q': expected an element symbol"),
        (["--from", "C", "--to", "Cs"], "closer than any bond"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(store, tmp_path, capsys, words, message):
    capsys.readouterr()
    assert run("structures", "substitute", store, *words, "-o", tmp_path / "x.h5") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "x.h5").exists()


def test_a_crystal_keeps_its_bond_lengths(tmp_path, capsys):
    oxide = molecule("CO")
    oxide.symbols[:] = "NiO"
    oxide.positions[1] = oxide.positions[0] + [0, 0, 2.1]
    oxide.set_cell([4.2, 4.2, 4.2])
    oxide.set_pbc(True)
    oxide.write(tmp_path / "nio.cif")
    assert run("import", tmp_path / "nio.cif", "--absorber", "Ni", "-o", tmp_path / "s.h5") == 0
    words = ["structures", "substitute", tmp_path / "s.h5", "--from", "Ni", "--to", "Fe", "-o", tmp_path / "x.h5"]
    assert run(*words, "--scale-bonds") == 2
    assert "nio: is periodic, so bond lengths cannot be scaled" in capsys.readouterr().err
    assert run(*words) == 0
    with StructureStore(tmp_path / "x.h5") as made:
        assert made.sites.in_words == "1 site (Fe K)"
