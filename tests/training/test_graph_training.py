"""Train on graphs, and predict, evaluate, pack and explain such models."""

import json
import shutil

import h5py
import numpy as np
import pytest
from support.builders import refused, run
from support.shared import made_once
from support.trainings import history, run_of, train_on

import xanes_hpc as xh
from xanes_hpc import descriptors
from xanes_hpc.data import feed
from xanes_hpc.data.datasets import statistics
from xanes_hpc.data.gather import gather
from xanes_hpc.data.graph_feed import GraphFeed
from xanes_hpc.errors import ConfigError, ModelError, StoreError
from xanes_hpc.features.featurise import featurise
from xanes_hpc.models.model import Model
from xanes_hpc.prediction.predict import PredictOptions, predict_in_memory
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.graphs import Graphs, GraphSettings
from xanes_hpc.structures.rattling import Rattling
from xanes_hpc.training import kernel_flow
from xanes_hpc.training.check import prepare
from xanes_hpc.training.stages import Observer

GRAPH = (
    '[model]\nname = "graph"\nchannels = 8\nlayers = 2\nfilters = 8\nradial = 8\nwidth = 16\n'
    "[training]\nlearning_rate = 0.01\n"
)


@pytest.fixture(scope="session")
def trained(small, tmp_path_factory):
    """A folder with the small set, its features with graphs, and a graph model with a Gaussian process. Read only."""

    def make(folder):
        shutil.copy(small / "small.h5", folder)
        with StructureStore(folder / "small.h5") as source:
            featurise(source, descriptors.load("wacsf", "xanesnet-49"), folder / "f.h5", graph=GraphSettings())
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(kernel_flow, "N_STEPS", 5)
            settings = {"training__epochs": 8, "training__gaussian_process": True}
            train_on(folder / "f.h5", folder / "g.model", network=GRAPH, **settings)

    return made_once(tmp_path_factory, "graphs", make)


def predicted(model, source, **options):
    with predict_in_memory(Model.open(model), source, PredictOptions(draws=6, **options)) as store:
        return store.file["mean"][:], store.file["std"][:]


def test_training_lowers_the_error(trained):
    log = (trained / "g.model" / "history.csv").read_text().splitlines()[1:]
    losses = [float(line.split(",")[2]) for line in log if line.startswith("choose")]
    assert losses[-1] < 0.9 * losses[0]


def test_the_model_records_its_graphs(trained):
    model = Model.open(trained / "g.model")
    assert model.graph == GraphSettings()
    assert model.description["graph"]["hash"] == GraphSettings().hash
    assert model.description["architecture"]["name"] == "graph"


def test_predictions_from_structures_and_from_their_store_are_the_same(trained):
    with FeatureStore(trained / "f.h5") as features, StructureStore(trained / "small.h5") as structures:
        from_features = predicted(trained / "g.model", features)
        from_structures = predicted(trained / "g.model", structures)
        some = predicted(trained / "g.model", features, split="test")
    for a, b in zip(from_features, from_structures, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert 0 < len(some[0]) < len(from_features[0])


def test_a_site_alone_is_predicted_as_in_its_store(trained):
    model = xh.load_model(trained / "g.model")
    with StructureStore(trained / "small.h5") as structures:
        whole, _ = predicted(trained / "g.model", structures)
        atoms = next(structures.structures_at(np.array([5])))[0]
    found = model.predict(_atoms(atoms), draws=6)
    np.testing.assert_allclose(np.ravel(found.mean), whole[5], rtol=1e-4, atol=1e-4)


def _atoms(structure):
    from ase import Atoms

    return Atoms(structure.numbers, structure.positions)


def test_the_commands_take_a_graph_model(trained, tmp_path, capsys):
    p = tmp_path / "p.h5"
    assert run("predict", trained / "f.h5", "--model", trained / "g.model", "-o", p, "--draws", "4") == 0
    assert run("evaluate", p) == 0
    assert run("model", "pack", trained / "g.model", "-o", tmp_path / "g.xanes-model") == 0
    assert run("model", "unpack", tmp_path / "g.xanes-model", "-o", tmp_path / "back.model") == 0
    assert Model.open(tmp_path / "back.model").digest == Model.open(trained / "g.model").digest
    capsys.readouterr()
    assert run("info", trained / "g.model", "--json") == 0
    assert json.loads(capsys.readouterr().out)["architecture"]["name"] == "graph"
    assert "take graphs" in refused(
        capsys, tmp_path, "explain", trained / "g.model", trained / "f.h5", "-o", tmp_path / "e"
    )


def test_features_without_graphs_are_refused(trained, small, tmp_path):
    plain = small / "small.features.h5"
    with pytest.raises(ModelError, match=r"small\.features\.h5: model graph expects the graphs of the sites"):
        train_on(plain, tmp_path / "m.model", network=GRAPH)
    with FeatureStore(plain) as features, pytest.raises(ModelError, match=r"expected graphs for .*, received none"):
        predicted(trained / "g.model", features)


def test_other_graphs_are_refused(trained, tmp_path):
    with StructureStore(trained / "small.h5") as source:
        descriptor = descriptors.load("wacsf", "xanesnet-49")
        featurise(source, descriptor, tmp_path / "other.h5", graph=GraphSettings(bond=2.8))
        featurise(source, descriptor, tmp_path / "r.h5", graph=GraphSettings(bond=2.8), rattling=Rattling(0.02))
    with FeatureStore(tmp_path / "other.h5") as other, pytest.raises(ModelError, match=r"received .* up to 2\.8 Å"):
        predicted(trained / "g.model", other)
    with pytest.raises(ModelError, match=r"r\.h5: expected graphs as in"):
        train_on(trained / "f.h5", tmp_path / "m.model", network=GRAPH, augmented=[tmp_path / "r.h5"])


def test_several_devices_and_noise_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="model graph: trains on one device"):
        prepare(run_of(tmp_path, network=GRAPH, training__shards=2), 49)
    with pytest.raises(ConfigError, match=r"training\.feature_noise: model graph takes no features"):
        prepare(run_of(tmp_path, network=GRAPH, training__feature_noise=0.1), 49)


def test_a_description_without_settings_of_graphs_is_damaged(trained, tmp_path):
    shutil.copytree(trained / "g.model", tmp_path / "g.model")
    path = tmp_path / "g.model" / "model.json"
    values = json.loads(path.read_text())
    for wrong in (None, {"hash": "0" * 64, "settings": GraphSettings().describe()}, {"settings": {}}):
        path.write_text(json.dumps(values | {"graph": wrong}))
        with pytest.raises(StoreError, match="damaged"):
            Model.open(tmp_path / "g.model").members  # noqa: B018


@pytest.mark.parametrize("at_once", [1 << 30, 20_000])
def test_a_feed_has_every_site_once_with_its_own_graph_and_target(trained, tmp_path, monkeypatch, at_once):
    """In memory, and streamed through a small pool."""
    monkeypatch.setattr(feed, "BUFFER_BYTES", at_once)
    with FeatureStore(trained / "f.h5") as features, features.open_source() as source:
        run = prepare(run_of(tmp_path, network=GRAPH), features.n_features).run
        data = gather(run, [(features, source)])
        sites = data.sites_in("train")
        scalers = statistics(sites, "sqrt").scalers("global")
        own = GraphFeed(sites, scalers, 16, seed=3)
        epochs = []
        for epoch in (0, 1):
            graphs, y = [], []
            for block in own.blocks(epoch):
                assert block[0].shape[1] == 16
                graphs += list(block[0].reshape(-1))
                y.append(block[2].reshape(-1, block[2].shape[-1]))
            epochs.append((Graphs.joined(graphs), np.concatenate(y)))
        rows = np.flatnonzero(sites.chosen)
        stored = features.read_graphs(0, features.n_sites).take(rows)
        targets = scalers.targets(data.first.targets.read(0, features.n_sites)[rows], sites.absorbers[rows])
        data.close()
    assert own.n_batches * 16 == len(epochs[0][0]) > 64
    place = {targets[i].tobytes(): i for i in range(len(rows))}
    for graphs, y in epochs:
        order = np.array([place[row.tobytes()] for row in y])
        assert np.unique(order).size == order.size
        np.testing.assert_array_equal(graphs.lengths, stored.take(order).lengths)
        np.testing.assert_array_equal(graphs.numbers, stored.take(order).numbers)
    assert not np.array_equal(epochs[0][1], epochs[1][1])


def test_rattled_stores_give_other_graphs(trained, tmp_path):
    with StructureStore(trained / "small.h5") as source:
        descriptor = descriptors.load("wacsf", "xanesnet-49")
        featurise(source, descriptor, tmp_path / "r.h5", graph=GraphSettings(), rattling=Rattling(0.02))
    model = train_on(
        trained / "f.h5", tmp_path / "m.model", network=GRAPH, augmented=[tmp_path / "r.h5"],
        training__epochs=2, training__refit=False,
    )  # fmt: skip
    assert model.description["provenance"]["plan"]["augmented"]


def test_training_twice_gives_the_same_weights(trained, tmp_path):
    for name in ("a", "b"):
        train_on(trained / "f.h5", tmp_path / f"{name}.model", network=GRAPH, training__refit=False)
    found = []
    for name in ("a", "b"):
        with h5py.File(tmp_path / f"{name}.model" / "members" / "00" / "network.weights.h5") as file:
            values = []
            file.visititems(lambda _, node, own=values: own.append(node[:]) if isinstance(node, h5py.Dataset) else None)
            found.append(np.concatenate([v.ravel() for v in values]))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-5)


class Killed(Exception):
    """Stands for the end of the process."""


def test_a_stopped_training_resumes_to_the_same_model(trained, tmp_path):
    """It is stopped in both stages, after a checkpoint."""
    settings = {"training__epochs": 5, "training__checkpoint_minutes": 0.0}
    path = trained / "f.h5"
    whole = train_on(path, tmp_path / "whole", network=GRAPH, **settings)
    for stage, epoch in (("choose", 3), ("refit", 2)):

        def stop(found, at=(stage, epoch)):
            if (found.stage, found.epoch) == at:
                raise Killed

        with pytest.raises(Killed):
            train_on(
                path, tmp_path / "stopped", network=GRAPH, observer=Observer(epoch=stop), resume=stage == "refit",
                **settings,
            )  # fmt: skip
    resumed = train_on(path, tmp_path / "stopped", network=GRAPH, resume=True, **settings)
    for name, arrays in whole.members[0].weights.items():
        for mine, other in zip(arrays, resumed.members[0].weights[name], strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(whole.calibration.scale, resumed.calibration.scale, rtol=1e-4)


def test_a_start_with_other_graphs_is_refused(trained, small, tmp_path):
    shutil.copy(small / "small.h5", tmp_path)
    with StructureStore(tmp_path / "small.h5") as source:
        featurise(source, descriptors.load("wacsf", "xanesnet-49"), tmp_path / "f.h5", graph=GraphSettings(cutoff=4.0))
    with pytest.raises(ModelError, match=r"expected graphs with .*cutoff=6\.0.*, received .*cutoff=4\.0"):
        train_on(tmp_path / "f.h5", tmp_path / "m", network=GRAPH, transfer__model=str(trained / "g.model"))


def test_a_graph_model_is_a_start(trained, tmp_path):
    """Its networks and its process are moved to spectra of the same kind, and are as good as before at least."""
    best = min(history(Model.open(trained / "g.model"), "validation_error_percent"))
    model = train_on(
        trained / "f.h5", tmp_path / "m", network=GRAPH, transfer__model=str(trained / "g.model"),
        training__gaussian_process=True, training__epochs=1,
    )  # fmt: skip
    first, *_ = history(model, "validation_error_percent")
    assert first < 1.05 * best
    assert model.regression.kernel.coupling is not None
