"""K-fold cross-validation: which model predicts which site, which files are written, and resuming."""

import json
import re
import shutil

import h5py
import numpy as np
import pytest
from support.trainings import FEATURES, TINY, copied, opened, run_of

from xanes_hpc.analysis.evaluate import error_percent
from xanes_hpc.cli import main
from xanes_hpc.errors import ConfigError, StoreError
from xanes_hpc.model_selection import cross_validation
from xanes_hpc.model_selection.cross_validation import FIGURES, cross_validate
from xanes_hpc.models.model import Model
from xanes_hpc.stores.predictions import PredictionStore

N_FOLDS = 3


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_of(tmp_path_factory.mktemp("run"), split__folds=N_FOLDS, training__epochs=2)


@pytest.fixture(scope="module")
def validated(small, run, tmp_path_factory):
    """Return the folder of a cross-validation, and its result."""
    output = tmp_path_factory.mktemp("validated") / "small.folds"
    with opened(small / FEATURES) as pairs:
        return output, cross_validate(run, pairs, output, final=False)


def predictions(output):
    for fold in range(N_FOLDS):
        with PredictionStore(output / f"fold-{fold}.predictions.h5") as store:
            yield store.sites.name, store.texts("twin"), store.read("reference"), store.read("mean")


def test_every_site_is_predicted_once_by_a_model_that_has_not_seen_its_formula(validated, small):
    output, _ = validated
    found = list(predictions(output))
    names = [name for own, *_ in found for name in own]
    with opened(small / FEATURES) as ((store, _),):
        assert sorted(names) == sorted(store.sites.name)
    for fold, (own, twins, *_) in enumerate(found):
        sites = Model.open(output / f"fold-{fold}.model").training_sites
        held_out = {name for name, part in zip(sites.names, sites.sets, strict=True) if part == 3}
        assert held_out == set(own)
        assert not any("formula" in twin for twin in twins)


def test_the_summary_agrees_with_the_predictions(validated):
    output, summary = validated
    assert json.loads((output / "folds.json").read_text()) == summary
    errors = [error_percent(reference, mean).mean() for _, _, reference, mean in predictions(output)]
    assert summary["mean"].keys() == summary["std"].keys() == FIGURES.keys()
    assert [fold["error_percent_mean"] for fold in summary["folds"]] == pytest.approx(errors)
    assert summary["mean"]["error_percent_mean"] == pytest.approx(np.mean(errors))
    assert summary["std"]["error_percent_mean"] == pytest.approx(np.std(errors, ddof=1))


def test_finished_folds_are_kept_and_the_others_resumed(validated, run, small, tmp_path, monkeypatch):
    """Stopped before the second fold and resumed, it keeps the first model and ends with the same figures."""
    _, whole = validated
    output, trained, train = tmp_path / "f", [], cross_validation.train

    def stopped(config, pairs, model, *options, **more):
        trained.append(model.name)
        if model.name == "fold-1.model" and trained.count(model.name) == 1:
            raise KeyboardInterrupt
        return train(config, pairs, model, *options, **more)

    monkeypatch.setattr(cross_validation, "train", stopped)
    with opened(small / FEATURES) as pairs:
        with pytest.raises(KeyboardInterrupt):
            cross_validate(run, pairs, output)
        with pytest.raises(StoreError, match=r"f: already exists.*`overwrite`"):
            cross_validate(run, pairs, output)
        resumed = cross_validate(run, pairs, output, resume=True, final=False)
    assert trained == ["fold-0.model", "fold-1.model", "fold-1.model", "fold-2.model"]
    for name, value in whole["mean"].items():
        assert resumed["mean"][name] == pytest.approx(value, rel=1e-4), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training__epochs": 9}, "run.training.epochs was 2, now 9"),
        ({"split__folds": 4}, "run.split.folds was 3, now 4"),
        ({"split__group": "none"}, 'run.split.group was "formula", now "none"'),
        ({"target__stop": 40.0}, "run.target.stop was 60.0, now 40.0"),
        ({"training__seed": 1}, "run.training.seed was 0, now 1"),
        ({"network": TINY.replace("16", "8")}, r"run.model.parameters.hidden was [16], now [8]"),
    ],
)
def test_folds_are_not_resumed_with_other_settings(validated, small, tmp_path, change, message):
    output, _ = validated
    other = run_of(tmp_path, **{"split__folds": N_FOLDS, "training__epochs": 2, **change})
    with opened(small / FEATURES) as pairs, pytest.raises(StoreError, match=re.escape(message)):
        cross_validate(other, pairs, output, resume=True)


def test_folds_are_not_resumed_with_other_spectra(validated, run, small, tmp_path):
    output, _ = validated
    features = copied(small, tmp_path)
    with h5py.File(tmp_path / "small.h5", "r+") as file:
        file.attrs["digest_spectra"] = "0" * 64
    with (
        opened(features) as pairs,
        pytest.raises(StoreError, match=r"fold-0\.model: .*digest_spectra was "),
    ):
        cross_validate(run, pairs, output, resume=True)


def test_several_stores_are_refused(run, small, tmp_path):
    with opened(small / FEATURES, small / FEATURES) as pairs, pytest.raises(ConfigError, match="`folds`: "):
        cross_validate(run, pairs, tmp_path / "f")
    assert not (tmp_path / "f").exists()


def test_ctrl_c_says_how_to_resume(small, tmp_path, capsys, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(cross_validation, "train", stopped)
    monkeypatch.chdir(copied(small, tmp_path).parent)
    (tmp_path / "xanes-hpc.toml").write_text(TINY)
    with pytest.raises(SystemExit) as ended:
        main.run(["train", FEATURES, "--folds", "3"])
    assert ended.value.code == 130
    note, *_ = capsys.readouterr().err.splitlines()
    assert note == "Note: to continue, run the same command with --resume"


def test_a_run_that_fails_at_once_writes_and_removes_nothing(validated, small, tmp_path):
    path, output = copied(small, tmp_path), tmp_path / "f"
    run = run_of(tmp_path, split__folds=N_FOLDS, training__epochs=2)
    shutil.copytree(validated[0], output)
    with h5py.File(path, "r+") as file:
        file["features"][:, 3] = np.nan
    with opened(path) as pairs:
        with pytest.raises(StoreError, match="NaN or infinite features"):
            cross_validate(run, pairs, tmp_path / "new")
        with pytest.raises(StoreError, match="NaN or infinite features"):
            cross_validate(run, pairs, output, overwrite=True)
    assert not (tmp_path / "new").exists()
    assert len(list(output.iterdir())) == 2 * N_FOLDS + 1


def test_overwriting_removes_all_earlier_folds(validated, small, tmp_path, monkeypatch):
    """Those of an unfinished cross-validation too."""
    output = tmp_path / "f"
    shutil.copytree(validated[0], output)
    (output / "fold-2.predictions.h5").unlink()

    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(cross_validation, "train", stopped)
    run = run_of(tmp_path, split__folds=N_FOLDS, training__seed=1)
    with opened(small / FEATURES) as pairs, pytest.raises(KeyboardInterrupt):
        cross_validate(run, pairs, output, overwrite=True)
    assert [path.name for path in output.iterdir()] == ["folds.json"]
    assert json.loads((output / "folds.json").read_text())["folds"] == []
