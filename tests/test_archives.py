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
from xanes_hpc.stores.models import ModelFolder
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structures import STRUCTURE_NAMES, StructureStore

ARCHIVES = Path(__file__).parent / "archives"


def test_every_schema_version_has_its_archive():
    written = {p.stem for p in Path(xanes_hpc_schema.__file__).parent.glob("*.json")}
    assert written == {p.stem for p in ARCHIVES.glob("*.h5")}


@pytest.mark.parametrize("name", sorted(p.name for p in ARCHIVES.glob("*-*")))
def test_an_archive_is_read(name):
    assert inform(ARCHIVES / name)["kind"] == name.partition("-")[0]


def test_structures_mean_the_same():
    with StructureStore(ARCHIVES / "structures-1.h5") as store:
        assert store.attribute("digest_structures") == hdf5.digest(store.file, STRUCTURE_NAMES)
        assert store.attribute("digest_spectra") == hdf5.digest(store.file, spectra.NAMES)
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
