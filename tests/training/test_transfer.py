"""Starting from a trained model: which weights are taken over, and how they are adapted."""

from dataclasses import replace
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from support.builders import run as call
from support.networks import member_of, scalers
from support.trainings import FEATURES, copied, gathered, history, run_of, train_on

from xanes_hpc.analysis.evaluate import error_percent
from xanes_hpc.config.files import load_run
from xanes_hpc.data.datasets import iterate, statistics
from xanes_hpc.errors import ConfigError, ModelError
from xanes_hpc.models import architectures
from xanes_hpc.models.gaussian_process import GaussianProcess
from xanes_hpc.models.kernels import same_absorber
from xanes_hpc.models.model import Model
from xanes_hpc.models.training_sites import USED_SETS
from xanes_hpc.spectra.grid import Grid
from xanes_hpc.training.transfer import Start, frozen_layers

ENERGIES = np.linspace(-20.0, 60.0, 81)
SEEN = [("Fe", "K"), ("Co", "K"), ("Pt", "L3")]
N_FEATURES = 7


def model_of(name="mlp", seen=SEEN, energies=ENERGIES, origin="e0", untrained=None, **parameters):
    """Return a model of two members, without a folder."""
    _, layers = architectures.build(name, parameters, N_FEATURES, energies.size)
    own = scalers(N_FEATURES, energies.size, len(seen))
    return SimpleNamespace(
        path="m.model", descriptor_hash="abc", grid=(energies, origin), seen=dict.fromkeys(seen, 7112.0),
        trained_absorbers={absorber: i for i, absorber in enumerate(seen) if absorber != untrained},
        members=[member_of(layers, own, i, seed=i) for i in range(2)],
    )  # fmt: skip


def start_of(model, name="mlp", absorbers=SEEN, energies=ENERGIES, origin="e0", n_frozen=0, **parameters):
    _, layers = architectures.build(name, parameters, N_FEATURES, energies.size)
    return Start(model, layers, features_of(), absorbers, Grid(energies, origin), frozen_layers(layers, n_frozen))


def features_of(descriptor_hash="abc", graph=None):
    """Return what of a feature store counts."""
    return SimpleNamespace(n_features=N_FEATURES, attribute=lambda name: descriptor_hash, graph=graph)


def interpolated(start, member=0):
    """Return the initial weights if the spectra are of one kind."""
    return start.weights(member, start.interpolation)


def assert_taken(found, given):
    for mine, theirs in zip(found, given, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_the_same_network_takes_all_weights():
    model = model_of(hidden=[8, 6])
    start = start_of(model, hidden=[8, 6])
    for member, expected in ((0, 0), (1, 1), (2, 0)):
        found = interpolated(start, member)
        assert found.keys() == {"hidden_0", "hidden_1", "output"}
        for name, own in found.items():
            assert_taken(own, model.members[expected].weights[name])


def test_a_similar_network_takes_the_weights_that_match():
    model = model_of(hidden=[8, 6])
    found = interpolated(start_of(model, hidden=[8, 5]))
    assert found.keys() == {"hidden_0"}
    assert interpolated(start_of(model, "residual", width=8, blocks=1)).keys() == {"hidden_0"}


@pytest.mark.parametrize("energies", [np.linspace(-20, 60, 161), np.linspace(-10, 30, 21), np.linspace(-30, 70, 101)])
def test_on_another_grid_the_last_layer_is_interpolated(energies):
    model = model_of(hidden=[8])
    kernel, bias = interpolated(start_of(model, hidden=[8], energies=energies))["output"]
    trained, own = model.members[0].weights["output"]
    for row, expected in zip(kernel, trained, strict=True):
        np.testing.assert_allclose(row, np.interp(energies, ENERGIES, expected), rtol=1e-6)
    np.testing.assert_allclose(bias, np.interp(energies, ENERGIES, own), rtol=1e-6)


def test_the_last_layer_is_not_taken_between_absolute_and_relative_energies():
    found = interpolated(start_of(model_of(hidden=[8]), hidden=[8], energies=ENERGIES, origin="absolute"))
    assert found.keys() == {"hidden_0"}


def test_a_convolutional_network_keeps_all_weights_on_its_own_grid_and_its_filters_on_another():
    options = {"hidden": [8], "channels": 2, "stages": 2, "kernel": 3}
    model = model_of("convolutional", **options)
    same, other = (
        interpolated(start_of(model, "convolutional", energies=e, **options)) for e in (ENERGIES, ENERGIES[:40])
    )
    assert same.keys() - other.keys() == {"coarse"}
    assert other.keys() >= {"hidden_0", "convolution_0", "convolution_1", "spectrum"}


def test_elements_keep_their_weights_and_new_ones_get_the_mean():
    model = model_of("conditioned", width=8, blocks=1)
    absorbers = [("Ni", "K"), ("Pt", "L3"), ("Fe", "K"), ("Pt", "L2")]
    found = interpolated(start_of(model, "conditioned", absorbers, width=8, blocks=1))
    kernel, bias = model.members[0].weights["scale_1"]
    mean = kernel.mean(axis=0)
    np.testing.assert_array_equal(found["scale_1"][0], [mean, kernel[2], kernel[0], mean])
    np.testing.assert_array_equal(found["scale_1"][1], bias)
    assert_taken(found["hidden_1"], model.members[0].weights["hidden_1"])


def test_elements_that_were_not_trained_on_do_not_count_in_the_mean():
    model = model_of("conditioned", width=8, blocks=1, untrained=("Co", "K"))
    found = interpolated(start_of(model, "conditioned", [("Co", "K"), ("Fe", "K")], width=8, blocks=1))
    kernel, _ = model.members[0].weights["scale_1"]
    np.testing.assert_array_equal(found["scale_1"][0], [kernel[[0, 2]].mean(axis=0), kernel[0]])


def test_models_that_do_not_match_are_refused():
    model = model_of(hidden=[8])
    with pytest.raises(ModelError, match=r"m\.model: no layer matches the new network; use this model's"):
        start_of(model, hidden=[9])
    with pytest.raises(ModelError, match=r"`freeze` 2: m\.model has no weights for layer hidden_1"):
        start_of(model, hidden=[8, 8], n_frozen=2)
    _, layers = architectures.build("mlp", {"hidden": [8]}, N_FEATURES, 3)
    with pytest.raises(ModelError, match=r"m\.model: expected features of descriptor abc, received def; featuri"):
        Start(model, layers, features_of("def"), SEEN, Grid(ENERGIES))


def test_the_first_layers_with_weights_are_frozen():
    _, layers = architectures.build("conditioned", {"width": 8, "blocks": 1}, N_FEATURES, 3)
    assert frozen_layers(layers, 4) == ["scale_0", "shift_0", "hidden_0", "scale_1"]
    assert frozen_layers(layers, 0) == []
    with pytest.raises(ModelError, match="`freeze` 7: the network has 7 layers"):
        frozen_layers(layers, 7)


@pytest.fixture(scope="module")
def trained(small, tmp_path_factory):
    """Return a model that has learned more than a brief run would."""
    options = {"training__epochs": 40, "training__learning_rate": 0.01, "training__refit": False}
    return train_on(small / FEATURES, tmp_path_factory.mktemp("trained") / "m", **options)


@pytest.fixture(scope="module")
def full(small, tmp_path_factory):
    """Return a model with a Gaussian process."""
    options = {"training__epochs": 40, "training__learning_rate": 0.01, "training__gaussian_process": True}
    return train_on(small / FEATURES, tmp_path_factory.mktemp("full") / "m", **options)


def test_training_starts_from_the_models_error(trained, small, tmp_path):
    """On its own grid and on another; frozen layers stay bit-identical."""
    best = min(history(trained, "validation_error_percent"))
    (nothing,) = history(
        train_on(small / FEATURES, tmp_path / "n", training__epochs=1, training__refit=False),
        "validation_error_percent",
    )
    assert best < 0.75 * nothing
    options = {"transfer__model": str(trained.path), "transfer__freeze": 1, "training__epochs": 2}
    same = train_on(small / FEATURES, tmp_path / "s", **options)
    other = train_on(small / FEATURES, tmp_path / "o", "[target]\nstart = -15.0\nstop = 50.0\nstep = 0.5\n", **options)
    for model in (same, other):
        first = history(model, "validation_error_percent")[0]
        assert first < best + 0.2 * (nothing - best)
        assert_taken(model.members[0].weights["hidden_0"], trained.members[0].weights["hidden_0"])
        assert not np.array_equal(model.members[0].weights["output"][1], trained.members[0].weights["output"][1])
    assert other.grid[0].size == 131
    again = load_run(same.path / "run.toml", tmp_path, {})
    assert again.training.learning_rate == 2e-4
    assert (same.path / again.transfer.model).resolve() == trained.path.resolve()


BROADENED = """
[broadening]
name = "gaussian"
gaussian = 4.0
[normalisation]
name = "area"
start = -10.0
stop = 40.0
"""


def test_a_model_is_moved_among_spectra_of_another_kind(full, small, tmp_path):
    """Networks and process predict what they did, broadened and scaled; without a step, this is the best model."""
    run = run_of(tmp_path, BROADENED)
    with gathered([small / FEATURES], run) as data:
        sites = data.sites_in("train", "validation")
        _, layers = architectures.build(full.description["architecture"]["name"], {"hidden": [16]}, 49, 201)
        start = Start(full, layers, data.first.features, list(full.seen), data.first.targets.grid)
        own = statistics(sites, "sqrt").scalers("global")
        moved = start.moved(sites, own, 0)
        x, absorbers, y = (np.concatenate(c) for c in zip(*iterate(sites), strict=True))
    found = moved.correspondence
    assert found.shift == pytest.approx(0.0, abs=0.1)
    assert found.width == pytest.approx(4.0 / np.sqrt(8.0 * np.log(2.0)), rel=0.1)
    energies = full.grid[0]
    matrix = found.matrix(energies, energies)
    member, linear = full.members[0], replace(moved.scalers, softness=None)  # positive spectra are not quite linear
    after = replace(member, weights={**member.weights, **moved.weights(0)}, scalers=linear)
    member = replace(member, scalers=replace(member.scalers, softness=None))
    expected = member.mean_network(x, absorbers) @ matrix.T
    np.testing.assert_allclose(after.mean_network(x, absorbers), expected, atol=0.01 * np.ptp(y))
    earlier, before = moved.earlier, full.regression
    process = GaussianProcess(
        earlier.landmarks, earlier.absorbers, earlier.coefficients, earlier.kernel, 1.0, moved.scalers, None,
        replace(before.aligned, scalers=moved.scalers),
    )  # fmt: skip
    np.testing.assert_allclose(
        process.spectra(x, absorbers), before.spectra(x, absorbers) @ matrix.T, atol=0.01 * np.ptp(y)
    )


def test_few_spectra_of_another_kind_are_predicted_better_from_the_model(full, small, tmp_path):
    options = {
        "training__gaussian_process": True, "split__validation": 0.1, "split__test": 0.7, "training__seed": 7,
    }  # fmt: skip
    errors = []
    for name, start in (("scratch", {}), ("moved", {"transfer__model": str(full.path)})):
        model = train_on(small / FEATURES, tmp_path / name, BROADENED, **options, **start)
        with gathered([small / FEATURES], run_of(tmp_path, BROADENED, **options)) as data:
            x, absorbers, y = (np.concatenate(c) for c in zip(*iterate(data.sites_in("test")), strict=True))
        drawn, _ = model.sample(x, absorbers, 10, 0)
        errors.append(error_percent(y, drawn.mean).mean())
    assert errors[1] < 0.7 * errors[0]
    assert model.regression.kernel.coupling.shape == (12, 12)
    n_new = sum(model.training_sites.count(name) for name in USED_SETS)
    assert len(model.training_sites.features) == len(full.regression.landmarks) + n_new
    assert set(full.trust["elements"]) <= set(model.trust["elements"])


def test_a_model_that_was_moved_is_a_start_too(full, small, tmp_path):
    """Its landmarks come along, those of the first model and its own."""
    options = {"training__gaussian_process": True, "training__epochs": 1}
    second = train_on(small / FEATURES, tmp_path / "2", BROADENED, transfer__model=str(full.path), **options)
    third = train_on(small / FEATURES, tmp_path / "3", BROADENED, transfer__model=str(second.path), **options)
    n_new = sum(third.training_sites.count(name) for name in USED_SETS)
    assert len(third.regression.landmarks) == len(second.regression.landmarks) + n_new
    coupled = third.regression.kernel.coupling
    assert coupled.shape == (18, 18)
    np.testing.assert_allclose(coupled[6:, 6:], second.regression.kernel.coupling)
    assert np.linalg.eigvalsh(coupled).min() > -1e-9
    same = same_absorber(third.regression.kernel, np.arange(6), np.arange(18))
    np.testing.assert_array_equal(same, np.tile(np.eye(6, dtype=bool), 3))
    best = min(history(second, "validation_error_percent"))
    assert min(history(third, "validation_error_percent")) <= 1.05 * best


def test_trained_networks_count_as_epoch_0(full, small, tmp_path):
    options = {"transfer__model": str(full.path), "training__epochs": 3, "training__refit": False}
    worse = train_on(small / FEATURES, tmp_path / "w", **options, training__learning_rate=0.5)
    assert history(worse, "epoch")[:2] == [0.0, 1.0]
    errors = history(worse, "validation_error_percent")
    assert errors[0] == min(errors)
    assert worse.description["provenance"]["chosen"]["epochs"] == 0


def test_shifts_are_refused_if_the_model_has_none(trained, small, tmp_path):
    plain = train_on(
        small / FEATURES, tmp_path / "p", training__gaussian_process=True, target__aligned=False, training__epochs=1
    )
    options = {"transfer__model": str(plain.path), "training__gaussian_process": True}
    with pytest.raises(ModelError, match=r"target\.aligned: the Gaussian process of .* has no shifts; set target"):
        train_on(small / FEATURES, tmp_path / "m", **options)
    train_on(small / FEATURES, tmp_path / "n", target__aligned=False, **options)


def test_models_remember_the_sites_of_the_models_they_started_from(trained, small, tmp_path):
    """Sites that a later split holds out were trained on all the same; this is passed on from model to model."""
    options = {"training__seed": 5, "training__epochs": 1}
    second = train_on(small / FEATURES, tmp_path / "b", transfer__model=str(trained.path), **options)
    third = train_on(small / FEATURES, tmp_path / "c", transfer__model=str(second.path), **options)
    alone = train_on(small / FEATURES, tmp_path / "d", **options)
    sites, first = second.training_sites, trained.training_sites
    assert sites.earlier == first.trained_on
    assert third.training_sites.earlier == sites.trained_on
    test = np.flatnonzero(sites.sets == 3)
    names, formulas = ([column[i] for i in test] for column in (sites.names, sites.formulas))
    was_fitted = [formula in {f for _, f in first.trained_on} for formula in formulas]
    assert any(was_fitted)
    assert ["formula" in twin for twin in sites.twins_of(names, formulas)] == was_fitted
    assert sites.n_tested_known_earlier == sum(was_fitted)
    assert not any("formula" in twin for twin in alone.training_sites.twins_of(names, formulas))


def test_the_command_uses_the_models_architecture_and_reports_what_it_took(trained, small, tmp_path, capsys):
    features = copied(small, tmp_path)
    words = ["train", features, "--init-from", trained.path, "--epochs", 1, "--members", 1, "--seed", 5]
    assert call(*words, "-o", tmp_path / "a") == 0
    printed = capsys.readouterr()
    assert "weights of 2 of 2 layers" in printed.out
    assert "was trained on" in printed.err
    assert "errors on these are too low" in printed.err
    assert Model.open(tmp_path / "a").description["architecture"] == trained.description["architecture"]
    (tmp_path / "r.toml").write_text('[model]\nname = "mlp"\nhidden = [16, 8]\n')
    assert call(*words, "-o", tmp_path / "b", "--config", tmp_path / "r.toml") == 0
    assert "weights of 1 of 3 layers" in capsys.readouterr().out


def test_a_model_of_another_descriptor_is_refused(trained, small, tmp_path):
    path = copied(small, tmp_path)
    with h5py.File(path, "a") as file:
        file.attrs["descriptor_hash"] = "ab" * 32
        del file.attrs["digest_attributes"]
    with pytest.raises(ModelError, match="expected features of descriptor"):
        train_on(path, tmp_path / "m", transfer__model=str(trained.path))


def test_freezing_without_a_model_is_refused(small, tmp_path):
    with pytest.raises(ConfigError, match="`freeze`: needs a model whose layers to freeze; give"):
        train_on(small / FEATURES, tmp_path / "m", transfer__freeze=1)
    with pytest.raises(ModelError, match="`freeze` 2: the network has 2 layers"):
        train_on(small / FEATURES, tmp_path / "m", transfer__freeze=2)
    assert not (tmp_path / "m").exists()
