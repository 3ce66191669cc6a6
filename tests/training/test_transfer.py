"""Starting from a trained model: which weights are taken over, and how they are adapted."""

from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from support.builders import run as call
from support.networks import member_of, scalers
from support.trainings import FEATURES, copied, history, train_on

from xanes_hpc.config.files import load_run
from xanes_hpc.errors import ConfigError, ModelError
from xanes_hpc.models import architectures
from xanes_hpc.models.model import Model
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
    return Start(model, layers, N_FEATURES, "abc", absorbers, Grid(energies, origin), frozen_layers(layers, n_frozen))


def assert_taken(found, given):
    for mine, theirs in zip(found, given, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_the_same_network_takes_all_weights():
    model = model_of(hidden=[8, 6])
    start = start_of(model, hidden=[8, 6])
    for member, expected in ((0, 0), (1, 1), (2, 0)):
        found = start.weights(member)
        assert found.keys() == {"hidden_0", "hidden_1", "output"}
        for name, own in found.items():
            assert_taken(own, model.members[expected].weights[name])


def test_a_similar_network_takes_the_weights_that_match():
    model = model_of(hidden=[8, 6])
    found = start_of(model, hidden=[8, 5]).weights(0)
    assert found.keys() == {"hidden_0"}
    assert start_of(model, "residual", width=8, blocks=1).weights(0).keys() == {"hidden_0"}


@pytest.mark.parametrize("energies", [np.linspace(-20, 60, 161), np.linspace(-10, 30, 21), np.linspace(-30, 70, 101)])
def test_on_another_grid_the_last_layer_is_interpolated(energies):
    model = model_of(hidden=[8])
    kernel, bias = start_of(model, hidden=[8], energies=energies).weights(0)["output"]
    trained, own = model.members[0].weights["output"]
    for row, expected in zip(kernel, trained, strict=True):
        np.testing.assert_allclose(row, np.interp(energies, ENERGIES, expected), rtol=1e-6)
    np.testing.assert_allclose(bias, np.interp(energies, ENERGIES, own), rtol=1e-6)


def test_the_last_layer_is_not_taken_between_absolute_and_relative_energies():
    found = start_of(model_of(hidden=[8]), hidden=[8], energies=ENERGIES, origin="absolute").weights(0)
    assert found.keys() == {"hidden_0"}


def test_a_convolutional_network_keeps_all_weights_on_its_own_grid_and_its_filters_on_another():
    options = {"hidden": [8], "channels": 2, "stages": 2, "kernel": 3}
    model = model_of("convolutional", **options)
    same, other = (
        start_of(model, "convolutional", energies=e, **options).weights(0) for e in (ENERGIES, ENERGIES[:40])
    )
    assert same.keys() - other.keys() == {"coarse"}
    assert other.keys() >= {"hidden_0", "convolution_0", "convolution_1", "spectrum"}


def test_elements_keep_their_weights_and_new_ones_get_the_mean():
    model = model_of("conditioned", width=8, blocks=1)
    absorbers = [("Ni", "K"), ("Pt", "L3"), ("Fe", "K"), ("Pt", "L2")]
    found = start_of(model, "conditioned", absorbers, width=8, blocks=1).weights(0)
    kernel, bias = model.members[0].weights["scale_1"]
    mean = kernel.mean(axis=0)
    np.testing.assert_array_equal(found["scale_1"][0], [mean, kernel[2], kernel[0], mean])
    np.testing.assert_array_equal(found["scale_1"][1], bias)
    assert_taken(found["hidden_1"], model.members[0].weights["hidden_1"])


def test_elements_that_were_not_trained_on_do_not_count_in_the_mean():
    model = model_of("conditioned", width=8, blocks=1, untrained=("Co", "K"))
    found = start_of(model, "conditioned", [("Co", "K"), ("Fe", "K")], width=8, blocks=1).weights(0)
    kernel, _ = model.members[0].weights["scale_1"]
    np.testing.assert_array_equal(found["scale_1"][0], [kernel[[0, 2]].mean(axis=0), kernel[0]])


def test_features_keep_the_models_scaling_and_targets_get_their_own():
    model = model_of(hidden=[8])
    own = scalers(N_FEATURES, ENERGIES.size, 3, positive=True)
    own = type(own)(own.feature_mean + 1.0, own.feature_scale, own.target_mean, own.target_scale, own.softness, "sqrt")
    found = start_of(model, hidden=[8]).scalers(own)
    np.testing.assert_array_equal(found.feature_mean, model.members[0].scalers.feature_mean)
    assert found.transform == model.members[0].scalers.transform == "none"
    assert found.softness is own.softness
    assert found.target_mean is own.target_mean


def test_models_that_do_not_match_are_refused():
    model = model_of(hidden=[8])
    with pytest.raises(ModelError, match=r"m\.model: no layer matches the new network; use this model's"):
        start_of(model, hidden=[9])
    with pytest.raises(ModelError, match=r"`freeze` 2: m\.model has no weights for layer hidden_1"):
        start_of(model, hidden=[8, 8], n_frozen=2)
    _, layers = architectures.build("mlp", {"hidden": [8]}, N_FEATURES, 3)
    with pytest.raises(ModelError, match=r"m\.model: expected features of descriptor abc, received def; featuri"):
        Start(model, layers, N_FEATURES, "def", SEEN, Grid(ENERGIES))


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
