"""Stores of every schema version stay readable, and mean the same."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import xanes_hpc_schema
from xanes_hpc import descriptors
from xanes_hpc.evaluation import evaluate
from xanes_hpc.information import inform
from xanes_hpc.prediction import PredictOptions, predict
from xanes_hpc.stores import hdf5, spectra
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.models import SCHEMA, ModelFolder
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structures import STRUCTURE_NAMES, StructureStore

ARCHIVES = Path(__file__).parent / "archives"


def test_every_schema_version_has_its_archive():
    written = {p.stem for p in Path(xanes_hpc_schema.__file__).parent.glob("*.json")}
    assert written == {p.stem for p in ARCHIVES.glob("*.h5")}
    assert {p.name for p in ARCHIVES.glob("model-*")} == {f"model-{version}" for version in range(1, SCHEMA + 1)}


@pytest.mark.parametrize("name", sorted(p.name for p in ARCHIVES.glob("*-*")))
def test_an_archive_is_read(name):
    assert inform(ARCHIVES / name)["kind"] == name.partition("-")[0]


def test_structures_mean_the_same():
    with StructureStore(ARCHIVES / "structures-1.h5") as store:
        assert store.attribute("digest_structures") == hdf5.digest(store.file, STRUCTURE_NAMES)
        assert store.attribute("digest_spectra") == hdf5.digest(store.file, spectra.spectrum_names(store.file))
        assert store.sites().name[3] == "demo0003_Co_tetrahedral"
        assert (store.n_structures, store.n_sites, store.n_spectra) == (24, 24, 24)


def test_features_are_computed_the_same():
    with FeatureStore(ARCHIVES / "features-1.h5") as features, features.open_source() as source:
        descriptor = descriptors.from_description(features.description)
        assert descriptor.hash == features.attribute("descriptor_hash")
        again = descriptor.compute(source.batch(0, 24))
        np.testing.assert_allclose(again, features.read(0, 24), rtol=1e-10, atol=1e-12)


def test_a_model_predicts_the_same(tmp_path):
    model = tmp_path / "model"
    shutil.copytree(ARCHIVES / "model-1", model)
    with FeatureStore(ARCHIVES / "features-1.h5") as features:
        predict(ModelFolder(model), features, tmp_path / "p.h5", PredictOptions(draws=5, force=True))
    with PredictionStore(ARCHIVES / "predictions-1.h5") as then, PredictionStore(tmp_path / "p.h5") as now:
        for name in ("mean", "std", "reference"):
            np.testing.assert_allclose(now.read(name), then.read(name), rtol=1e-4, atol=1e-5)
        assert evaluate(now)["n_sites"] == evaluate(then)["n_sites"] == 24
        assert now.attribute("model_digest") == then.attribute("model_digest")


def test_a_model_of_schema_1_has_what_schema_2_added(tmp_path):
    found = ModelFolder(ARCHIVES / "model-1")
    assert (found.method, found.trust) == ("dropout", {})
    assert found.calibration.n_sites == 2
    assert found.training_sites.trained == ("train",)
    (member,) = found.members
    assert member.scalers.target_mean.shape == (len(found.seen), 201)
    assert member.scalers.softness is None


ROWS, ENERGIES = [0, 3, 9], [0, 50, 100, 200]
THEN = {
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
}
"""What model-2 made of some sites at some energies."""


def test_a_model_of_schema_2_predicts_the_same(tmp_path):
    model = tmp_path / "model"
    shutil.copytree(ARCHIVES / "model-2", model)
    with FeatureStore(ARCHIVES / "features-1.h5") as features:
        predict(ModelFolder(model), features, tmp_path / "p.h5", PredictOptions(draws=5))
    with PredictionStore(tmp_path / "p.h5") as now:
        for name, then in THEN.items():
            np.testing.assert_allclose(now.read(name)[ROWS][:, ENERGIES], then, rtol=1e-4, atol=1e-5)
        assert now.attribute("model_digest") == "95d84cd6c7a22cbf474afda714b7417519a360411bc34a6662f49ef232d210df"
        assert [row for row, reason in enumerate(now.distrust) if reason] == [7]
        assert now.distrust[7] == "absorber not seen in training: Fe K; elements not seen in training: Fe"
