"""Partial occupancies and disorder groups: the majority, and configurations drawn by occupancy."""

from collections import Counter

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list
from support.builders import write

from xanes_hpc.errors import ConfigError, FormatError
from xanes_hpc.formats import read_structures
from xanes_hpc.formats.assemblies import SHARED
from xanes_hpc.formats.stated_formula import MASKED
from xanes_hpc.structures.configurations import DRAWN, MOST_ATOMS
from xanes_hpc.structures.neighbours import check_distances
from xanes_hpc.structures.ordering import TAKEN, parse_disorder

CELL = (
    "_cell_length_a {0}\n_cell_length_b {1}\n_cell_length_c {2}\n"
    "_cell_angle_alpha 90\n_cell_angle_beta 90\n_cell_angle_gamma 90\n"
)
SITES = "loop_\n" + "".join(
    f"_atom_site_{tag}\n"
    for tag in ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy", "disorder_assembly")
)
SITES += "_atom_site_disorder_group\n"
SPINEL = (
    CELL.format(8.38, 8.38, 8.38)
    + "_symmetry_space_group_name_H-M 'F d -3 m:2'\n_chemical_formula_sum 'Fe1.4 Cr1.6 O4'\n_cell_formula_units_Z 8\n"
    + SITES
    + "Fe1 Fe 0.125 0.125 0.125 0.8 . .\nCr1 Cr 0.125 0.125 0.125 0.2 . .\n"
    + "Cr2 Cr 0.5 0.5 0.5 0.7 . .\nFe2 Fe 0.5 0.5 0.5 0.3 . .\nO1 O 0.26 0.26 0.26 1 . .\n"
)
IRON, CHROMIUM, OXYGEN = 26, 24, 8


def read(path, disorder, seed=0):
    return list(read_structures(path, parse_disorder(disorder, seed)))


def cif(tmp_path, block, name="a.cif"):
    return write(tmp_path / name, "data_b\n" + block)


def counts(structure):
    return Counter(structure.numbers.tolist())


def crystal(atoms, a=12.0, symmetry="P 1"):
    return CELL.format(a, a, a) + f"_symmetry_space_group_name_H-M '{symmetry}'\n" + SITES + atoms


def test_the_majority_of_a_mixed_spinel(tmp_path):
    (found,) = read(cif(tmp_path, SPINEL), "majority")
    assert counts(found) == {IRON: 8, CHROMIUM: 16, OXYGEN: 32}
    assert found.name == "a"
    assert found.choices == ((TAKEN, "O32 Cr16 Fe8 for O32 Cr12.8 Fe11.2"),)
    np.testing.assert_allclose(np.unique(found.weights[found.numbers == IRON]), 0.8)
    np.testing.assert_allclose(np.unique(found.weights[found.numbers == CHROMIUM]), 0.7)
    np.testing.assert_allclose(found.weights[found.numbers == OXYGEN], 1)


def test_a_sample_has_the_occupancies_and_the_neighbours_of_the_average(tmp_path):
    """In the mean every place has its occupancy, and every shell is mixed as the average crystal is."""
    found = read(cif(tmp_path, SPINEL), "sample 60")
    assert [s.name for s in found] == [f"a@{k}" for k in range(60)]
    assert found[0].choices == ((DRAWN, "60 of 2 × 2 × 2 cells, with O32 Cr12.8 Fe11.2 for O32 Cr12.8 Fe11.2"),)
    assert all((np.linalg.norm(s.cell, axis=1) > 12).all() and s.numbers.size == 448 for s in found)
    iron = np.array([counts(s)[IRON] for s in found])
    assert iron.mean() == pytest.approx(8 * 11.2, abs=0.05)
    assert np.ptp(iron) <= 2
    places: dict[tuple[float, ...], list[float]] = {}
    shells = []
    for s in found:
        for place, number in zip(s.positions.round(3).tolist(), s.numbers == IRON, strict=True):
            places.setdefault(tuple(place), []).append(number)
        atoms = Atoms(s.numbers, s.positions, cell=s.cell, pbc=True)
        i, j, d = neighbor_list("ijd", atoms, 3.2)
        octahedral = (d > 2.9) & (s.numbers[i] != OXYGEN) & (s.numbers[j] != OXYGEN)
        shells.append((s.numbers[j[octahedral]] == IRON).mean())
    frequencies = np.array([np.mean(values) for values in places.values()])
    assert sorted(Counter(np.abs(frequencies[:, None] - [0, 0.3, 0.8]).argmin(axis=1)).values()) == [64, 128, 256]
    assert np.abs(frequencies[:, None] - [0, 0.3, 0.8]).min(axis=1).max() < 0.25
    assert np.mean(shells) == pytest.approx(0.3, abs=0.02)  # octahedra within 3.2 Å share edges with their like


def test_draws_depend_on_the_seed_and_the_name_only(tmp_path):
    one, again, other = cif(tmp_path, SPINEL), cif(tmp_path / "x", SPINEL), cif(tmp_path, SPINEL, "b.cif")
    first = read(one, "sample 2")
    same = read(again, "sample 2")
    assert all((x.numbers == y.numbers).all() for x, y in zip(first, same, strict=True))
    for different in (read(one, "sample 2", seed=1), read(other, "sample 2")):
        assert any(x.numbers.tolist() != y.numbers.tolist() for x, y in zip(first, different, strict=True))


@pytest.mark.parametrize(("occupancy", "there"), [(0.75, 1), (0.5, 1), (0.4, 0)])
def test_a_vacancy_is_a_species(tmp_path, occupancy, there):
    path = cif(tmp_path, crystal(f"Fe1 Fe 0 0 0 1 . .\nO1 O 0.2 0 0 {occupancy} . .\n"))
    (found,) = read(path, "majority")
    assert counts(found)[OXYGEN] == there
    assert ("equal occupancies" in found.choices[0][1]) == (occupancy == 0.5)
    drawn = read(path, "sample 8")
    assert sum(counts(s)[OXYGEN] for s in drawn) == round(8 * occupancy)


def test_an_absorber_that_is_rarely_there(tmp_path):
    path = cif(tmp_path, crystal("Fe1 Fe 0 0 0 0.1 . .\nO1 O 0.2 0 0 1 . .\n"))
    assert counts(read(path, "majority")[0]) == {OXYGEN: 1}
    assert sum(counts(s)[IRON] for s in read(path, "sample 20")) == 2


PERCHLORATE = "".join(
    f"O{group}{k} O {x / 12:.5f} {y / 12:.5f} {z / 12:.5f} {occupancy} {{}} {group}\n"
    for group, occupancy, sign in ((1, 0.7, 1), (2, 0.3, -1))
    for k, (x, y, z) in enumerate(sign * 0.83 * np.array([(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)]))
)


@pytest.mark.parametrize("assembly", ["A", "."])
def test_groups_are_drawn_as_wholes(tmp_path, assembly):
    """An ion across the cell's edge, with its image by inversion, whose assembly has a name or none."""
    shifted = "".join(
        " ".join([label, symbol, x, str(float(y) + 0.25), z, *rest]) + "\n"
        for label, symbol, x, y, z, *rest in map(str.split, PERCHLORATE.format(*[assembly] * 8).splitlines())
    )
    path = cif(tmp_path, crystal("Fe1 Fe 0.5 0.5 0.5 1 . .\nCl1 Cl 0 0.25 0 1 . .\n" + shifted, symmetry="P -1"))
    (found,) = read(path, "majority")
    assert counts(found) == {IRON: 1, 17: 2, OXYGEN: 8}
    np.testing.assert_allclose(found.weights[found.numbers == OXYGEN], 1)
    signs = []
    for s in read(path, "sample 10"):
        check_distances(s)
        i, vectors = neighbor_list("iD", Atoms(s.numbers, s.positions, cell=s.cell, pbc=True), {("Cl", "O"): 1.6})
        own = {k: vectors[i == k] for k in np.flatnonzero(s.numbers == 17)}
        assert all(v.shape == (4, 3) and np.abs(v.sum(axis=0)).max() < 1e-3 for v in own.values())
        signs += [np.sign(v.prod(axis=1)).sum() / 4 for v in own.values()]
    assert set(signs) <= {-1.0, 1.0}


def test_a_negative_group_excludes_its_image(tmp_path):
    """A molecule over a centre of inversion, which SHELXL describes by PART -1."""
    chain = [(-1.8, 0.3, 0.0), (-0.5, 0.5, 0.6), (0.8, 0.3, 0.0), (2.1, 0.5, 0.6)]
    rows = [f"C{k} C {0.5 + x / 12} {0.5 + y / 12} {0.5 + z / 12} 0.5 . -1\n" for k, (x, y, z) in enumerate(chain)]
    path = cif(tmp_path, crystal("Fe1 Fe 0 0 0 1 . .\n" + "".join(rows), symmetry="P -1"))
    for found in [*read(path, "majority"), *read(path, "sample 4")]:
        assert counts(found) == {IRON: 1, 6: 4}
        apart = np.linalg.norm(np.diff(found.positions[found.numbers == 6], axis=0), axis=1)
        np.testing.assert_allclose(apart, np.linalg.norm(np.diff(chain, axis=0), axis=1), atol=1e-6)


def test_a_split_place_holds_one_atom(tmp_path):
    """Four images of a quarter atom around an axis are one atom; its weight is that of all four."""
    atoms = "Fe1 Fe 0.04 0 0 0.25 . .\nO1 O 0.5 0.5 0.5 1 . .\n"
    path = cif(tmp_path, crystal(atoms, symmetry="P 4"))
    for found in [*read(path, "majority"), *read(path, "sample 3")]:
        assert counts(found) == {IRON: 1, OXYGEN: 1}
    np.testing.assert_allclose(read(path, "majority")[0].weights, 1)


def test_impossibly_near_draws_are_drawn_again(tmp_path):
    """Places of a mobile ion along a channel: neighbouring ones exclude one another, and are never both taken."""
    atoms = "O1 O 0.5 0.5 0 1 . .\nLi1 Li 0 0 0 0.25 . .\n"
    found = read(
        cif(tmp_path, CELL.format(12, 12, 2) + "_symmetry_space_group_name_H-M 'P 42'\n" + SITES + atoms), "sample 10"
    )
    for s in found:
        assert counts(s) == {OXYGEN: 12, 3: 3}
        check_distances(s)


@pytest.mark.parametrize("disorder", ["majority", "sample 1"])
def test_too_many_alternatives_are_refused(tmp_path, disorder):
    rows = [f"O{k} O {k / 200} {(7 * k % 200) / 200} 0 0.001 . .\n" for k in range(200)]
    (error,) = read(cif(tmp_path, crystal("Fe1 Fe 0.5 0.5 0.5 1 . .\n" + "".join(rows), a=2.0)), disorder)
    assert isinstance(error, FormatError)
    assert "expected at most 5 atoms per Å³" in str(error)


def test_what_cannot_be_drawn_is_refused(tmp_path):
    atoms = "Fe1 Fe 0 0 0 1 . .\nO1 O 0.05 0 0 0.9 . .\n"
    (error,) = read(cif(tmp_path, crystal(atoms)), "sample 2")
    assert isinstance(error, FormatError)
    assert str(tmp_path / "a.cif") in str(error)
    assert "Fe and O are 0.600 Å apart" in str(error)


def test_draws_that_are_too_near_in_every_attempt_are_refused(tmp_path):
    """Nine of twenty places on a line, of which each excludes the two on either side."""
    symmetry = "_symmetry_space_group_name_H-M 'P 42'\n"
    atoms = "O1 O 0 0.5 0 1 . .\nLi1 Li 0 0 0 0.45 . .\n"
    (error,) = read(cif(tmp_path, CELL.format(12, 12, 1.2) + symmetry + SITES + atoms), "sample 1")
    assert isinstance(error, FormatError)
    assert "configuration 0" in str(error)


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        ("Fe1 Fe 0 0 0 1.3 . .\n", "atom Fe1: expected an occupancy from 0 to 1, received 1.3"),
        ("Fe1 Fe 0 0 0 -0.1 . .\n", "received -0.1"),
        ("Fe1 Fe 0 0 0 0.7 . .\nCr1 Cr 0 0 0 0.5 . .\n", "Cr, Fe in one place or assembly sum to 1.2"),
        ("Fe1 Fe 0 0 0 0.3 . .\n", "no atom is left"),
    ],
)
def test_impossible_occupancies(tmp_path, atoms, message):
    (error,) = read(cif(tmp_path, crystal(atoms)), "majority")
    assert isinstance(error, FormatError)
    assert message in str(error)


def test_rounded_occupancies_fill_a_place(tmp_path):
    atoms = "Fe1 Fe 0 0 0 0.34 . .\nCr1 Cr 0 0 0 0.33 . .\nMn1 Mn 0 0 0 0.33 . .\n"
    assert all(s.numbers.size == 27 for s in read(cif(tmp_path, crystal(atoms, a=4.0)), "sample 3"))


def test_supercells_are_bounded(tmp_path):
    rows = [f"O{k} O {k % 8 / 8} {k // 8 % 8 / 8} {k // 64 / 8} 1 . .\n" for k in range(1, 512)]
    block = crystal("Fe1 Fe 0 0 0 0.5 . .\n" + "".join(rows), a=11.0)
    (found,) = read(cif(tmp_path, block), "sample 1")
    assert found.numbers.size <= MOST_ATOMS
    assert found.choices[0][1].startswith("1 of 1 × 1 × 2 cells, ")


def test_the_composition_of_a_disordered_cell_is_held_to_the_formula(tmp_path):
    (error,) = read(cif(tmp_path, SPINEL.replace("'F d -3 m:2'", "'P 1'")), "majority")
    assert isinstance(error, FormatError)
    assert "but it states 8 × Fe1.4 Cr1.6 O4" in str(error)


@pytest.mark.parametrize(
    "item", ["loop_\n_platon_squeeze_void_nr\n_platon_squeeze_void_count_electrons\n1 45\n", "_smtbx_masks_void_nr 1\n"]
)
def test_masked_solvent_may_be_missing(tmp_path, item):
    formula = "_chemical_formula_sum 'C4 Fe O'\n_cell_formula_units_Z 1\n"
    atoms = "Fe1 Fe 0 0 0 1 . .\nO1 O 0.2 0 0 1 . .\n"
    (found,) = read(cif(tmp_path, formula + item + crystal(atoms)), "refuse")
    assert found.choices == ((MASKED, "block b: O1Fe1 of 1 × C4 Fe O"),)
    (error,) = read(cif(tmp_path, formula + crystal(atoms)), "refuse")
    assert isinstance(error, FormatError)
    (error,) = read(cif(tmp_path, formula + item + crystal(atoms + "N1 N 0.4 0 0 1 . .\n")), "refuse")
    assert isinstance(error, FormatError)  # an element that the formula lacks is not solvent


ATOM = "HETATM{:5d} {:>2}  {}LIG A{:4d}    {:8.3f}{:8.3f}{:8.3f}{:6.2f}  0.00          {:>2}  \n"
LIGAND = [
    ("FE", " ", 1, (1.0, 1.0, 1.0), 1.0),
    ("O", "A", 2, (2.9, 1.0, 1.0), 0.4),
    ("O", "B", 2, (2.9, 1.6, 1.0), 0.6),
    ("H", "A", 2, (3.5, 0.4, 1.0), 0.4),
]


def pdb(tmp_path, first=""):
    rows = "".join(ATOM.format(k, e, alt, n, *xyz, occ, e) for k, (e, alt, n, xyz, occ) in enumerate(LIGAND, 1))
    return write(tmp_path / "a.pdb", first + rows + "END\n")


def test_alternative_locations_in_pdb(tmp_path):
    path = pdb(tmp_path)
    (found,) = read(path, "majority")
    assert counts(found) == {IRON: 1, OXYGEN: 1}
    np.testing.assert_allclose(found.positions[1], [2.9, 1.6, 1.0])
    drawn = read(path, "sample 5")
    assert Counter(s.numbers.size for s in drawn) == {2: 3, 3: 2}
    assert not any(s.pbc.any() for s in drawn)


def test_an_atom_on_a_special_position_in_pdb_may_be_shared(tmp_path):
    """Refinement programs divide its occupancy by the number of its images."""
    cryst = "CRYST1{:9.3f}{:9.3f}{:9.3f}  90.00  90.00  90.00 {:11}   1\n".format(6, 7, 8, "P -1")
    atoms = [("FE", 0.0, 0.5), ("O", 2.0, 1.0)]
    rows = "".join(ATOM.format(k, e, " ", k, x, x, x, occ, e) for k, (e, x, occ) in enumerate(atoms, 1))
    (found,) = read(write(tmp_path / "a.pdb", cryst + rows + "END\n"), "refuse")
    assert counts(found) == {IRON: 1, OXYGEN: 2}
    assert found.choices[0][1] == "1"


@pytest.mark.parametrize(
    "text", ["sample", "sample 0", "sample x", "sample 1 2", "minority", "sample -1", "sample 99999999"]
)
def test_what_disorder_may_be(text):
    with pytest.raises(ConfigError, match="`disorder`: expected refuse, majority"):
        parse_disorder(text)


@pytest.mark.parametrize("text", ["sample 10", "sample:10", "SAMPLE=10"])
def test_how_a_sample_is_written(text):
    assert (parse_disorder(text, 3).mode, parse_disorder(text, 3).n, parse_disorder(text, 3).seed) == ("sample", 10, 3)


GROUPS = "loop_\n" + "".join(
    f"_atom_site_{tag}\n" for tag in ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "disorder_group")
)


@pytest.mark.parametrize("occupancy", ["", " ?"])
def test_groups_without_occupancies_get_equal_shares(tmp_path, occupancy):
    atoms = ["Fe1 Fe 0 0 0 .", "O1 O 0.19 0 0 1", "O2 O 0.2 0.03 0 2", "N1 N 0 0.59 0 1", "N2 N 0.03 0.59 0 2"]
    atoms += ["N3 N 0.02 0.59 0.03 3", "C1 C 0.5 0.5 0.5 -1"]
    loop = GROUPS + ("_atom_site_occupancy\n" if occupancy else "")
    path = cif(tmp_path, CELL.format(10, 10, 10) + loop + "".join(f"{row}{occupancy}\n" for row in atoms))
    (found,) = read(path, "majority")
    assert found.choices[0] == (SHARED, "block b: 6 atoms")
    np.testing.assert_allclose(found.weights[found.numbers == OXYGEN], 1)
    drawn = read(path, "sample 6")
    n = drawn[0].numbers.tolist().count(IRON)
    assert sum(s.numbers.tolist().count(OXYGEN) for s in drawn) == 6 * n
    assert sum(s.numbers.tolist().count(6) for s in drawn) == 3 * n
    (refused,) = read(path, "refuse")
    assert isinstance(refused, FormatError)


@pytest.mark.parametrize(("alternative", "occupancy"), [(" ", "      "), ("A", "  1.00"), ("A", "      ")])
def test_what_is_no_disorder_in_pdb(tmp_path, alternative, occupancy):
    rows = ATOM.format(1, "FE", " ", 1, 1, 1, 1, 1, "FE")
    row = ATOM.format(2, "O", alternative, 1, 2.9, 1, 1, 0, "O")
    rows += row[:54] + occupancy + row[60:]
    (found,) = read(write(tmp_path / "a.pdb", rows + "END\n"), "refuse")
    assert counts(found) == {IRON: 1, OXYGEN: 1}
    assert found.choices == ()


def test_alternatives_in_pdb_without_occupancies_get_equal_shares(tmp_path):
    rows = ATOM.format(1, "FE", " ", 1, 1, 1, 1, 1, "FE")
    for k, x in ((2, 2.9), (3, 3.1)):
        row = ATOM.format(k, "O", " AB"[k - 1], 1, x, 1, 1, 0, "O")
        rows += row[:54] + "      " + row[60:]
    path = write(tmp_path / "a.pdb", rows + "END\n")
    assert isinstance(read(path, "refuse")[0], FormatError)
    (found,) = read(path, "majority")
    assert counts(found) == {IRON: 1, OXYGEN: 1}
    assert found.choices[0] == (SHARED, "2 atoms")
