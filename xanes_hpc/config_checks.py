"""What the values of a run's configuration may be."""

from collections.abc import Mapping, Sequence
from typing import Any

from xanes_hpc.config import (
    BROADENING_USES,
    EDGE_STEP,
    HALF_STEP,
    LARGEST,
    NORMALISATION_USES,
    PLATEAU_EPOCHS,
    STEEPEST,
    BroadeningConfig,
    NormalisationConfig,
    RunConfig,
)
from xanes_hpc.errors import ConfigError

LEAST_STEP = 1e-9
MOST_MEMBERS = 100
"""Their folders have names of two digits."""
DERIVATIVES = ("first_derivative", "second_derivative")
CHOICES = {
    "split.group": ("formula", "code", "cluster", "none"),
    "training.loss": ("mae", "mse", "huber"),
    "training.schedule": ("cosine", "plateau", "constant"),
    "training.target_scale": ("global", "energy"),
    "training.feature_transform": ("sqrt", "none"),
    "training.precision": ("float32", "mixed_bfloat16", "mixed_float16"),
    "uncertainty.method": ("dropout", "ensemble", "bootstrap"),
    "target.origin": ("e0", "absolute"),
}
"""Values that a key may have."""
EDGES_AT = ("stored", STEEPEST, HALF_STEP)
EDGE_STEP_WINDOWS = ("pre_start", "pre_stop", "post_start", "post_stop")
MOST_ORDER = 3
OPTIONS = {"broadening": "--recipe", "normalisation": "--normalise"}
"""What gives a section's name on the command line."""
BROADENINGS, NORMALISATIONS = tuple(BROADENING_USES), tuple(NORMALISATION_USES)


def check(run: RunConfig) -> None:
    """Hold a run's values to what they may be.

    Raises
    ------
    ConfigError
        Naming the key.
    """
    split, training, target = run.split, run.training, run.target
    _check_whole(run)
    check_broadening(run.broadening)
    check_normalisation(run.normalisation)
    for name in ("validation", "calibration", "test"):
        if not 0 <= getattr(split, name) < 1:
            raise ConfigError(f"split.{name}: expected a fraction from 0 to 1, received {getattr(split, name)}")
    test = 1 / split.folds if split.folds else split.test
    if split.validation + split.calibration + test >= 1:
        raise ConfigError("split: validation, calibration and test leave nothing to train on")
    for name in ("learning_rate", "checkpoint_minutes", "weight_decay", "feature_noise", *DERIVATIVES):
        value, low = getattr(training, name), 1e-30 if name == "learning_rate" else 0.0
        if value is not None and not low <= value < float("inf"):
            least = "a number above 0" if low else "0 or more"
            raise ConfigError(f"training.{name}: expected {least}, received {value}")
    for key, allowed in CHOICES.items():
        section, _, name = key.partition(".")
        value = getattr(getattr(run, section), name)
        if value not in allowed:
            raise ConfigError(f"{key}: expected {' or '.join(allowed)}, received {value!r}")
    if training.schedule == "plateau" and training.patience is not None and training.patience <= PLATEAU_EPOCHS:
        raise ConfigError(
            f"training.patience: expected more than the {PLATEAU_EPOCHS} epochs after which the plateau schedule "
            f"lowers the rate, received {training.patience}"
        )
    for name, value in (("start", target.start), ("stop", target.stop)):
        if value is not None and not abs(value) <= LARGEST:
            raise ConfigError(f"target.{name}: expected an energy in eV, received {value}")
    if target.step is not None and not LEAST_STEP <= target.step <= LARGEST:
        raise ConfigError(f"target.step: expected a step above 0 eV, received {target.step}")
    if target.start is not None and target.stop is not None and not target.start < target.stop:
        raise ConfigError(f"target: expected start below stop, received {target.start} and {target.stop} eV")


def check_broadening(broadening: BroadeningConfig) -> None:
    """Hold a broadening's values to what they may be.

    Raises
    ------
    ConfigError
        Naming the key.
    """
    if broadening.name not in BROADENINGS:
        raise ConfigError(f"broadening.name: expected {' or '.join(BROADENINGS)}, received {broadening.name!r}")
    for name in ("core_hole", "gamma_max", "centre", "width", "seah", "gaussian"):
        value, low = getattr(broadening, name), 0.0 if name == "gaussian" else LEAST_STEP
        if value is not None and not low <= value <= LARGEST:
            raise ConfigError(f"broadening.{name}: expected a number above 0, received {value}")
    if broadening.e_cut is not None and not abs(broadening.e_cut) <= LARGEST:
        raise ConfigError(f"broadening.e_cut: expected an energy in eV, received {broadening.e_cut}")
    if broadening.name == "gaussian" and not broadening.gaussian:
        raise ConfigError("broadening.gaussian: expected a width in eV, received 0")
    _check_used("broadening", broadening, BROADENING_USES, BroadeningConfig())


def _check_used(section: str, given: Any, uses: Mapping[str, Sequence[str]], default: Any) -> None:
    """Refuse what a section's method has no use for, if it is not as it is by default."""
    for key in dict.fromkeys(key for keys in uses.values() for key in keys):
        if key not in uses[given.name] and getattr(given, key) != getattr(default, key):
            of = " or ".join(name for name, keys in uses.items() if key in keys)
            if given.name == "none":
                raise ConfigError(f"{section}.name: expected {of}, received nothing ({OPTIONS[section]}) but its {key}")
            raise ConfigError(f"{section}.{key}: is of {section} {of} only, received {section} {given.name}")


def check_normalisation(normalisation: NormalisationConfig) -> None:
    """Hold a normalisation's values to what they may be.

    Raises
    ------
    ConfigError
        Naming the key.
    """
    n = normalisation
    for key, value, allowed in (("name", n.name, NORMALISATIONS), ("e0", n.e0, EDGES_AT)):
        if value not in allowed:
            raise ConfigError(f"normalisation.{key}: expected {' or '.join(allowed)}, received {value!r}")
    for key in (*EDGE_STEP_WINDOWS, "start", "stop"):
        value = getattr(n, key)
        if value is not None and not abs(value) <= LARGEST:
            raise ConfigError(f"normalisation.{key}: expected an energy in eV from the edge, received {value}")
        if value is None and n.name == EDGE_STEP and key in EDGE_STEP_WINDOWS:
            raise ConfigError(
                f"normalisation.{key}: missing: edge-step takes a window before the edge and one after it, in eV from "
                "the edge"
            )
    for start, stop in (("pre_start", "pre_stop"), ("post_start", "post_stop"), ("start", "stop")):
        low, high = getattr(n, start), getattr(n, stop)
        if low is not None and high is not None and not low < high:
            raise ConfigError(f"normalisation: expected {start} below {stop}, received {low:g} and {high:g} eV")
    if n.name == EDGE_STEP and not (n.pre_stop or 0.0) <= 0.0 <= (n.post_start or 0.0):
        raise ConfigError(
            f"normalisation: expected pre_stop below the edge and post_start above it, received {n.pre_stop:g} and "
            f"{n.post_start:g} eV"
        )
    if not 0 <= n.order <= MOST_ORDER:
        raise ConfigError(f"normalisation.order: expected 0 to {MOST_ORDER}, received {n.order}")
    if n.e0 == HALF_STEP and n.name != EDGE_STEP:
        raise ConfigError("normalisation.e0: half-step needs normalisation edge-step, with its windows")
    if n.align and n.e0 == EDGES_AT[0]:
        raise ConfigError(f"normalisation.align: needs e0 to be looked for: expected e0 {' or '.join(EDGES_AT[1:])}")
    _check_used("normalisation", n, NORMALISATION_USES, NormalisationConfig())


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
    if run.split.folds and run.split.fold >= run.split.folds:
        raise ConfigError(f"split.fold: expected 0 to {run.split.folds - 1}, received {run.split.fold}")
    if run.uncertainty.method != "dropout" and run.uncertainty.n_members < 2:
        raise ConfigError(f"uncertainty.members: method {run.uncertainty.method} needs 2 or more, received 1")
