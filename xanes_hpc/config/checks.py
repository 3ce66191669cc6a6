"""Checks of the values in a training run's configuration."""

from xanes_hpc.config.sections import PLATEAU_EPOCHS, RunConfig
from xanes_hpc.errors import ConfigError
from xanes_hpc.runtime.limits import LARGEST
from xanes_hpc.spectra.grid import FIRST_VALUE, LAST_VALUE
from xanes_hpc.spectra.recipe import LEAST_STEP, check_broadening, check_normalisation

MOST_MEMBERS = 100
"""Maximum number of members; the names of their folders have two digits."""
DERIVATIVES = ("first_derivative", "second_derivative")
CHOICES: dict[str, tuple[str | None, ...]] = {
    "split.group": ("formula", "reduced-formula", "structure", "code", "cluster", "none"),
    "split.rest": (None, "train", "validation", "calibration", "test", "none"),
    "training.loss": ("mae", "mse", "huber"),
    "training.schedule": ("cosine", "plateau", "constant"),
    "training.target_scale": ("global", "energy"),
    "training.feature_transform": ("sqrt", "none"),
    "training.precision": ("float32", "mixed_bfloat16", "mixed_float16"),
    "uncertainty.method": ("dropout", "ensemble", "bootstrap"),
    "target.origin": ("e0", "absolute"),
    "target.below": (None, FIRST_VALUE),
    "target.above": (None, LAST_VALUE),
}
"""Allowed values of keys."""


def check(run: RunConfig) -> None:
    """Check the values of a run's configuration.

    Raises
    ------
    ConfigError
        If a value is invalid; the message names the key.
    """
    split, training, target = run.split, run.training, run.target
    _check_whole(run)
    check_broadening(run.broadening)
    check_normalisation(run.normalisation)
    for name in ("validation", "calibration", "test"):
        if not 0 <= getattr(split, name) < 1:
            raise ConfigError(f"split.{name}: expected a fraction from 0 to 1, received {getattr(split, name)}")
    if split.file is None and split.rest is not None:
        raise ConfigError("split.rest: is the set of sites that `split.file` leaves out; give it too")
    if split.file is not None and split.folds:
        raise ConfigError("split.folds: expected folds or a table of the split (`split.file`), received both")
    test = 1 / split.folds if split.folds else split.test
    if split.validation + split.calibration + test >= 1:
        raise ConfigError("split: validation, calibration and test leave no sites for training; lower their fractions")
    for name in ("learning_rate", "checkpoint_minutes", "weight_decay", "feature_noise", *DERIVATIVES):
        value, low = getattr(training, name), 1e-30 if name == "learning_rate" else 0.0
        if value is not None and not low <= value < float("inf"):
            least = "a number above 0" if low else "0 or more"
            raise ConfigError(f"training.{name}: expected {least}, received {value}")
    for key, allowed in CHOICES.items():
        section, _, name = key.partition(".")
        value = getattr(getattr(run, section), name)
        if value not in allowed:
            names = " or ".join(name for name in allowed if name is not None)
            raise ConfigError(f"{key}: expected {names}, received {value!r}")
    if training.schedule == "plateau" and training.patience is not None and training.patience <= PLATEAU_EPOCHS:
        raise ConfigError(
            f"training.patience: expected more than {PLATEAU_EPOCHS} epochs, after which the plateau schedule lowers "
            f"the learning rate, received {training.patience}"
        )
    for name, value in (("start", target.start), ("stop", target.stop)):
        if value is not None and not abs(value) <= LARGEST:
            raise ConfigError(f"target.{name}: expected an energy in eV, received {value}")
    if target.step is not None and not LEAST_STEP <= target.step <= LARGEST:
        raise ConfigError(f"target.step: expected a step above 0 eV, received {target.step}")
    if not 0 <= target.most_left_out <= 1:
        raise ConfigError(f"target.most_left_out: expected a fraction from 0 to 1, received {target.most_left_out}")
    if target.start is not None and target.stop is not None and not target.start < target.stop:
        raise ConfigError(f"target: expected start below stop, received {target.start} and {target.stop} eV")


def _check_whole(run: RunConfig) -> None:
    ranges = {
        "training.epochs": (1, LARGEST), "training.batch_size": (1, LARGEST), "training.seed": (0, LARGEST),
        "training.gpus": (0, LARGEST), "training.patience": (1, LARGEST), "split.folds": (2, LARGEST),
        "split.fold": (0, LARGEST), "uncertainty.members": (1, MOST_MEMBERS), "transfer.freeze": (0, LARGEST),
    }  # fmt: skip
    for key, (low, high) in ranges.items():
        section, _, name = key.partition(".")
        value = getattr(getattr(run, section), name)
        if value is not None and not low <= value <= high:
            raise ConfigError(f"{key}: expected {low} to {high}, received {value}")
    if run.split.folds and (run.split.fold or 0) >= run.split.folds:
        raise ConfigError(f"split.fold: expected 0 to {run.split.folds - 1}, received {run.split.fold}")
    if run.uncertainty.method != "dropout" and run.uncertainty.n_members < 2:
        raise ConfigError(f"uncertainty.members: expected 2 or more for method {run.uncertainty.method}, received 1")
