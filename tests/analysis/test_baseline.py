"""Predictions against a baseline: figures of both by hand, and baselines that do not fit."""

import json
import shutil

import h5py
import numpy as np
import pytest
from support.builders import refused, run

from xanes_hpc.stores.predictions import PredictionStore


@pytest.fixture(scope="module")
def predicted(model, small, tmp_path_factory):
    path = tmp_path_factory.mktemp("predicted") / "p.h5"
    assert run("predict", small / "small.h5", "--model", model, "-o", path, "--draws", 4) == 0
    return path


def figures(capsys, *arguments):
    capsys.readouterr()
    assert run("evaluate", *arguments, "--json", "-") == 0
    return json.loads(capsys.readouterr().out)


def test_a_model_is_compared_with_the_mean_of_its_training_spectra(predicted, model, capsys):
    with PredictionStore(predicted) as store:
        reference, mean, elements = store.read("reference"), store.read("mean"), store.sites.element
        train = np.array(store.texts("part")) == "train"
        trained = np.array([reference[train & (elements == z)].mean(axis=0) for z in elements])
    own, theirs = (np.median(((reference - y) ** 2).mean(axis=1)) for y in (mean, trained))
    found = figures(capsys, predicted, "--baseline", model)
    assert found["mse_median"] == pytest.approx(own, rel=1e-6)
    assert found["baseline"]["mse_median"] == pytest.approx(theirs, rel=1e-4)
    assert found["baseline"]["eta"] == pytest.approx(theirs / own, rel=1e-4)
    errors = 100 * np.abs(reference - trained).sum(axis=1) / np.abs(reference).sum(axis=1)
    assert found["baseline"]["error_percent_mean"] == pytest.approx(errors.mean(), rel=1e-4)


def test_other_predictions_are_found_by_the_names_of_their_sites(predicted, tmp_path, capsys):
    """A baseline at twice the distance from the references has four times the squared error."""
    other = tmp_path / "other.h5"
    shutil.copy(predicted, other)
    with h5py.File(other, "r+") as file:
        file["mean"][:] = 2.0 * file["mean"][:] - file["reference"][:]
        for name in ("mean", "reference", "sites/name"):
            file[name][:] = file[name][:][::-1]
    found = figures(capsys, predicted, "--baseline", other)["baseline"]
    assert found["eta"] == pytest.approx(4.0, rel=1e-4)
    assert found["fraction_better"] == 1.0
    assert figures(capsys, other, "--baseline", predicted)["baseline"]["eta"] == pytest.approx(0.25, rel=1e-4)


def test_a_baseline_that_does_not_fit_is_refused(predicted, model, tmp_path, capsys):
    other = tmp_path / "other.h5"
    shutil.copy(predicted, other)
    with h5py.File(other, "r+") as file:
        file.attrs["model_digest"] = "0" * 64
        file["sites/name"][0] = "unknown"
    assert "predictions by another model" in refused(capsys, tmp_path, "evaluate", other, "--baseline", model)
    assert "no prediction of " in refused(capsys, tmp_path, "evaluate", predicted, "--baseline", other)
    with h5py.File(other, "r+") as file:
        file["energy"][0] -= 0.01
    assert "energies: expected those of" in refused(capsys, tmp_path, "evaluate", predicted, "--baseline", other)
