"""Properties of structures and sites, appended to a descriptor's features."""

import h5py
import numpy as np
import pytest
from ase.build import molecule
from support.builders import run, write, write_xyz

from xanes_hpc import descriptors
from xanes_hpc.errors import DescriptorError, FormatError
from xanes_hpc.models.model import Model
from xanes_hpc.stores.predictions import PredictionStore

RDC = descriptors.choose("rdc", None)
IRON = (("Fe", 0.0, 0.0, 0.0), ("O", 0.0, 0.0, 1.6))
IRONS = (*IRON, ("Fe", 0.0, 1.7, 1.6))


@pytest.fixture
def folder(tmp_path):
    """Import structures with charges in their comments, and a table of properties of structures and sites."""
    for k, charge in enumerate((-1, 0, 2)):
        write_xyz(tmp_path / "xyz" / f"s{k}.xyz", IRON, f"charge={charge} spin={k / 2}")
    write_xyz(tmp_path / "xyz" / "two.xyz", IRONS, "charge=1 spin=0")
    rows = ["s0,2,a", "s1,3,b", "s2,,c", "two,9,d", "two#0,4,e", "two#2,5,f"]
    write(tmp_path / "p.csv", "name,oxidation,note\n" + "\n".join(rows) + "\n")
    words = [
        "import",
        tmp_path / "xyz",
        "--absorber",
        "Fe",
        "--properties",
        tmp_path / "p.csv",
        "-o",
        tmp_path / "s.h5",
    ]
    assert run(*words) == 0
    return tmp_path


def features(path):
    with h5py.File(path) as file:
        labels = [label.decode() for label in file["labels"][:]] if "labels" in file else None
        return file["features"][:], labels


def test_properties_follow_the_features(folder, capsys):
    words = ["featurise", folder / "s.h5", "--preset", "rdc"]
    assert run(*words, "-o", folder / "plain.h5") == 0
    extended = ("--property", "charge", "--property", "oxidation=-1")
    assert run(*words, *extended, "-o", folder / "more.h5") == 0
    assert "defaults    oxidation for 1 sites" in capsys.readouterr().out
    plain, more = (features(folder / name)[0] for name in ("plain.h5", "more.h5"))
    np.testing.assert_array_equal(more[:, :-2], plain)
    np.testing.assert_array_equal(more[:, -2], [-1.0, 0.0, 2.0, 1.0, 1.0])
    np.testing.assert_array_equal(more[:, -1], [2.0, 3.0, -1.0, 4.0, 5.0])  # a site's own before its structure's


def test_a_missing_property_without_a_default_is_an_error(folder, capsys):
    words = ["featurise", folder / "s.h5", "--preset", "rdc", "-o", folder / "f.h5", "--property"]
    assert run(*words, "oxidation") == 2
    line = capsys.readouterr().err
    assert (
        "property oxidation is missing for 1 of 5 sites (first: s2); import it with the structures or from a table"
        in line
    )
    assert run(*words, "nosuch=0") == 2
    assert "no site has the property nosuch; the store has charge, " in capsys.readouterr().err
    assert run(*words, "note") == 2
    assert "structures/properties/note: expected numbers, received text" in capsys.readouterr().err
    assert run(*words, "charge=high") == 2
    assert "property 'charge=high': expected a name, or name=number" in capsys.readouterr().err
    assert not (folder / "f.h5").exists()


def test_the_hash_covers_properties_and_defaults():
    some = [
        descriptors.with_properties(RDC, names)
        for names in (["charge"], ["spin"], ["charge", "spin"], ["spin", "charge"], ["charge=0"])
    ]
    assert len({RDC.hash, *(d.hash for d in some)}) == 6
    for descriptor in some:
        again = descriptors.from_description(descriptor.describe())
        assert (again.hash, again.labels) == (descriptor.hash, descriptor.labels)
        assert descriptor.n_features == RDC.n_features + len(descriptor.properties)


def test_properties_of_atoms():
    descriptor = descriptors.with_properties(RDC, ["charge", "spin=0"])
    water, other = molecule("H2O"), molecule("H2O")
    water.info["charge"] = 1
    other.info.update(charge=-2, spin=0.5)
    found = descriptor.transform([water, other], "H")
    np.testing.assert_array_equal(found[:, -2:], [[1, 0], [1, 0], [-2, 0.5], [-2, 0.5]])
    np.testing.assert_array_equal(found[:, :-2], RDC.transform([water, other], "H"))
    with pytest.raises(FormatError, match=r"site 0 of the batch has no property charge; .*charge=0"):
        descriptor.transform(molecule("H2O"), "O")


def test_a_description_in_a_file(tmp_path):
    text = 'name = "extended"\nproperties = ["charge"]\n[descriptor]\nname = "rdc"\nr_min = 1.0\nr_max = 5.0\nn = 20\n'
    descriptor = descriptors.read_toml(write(tmp_path / "d.toml", text))
    assert descriptor.labels[-1] == "property charge"
    assert (descriptor.n_features, descriptor.cutoff) == (21, descriptor.inner.cutoff)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"properties": []}, "expected properties as a list of names, received"),
        ({"properties": "charge"}, "expected properties as a list of names, received 'charge'"),
        ({"properties": ["charge", "charge"]}, "expected every property once, received charge, charge"),
        ({"defaults": {"spin": 0}}, "defaults has no key 'spin'; it has charge"),
        ({"defaults": {"charge": "x"}}, "defaults: expected a number for charge, received 'x'"),
        ({"descriptor": "rdc"}, r"expected a table \[descriptor\]"),
        ({"others": 1}, "has no key 'others'"),
    ],
)
def test_bad_descriptions(change, message):
    description = {"name": "extended", "properties": ["charge"], "descriptor": RDC.describe()} | change
    with pytest.raises(DescriptorError, match=message):
        descriptors.from_description(description)
    twice = {"name": "extended", "properties": ["a"], "descriptor": descriptors.with_properties(RDC, ["b"]).describe()}
    with pytest.raises(DescriptorError, match="expected a descriptor without properties, received extended"):
        descriptors.from_description(twice)


def test_a_model_uses_properties_to_predict(small, tmp_path, capsys):
    """A model learns spectra that depend only on the charge; structures without a charge are an error."""
    rng = np.random.default_rng(0)
    energies = np.linspace(7092.0, 7172.0, 81)
    for k in range(90):
        charge, gap = int(rng.integers(-2, 3)), 1.6 + 0.2 * rng.random()
        atoms = (("Fe", 0.0, 0.0, 0.0), ("O", 0.0, 0.0, gap))
        write_xyz(tmp_path / "xyz" / f"s{k}.xyz", atoms, f"charge={charge}")
        peak = np.exp(-(((energies - 7120.0 - 4.0 * charge) / 6.0) ** 2))
        rows = zip(energies, 0.5 + np.arctan((energies - 7112.0) / 3.0) / np.pi + peak, strict=True)
        write(tmp_path / "mu" / f"s{k}.txt", "".join(f"{e:.2f} {y:.6f}\n" for e, y in rows))
    assert run("import", tmp_path / "xyz", "--spectra", tmp_path / "mu", "-o", tmp_path / "s.h5") == 0
    errors = {}
    for name, words in (("plain", []), ("charged", ["--property", "charge"])):
        path = tmp_path / f"{name}.features.h5"
        assert run("featurise", tmp_path / "s.h5", "--preset", "rdc", "-o", path, *words) == 0
        (tmp_path / "run.toml").write_text(
            '[model]\nname = "mlp"\nhidden = [32]\n[training]\nepochs = 60\nbatch_size = 16\nlearning_rate = 0.01\n'
            'gaussian_process = false\n[uncertainty]\nmembers = 1\n[split]\ngroup = "none"\ntest = 0.3\n'
        )
        model = tmp_path / f"{name}.model"
        assert run("train", path, "--config", tmp_path / "run.toml", "-o", model) == 0
        assert run("predict", path, "--model", model, "-o", tmp_path / f"{name}.h5", "--split", "test") == 0
        with PredictionStore(tmp_path / f"{name}.h5") as store:
            errors[name] = np.abs(store.read("mean") - store.read("reference")).mean()
    assert errors["charged"] < 0.5 * errors["plain"]
    assert Model.open(tmp_path / "charged.model").description["descriptor"]["description"]["properties"] == ["charge"]
    one = write_xyz(tmp_path / "one.xyz", IRON, "charge=2")
    words = ["predict", one, "--model", tmp_path / "charged.model", "-o"]
    assert run(*words, tmp_path / "one.h5") == 0
    with PredictionStore(tmp_path / "one.h5") as store:
        assert abs(store.energies[store.read("mean", 0).argmax()] - 16.0) < 3.0
    capsys.readouterr()
    write_xyz(tmp_path / "one.xyz", IRON)
    assert run(*words, tmp_path / "two.h5") == 2
    assert "property charge is missing for 1 of 1 sites (first: one); import it" in capsys.readouterr().err
