"""Run trainings that are killed, interrupted and resumed, each in a process of its own, and print JSON.

    python tests/support/stopped_trainings.py FEATURES.h5 FOLDER runs|folds

TensorFlow is imported once, and starts in each of the forked processes.
"""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.trainings import TINY, train_on
from xanes_hpc.data.datasets import SiteSet
from xanes_hpc.training import checkpoints
from xanes_hpc.training import epochs as fitting
from xanes_hpc.training.checkpoints import checkpoint_path
from xanes_hpc.training.epochs import Epoch
from xanes_hpc.training.stages import Observer
from xanes_hpc.training.trainer import Trainer  # imports TensorFlow

OPTIONS: dict[str, Any] = {
    "training__epochs": 8, "training__schedule": "plateau", "training__learning_rate": 0.01,
    "training__feature_noise": 0.1, "training__checkpoint_minutes": 0.0, "training__gpus": 0,
    "uncertainty__members": 2, "uncertainty__method": "bootstrap",
}  # fmt: skip
CONFIG = (
    TINY + "[training]\nbatch_size = 16\nepochs = {}\ncheckpoint_minutes = 0\ngpus = 0\nlearning_rate = 0.003\n"
    "refit = true\n[uncertainty]\nmethod = 'ensemble'\nmembers = 2\n"
)
EPOCHS, ENDLESS = 4, 1_000_000
ERRORS = (9.0, 8.0, 8.5, 7.0, 7.5, 6.0, 6.5, 6.2)
"""Validation error % after every epoch; the learning rate falls after each that is not the best so far."""


def scripted_error(trainer: Trainer, part: SiteSet) -> float:
    """Return the scripted validation error of the trainer's last epoch."""
    return ERRORS[int(trainer._optimizer.iterations) // trainer._feed.n_batches - 1] if part.n_sites else float("nan")


def on_plateaus(**options: Any) -> None:
    """Train with learning rates that fall after epochs 3, 5, 7 and 8; epoch 6 is the best."""
    fitting.PLATEAU_EPOCHS, fitting.validation_error = 1, scripted_error
    train_on(features, folder / options.pop("output"), **OPTIONS, **options)


def exit_code(action: Callable[[], Any], meanwhile: Callable[[int], None] = lambda pid: None) -> int:
    """Run an action in a new process and return its exit code; minus the signal if one killed it."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            action()
        except SystemExit as error:
            sys.stdout.flush()
            os._exit(int(error.code or 0))
        os._exit(0)
    meanwhile(pid)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killed_at(stage: str, number: int) -> Observer:
    """Return an observer that kills its process at the end of an epoch, before the epoch's checkpoint."""

    def kill(epoch: Epoch) -> None:
        if (epoch.stage, epoch.epoch) == (stage, number):
            os.kill(os.getpid(), signal.SIGKILL)

    return Observer(epoch=kill)


def killed_while_writing(nth: int) -> None:
    """Kill this process when the n-th checkpoint is half written."""
    calls = []

    def digest(*values: Any) -> str:
        calls.append(values)
        if len(calls) == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*values)

    original, checkpoints._digest = checkpoints._digest, digest


def signalled_at(nth: int, number: int) -> None:
    """Send this process a signal when the n-th epoch begins."""
    calls = []

    def one_epoch(*values: Any) -> Any:
        calls.append(values)
        if len(calls) == nth:
            os.kill(os.getpid(), number)
        return original(*values)

    original, fitting._one_epoch = fitting._one_epoch, one_epoch


def commanded(name: str, output: str, *words: str, epochs: int = EPOCHS) -> None:
    """Run the command ``train``, with its output in ``NAME.out`` and ``NAME.err``."""
    from xanes_hpc.cli import main

    (folder / f"{name}.toml").write_text(CONFIG.format(epochs))
    for stream, suffix in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / f"{name}.{suffix}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    main.run(["train", str(features), "-o", str(folder / output), "--config", str(folder / f"{name}.toml"), *words])


def terminate(pid: int) -> None:
    """Send a process SIGTERM once it has written a checkpoint."""
    deadline = time.monotonic() + 60
    while not checkpoint_path(folder / "terminated").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(pid, signal.SIGTERM)


def interrupted_at(nth: int, *words: str) -> None:
    """Run the command ``train``, and press Ctrl-C when the n-th epoch begins."""
    signalled_at(nth, signal.SIGINT)
    commanded(*words)


def runs() -> dict[str, Any]:
    """Train whole, killed in either stage, interrupted and terminated; resume what can be."""
    found = {
        "whole": exit_code(lambda: on_plateaus(output="whole")),
        "killed in choose": exit_code(lambda: on_plateaus(output="killed", observer=killed_at("choose", 6))),
        "killed in refit": exit_code(lambda: (killed_while_writing(3 + 4), on_plateaus(output="killed", resume=True))),
        "half written": sorted(path.name for path in folder.glob(".killed*")),
        "resumed": exit_code(lambda: on_plateaus(output="killed", resume=True)),
        "command": exit_code(lambda: commanded("command", "commanded")),
        "early": exit_code(lambda: interrupted_at(1, "early", "early")),
        "interrupted": exit_code(lambda: interrupted_at(EPOCHS + 1, "interrupted", "interrupted")),
        "interrupted left": sorted(path.name for path in (folder / "interrupted").rglob("*")),
        "terminated": exit_code(lambda: commanded("terminated", "terminated", epochs=ENDLESS), terminate),
    }  # fmt: skip
    shutil.copytree(folder / "interrupted", folder / "kept")
    return found | {"command resumed": exit_code(lambda: commanded("resumed", "interrupted", "--resume"))}


def folds() -> dict[str, Any]:
    """Cross-validate: whole, and interrupted in the second fold's refit, resumed, interrupted in the final model."""
    words = ("folds_stopped", "--folds", "2")
    found = {
        "whole": exit_code(lambda: commanded("folds", "folds", "--folds", "2")),
        "interrupted": exit_code(lambda: interrupted_at(3 * EPOCHS + 1, "folds_i", *words)),
        "left": sorted(path.name for path in (folder / "folds_stopped").iterdir()),
    }
    with (folder / "folds" / "fold-1.model" / "history.csv").open() as stream:
        refit = sum(line.startswith("refit") for line in stream)
    return found | {
        "interrupted again": exit_code(lambda: interrupted_at(refit + 2, "folds_a", *words, "--resume")),
        "left again": sorted(path.name for path in (folder / "folds_stopped").iterdir()),
        "resumed": exit_code(lambda: commanded("folds_r", *words, "--resume")),
    }


features, folder = Path(sys.argv[1]), Path(sys.argv[2])
print(json.dumps({"runs": runs, "folds": folds}[sys.argv[3]]()))
