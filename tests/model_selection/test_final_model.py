"""The final model of a cross-validation: what it is fitted to, how it is calibrated, and how it resumes."""

import json
import shutil
from collections import Counter

import numpy as np
import pytest
from support.trainings import FEATURES, TINY, copied, history, opened, run_of

from xanes_hpc.analysis.evaluate import evaluate
from xanes_hpc.analysis.inspect import inform
from xanes_hpc.cli import main
from xanes_hpc.config.files import to_toml
from xanes_hpc.errors import StoreError
from xanes_hpc.importing import demo_data
from xanes_hpc.importing.from_files import import_structures
from xanes_hpc.importing.options import ImportOptions
from xanes_hpc.model_selection import cross_validation
from xanes_hpc.model_selection.cross_validation import FINAL, cross_validate
from xanes_hpc.models.calibration import calibrate
from xanes_hpc.models.model import Model
from xanes_hpc.models.numpy_network import DRAWS
from xanes_hpc.models.sigma_factors import Evidence
from xanes_hpc.pages.report_card import card
from xanes_hpc.prediction.predict import PredictOptions, predict
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.training.epochs import Epoch
from xanes_hpc.training.stages import Observer

N_FOLDS, N_SITES = 3, 120
SETTINGS = {
    "split__folds": N_FOLDS, "split__validation": 0.1, "training__epochs": 8, "training__gaussian_process": True,
    "training__schedule": "constant", "training__learning_rate": 0.01, "training__checkpoint_minutes": 0.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return run_of(tmp_path_factory.mktemp("run"), **SETTINGS)


@pytest.fixture(scope="module")
def validated(small, run, tmp_path_factory):
    """Return the folder of a cross-validation with its final model."""
    output = tmp_path_factory.mktemp("validated") / "small.folds"
    with opened(small / FEATURES) as pairs:
        cross_validate(run, pairs, output)
    return output


@pytest.fixture(scope="module")
def models(validated):
    return [Model.open(validated / f"fold-{fold}.model") for fold in range(N_FOLDS)]


@pytest.fixture(scope="module")
def final(validated):
    return Model.open(validated / "final.model")


def test_it_is_fitted_to_all_sites(final):
    sites, provenance = final.training_sites, final.description["provenance"]
    assert sites.trained == ("train",)
    assert (sites.sets == 0).all()
    assert len(sites.names) == len(sites.features) == len(final.regression.landmarks) == N_SITES
    assert provenance["sites"] == {"train": N_SITES, "validation": 0, "calibration": 0, "test": 0}
    assert provenance["held_out"] == {"folds": N_FOLDS, "sites": N_SITES}
    assert (provenance["split"]["folds"], provenance["split"]["fold"]) == (N_FOLDS, None)


def test_it_takes_epochs_and_shares_from_the_folds(models, final):
    best = [1 + int(np.argmin(history(model, "validation_error_percent"))) for model in models]
    shares = [0.0 if model.regression is None else model.regression.share for model in models]
    assert history(final, "epoch") == []
    assert history(final, "epoch", "refit") == list(range(1, 1 + sorted(best)[1]))
    assert abs(final.regression.share - np.mean(shares)) <= 0.025 + 1e-9
    assert round(20 * final.regression.share, 6).is_integer()
    kernels = [model.regression.kernel.parameters() for model in models if model.regression is not None]
    assert all(np.abs(final.regression.kernel.parameters() - other).max() > 1e-6 for other in kernels)


def test_sigma_is_calibrated_on_what_the_folds_held_out(validated, models, final, small):
    """Pooled one fold after another, from the stored predictions of the folds and the evidence of their models."""
    references, means, known = [], [], []
    with opened(small / FEATURES) as ((features, _),):
        x = features.read(0, N_SITES)
        z, edges = np.array(features.sites.element), list(features.sites.edge)
    for fold, model in enumerate(models):
        rows = np.flatnonzero(model.training_sites.sets == 3)
        with PredictionStore(validated / f"fold-{fold}.predictions.h5") as store:
            assert store.sites.name == [model.training_sites.names[i] for i in rows]
            references.append(store.read("reference"))
            means.append(store.read("mean"))
        _, evidence = model.sample(x[rows], model.absorbers(z[rows], [edges[i] for i in rows]), DRAWS, 0)
        known.append(evidence)
    sizes = np.sqrt(np.mean(final.members[0].scalers.target_scale ** 2, axis=1))
    energies, _ = final.grid
    expected = calibrate(np.concatenate(references), np.concatenate(means), Evidence.joined(known), energies, sizes)
    assert final.calibration.n_sites == expected.n_sites == N_SITES
    np.testing.assert_allclose(final.calibration.scale, expected.scale, rtol=1e-4)
    np.testing.assert_allclose(final.calibration.floor, expected.floor, rtol=1e-4)
    np.testing.assert_allclose(final.calibration.conformal, expected.conformal, rtol=1e-4)
    assert final.calibration.factors.keys() == expected.factors.keys()
    distance = np.sort(np.concatenate([one.distance for one in known]))
    assert (final.trust["threshold"], final.trust["n_sites"]) == (pytest.approx(distance[-2]), N_SITES)


def test_intervals_hold_on_other_sites(final, tmp_path_factory):
    """They may be somewhat too wide: the final model knows more sites than those of the folds."""
    folder = tmp_path_factory.mktemp("other")
    demo_data.write(folder, n=80, seed=23)
    options = ImportOptions(spectra=(folder / "spectra",), treatment='{"name":"synthetic"}')
    import_structures([folder / "structures"], folder / "other.h5", options)
    with StructureStore(folder / "other.h5") as source:
        predict(final, source, folder / "p.h5", PredictOptions())
    with PredictionStore(folder / "p.h5") as store:
        covered = {interval["level"]: interval["coverage"] for interval in evaluate(store)["intervals"]}
    assert 0.6 < covered[0.6827] < 0.85
    assert 0.9 < covered[0.9545] < 0.995


class Killed(Exception):
    """Stands for the end of the process."""


def copy(validated, tmp_path):
    """Copy the folds without their final model."""
    output = shutil.copytree(validated, tmp_path / "f")
    shutil.rmtree(output / "final.model")
    return output


def test_stopped_before_it_or_within_it_resumes_to_the_same_model(validated, run, final, small, tmp_path, monkeypatch):
    output, trained, train = copy(validated, tmp_path), [], cross_validation.train
    folds = {path.name for path in output.iterdir()}
    epochs = []

    def counted(config, pairs, model, *options, **more):
        trained.append(model.name)
        return train(config, pairs, model, *options, **more)

    def killed(epoch: Epoch) -> None:
        epochs.append(epoch.epoch)
        if epochs == [1, 2]:
            raise Killed

    monkeypatch.setattr(cross_validation, "train", counted)
    with opened(small / FEATURES) as pairs:

        def resume(**options):
            cross_validate(run, pairs, output, resume=True, observer=lambda fold: Observer(epoch=killed), **options)

        resume(final=False)
        assert {path.name for path in output.iterdir()} == folds
        with pytest.raises(Killed):
            resume()
        assert {path.name for path in output.iterdir()} == folds | {"final.model.checkpoint.h5"}
        resume()
        assert epochs == [1, 2, *range(2, 1 + final.description["provenance"]["chosen"]["epochs"])]
        resume()
    assert trained == ["final.model"] * 2
    assert {path.name for path in output.iterdir()} == folds | {"final.model"}
    again = Model.open(output / "final.model")
    for name, arrays in final.members[0].weights.items():
        for mine, other in zip(arrays, again.members[0].weights[name], strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(again.calibration.scale, final.calibration.scale, rtol=1e-4)


def test_it_is_not_kept_if_the_folds_have_chosen_otherwise(validated, run, small, tmp_path):
    output = shutil.copytree(validated, tmp_path / "f")
    path = output / "final.model" / "model.json"
    values = json.loads(path.read_text())
    values["provenance"]["plan"]["chosen"]["epochs"] = 99
    path.write_text(json.dumps(values))
    with opened(small / FEATURES) as pairs, pytest.raises(StoreError, match=r"final\.model: .*chosen\.epochs was 99"):
        cross_validate(run, pairs, output, resume=True)


def test_what_info_report_and_train_say(validated, run, final, small, tmp_path, capsys):
    said = f"fitted to all {N_SITES} sites; sigma calibrated on {N_SITES} held-out sites of {N_FOLDS} folds"
    assert inform(final.path)["final"] == card(final)["Data"]["trained on"] == said
    assert "final" not in inform(validated / "fold-0.model")
    config = tmp_path / "run.toml"
    config.write_text(to_toml(run))
    output = shutil.copytree(validated, tmp_path / "f")
    with pytest.raises(SystemExit) as ended:
        main.run(["train", str(small / FEATURES), "--config", str(config), "-o", str(output), "--resume"])
    assert ended.value.code == 0
    printed = capsys.readouterr()
    (line,) = (line for line in printed.out.splitlines() if line.startswith("sites"))
    assert line.split(maxsplit=1)[1] == said
    assert "sigma was calibrated on only" not in printed.err
    assert f"Next: xanes-hpc predict {small / FEATURES} --model {output / 'final.model'} -o" in printed.err


def test_a_single_fold_makes_no_final_model(small, tmp_path, monkeypatch):
    monkeypatch.chdir(copied(small, tmp_path).parent)
    brief = "[training]\nepochs = 1\ngaussian_process = false\n[uncertainty]\nmembers = 1\n"
    (tmp_path / "one.toml").write_text(f"{TINY}{brief}[split]\nfolds = 3\nfold = 1\n")
    with pytest.raises(SystemExit) as ended:
        main.run(["train", FEATURES, "--config", "one.toml"])
    assert ended.value.code == 0
    assert not list(tmp_path.glob("*.folds"))
    model = Model.open(tmp_path / "small.model")
    counts = Counter(model.training_sites.sets.tolist())
    assert model.n_folds is None
    assert counts[3] == pytest.approx(N_SITES / 3, abs=5)
    assert counts[0] < 2 * N_SITES / 3


def test_in_python_training_with_folds_returns_the_final_model(small, tmp_path):
    import xanes_hpc as xh

    (tmp_path / "folds.toml").write_text(f"{TINY}[split]\nfolds = 3\n")
    kept = xh.train(small / FEATURES, config=tmp_path / "folds.toml", output=tmp_path / "kept")
    assert kept.path == tmp_path / "kept" / FINAL
    assert kept.model.training_sites.count("train") == N_SITES
    passing = xh.train(small / FEATURES, config=tmp_path / "folds.toml")
    assert [path.name for path in passing.path.parent.iterdir()] == [FINAL]
    np.testing.assert_allclose(passing.predict(small / FEATURES).mean, kept.predict(small / FEATURES).mean, rtol=1e-5)
