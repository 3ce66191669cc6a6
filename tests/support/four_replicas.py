"""Train with four replicas on one processor and with one device, and print JSON for the tests to compare.

    python tests/support/four_replicas.py FEATURES.h5 FOLDER

It runs in a process of its own because TensorFlow must not have started before.
"""

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from support.trainings import gathered, history, run_of, train_on
from xanes_hpc.config.sections import TrainingConfig
from xanes_hpc.data.datasets import TrainingData, statistics
from xanes_hpc.data.feed import Feed
from xanes_hpc.errors import XanesHpcError
from xanes_hpc.models import architectures
from xanes_hpc.training import tensorflow_setup
from xanes_hpc.training.trainer import Trainer

BATCH, EPOCHS = 16, 20
NETWORK = {"hidden": [16], "dropout": 0.2}


def trainer_of(data: TrainingData, devices: list[str], n_members: int = 2) -> tuple[Trainer, Feed]:
    """Return a trainer, and its feed, of members that learn from resampled sites with noise on the features."""
    config = TrainingConfig(batch_size=BATCH, epochs=EPOCHS, learning_rate=2e-3, feature_noise=0.05)
    part = data.sites_in("train")
    scalers = statistics(part, "sqrt").scalers("global")
    feed = Feed(part, scalers, BATCH, 0, n_members, resampled=True, n_devices=max(1, len(devices)))
    _, layers = architectures.build("mlp", NETWORK, feed.n_features, feed.n_energies)
    return Trainer(layers, scalers, config, feed, data.first.targets.grid.step, devices), feed


def losses_of(trainer: Trainer, feed: Feed, epochs: range) -> list[float]:
    """Train for some epochs and return the mean loss of each."""
    batches = trainer.batches(epochs)
    return [float(trainer.steps(batches, feed.n_batches).mean()) for _ in epochs]


def state_of(trainer: Trainer) -> list[tuple[Any, Any]]:
    """Return the trainer's variables with copies of their values."""
    return list(zip(trainer._state, trainer.state(), strict=True))


def rows_of_replicas(data: TrainingData, devices: list[str]) -> dict[str, Any]:
    """Return each replica's rows of the first batches, as indices into the whole batch."""
    trainer, feed = trainer_of(data, devices, 1)
    trainer.steps(trainer.batches(range(1)), 1)
    taken = []
    for batch, whole in zip(trainer.batches(range(1)), next(feed.blocks(0))[0], strict=False):
        own = [x.numpy() for x in trainer._strategy.experimental_local_results(batch[0][0])]
        rows = {v.tobytes(): i for i, v in enumerate(whole)}
        assert len(rows) == BATCH
        taken.append([[rows[v.tobytes()] for v in x] for x in own])
    return {"rows": taken, "n_batches": feed.n_batches}


def refusal(features: Path, toml: str, **flags: Any) -> str:
    """Return the error message of a run with four devices; "none" if there is no error."""
    with suppress(KeyboardInterrupt):
        try:
            train_on(features, folder / "refused", toml, **{"training__devices": "cpu:4"} | flags)
        except XanesHpcError as error:
            return str(error)
    return "none"


features, folder = Path(sys.argv[1]), Path(sys.argv[2])
four = tensorflow_setup.devices(None, "cpu:4")
with gathered([features], run_of(folder)) as data:
    found = rows_of_replicas(data, four)
    for name, devices in (("one", []), ("four", four)):
        trainer, feed = trainer_of(data, devices)
        losses = losses_of(trainer, feed, range(EPOCHS))
        found[name] = {"losses": losses, "state": [[v.path, a.ravel().tolist()] for v, a in state_of(trainer)]}
model = train_on(features, folder / "four", training__devices="cpu:4", training__refit=False)
found["errors"] = history(model, "validation_error_percent")
found["again"] = tensorflow_setup.devices(None, "cpu:4") == four
few = "\n[split]\ngroup = 'none'\ntest = 0.95\nvalidation = 0.01\ncalibration = 0.01\n"
found["refusals"] = [
    refusal(features, "", training__batch_size=30),
    refusal(features, few),
    refusal(features, "", training__devices="cpu:5", training__batch_size=20),
    refusal(features, "", training__gpus=1),
]
print(json.dumps(found))
