"""``import --disorder``: names, weights, notes, and what goes into an average."""

import json

import h5py
import numpy as np
import pytest
from support.builders import refused, run, write

import xanes_hpc as xh
from xanes_hpc.errors import ConfigError
from xanes_hpc.importing.structures import COUNTED
from xanes_hpc.models.training_sites import code
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.absorbers import ABSENT
from xanes_hpc.structures.configurations import DRAWN
from xanes_hpc.structures.ordering import TAKEN

SPINEL = """data_spinel
_cell_length_a 8.38
_cell_length_b 8.38
_cell_length_c 8.38
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F d -3 m:2'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Fe1 Fe 0.125 0.125 0.125 0.75
Zn1 Zn 0.125 0.125 0.125 0.25
Fe2 Fe 0.5 0.5 0.5 1
O1 O 0.26 0.26 0.26 1
"""


def imported(tmp_path, *options):
    write(tmp_path / "spinel.cif", SPINEL)
    output = tmp_path / "out.h5"
    report = tmp_path / "out.json"
    arguments = ("import", tmp_path / "spinel.cif", "--absorber", "Fe", "-o", output, "--json", report, "--overwrite")
    assert run(*arguments, *options) == 0
    with h5py.File(output) as file:
        names = [name.decode() for name in file["structures/name"][()]]
        return names, file["sites/weight"][()], json.loads(report.read_text())


def test_disorder_is_refused_by_default(tmp_path, capsys):
    path = write(tmp_path / "spinel.cif", SPINEL)
    message = refused(capsys, tmp_path, "import", path, "--absorber", "Fe", "-o", tmp_path / "out.h5")
    assert f"{path}: partial occupancies" in message
    assert "--disorder" in message


def test_the_weight_of_a_site_is_its_occupancy(tmp_path):
    names, weights, summary = imported(tmp_path, "--disorder", "majority")
    assert names == ["spinel"]
    assert sorted(weights.tolist()) == [0.75] * 8 + [1.0] * 16
    made = "spinel: O32 Fe24 for O32 Fe22 Zn2"
    assert summary["choices"][TAKEN] == {"count": 1, "first": made, "details": [made]}


def test_unique_sites_sum_the_occupancies(tmp_path):
    _, weights, _ = imported(tmp_path, "--disorder", "majority", "--unique")
    assert sorted(weights.tolist()) == [6.0, 16.0]


@pytest.mark.parametrize("words", [("--disorder", "sample", "4"), ("--disorder", "sample 4"), ("--disorder=sample:4",)])
def test_a_sample_is_named_like_frames(tmp_path, words):
    names, weights, summary = imported(tmp_path, *words)
    assert names == [f"spinel@{k}" for k in range(4)]
    assert len({code(name) for name in names}) == 1  # one group of the split
    assert (weights == 1).all()
    assert weights.size == 4 * 8 * 22
    assert summary["choices"][DRAWN]["count"] == 1


def test_configurations_have_the_properties_of_their_structure(tmp_path):
    write(tmp_path / "my_spinel.cif", SPINEL)
    write(tmp_path / "t.csv", "name,temperature\nmy_spinel,300\n")
    store = xh.import_structures(
        tmp_path / "my_spinel.cif", sites="Fe", disorder="sample 2", properties=tmp_path / "t.csv"
    )
    assert [s.properties["temperature"] for s, _ in store.structures()] == [300, 300]


def test_draws_depend_on_seed_and_name_and_not_on_other_files(tmp_path):
    write(tmp_path / "a" / "other.cif", SPINEL)
    write(tmp_path / "a" / "spinel.cif", SPINEL)
    write(tmp_path / "b" / "spinel.cif", SPINEL)
    found = {}
    for folder, seed in (("a", 1), ("b", 1), ("b", 2)):
        store = xh.import_structures(tmp_path / folder, sites="Fe", disorder="sample 1", seed=seed)
        found[folder, seed] = next(s.numbers for s, _ in store.structures() if s.name == "spinel@0")
    np.testing.assert_array_equal(found["a", 1], found["b", 1])
    assert not np.array_equal(found["b", 1], found["b", 2])


def test_what_is_not_a_choice(tmp_path, capsys):
    path = write(tmp_path / "spinel.cif", SPINEL)
    message = refused(capsys, tmp_path, "import", path, "-o", tmp_path / "out.h5", "--disorder", "minority")
    assert message.startswith("--disorder: expected refuse, majority or 'sample N'")


def test_python_takes_it_for_files_only(tmp_path):
    from ase.build import molecule

    path = write(tmp_path / "spinel.cif", SPINEL)
    assert len(xh.featurise(path, sites="Fe", disorder="majority").sites) == 24
    with pytest.raises(ConfigError, match="`disorder`: expected structure files"):
        xh.featurise(molecule("H2O"), sites="O", disorder="majority")


SHIFTED = SPINEL.split("_symmetry")[0] + SPINEL[SPINEL.index("loop_") : SPINEL.index("Fe1 Fe")]
SHIFTED += "C1 C 0 0 0 0.3\nFe1 Fe 0.3 0 0 1\nO1 O 0.5 0 0 1\nFe2 Fe 0.7 0.5 0.5 1\n"


def sites_of(tmp_path, atoms, *options):
    """Return the atomic number and the fraction along x of every site, and the summary."""
    path, output = write(tmp_path / "shift.cif", SHIFTED), tmp_path / "out.h5"
    if atoms is not None:
        options = ("--sites", write(tmp_path / "s.csv", "structure,atom\n" + f"{atoms}\n"), *options)
    assert run("import", path, "-o", output, "--json", tmp_path / "out.json", "--overwrite", *options) == 0
    with StructureStore(output) as store:
        batch = store.batch(0, store.n_sites)
        atoms = batch.offsets[batch.site_structures] + batch.site_atoms
        places = batch.positions[atoms, 0] / 8.38
        found = list(zip(batch.numbers[atoms].tolist(), places.round(3).tolist(), strict=True))
    return found, json.loads((tmp_path / "out.json").read_text())


def test_listed_atoms_of_a_majority_are_those_of_the_file(tmp_path):
    for how in ((("shift,1"), ()), (None, ("--absorber", "1"))):
        found, _ = sites_of(tmp_path, how[0], "--disorder", "majority", *how[1])
        assert found == [(26, 0.3)]
    found, summary = sites_of(tmp_path, "shift,0\nshift,3", "--disorder", "majority")
    assert found == [(26, 0.7)]
    assert [one["reason"] for one in summary["skipped"]] == [f"{tmp_path}/shift.cif: atom 0: {ABSENT}"]
    assert summary["choices"][COUNTED]["details"] == ["shift#2 is atom 3 of the file"]


def test_a_listed_atom_is_followed_in_every_configuration(tmp_path):
    for how in (("shift,3", ()), (None, ("--absorber", "3"))):
        found, _ = sites_of(tmp_path, how[0], "--disorder", "sample 10", *how[1])
        assert found == [(26, 0.7)] * 10
    for how in (("shift,0", ()), (None, ("--absorber", "first"))):
        found, summary = sites_of(tmp_path, how[0], "--disorder", "sample 10", *how[1])
        assert set(found) == {(6, 0.0)}
        assert 0 < len(found) == 10 - summary["skipped_count"] < 10
        assert ABSENT in summary["skipped"][0]["reason"]


def test_a_structure_whose_only_listed_atom_is_left_out(tmp_path, capsys):
    path, table = write(tmp_path / "shift.cif", SHIFTED), write(tmp_path / "s.csv", "structure,atom\nshift,0\n")
    words = ("import", path, "--disorder", "majority", "-o", tmp_path / "out.h5")
    assert f"atom 0: {ABSENT}" in refused(capsys, tmp_path, *words, "--sites", table)
    assert f"absorber 0: {ABSENT}" in refused(capsys, tmp_path, *words, "--absorber", "0")
    assert "expected an atom index from 0 to 3" in refused(capsys, tmp_path, *words, "--absorber", "4")
