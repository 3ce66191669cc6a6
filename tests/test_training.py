"""Training: the data it feeds, the loop, and the folder it leaves."""

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import QUICK

from xanes_hpc.config import load_run
from xanes_hpc.datasets import Part, dataset, statistics
from xanes_hpc.errors import ConfigError, ModelError, SpectrumError, StoreError
from xanes_hpc.importing import ImportOptions, import_structures
from xanes_hpc.inference import TRANSFORMS
from xanes_hpc.splits import PARTS
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.models import ModelFolder
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.stores.targets import choose_spectra, prepare_targets
from xanes_hpc.training import default_output, find_features, train


def run_training(small: Path, output: Path, toml: str = "", **flags: object) -> ModelFolder:
    config = output.with_suffix(".toml")
    config.write_text("[model]\nhidden = [16]\n" + toml)
    run = load_run(config, output.parent, QUICK | {"training.epochs": 3} | flags)
    with FeatureStore(small / "small.features.h5") as features, features.open_source() as source:
        train(run, features, source, output)
    return ModelFolder(output)


@pytest.fixture
def part(small):
    run = load_run(None, small, {})
    with FeatureStore(small / "small.features.h5") as features, StructureStore(small / "small.h5") as source:
        with prepare_targets(features, source, run.target) as targets:
            chosen = np.arange(features.n_sites) % 4 != 0
            yield Part(features, targets, chosen)


def test_targets_are_the_spectra_on_one_grid(part, small):
    assert part.targets.grid.energies.size == 201
    np.testing.assert_allclose(part.targets.grid.energies, np.linspace(-20, 60, 201), atol=1e-6)
    own = np.loadtxt(sorted((small / "spectra").iterdir())[3])
    np.testing.assert_allclose(part.targets.read(3, 4)[0], own[:, 1], atol=2e-4)


def test_statistics_are_those_of_the_part(part):
    found = statistics(part, "sqrt")
    x = TRANSFORMS["sqrt"](part.features.read(0, part.features.n_sites)[part.chosen])
    y = part.targets.read(0, part.features.n_sites)[part.chosen]
    np.testing.assert_allclose(found.feature_mean, x.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(found.feature_std, x.std(axis=0), rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(found.target_std, y.std(axis=0, dtype=np.float64), rtol=1e-6)


def test_statistics_do_not_depend_on_chunks(part, monkeypatch):
    whole = statistics(part, "none")
    monkeypatch.setattr(FeatureStore, "chunk_rows", 7)
    pieces = statistics(part, "none")
    np.testing.assert_allclose(pieces.feature_std, whole.feature_std, rtol=1e-9)
    np.testing.assert_allclose(pieces.target_mean, whole.target_mean, rtol=1e-6)


def test_an_epoch_delivers_every_chosen_site_once_with_its_target(part, monkeypatch):
    monkeypatch.setattr(FeatureStore, "chunk_rows", 7)
    monkeypatch.setattr("xanes_hpc.datasets.BUFFER_BYTES", 30_000)
    batches = list(part.batches(10, seed=0, epoch=0))
    assert all(len(x) == 10 for x, _ in batches)
    x, y = (np.concatenate(a) for a in zip(*batches, strict=True))
    rows = {v.tobytes(): i for i, v in enumerate(part.features.read(0, part.features.n_sites))}
    delivered = [rows[v.tobytes()] for v in x]
    assert len(set(delivered)) == len(delivered) == part.n_sites - part.n_sites % 10
    assert part.chosen[delivered].all()
    np.testing.assert_array_equal(y, part.targets.read(0, part.features.n_sites)[delivered])


def test_batches_are_shuffled_anew_each_epoch_and_repeat_with_the_seed(part):
    first, again, next_epoch, other = (
        np.concatenate([x for x, _ in part.batches(10, seed=s, epoch=e)]) for s, e in ((0, 0), (0, 0), (0, 1), (1, 0))
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, next_epoch)
    assert not np.array_equal(first, other)


def test_tf_data_gives_scaled_batches(part):
    scalers = statistics(part, "sqrt").scalers("global")
    pairs = list(dataset(part, scalers, 30, seed=0, epoch=0))
    x = np.concatenate([x.numpy() for x, _ in pairs])
    assert x.dtype == np.float32
    np.testing.assert_allclose(x.mean(axis=0), 0.0, atol=0.05)
    spread = x.std(axis=0)
    assert ((spread == 0) | (np.abs(spread - 1) < 0.1)).all()


def test_the_folder_holds_numbers_and_text_only(model):
    files = {str(p.relative_to(model)) for p in model.rglob("*") if p.is_file()}
    assert files == {
        "model.json", "run.toml", "history.csv", "sites.h5",
        "members/00/network.weights.h5", "members/00/scalers.h5",
    }  # fmt: skip
    description = json.loads((model / "model.json").read_text())
    assert description["seen"][0].keys() == {"element", "edge", "e0", "sites"}
    assert description["descriptor"]["hash"] == ModelFolder(model).descriptor_hash
    assert description["provenance"]["sites"].keys() == set(PARTS)


def test_the_saved_weights_are_the_best_epochs(model, small):
    with (model / "history.csv").open() as stream:
        errors = [float(row["validation_error_percent"]) for row in csv.DictReader(stream)]
    folder = ModelFolder(model)
    with FeatureStore(small / "small.features.h5") as features, features.open_source() as source:
        with prepare_targets(features, source, load_run(None, small, {}).target) as targets:
            chosen = folder.training_sites.parts == PARTS.index("validation")
            (x, y), *_ = Part(features, targets, chosen).chunks()
            predicted = folder.members[0].mean_network(x)
    again = (100 * np.abs(predicted - y).sum(axis=1) / np.abs(y).sum(axis=1)).mean()
    assert again == pytest.approx(min(errors), rel=1e-4)
    assert errors[-1] < errors[0]


def test_scalers_come_from_the_training_part_only(model, small):
    folder = ModelFolder(model)
    chosen = folder.training_sites.parts == PARTS.index("train")
    with FeatureStore(small / "small.features.h5") as features:
        x = TRANSFORMS["sqrt"](features.read(0, features.n_sites)[chosen])
    np.testing.assert_allclose(folder.members[0].scalers.feature_mean, x.mean(axis=0), rtol=1e-10)


def test_the_same_seed_gives_the_same_model(small, tmp_path):
    first, second = (run_training(small, tmp_path / name) for name in ("a", "b"))
    other = run_training(small, tmp_path / "c", **{"training.seed": 1})
    for name, (kernel, _) in first.members[0].weights.items():
        np.testing.assert_allclose(kernel, second.members[0].weights[name][0], atol=1e-6)
        assert not np.allclose(kernel, other.members[0].weights[name][0], atol=1e-3)


def test_run_toml_of_a_model_trains_the_same_again(small, tmp_path):
    run_training(small, tmp_path / "a", toml="dropout = 0.3\n")
    again = load_run(tmp_path / "a" / "run.toml", tmp_path, {})
    assert again.model.parameters == {"hidden": [16], "activation": "gelu", "dropout": 0.3}
    assert again.training.epochs == 3


def test_run_toml_is_resolved_and_works_from_another_folder(model, small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = load_run(model / "run.toml", tmp_path, {})
    assert (run.target.start, run.target.stop, run.target.step) == pytest.approx((-20.0, 60.0, 0.4))
    assert run.target.treatment == '{"name":"synthetic"}'
    assert Path(run.features).resolve() == (small / "small.features.h5").resolve()


def test_spectra_in_small_units_train_as_well(small, tmp_path):
    tiny = tmp_path / "tiny"
    tiny.mkdir()
    for path in (small / "spectra").iterdir():
        np.savetxt(tiny / path.name, np.loadtxt(path) * [1.0, 1e-20])
    import_structures([small / "structures"], tmp_path / "small.h5", ImportOptions(spectra=(tiny,)))
    shutil.copy(small / "small.features.h5", tmp_path / "small.features.h5")
    folder = run_training(tmp_path, tmp_path / "m")
    whole = run_training(small, tmp_path / "n")
    with (folder.path / "history.csv").open() as ours, (whole.path / "history.csv").open() as theirs:
        first, second = ([float(r["validation_error_percent"]) for r in csv.DictReader(f)] for f in (ours, theirs))
    np.testing.assert_allclose(first, second, rtol=1e-3)


def test_an_interruption_waits_for_the_end_of_a_step():
    from xanes_hpc.interruption import Interruption

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        with Interruption() as interruption:
            interruption.check()
            signal.raise_signal(signal.SIGINT)
            reached = True
            interruption.check()
    assert reached
    assert signal.getsignal(signal.SIGINT) is before


def test_a_batch_larger_than_the_set_is_the_whole_set(small, tmp_path):
    folder = run_training(small, tmp_path / "m", **{"training.batch_size": 5000})
    assert len((folder.path / "history.csv").read_text().splitlines()) == 4


def test_more_gpus_than_there_are_says_how_many(small, tmp_path):
    with pytest.raises(ConfigError, match=r"--gpus 64: TensorFlow finds \d+ on this machine"):
        run_training(small, tmp_path / "m", **{"training.gpus": 64})
    assert not list(tmp_path.glob("*m*.partial"))


@pytest.mark.parametrize(
    ("toml", "flags", "error", "message"),
    [
        ("widths = 3\n", {}, ModelError, "has no parameter 'widths'"),
        ("[target]\nkind = 'xes'\n", {}, SpectrumError, "no spectra of kind xes; there are: xanes"),
        ("[target]\nstart = -500.0\n", {}, ConfigError, "0 sites in 0 groups leave none for train"),
        ("", {"training.learning_rate": 1e30}, ModelError, "training diverged"),
    ],
)
def test_what_cannot_be_trained_is_said_and_leaves_nothing(small, tmp_path, toml, flags, error, message):
    with pytest.raises(error, match=re.escape(message)):
        run_training(small, tmp_path / "m", toml, **flags)
    assert {p.name for p in tmp_path.iterdir()} == {"m.toml"}


def test_spectra_of_two_treatments_must_be_chosen(small, tmp_path):
    second = tmp_path / "second"
    shutil.copytree(small / "spectra", second)
    for path in second.iterdir():
        path.rename(path.with_name(path.stem + "_conv.txt"))
    options = ImportOptions(spectra=(small / "spectra", second))
    import_structures([small / "structures"], tmp_path / "two.h5", options)
    with StructureStore(tmp_path / "two.h5") as store:
        with pytest.raises(SpectrumError, match=r"several kinds of spectra fit.*--treatment.*fdmnes-conv"):
            choose_spectra(store, store.n_sites, "xanes", None)
        rows, table = choose_spectra(store, store.n_sites, "xanes", "fdmnes-conv")
        assert (rows >= 0).all()
        assert {table.treatment[i] for i in rows} == {'{"name":"fdmnes-conv"}'}


def test_features_whose_structures_changed_are_refused(small, tmp_path):
    shutil.copy(small / "small.features.h5", tmp_path / "small.features.h5")
    some = sorted((small / "structures").iterdir())[:30]
    with FeatureStore(tmp_path / "small.features.h5") as features:
        with pytest.raises(StoreError, match="no such file; it is the structure store of"):
            features.open_source()
        import_structures(some, tmp_path / "small.h5")
        with pytest.raises(StoreError, match="holds other structures"):
            features.open_source()


def test_the_only_feature_store_of_a_folder_is_found(small, tmp_path):
    run = load_run(None, tmp_path, {})
    with pytest.raises(ConfigError, match="none is here"):
        find_features(run, tmp_path)
    shutil.copy(small / "small.h5", tmp_path / "a.h5")
    shutil.copy(small / "small.features.h5", tmp_path / "b.h5")
    assert find_features(run, tmp_path) == Path("b.h5")
    shutil.copy(small / "small.features.h5", tmp_path / "c.h5")
    with pytest.raises(ConfigError, match=r"several are here \(b.h5, c.h5\)"):
        find_features(run, tmp_path)
    (tmp_path / "xanes-hpc.toml").write_text('features = "c.h5"\n')
    assert find_features(load_run(None, tmp_path, {}), tmp_path) == Path("c.h5")
    assert default_output(Path("x/tmqm.features.h5")) == Path("x/tmqm.model")


REPLICAS = """
import sys
import h5py
import numpy as np
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 4)
from xanes_hpc import models
from xanes_hpc.config import TrainingConfig
from xanes_hpc.training_loop import Trainer
generator = np.random.default_rng(0)
x = generator.normal(size=(64, 5)).astype(np.float32)
y = np.stack([x.sum(axis=1), x[:, 0]], axis=1)
_, layers = models.build("mlp", {"hidden": [16], "dropout": float(sys.argv[1])}, 5, 2)
for devices in ([], ["/CPU:0", "/CPU:1", "/CPU:2", "/CPU:3"]):
    trainer = Trainer(layers, 5, TrainingConfig(epochs=10, batch_size=32, learning_rate=1e-2), 2, devices)
    losses = [trainer.epoch(tf.data.Dataset.from_tensor_slices((x, y)).batch(32)) for _ in range(10)]
    print(" ".join(f"{loss:.6f}" for loss in losses))
"""


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_four_replicas_follow_one_device(dropout):
    said = subprocess.run(
        [sys.executable, "-c", REPLICAS, str(dropout)], check=True, capture_output=True, text=True
    ).stdout
    one, four = (np.array(line.split(), float) for line in said.splitlines()[-2:])
    tolerance = 1e-4 if dropout == 0 else 0.2
    np.testing.assert_allclose(four, one, rtol=tolerance)
    assert one[-1] < one[0]


def test_other_spectra_in_a_feature_store_of_its_own_are_not_taken_from_the_cache(small, tmp_path):
    path = tmp_path / "own.features.h5"
    shutil.copy(small / "small.features.h5", path)
    targets = []
    for factor in (1.0, 5.0):
        with h5py.File(path, "a") as file, h5py.File(small / "small.h5") as source:
            if "spectra" in file:
                del file["spectra"]
            source.copy("spectra", file)
            file["spectra/intensities"][:] *= factor
        with FeatureStore(path) as features:
            with prepare_targets(features, features, load_run(None, tmp_path, {}).target) as prepared:
                targets.append(prepared.read(0, 120))
    np.testing.assert_allclose(targets[1], 5.0 * targets[0], rtol=1e-5, atol=1e-12)
