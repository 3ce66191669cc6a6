"""Archived stores and models of every schema version stay readable, with the same meaning."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.places import ARCHIVES

import xanes_hpc_schema
from xanes_hpc import descriptors
from xanes_hpc.analysis.evaluate import evaluate
from xanes_hpc.analysis.inspect import inform
from xanes_hpc.models.folder import SCHEMA
from xanes_hpc.models.model import Model
from xanes_hpc.prediction.predict import PredictOptions, predict
from xanes_hpc.stores import hdf5, spectra
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structure_writer import STRUCTURE_NAMES
from xanes_hpc.stores.structures import StructureStore


def test_every_schema_version_has_its_archive():
    written = {p.stem for p in Path(xanes_hpc_schema.__file__).parent.glob("*.json")}
    assert written == {p.stem for p in ARCHIVES.glob("*.h5")}
    assert {p.name for p in ARCHIVES.glob("model-*")} == {f"model-{version}" for version in range(1, SCHEMA + 1)}


@pytest.mark.parametrize("name", sorted(p.name for p in ARCHIVES.glob("*-*")))
def test_an_archive_is_read(name):
    assert inform(ARCHIVES / name)["kind"] == name.partition("-")[0]


def test_archived_structures_are_unchanged():
    with StructureStore(ARCHIVES / "structures-1.h5") as store:
        assert store.attribute("digest_structures") == hdf5.digest(store.file, STRUCTURE_NAMES)
        assert store.attribute("digest_spectra") == hdf5.digest(store.file, spectra.spectrum_names(store.file))
        assert store.sites.name[3] == "demo0003_Co_tetrahedral"
        assert (store.n_structures, store.n_sites, store.n_spectra) == (24, 24, 24)


def test_archived_features_are_reproduced():
    with FeatureStore(ARCHIVES / "features-1.h5") as features, features.open_source() as source:
        descriptor = descriptors.from_description(features.description)
        assert descriptor.hash == features.attribute("descriptor_hash")
        again = descriptor.compute(source.batch(0, 24))
        np.testing.assert_allclose(again, features.read(0, 24), rtol=1e-10, atol=1e-12)


def test_a_model_predicts_the_same(tmp_path):
    model = tmp_path / "model"
    shutil.copytree(ARCHIVES / "model-1", model)
    with FeatureStore(ARCHIVES / "features-1.h5") as features:
        predict(Model.open(model), features, tmp_path / "p.h5", PredictOptions(draws=5, force=True))
    with PredictionStore(ARCHIVES / "predictions-1.h5") as then, PredictionStore(tmp_path / "p.h5") as now:
        for name in ("mean", "std", "reference"):
            np.testing.assert_allclose(now.read(name), then.read(name), rtol=1e-4, atol=1e-5)
        assert evaluate(now)["n_sites"] == evaluate(then)["n_sites"] == 24
        assert now.attribute("model_digest") == then.attribute("model_digest")


def test_a_model_of_schema_1_gets_defaults_for_what_schema_2_added(tmp_path):
    found = Model.open(ARCHIVES / "model-1")
    assert (found.method, found.trust) == ("dropout", {})
    assert found.calibration.n_sites == 2
    assert found.training_sites.trained == ("train",)
    (member,) = found.members
    assert member.scalers.target_mean.shape == (len(found.seen), 201)
    assert member.scalers.softness is None


ROWS = [0, 3, 9]
ENERGIES = {2: [0, 50, 100, 200], 3: [0, 20, 40, 80], 4: [0, 20, 40, 80], 5: [0, 20, 40, 80]}
THEN = {
    2: {
        "mean": [
            [0.04869065433740616, 0.33648326992988586, 0.965036153793335, 0.9830230474472046],
            [0.01631777361035347, 0.8010726571083069, 1.0072957277297974, 0.9931467175483704],
            [0.04792332276701927, 0.46219170093536377, 0.9201216101646423, 0.9505881071090698],
        ],
        "std": [
            [0.05225431174039841, 0.24664948880672455, 0.041501469910144806, 0.0935845747590065],
            [0.05685071647167206, 0.3073712885379791, 0.0952419638633728, 0.07941675186157227],
            [0.040358927100896835, 0.20230183005332947, 0.06024711951613426, 0.06236054375767708],
        ],
    },
    3: {
        "mean": [
            [0.035145051777362823, 0.39361900091171265, 1.0895012617111206, 1.0524663925170898],
            [0.012256927788257599, 0.29124757647514343, 1.2766443490982056, 1.1460168361663818],
            [0.0006848536431789398, 0.36476269364356995, 1.1244715452194214, 1.0980457067489624],
        ],
        "std": [
            [0.03130320459604263, 0.2804182767868042, 0.20411287248134613, 0.15547367930412292],
            [0.023954017087817192, 0.20493550598621368, 0.17226329445838928, 0.12476018071174622],
            [0.026669450104236603, 0.27796679735183716, 0.18042387068271637, 0.15486890077590942],
        ],
    },
    4: {
        "mean": [
            [0.03411555290222168, 0.439206600189209, 1.1099923849105835, 1.040175437927246],
            [0.013290573842823505, 0.3063071668148041, 1.2548611164093018, 1.1366536617279053],
            [0.0006848535849712789, 0.4087029695510864, 1.2880191802978516, 1.1224838495254517],
        ],
        "std": [
            [0.02924257144331932, 0.21099388599395752, 0.17582584917545319, 0.11580981314182281],
            [0.028180968016386032, 0.1445895880460739, 0.17377816140651703, 0.11221533268690109],
            [0.024859678000211716, 0.1860046535730362, 0.17168879508972168, 0.15040618181228638],
        ],
    },
    5: {
        "mean": [
            [0.022154267877340317, 0.384164422750473, 1.179440975189209, 1.0807889699935913],
            [0.011100909672677517, 0.3134720027446747, 1.2698383331298828, 1.1390374898910522],
            [0.012570735067129135, 0.24873802065849304, 1.0998742580413818, 1.010550618171692],
        ],
        "std": [
            [0.034968890249729156, 0.16518422961235046, 0.1492042988538742, 0.10110489279031754],
            [0.03460438922047615, 0.13275441527366638, 0.1557561457157135, 0.09878656268119812],
            [0.034327711910009384, 0.1847427487373352, 0.14668115973472595, 0.13092611730098724],
        ],
    },
}
"""Predictions of models of later schemas for some sites at some energies."""
DIGESTS = {
    2: "95d84cd6c7a22cbf474afda714b7417519a360411bc34a6662f49ef232d210df",
    3: "cf795b6a4e920f3254519b3e8daaa82228a3906d27481044105845586583509b",
    4: "03e6b02e8122c6d50a4e682c98caf7d09a1f83f8b9d0d7fa43120f914c7bc9b5",
    5: "1b6d250af8d11d447ce2cb41d73a28293ef4ee1a95534cda6cc12b1a8b5d3a15",
}


@pytest.mark.parametrize("schema", sorted(THEN))
def test_later_models_predict_the_same(schema, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(ARCHIVES / f"model-{schema}", model)
    with FeatureStore(ARCHIVES / "features-1.h5") as features:
        predict(Model.open(model), features, tmp_path / "p.h5", PredictOptions(draws=5))
    with PredictionStore(tmp_path / "p.h5") as now:
        for name, then in THEN[schema].items():
            np.testing.assert_allclose(now.read(name)[ROWS][:, ENERGIES[schema]], then, rtol=1e-4, atol=1e-5)
        assert now.attribute("model_digest") == DIGESTS[schema]
        distrusted = {row: reason for row, reason in enumerate(now.distrust) if reason}
    unseen = "absorber not seen in training: Fe K; elements not seen in training: Fe"
    assert distrusted == ({7: unseen} if schema == 2 else {})


def test_a_model_of_schema_2_with_a_regression_and_a_distance(tmp_path):
    """The model is model-3 without what schema 3 added, and with its distance as in schema 2."""
    shutil.copytree(ARCHIVES / "model-3", tmp_path / "model")
    description = json.loads((tmp_path / "model" / "model.json").read_text())
    calibration = description["calibration"]
    factor = calibration.pop("factors")["distance"]
    calibration["distance"] = {"slope": factor.pop("exponent"), **factor}
    del calibration["sizes"]
    (tmp_path / "model" / "model.json").write_text(json.dumps(description | {"schema_version": 2}))
    with h5py.File(tmp_path / "model" / "regression.h5", "r+") as file:
        assert file["errors"].shape == (60, 81)
        del file["errors"]
    then, now = Model.open(tmp_path / "model"), Model.open(ARCHIVES / "model-3")
    with FeatureStore(ARCHIVES / "features-1.h5") as features:
        x, sites = features.read(0, 24), features.sites
    absorbers = then.absorbers(sites.element, sites.edge)
    drawn, evidence = then.sample(x, absorbers, 5, 0)
    newer, more = now.sample(x, absorbers, 5, 0)
    np.testing.assert_array_equal(drawn.mean, newer.mean)
    assert evidence.local_error is None
    assert more.local_error.shape == (24, 81)
    assert now.calibration.factors.keys() == {"spread", "steepness", "local_error", "distance"}
    of_distance = now.calibration.factors["distance"].values(evidence.distance[:, None])
    bare = replace(then.calibration, factors={}).sigma(evidence)
    np.testing.assert_allclose(then.calibration.sigma(evidence), bare * of_distance, rtol=1e-12)
    assert np.ptp(of_distance) > 0.1
