"""Predictions out of domain: which are flagged, and where the reason is shown."""

import json
import shutil

import pytest
from support.builders import run

from xanes_hpc.features.featurise import describe_sites
from xanes_hpc.models.model import Model
from xanes_hpc.prediction.site_features import model_descriptor
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structures import StructureStore

IRON_OXIDE = "3\n\nFe 0 0 0\nO 0 0 1.9\nO 0 0 -1.9\n"
FAR = "unlike the training set: kernel distance "


@pytest.fixture
def predicted(model, tmp_path):
    """Return a function that predicts structures, given as XYZ by name, and returns the store."""

    def predict(structures, *options, trust=None):
        folder = model
        if trust is not None:
            folder = tmp_path / "copy.model"
            shutil.copytree(model, folder)
            description = json.loads((folder / "model.json").read_text())
            (folder / "model.json").write_text(json.dumps(description | {"trust": trust}))
        (tmp_path / "xyz").mkdir()
        for name, text in structures.items():
            (tmp_path / "xyz" / f"{name}.xyz").write_text(text)
        output = tmp_path / "p.h5"
        assert run("predict", tmp_path / "xyz", "--model", folder, "-o", output, "--draws", 4, *options) == 0
        return PredictionStore(output)

    return predict


def trusting(model, **others):
    """Return a model's limits of trust as of earlier versions, with some of them changed."""
    new = ("profile", "excess", "neighbours")
    return {name: value for name, value in Model.open(model).trust.items() if name not in new} | others


def test_the_sites_a_model_was_trained_on_are_trusted(model, small, tmp_path):
    assert run("predict", small / "small.h5", "--model", model, "-o", tmp_path / "p.h5", "--draws", 4) == 0
    with PredictionStore(tmp_path / "p.h5") as store:
        parts, distrust, nearest = store.texts("part"), store.distrust, store.read("sites/nearest")
    opened = Model.open(model)
    with StructureStore(small / "small.h5") as source:
        x = describe_sites(model_descriptor(opened), source, 0, source.n_sites)
    scores = opened.domain.scores(opened.members[0].scalers.features(x))
    beyond = scores.profile > opened.trust["profile"]["limit"]
    beyond |= scores.excess > opened.trust["excess"]["limit"]
    beyond |= nearest > opened.trust["threshold"]
    assert [reason.startswith("unlike the training set: ") for reason in distrust] == beyond.tolist()
    assert not any(reason for reason, part in zip(distrust, parts, strict=True) if part == "train")
    assert sum(map(bool, distrust)) < 12


@pytest.mark.parametrize(("text", "count"), [("1\n\nFe 0 0 0\n", "0 neighbours"), (IRON_OXIDE, "2 neighbours")])
def test_a_site_with_few_neighbours_is_out_of_domain(predicted, text, count):
    """All its features are small, so that it is near to many training sites by their mean difference."""
    (reason,) = predicted({"a": text}).distrust
    assert reason.startswith(f"unlike the training set: {count} within 3 Å, training sites have 4 to 24, ")


def test_elements_that_the_model_has_not_seen_are_named(model, predicted, capsys):
    trust = trusting(model, threshold=1e9)
    store = predicted({"a": IRON_OXIDE, "b": IRON_OXIDE.replace("O", "Xe")}, trust=trust)
    assert store.distrust == ["", "elements not seen in training: Xe"]
    warning = "Note: 1 of 2 predictions out of domain: b (elements not seen in training: Xe)"
    assert warning in capsys.readouterr().err.splitlines()


def test_a_site_far_from_the_training_sites_is_flagged_with_its_distance(model, predicted):
    store = predicted({"a": IRON_OXIDE}, trust=trusting(model, threshold=1e-6, elements=["Fe", "O"]))
    distance = store.read("sites/nearest")[0]
    n = len(Model.open(model).regression.landmarks)  # each was left out once
    assert store.distrust == [f"{FAR}{distance:.2g}, limit 1e-06 (99th percentile of {n} held-out sites)"]


def test_an_absorber_predicted_with_force_is_flagged(model, predicted):
    trust = trusting(model, threshold=1e9, elements=["Fe", "O"])
    store = predicted({"a": IRON_OXIDE.replace("Fe", "Zn")}, "--force", trust=trust)
    assert store.distrust == ["absorber not seen in training: Zn K; elements not seen in training: Zn"]


def test_an_edge_predicted_with_force_is_flagged(model, predicted):
    trust = trusting(model, threshold=1e9, elements=["Fe", "O"])
    store = predicted({"a": IRON_OXIDE}, "--force", "--edge", "L3", trust=trust)
    assert store.distrust == ["absorber not seen in training: Fe L3"]


def test_only_the_first_few_sites_are_named(model, predicted, capsys):
    trust = trusting(model, threshold=1e9, elements=["Fe"])
    predicted({f"s{i}": IRON_OXIDE for i in range(7)}, trust=trust)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Note: ")]
    reason = "(elements not seen in training: O)"
    assert line == f"Note: 7 of 7 predictions out of domain: s0 {reason}, s1 {reason}, s2 {reason}, …"


def test_a_model_without_limits_of_trust_flags_nothing(predicted, capsys):
    store = predicted({"a": IRON_OXIDE.replace("O", "Xe")}, trust={"threshold": None, "elements": []})
    assert store.distrust == [""]
    assert "trust" not in capsys.readouterr().err


def test_the_reason_is_in_the_header_of_the_csv_file(model, predicted, tmp_path):
    structures = {"a": IRON_OXIDE, "b": IRON_OXIDE.replace("O", "Xe")}
    predicted(structures, "--csv", tmp_path / "csv", trust=trusting(model, threshold=1e9))
    first, second = ((tmp_path / "csv" / f"{name}.csv").read_text().splitlines()[0] for name in "ab")
    assert first == "# a; e0 7112 eV; treatment synthetic"
    assert second == f"{first.replace('a;', 'b;', 1)}; not to be trusted: elements not seen in training: Xe"
