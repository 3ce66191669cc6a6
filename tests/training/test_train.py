"""Training on the small set: the folder it writes, that it is reproducible, and what it refuses."""

import json
import re
import shutil
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from support.builders import ERROR, run
from support.trainings import FEATURES, TINY, copied, gathered, history, opened, run_of, train_on

from xanes_hpc.config.files import load_run
from xanes_hpc.data.datasets import iterate
from xanes_hpc.errors import ConfigError, ModelError, SpectrumError
from xanes_hpc.importing.from_files import import_structures
from xanes_hpc.importing.options import ImportOptions
from xanes_hpc.models import architectures
from xanes_hpc.models.model import Model
from xanes_hpc.models.scaling import TRANSFORMS
from xanes_hpc.models.training_sites import SETS
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.training.check import resolved
from xanes_hpc.training.checkpoints import checkpoint_path
from xanes_hpc.training.plan import differences, digests_of, plan_of
from xanes_hpc.training.stages import Observer


@pytest.fixture(scope="module")
def chosen(small, tmp_path_factory):
    """Return an ensemble of two networks, not retrained on the validation set."""
    options = {"training__refit": False, "uncertainty__method": "ensemble", "uncertainty__members": 2}
    return train_on(small / FEATURES, tmp_path_factory.mktemp("chosen") / "m", training__epochs=8, **options)


@pytest.fixture(scope="module")
def retrained(small, tmp_path_factory):
    """Return a network retrained as if the fifth of eight epochs had been the best."""
    with best_at(5):
        return train_on(small / FEATURES, tmp_path_factory.mktemp("retrained") / "m", training__epochs=8)


@contextmanager
def best_at(best):
    """Fake validation errors, whose minimum is after the epoch ``best``."""
    errors = (float(1 + abs(epoch - best)) for epoch in count(1))
    with pytest.MonkeyPatch.context() as patch:
        name = "xanes_hpc.training.epochs.validation_error"
        patch.setattr(name, lambda trainer, part: next(errors) if part.n_sites else float("nan"))
        yield


def weights_of(model):
    return {(i, name): w for i, m in enumerate(model.members) for name, own in m.weights.items() for w in own[:1]}


def assert_same_weights(first, second, **tolerance):
    ours, theirs = weights_of(first), weights_of(second)
    assert ours.keys() == theirs.keys()
    for key, kernel in ours.items():
        np.testing.assert_allclose(kernel, theirs[key], **({"atol": 1e-6} | tolerance))


def validation_error_of(model, small, tmp_path):
    """Return the error % of the members' mean spectra on the validation set."""
    with gathered([small / FEATURES], run_of(tmp_path)) as data:
        x, absorbers, y = (np.concatenate(a) for a in zip(*iterate(data.sites_in("validation")), strict=True))
    predicted = np.mean([member.mean_network(x, absorbers) for member in model.members], axis=0)
    return (100 * np.abs(predicted - y).sum(axis=1) / np.abs(y).sum(axis=1)).mean()


def test_the_folder_holds_only_numbers_and_text(model):
    files = {str(p.relative_to(model)) for p in model.rglob("*") if p.is_file()}
    description = json.loads((model / "model.json").read_text())
    assert files - ({"regression.h5"} if description["regression"] else set()) == {
        "model.json", "run.toml", "history.csv", "sites.h5",
        *(f"members/0{i}/{name}" for i in (0, 1) for name in ("network.weights.h5", "scalers.h5")),
    }  # fmt: skip
    assert description["seen"][0].keys() == {"element", "edge", "e0", "sites"}
    assert description["descriptor"]["hash"] == Model.open(model).descriptor_hash
    assert description["provenance"]["sites"].keys() == set(SETS)


def test_the_saved_weights_are_the_best_epochs(chosen, small, tmp_path):
    errors = history(chosen, "validation_error_percent")
    assert validation_error_of(chosen, small, tmp_path) == pytest.approx(min(errors), rel=1e-4)
    assert errors[-1] < errors[0]
    assert chosen.training_sites.trained == ("train",)
    assert history(chosen, "epoch", "refit") == []


def test_networks_are_retrained_for_the_best_number_of_epochs(retrained):
    assert history(retrained, "validation_error_percent") == [5, 4, 3, 2, 1, 2, 3, 4]
    assert history(retrained, "epoch", "refit") == [1, 2, 3, 4, 5]
    assert np.isnan(history(retrained, "validation_error_percent", "refit")).all()
    rates, again = (np.array(history(retrained, "learning_rate", stage)) for stage in ("choose", "refit"))
    np.testing.assert_allclose(again, rates[:5], rtol=1e-6)


def test_networks_are_retrained_on_the_validation_set_too(retrained, small):
    sites = retrained.training_sites
    assert sites.trained == ("train", "validation")
    taught = np.isin(sites.sets, [SETS.index(name) for name in sites.trained])
    assert len(sites.features) == taught.sum() == 108
    with FeatureStore(small / FEATURES) as features:
        x = TRANSFORMS["sqrt"](features.read(0, features.n_sites)[taught])
    np.testing.assert_allclose(retrained.members[0].scalers.feature_mean, x.mean(axis=0), rtol=1e-10)


def test_scalers_come_from_the_training_set_only(chosen, small):
    taught = chosen.training_sites.sets == SETS.index("train")
    with FeatureStore(small / FEATURES) as features:
        x = TRANSFORMS["sqrt"](features.read(0, features.n_sites)[taught])
    np.testing.assert_allclose(chosen.members[0].scalers.feature_mean, x.mean(axis=0), rtol=1e-10)


def test_the_cosine_schedule_ends_at_zero_and_a_constant_rate_stays(chosen, small, tmp_path):
    rates = np.array(history(chosen, "learning_rate"))
    np.testing.assert_allclose(rates, 1e-3 * (1 + np.cos(np.pi * np.arange(1, 9) / 8)), atol=1e-9)
    constant = train_on(small / FEATURES, tmp_path / "m", training__schedule="constant", training__refit=False)
    np.testing.assert_allclose(history(constant, "learning_rate"), 2e-3)


def test_the_history_is_complete(retrained):
    for stage in ("choose", "refit"):
        for figure in ("loss", "learning_rate", "seconds"):
            values = np.array(history(retrained, figure, stage))
            assert np.isfinite(values).all()
            assert (values >= 0).all()
    assert np.isfinite(history(retrained, "validation_error_percent")).all()


def test_run_toml_of_a_model_trains_the_same_model(retrained, small, tmp_path):
    from xanes_hpc.training.train import train

    again = load_run(retrained.path / "run.toml", tmp_path, {})
    assert Path(again.features[0]).resolve() == (small / FEATURES).resolve()
    with opened(small / FEATURES) as pairs, best_at(5):
        train(again, pairs, tmp_path / "again")
    made = Model.open(tmp_path / "again")
    assert_same_weights(made, retrained)
    np.testing.assert_allclose(made.calibration.scale, retrained.calibration.scale, rtol=1e-3)


def test_another_seed_gives_another_model(chosen, small, tmp_path):
    """The members of an ensemble differ as well."""
    options = {"training__refit": False, "uncertainty__method": "ensemble", "uncertainty__members": 2}
    other = train_on(small / FEATURES, tmp_path / "m", training__epochs=8, training__seed=1, **options)
    ours, theirs = weights_of(chosen), weights_of(other)
    for key, kernel in ours.items():
        assert not np.allclose(kernel, theirs[key], atol=1e-3)
        assert not np.allclose(kernel, ours[1 - key[0], key[1]], atol=1e-3)


def test_run_toml_is_resolved_and_works_from_another_folder(model, small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = load_run(model / "run.toml", tmp_path, {})
    assert (found.target.start, found.target.stop, found.target.step) == pytest.approx((-20.0, 60.0, 0.4))
    assert found.target.treatment == '{"name":"synthetic"}'
    assert (found.training.learning_rate, found.uncertainty.members) == (2e-3, 2)
    assert found.model.parameters == architectures.build("mlp", {"hidden": [32, 32]}, 49, 201)[0]
    assert [Path(path).resolve() for path in found.features] == [(small / FEATURES).resolve()]


def test_spectra_in_small_units_train_as_well(small, tmp_path):
    tiny = tmp_path / "tiny"
    tiny.mkdir()
    for path in (small / "spectra").iterdir():
        np.savetxt(tiny / path.name, np.loadtxt(path) * [1.0, 1e-20])
    import_structures([small / "structures"], tmp_path / "small.h5", ImportOptions(spectra=(tiny,)))
    shutil.copy(small / FEATURES, tmp_path / FEATURES)
    ours, theirs = (
        train_on(folder / FEATURES, tmp_path / name, training__refit=False)
        for folder, name in ((tmp_path, "m"), (small, "n"))
    )
    for figure in ("validation_error_percent", "loss"):
        np.testing.assert_allclose(history(ours, figure), history(theirs, figure), rtol=1e-3)


def test_without_a_validation_set_every_epoch_is_used(small, tmp_path):
    model = train_on(small / FEATURES, tmp_path / "m", "[split]\nvalidation = 0.0\n")
    assert (history(model, "epoch"), history(model, "epoch", "refit")) == ([], [1, 2, 3])
    assert model.training_sites.trained == ("train",)


def test_a_batch_larger_than_the_set_is_the_whole_set(small, tmp_path):
    model = train_on(small / FEATURES, tmp_path / "m", training__batch_size=5000, training__refit=False)
    assert history(model, "epoch") == [1, 2, 3]


@pytest.mark.parametrize("precision", ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.slow)])
def test_mixed_precision_comes_close(precision, chosen, small, tmp_path):
    """Measured on a processor: errors differ by a relative 0.008 % in bfloat16 and 0.004 % in float16."""
    options = {"training__refit": False, "uncertainty__method": "ensemble", "uncertainty__members": 2}
    mixed = train_on(small / FEATURES, tmp_path / "m", training__epochs=8, training__precision=precision, **options)
    np.testing.assert_allclose(
        history(mixed, "validation_error_percent"), history(chosen, "validation_error_percent"), rtol=5e-3
    )
    assert validation_error_of(mixed, small, tmp_path) == pytest.approx(
        min(history(mixed, "validation_error_percent")), rel=5e-3
    )
    assert all(kernel.dtype == np.float32 for kernel in weights_of(mixed).values())


@pytest.mark.parametrize(
    ("toml", "flags", "error", "message"),
    [
        ("widths = 3\n", {}, ModelError, "has no parameter 'widths'"),
        ("[target]\nkind = 'xes'\n", {}, SpectrumError, "no spectra of kind xes; the store has 120 xanes with"),
        ("[target]\nstart = -500.0\n", {}, SpectrumError, "no spectrum covers the whole [target] grid, -500 to 60 eV"),
        ("", {"training__devices": "tpu"}, ConfigError, "`devices` tpu: expected cpu or cpu:N"),
        ("", {"training__learning_rate": 1e30}, ModelError, "training diverged; use a smaller learning rate than "),
    ],
)
def test_runs_that_cannot_be_trained_are_refused_and_leave_nothing(small, tmp_path, toml, flags, error, message):
    with pytest.raises(error, match=re.escape(message)):
        train_on(small / FEATURES, tmp_path / "m", toml, **flags)
    assert {p.name for p in tmp_path.iterdir()} == {"brief.toml"}


def test_too_few_gpus_are_explained_by_what_tensorflow_says(small, tmp_path, monkeypatch, capsys):
    """TensorFlow itself is asked, in a process of its own."""
    from xanes_hpc.models.backend import tf

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert run("train", small / FEATURES, "-o", tmp_path / "m", "--gpus", 64) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{ERROR}--gpus 64: TensorFlow {tf.__version__} (built ")
    for word in ("CUDA_VISIBLE_DEVICES is ''", "uda", "pip install 'xanes-hpc[gpu]'", "leave out --gpus"):
        assert word in line
    assert not list(tmp_path.iterdir())

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    one = SimpleNamespace(name="/physical_device:GPU:0")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [one])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda device: {"device_name": "NVIDIA H200"})
    with pytest.raises(ConfigError, match=r"^`gpus` 2: TensorFlow finds 1 on this machine \(NVIDIA H200\)$"):
        train_on(small / FEATURES, tmp_path / "m", training__gpus=2)


def command(small, tmp_path, *words):
    (tmp_path / "run.toml").write_text(TINY + "[training]\nbatch_size = 16\nepochs = 4\n[uncertainty]\nmembers = 1\n")
    return ("train", copied(small, tmp_path), "-o", tmp_path / "m", "--config", tmp_path / "run.toml", *words)


def test_overwriting_discards_the_checkpoint_of_a_stopped_run(small, tmp_path):
    """Before the first epoch: else --resume could continue the wrong run."""
    left, seen = checkpoint_path(tmp_path / "m"), []
    left.write_bytes(b"of another run")
    train_on(small / FEATURES, tmp_path / "m", overwrite=True, observer=Observer(lambda *_: seen.append(left.exists())))
    assert seen
    assert not any(seen)


def test_a_run_is_not_resumed_with_another_split(small, tmp_path):
    """Another version of the program might split sites differently with the same seed and fractions."""
    run = resolved(run_of(tmp_path), 49)
    with opened(small / FEATURES) as pairs, gathered([small / FEATURES], run) as data:
        plan = plan_of(run, data, digests_of(pairs))
        other = plan_of(run, replace(data, sets=data.sets[::-1].copy()), digests_of(pairs))
    assert [difference.split()[0] for difference in differences(plan, other)] == ["sites_by_part"]


def test_divergence_names_batch_epoch_and_rate(small, tmp_path, capsys):
    words = command(small, tmp_path, "--learning-rate", "1e6", "--loss", "mse")
    assert run(*words) == 2
    printed = capsys.readouterr().err
    pattern = r"the (loss|validation error) is (inf|nan) (in batch \d+ of|after) epoch \d: training diverged; use a"
    assert re.search(pattern, printed), printed
    assert re.search(r"than \d\S*e\+05\n|than 1e\+06\n", printed), printed
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("way", ["nan", "unreadable"])
def test_bad_features_in_the_middle_of_training_name_their_site(small, tmp_path, capsys, monkeypatch, way):
    """Streamed data may go bad after they were checked; the error must not turn into one of TensorFlow's."""
    from xanes_hpc.errors import StoreError

    read, calls = FeatureStore.read, []

    def going_bad(self, start, stop):
        calls.append(start)
        x = read(self, start, stop)
        if len(calls) > 60 and start == 42:
            if way == "unreadable":
                raise StoreError(f"{self.path}: damaged data (checksum); create the file again")
            x[5, 3] = np.nan
        return x

    monkeypatch.setattr(FeatureStore, "read", going_bad)
    monkeypatch.setattr(FeatureStore, "chunk_rows", 7)
    monkeypatch.setattr("xanes_hpc.data.feed.BUFFER_BYTES", 20_000)
    assert run(*command(small, tmp_path)) == 2
    expected = {
        "nan": "site 47 has NaN or infinite features; featurise",
        "unreadable": "damaged data (",
    }
    line = capsys.readouterr().err.strip()
    assert line.startswith(f"xanes-hpc: error: {tmp_path / FEATURES}: {expected[way]}")
    assert "\n" not in line
    assert len(calls) > 60
    assert not (tmp_path / "m").exists()


def test_a_spectrum_that_is_not_finite_is_named(small, tmp_path, capsys):
    words = command(small, tmp_path)
    with h5py.File(tmp_path / "small.h5", "r+") as file:
        file["spectra/intensities"][file["spectra/offsets"][7] + 3] = np.nan
    assert run(*words) == 2
    assert "small.h5: spectrum 7 has NaN or infinite intensities; import it again" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("name", ["members/00/network.weights.h5", "members/00/scalers.h5", "sites.h5"])
def test_a_changed_byte_of_a_model_is_found(small, tmp_path, model, capsys, name):
    """Even where HDF5 has no checksum."""
    folder = tmp_path / "damaged"
    shutil.copytree(model, folder)
    data = bytearray((folder / name).read_bytes())
    data[-100] ^= 1
    (folder / name).write_bytes(data)
    for words in (("predict", small / FEATURES, "--model", folder, "-o", tmp_path / "p.h5"), ("model", "pack", folder)):
        assert run(*words) == 2
        assert f"{folder / name}: damaged: its SHA-256 differs from model.json" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"damaged"}
