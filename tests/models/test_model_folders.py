"""Reading model folders, and one-line errors that name a missing or damaged file."""

import json
import re
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
from support import stored
from support.networks import network, write_weights

from xanes_hpc.errors import ModelError, StoreError
from xanes_hpc.models.calibration import Calibration
from xanes_hpc.models.folder import DESCRIPTION, WEIGHTS, write_description
from xanes_hpc.models.model import Model
from xanes_hpc.models.numbers import write_scalers
from xanes_hpc.models.sigma_factors import Evidence
from xanes_hpc.models.training_sites import TrainingSites, read_training_sites

N_FEATURES, N_ENERGIES = 7, 11
SEEN = [("Fe", "K", 4), ("Fe", "L3", 2), ("Zn", "K", 0), ("U", "M4", 3)]
"""Element, edge, and number of training sites."""
PARAMETERS = {"width": 5, "blocks": 1}
DESCRIPTION_OF_MODEL = {
    "architecture": {"name": "conditioned", "parameters": PARAMETERS},
    "members": 2,
    "n_features": N_FEATURES,
    "grid": {"origin": "e0", "energies": list(range(N_ENERGIES))},
    "target": {"kind": "xanes", "treatment": "none", "unit": "arbitrary"},
    "descriptor": {"hash": "0" * 64, "description": {}},
    "seen": [{"element": z, "edge": edge, "e0": 7112.0, "sites": n} for z, edge, n in SEEN],
    "uncertainty": {"method": "dropout"},
    "calibration": Calibration(np.full(N_ENERGIES, 2.0), np.zeros(N_ENERGIES), ((0.9, 1.7),), 9).as_dict(),
    "trust": {"threshold": 1.0, "quantile": 0.99, "elements": ["Fe", "O"]},
    "provenance": {},
}


def members():
    sizes = {"n_features": N_FEATURES, "n_energies": N_ENERGIES, "n_absorbers": len(SEEN)}
    return [network("conditioned", PARAMETERS, index=i, positive=True, **sizes) for i in range(2)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A model folder, which tests only read."""
    folder = tmp_path_factory.mktemp("models") / "whole.model"
    for member in members():
        own = folder / "members" / f"{member.index:02d}"
        own.mkdir(parents=True)
        write_weights(own / WEIGHTS, member)
        write_scalers(own / "scalers.h5", replace(member.scalers, transform="sqrt"))
    features = np.zeros((3, N_FEATURES), np.float32)
    parts = np.array([0, 1, 2, 3, 4, 3, 0], np.uint8)
    names = ["A_1", "B_1", "C", "D", "E", "twice", "twice"]
    formulas = ["FeO", "FeO2", "", "FeO3", "FeO4", "FeO5", "FeO6"]
    TrainingSites(names, formulas, parts, features, ("train", "validation")).write(folder / "sites.h5")
    write_description(folder, DESCRIPTION_OF_MODEL)
    return folder


@pytest.fixture
def copy(whole, tmp_path):
    """A copy of the folder that tests may damage."""
    shutil.copytree(whole, tmp_path / "copy.model")
    return tmp_path / "copy.model"


def described(folder, key, value):
    """Set a value of the description, by dotted key."""
    description = json.loads((folder / DESCRIPTION).read_text())
    *groups, last = key.split(".")
    inner = description
    for group in groups:
        inner = inner[group]
    inner[last] = value
    (folder / DESCRIPTION).write_text(json.dumps(description))


def test_a_folder_returns_what_was_written(whole):
    found = Model.open(whole)
    for member, written in zip(found.members, members(), strict=True):
        assert member.index == written.index
        assert member.scalers.transform == "sqrt"
        for name in ("feature_mean", "feature_scale", "target_mean", "target_scale", "softness"):
            np.testing.assert_array_equal(getattr(member.scalers, name), getattr(written.scalers, name))
        assert member.weights.keys() == written.weights.keys()
        for name, pair in written.weights.items():
            for read, weight in zip(member.weights[name], pair, strict=True):
                np.testing.assert_array_equal(read, weight)
    assert found.method == "dropout"
    assert found.calibration.conformal == ((0.9, 1.7),)
    assert found.training_sites.trained == ("train", "validation")


def test_absorbers_not_seen_in_training_get_the_index_of_the_nearest_trained_element(whole):
    elements, edges = np.array([26, 26, 92, 30, 27, 27, 90]), ["K", "L3", "M4", "K", "K", "L3", "K"]
    assert Model.open(whole).absorbers(elements, edges).tolist() == [0, 1, 3, 0, 0, 1, 0]


def test_an_absorber_without_training_sites_counts_as_unseen(whole):
    found = Model.open(whole).unseen(np.array([26, 30, 26, 27]), ["K", "K", "L2", "K"])
    assert found == ["", "Zn K", "Fe L2", "Co K"]


def test_the_set_of_a_site_is_found_by_name_and_formula(whole):
    sites = Model.open(whole).training_sites
    names = ["A_1", "A_1", "A_1", "C", "E", "new", "D"]
    formulas = ["FeO", "FeO9", "", "anything", "FeO4", "FeO", "FeO3"]
    assert sites.sets_of(names, formulas) == ["train", "none", "train", "calibration", "none", "none", "test"]


def test_sites_of_the_same_name_are_told_apart_by_formula_or_count_as_trained(whole):
    sites = Model.open(whole).training_sites
    assert sites.sets_of(["twice"] * 3, ["FeO5", "FeO6", ""]) == ["test", "train", "train"]


def test_twins_are_among_the_trained_sites(whole):
    sites = replace(
        Model.open(whole).training_sites, names=["ABCDEF_1", "BCDEFG_1", "C", "CDEFGH", "E", "twice", "twice"]
    )
    names = ["ABCDEF_2", "BCDEFG_9", "ABCDEF_1", "new", "new", "CDEFGH_2"]
    formulas = ["", "FeO", "FeO", "FeO2", "FeO3", "FeO6"]
    assert sites.twins_of(names, formulas) == ["code", "code+formula", "", "formula", "", "formula"]


def test_sites_of_an_earlier_model_still_count_as_trained(whole, tmp_path):
    """Even if this model holds them out, such as D, which is recognised by formula and name."""
    first = Model.open(whole).training_sites
    sites = replace(first, earlier=[("D", "FeO3"), ("ABCDEF_7", "")])
    sites.write(tmp_path / "sites.h5")
    read = read_training_sites(tmp_path / "sites.h5", N_FEATURES)
    assert (read.earlier, first.earlier) == (sites.earlier, [])
    assert read.trained_on == [("A_1", "FeO"), ("B_1", "FeO2"), ("twice", "FeO6"), *sites.earlier]
    assert read.twins_of(["D", "ABCDEF_8", "A_1"], ["FeO3", "", "FeO"]) == ["code+formula", "code", ""]
    assert read.n_tested_known_earlier == 1


def test_the_digest_covers_every_number(whole, copy):
    before = Model.open(whole).digest
    assert Model.open(copy).digest == before
    seen = {before}
    for change in (
        lambda file: file["feature_mean"].__setitem__(3, 0.5),
        lambda file: file["softness"].__setitem__((2, 4), 0.5),
        lambda file: file.attrs.__setitem__("transform", "none"),
    ):
        with h5py.File(copy / "members/01/scalers.h5", "r+") as file:
            change(file)
        seen.add(Model.open(copy).digest)
    described(copy, "trust.threshold", 2.0)
    seen.add(Model.open(copy).digest)
    assert len(seen) == 5


def test_scalers_of_schema_1_apply_to_all_absorbers(copy):
    for path in copy.glob("members/*/scalers.h5"):
        with h5py.File(path, "r+") as file:
            for name in ("target_mean", "target_scale"):
                row = file[name][1]
                del file[name]
                file[name] = row
            del file["softness"]
    described(copy, "schema_version", 1)
    (first, _), written = Model.open(copy).members, members()[0].scalers
    np.testing.assert_array_equal(first.scalers.target_mean, np.repeat(written.target_mean[1:2], len(SEEN), axis=0))
    assert first.scalers.softness is None


def replaced(path, name, values):
    """Return a function that replaces a dataset in a file of the folder."""

    def change(folder):
        with h5py.File(folder / path, "r+") as file:
            del file[name]
            if values is not None:
                file[name] = values

    return change


def read_whole(folder):
    """Read everything that a prediction needs."""
    found = Model.open(folder)
    return found.members, found.training_sites


SCALERS_FILE, WEIGHTS_FILE = "members/00/scalers.h5", f"members/00/{WEIGHTS}"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda m: (m / DESCRIPTION).unlink(), "not a model folder"),
        (lambda m: (m / DESCRIPTION).write_text("{"), "damaged: not a model's description"),
        (lambda m: (m / DESCRIPTION).write_text("[" * 100_000), "damaged: not a model's description"),
        (lambda m: (m / DESCRIPTION).write_text("[]"), "damaged: not a model's description"),
        (lambda m: described(m, "schema_version", 99), "model of schema 99; this program reads up to schema 5"),
        (lambda m: (m / WEIGHTS_FILE).unlink(), "no such file: the model is incomplete"),
        (lambda m: (m / SCALERS_FILE).write_bytes(b"junk"), "scalers.h5: damaged: "),
        (lambda m: (m / WEIGHTS_FILE).write_bytes(b"junk"), f"{WEIGHTS}: damaged: "),
        (lambda m: shutil.rmtree(m / "members/00"), "expected 2 members, found 1"),
        (lambda m: stored.flip_a_byte(m / SCALERS_FILE, "softness"), "scalers.h5: damaged: "),
        (replaced(SCALERS_FILE, "target_mean", None), "scalers.h5: damaged: "),
        (replaced(SCALERS_FILE, "feature_mean", np.zeros(3)), "feature_mean: expected shape (7,), received (3,)"),
        (replaced(SCALERS_FILE, "target_mean", np.ones((2, 11))), "target_mean: expected shape (4, 11), rec"),
        (replaced(SCALERS_FILE, "softness", np.ones((4, 9))), "softness: expected shape (4, 11), received (4, 9)"),
        (replaced(SCALERS_FILE, "feature_scale", np.zeros(7)), "feature_scale: expected positive finite numbers"),
        (replaced(SCALERS_FILE, "feature_mean", np.full(7, np.nan)), "feature_mean: expected finite numbers"),
        (replaced(SCALERS_FILE, "feature_mean", "text"), "scalers.h5: damaged: "),
        (replaced("sites.h5", "part", np.zeros(3, "u1")), "expected columns of equal length, received {'name': 7, "),
        (replaced("sites.h5", "formula", np.zeros(7)), "sites.h5: damaged: "),
        (replaced("sites.h5", "features", np.zeros((3, 4))), "features: expected shape (n_sites, 7), received (3, 4)"),
        (replaced("sites.h5", "features", np.zeros((0, 7))), "features: expected shape (n_sites, 7), received (0, 7)"),
        (lambda m: (m / "sites.h5").unlink(), "sites.h5: no such file: the model is incomplete"),
    ],
)  # fmt: skip
def test_a_damaged_folder_is_refused(copy, damage, message):
    damage(copy)
    with pytest.raises(StoreError, match=rf"^[^\n]*{re.escape(message)}[^\n]*$"):
        read_whole(copy)


def test_weights_that_do_not_fit_the_network_are_refused(copy):
    replaced(WEIGHTS_FILE, "layers/layer_0/vars/0", np.zeros((2, 5), "f4"))(copy)
    with pytest.raises(ModelError, match=r"layer scale_0: expected weights of shapes \(\(4, 5\), \(5,\)\), received"):
        read_whole(copy)
    described(copy, "architecture.parameters", {"widht": 5})
    with pytest.raises(ModelError, match="architecture conditioned has no parameter 'widht'; did you mean 'width'"):
        read_whole(copy)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("architecture.name", None, "architecture.name: expected text, received nothing"),
        ("n_features", "49", 'n_features: expected a positive integer, received "49"'),
        ("grid.energies", [2.0, 1.0], "grid.energies: expected a list of two or more ascending finite numbers"),
        ("grid.energies", [1.0, float("inf")], "grid.energies: expected a list of two or more ascending finite"),
        ("grid.energies", [1, 10**400], "grid.energies: expected a list of two or more ascending finite numbers"),
        ("grid.energies", [1.0, 2.0], "calibration.scale: expected 2 numbers, one per energy, received 11"),
        ("grid.origin", 3, "grid.origin: expected e0 or absolute, received 3"),
        ("target", "xanes", "target.kind: expected text, received nothing"),
        ("seen", [], "seen: expected a list of objects with element, edge and e0"),
        ("seen", [{"element": "Fe"}], "seen: expected a list of objects with element, edge and e0"),
        ("seen", [{"element": "Q", "edge": "K", "e0": 1.0}], "seen: expected a list of objects with element, edge"),
        ("seen", 2 * [{"element": "Fe", "edge": "K", "e0": 1.0}], "seen: expected a list of objects with element, "),
        ("calibration", {"sigma_scale": "x"}, "calibration: expected an object with positive numbers scale, numbers "),
        ("calibration.scale", [0.0] * 11, "calibration: expected an object with positive numbers scale"),
        ("calibration.conformal", [{"level": 0.9}], "calibration: expected an object with positive numbers scale"),
        ("uncertainty.method", "faith", 'uncertainty.method: expected dropout, ensemble or bootstrap, received "faith'),
        ("trust", {"threshold": "far", "elements": []}, "trust: expected an object with threshold and elements"),
        ("trust", {"threshold": 1.0}, "trust: expected an object with threshold and elements"),
        ("trust.profile", None, "trust: expected an object with threshold and elements"),
        ("trust.excess", {"limit": "far"}, "trust: expected an object with threshold and elements"),
        ("trust.neighbours", {"least": 4}, "trust: expected an object with threshold and elements"),
        ("trust.profile", {"columns": [10**6], "limit": 1.0}, "trust.profile: expected columns below "),
    ],
)  # fmt: skip
def test_a_wrong_or_missing_value_in_the_description_is_named(copy, key, value, message):
    described(copy, key, value)
    with pytest.raises(StoreError, match=re.escape(f"{copy / DESCRIPTION}: damaged: {message}")):
        Model.open(copy)


def test_without_calibration_sigma_is_the_spread_of_the_draws(copy):
    described(copy, "calibration", {})
    found = Model.open(copy).calibration
    np.testing.assert_array_equal(found.sigma(Evidence(np.full((1, N_ENERGIES), 0.3))), 0.3)
    assert (found.conformal, found.n_sites) == ((), 0)


def test_the_default_method_is_dropout(copy):
    description = json.loads((copy / DESCRIPTION).read_text())
    del description["uncertainty"], description["trust"]
    (copy / DESCRIPTION).write_text(json.dumps(description))
    found = Model.open(copy)
    assert (found.method, found.trust) == ("dropout", {})


@pytest.mark.parametrize("name", [DESCRIPTION, "sites.h5", f"members/00/{WEIGHTS}", "members/01"])
def test_nothing_outside_the_folder_is_read(copy, tmp_path, name):
    elsewhere = tmp_path / "elsewhere"
    (copy / name).rename(elsewhere)
    (copy / name).symlink_to(elsewhere)
    with pytest.raises(StoreError, match=r"leads through a link to .*elsewhere.*, outside the model folder"):
        _ = Model.open(copy).members, Model.open(copy).training_sites


def test_a_link_to_a_model_folder_is_followed(copy, tmp_path):
    (tmp_path / "latest.model").symlink_to(copy)
    assert Model.open(tmp_path / "latest.model").members
