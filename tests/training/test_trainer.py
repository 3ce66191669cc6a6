"""A training step: what members share, what is random, and what does not change."""

import numpy as np
import pytest
from support.feeds import N_ENERGIES, UNIT, epoch_of, feed_of, part_of

from xanes_hpc.config.sections import TrainingConfig
from xanes_hpc.models import architectures
from xanes_hpc.models.layers import weight_shapes
from xanes_hpc.training.batches import dataset
from xanes_hpc.training.trainer import Trainer

SAME = {"rtol": 1e-5, "atol": 1e-6}
"""Tolerance between members trained together and alone; measured: bit-identical."""


def trainer_of(name="mlp", n_members=1, frozen=(), parameters=None, **config):
    """Return a trainer on sites of three absorbers, its feed and its layers; nothing sensible can be learned."""
    feed = feed_of(part_of(90, 50), batch_size=20, n_members=n_members, resampled=True)
    given = {"hidden": [8]} if name == "mlp" else {"width": 8, "blocks": 1}
    _, layers = architectures.build(name, given | {"dropout": 0.3} | (parameters or {}), feed.n_features, N_ENERGIES)
    options = TrainingConfig(**({"seed": 3, "learning_rate": 1e-2, "epochs": 4} | config))
    return Trainer(layers, feed._scalers, options, feed, 0.5, (), frozen), feed, layers


def trained(*names, **options):
    trainer, feed, _ = trainer_of(*names, **options)
    trainer.steps(trainer.batches(range(3)), 3 * feed.n_batches)
    return trainer


def arrays(trainer, member=0):
    return trainer.weights()[member]


@pytest.mark.parametrize("name", ["mlp", "conditioned"])
def test_members_learn_together_what_each_learns_alone(name):
    alone = trained(name, feature_noise=0.1)
    pair = trained(name, feature_noise=0.1, n_members=2)
    for mine, other in zip(arrays(alone), arrays(pair), strict=True):
        np.testing.assert_allclose(mine, other, **SAME)
    for first, second in zip(arrays(pair), arrays(pair, 1), strict=True):
        assert not np.allclose(first, second, atol=1e-4)


@pytest.mark.parametrize(("dropout", "noise"), [(0.0, 0.0), (0.3, 0.0), (0.0, 0.2)])
def test_dropout_and_noise_differ_in_every_step(dropout, noise):
    """So one batch has another loss in every step, although a tiny learning rate leaves the weights as they are."""
    options = {"learning_rate": 1e-30, "weight_decay": 0.0, "schedule": "constant", "feature_noise": noise}
    trainer, feed, _ = trainer_of("mlp", parameters={"hidden": [8], "dropout": dropout}, **options)
    losses = trainer.steps(iter(dataset(feed, range(1)).take(1).repeat(4)), 4)
    assert len(np.unique(losses)) == (4 if dropout or noise else 1)


def test_frozen_layers_keep_their_bits():
    frozen = {"scale_0", "hidden_0"}
    trainer, feed, layers = trainer_of("conditioned", frozen=list(frozen), weight_decay=0.1)
    names = set(weight_shapes(layers, feed.n_features, 3))
    before = trainer.weights()[0]
    trainer.steps(trainer.batches(range(2)), 2 * feed.n_batches)
    layer_of = [variable.path.split("/")[-2] for variable in trainer._plain[0].weights]
    kept = [np.array_equal(a, b) for a, b in zip(before, arrays(trainer), strict=True)]
    assert {name for name, same in zip(layer_of, kept, strict=True) if same} == frozen
    assert {name for name, same in zip(layer_of, kept, strict=True) if not same} == names - frozen


def test_a_state_is_a_copy_and_is_restored_completely():
    first, feed, _ = trainer_of(n_members=2)
    first.steps(first.batches(range(2)), 2 * feed.n_batches)
    state = first.state()
    losses = first.steps(first.batches(range(2, 4)), 2 * feed.n_batches)
    other, _, _ = trainer_of(n_members=2)
    other.restore(state)
    np.testing.assert_array_equal(other.steps(other.batches(range(2, 4)), 2 * feed.n_batches), losses)
    for mine, theirs in zip(other.state(), first.state(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(ValueError):
        other.restore(state[:-1])


def test_a_lowered_rate_is_part_of_the_state():
    trainer, _, _ = trainer_of(schedule="plateau")
    trainer.lower_learning_rate()
    other, _, _ = trainer_of(schedule="plateau")
    other.restore(trainer.state())
    assert other.learning_rate == pytest.approx(1e-2 / 3)


def test_spectra_are_the_mean_over_members():
    trainer, feed, _ = trainer_of(n_members=2)
    x, absorbers, _ = feed._sites.read(feed._chunks[3])
    mean = trainer.spectra(x, absorbers)
    start = trainer.weights()
    alone = []
    for own in start:
        trainer.set_weights([own, own])
        alone.append(trainer.spectra(x, absorbers))
    np.testing.assert_allclose(mean, np.mean(alone, axis=0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("buffer", [None, 4_000], ids=["kept", "streamed"])
def test_the_dataset_yields_one_epoch_after_another(monkeypatch, buffer):
    if buffer is not None:
        monkeypatch.setattr("xanes_hpc.data.feed.BUFFER_BYTES", buffer)
    feed = feed_of(part_of(200), n_members=2)
    batches = [[array.numpy() for array in (*inputs, *others)] for inputs, *others in dataset(feed, range(2, 4))]
    assert len(batches) == 2 * feed.n_batches
    assert [(a.shape, a.dtype) for a in batches[0]] == [
        ((10, 4), np.float32), ((10,), np.int32), ((10, N_ENERGIES), np.float32), ((10, 2), np.float32),
    ]  # fmt: skip
    numbers = np.rint(np.concatenate([batch[0][:, 0] for batch in batches]) / UNIT)
    np.testing.assert_array_equal(numbers, np.concatenate([epoch_of(feed, epoch)[0] for epoch in (2, 3)]))
