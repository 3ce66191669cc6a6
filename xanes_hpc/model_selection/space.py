"""The space of a search: the values that trials may take, by key of the configuration."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from xanes_hpc.config.sections import ModelConfig, RunConfig
from xanes_hpc.errors import ConfigError
from xanes_hpc.models import architectures as models
from xanes_hpc.runtime.nearest import did_you_mean

if TYPE_CHECKING:
    import optuna

NAME = "model.name"
MODEL, TRAINING = "model.", "training."
DIGITS = 4
"""Significant digits of numbers from a range without a step."""
MEMBERS = ("low", "high", "step", "log")
"""Names of a range's settings."""
WORDS = {str: "text", int: "whole numbers", float: "numbers", bool: "true or false"}
SHAPES = ("model.width", "model.blocks", "model.hidden", "model.activation")
"""Keys of the default space that change the layers of a network."""


@dataclass(frozen=True)
class Choices:
    """A choice of several values; Optuna knows a list by its JSON text."""

    values: tuple[Any, ...]

    @property
    def probes(self) -> tuple[Any, ...]:
        """Values to check; if they are valid, all values are."""
        return self.values

    def ask(self, trial: "optuna.Trial", key: str) -> Any:
        """Return the value of a trial."""
        return self.value(trial.suggest_categorical(key, [self.known_as(v) for v in self.values]))

    def known_as(self, value: Any) -> Any:
        """Return Optuna's form of a value."""
        return json.dumps(value) if isinstance(value, list) else value

    def value(self, known: Any) -> Any:
        """Return the value with this form in Optuna; the inverse of ``known_as``."""
        return next(v for v in self.values if self.known_as(v) == known)

    def holds(self, value: Any) -> bool:
        """Return True if a value is in the space."""
        return value in self.values

    def as_values(self) -> Any:
        """Return plain values, as in TOML."""
        return list(self.values)


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, ends included; integers if the ends are integers.

    Attributes
    ----------
    step
        Spacing of the numbers, if any.
    log
        Whether to draw uniformly on a logarithmic scale.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether the numbers are integers."""
        return isinstance(self.low, int)

    @property
    def probes(self) -> tuple[float, ...]:
        """Values to check; if they are valid, all values are."""
        between = (self.low + (self.step or 1),) if self.is_whole and self.low < self.high else ()
        return (self.low, *between, self.high)

    def ask(self, trial: "optuna.Trial", key: str) -> Any:
        """Return the value of a trial."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(key, self.low, self.high, step=int(self.step or 1), log=self.log)
        return self.value(trial.suggest_float(key, self.low, self.high, step=self.step, log=self.log))

    def known_as(self, value: Any) -> Any:
        """Return Optuna's form of a value."""
        return value

    def value(self, known: Any) -> Any:
        """Return a number as trials use it, rounded to its significant digits."""
        if self.is_whole:
            return known
        rounded = float(f"{known:.{12 if self.step else DIGITS}g}")
        return min(max(rounded, self.low), self.high)

    def holds(self, value: Any) -> bool:
        """Return True if a value is in the space."""
        if isinstance(value, bool) or not isinstance(value, int if self.is_whole else int | float):
            return False
        steps = (value - self.low) / self.step if self.step else 0.0
        return self.low <= value <= self.high and math.isclose(steps, round(steps), abs_tol=1e-9)

    def as_values(self) -> Any:
        """Return plain values, as in TOML."""
        values = {"low": self.low, "high": self.high}
        return values | ({"step": self.step} if self.step else {}) | ({"log": True} if self.log else {})


Entry = Choices | Range


@dataclass(frozen=True)
class Space:
    """The choices and ranges of a search, by dotted key such as ``training.learning_rate``."""

    entries: Mapping[str, Entry]

    def architectures(self, run: RunConfig) -> list[str]:
        """Return the architectures that trials may have."""
        entry = self.entries.get(NAME)
        return [str(v) for v in entry.probes] if entry else [run.model.name]

    def keys(self, architecture: str) -> list[str]:
        """Return the keys that apply to trials of an architecture, with its name first."""
        taken = {MODEL + name for name in parameters(architecture)} | {NAME}
        ours = [key for key in self.entries if key in taken or not key.startswith(MODEL)]
        return sorted(ours, key=lambda key: key != NAME)

    def ask(self, trial: "optuna.Trial", run: RunConfig) -> dict[str, Any]:
        """Return the values of a trial, by key."""
        name = self.entries[NAME].ask(trial, NAME) if NAME in self.entries else run.model.name
        return {key: self.entries[key].ask(trial, key) for key in self.keys(name)}

    def values(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """Return a trial's values from their form in Optuna."""
        return {key: self.entries[key].value(known[key]) for key in self.entries if key in known}

    def own(self, run: RunConfig) -> dict[str, Any] | None:
        """Return Optuna's form of a run's own values; None if they are not in the space."""
        resolved, _ = models.build(run.model.name, run.model.parameters, 1, 1)
        found = {NAME: run.model.name} | {MODEL + name: value for name, value in resolved.items()}
        found |= {TRAINING + name: value for name, value in vars(run.training).items()}
        keys = self.keys(run.model.name)
        if not all(self.entries[key].holds(found[key]) for key in keys):
            return None
        return {key: self.entries[key].known_as(found[key]) for key in keys}

    def as_values(self) -> dict[str, Any]:
        """Return plain values, as in TOML."""
        return {key: entry.as_values() for key, entry in self.entries.items()}


def parameters(architecture: str) -> dict[str, Any]:
    """Return an architecture's parameters and their defaults."""
    resolved, _ = models.build(architecture, {}, 1, 1)
    return resolved


def applied(run: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """Return the run with a trial's values, without parameters of other architectures than the trial's."""
    name = values.get(NAME, run.model.name)
    kept = run.model.parameters if name == run.model.name else {}
    of_model = {key.removeprefix(MODEL): v for key, v in values.items() if key.startswith(MODEL) and key != NAME}
    of_training = {key.removeprefix(TRAINING): v for key, v in values.items() if key.startswith(TRAINING)}
    return replace(run, model=ModelConfig(name, {**kept, **of_model}), training=replace(run.training, **of_training))


def default_space(run: RunConfig) -> Space:
    """Return the default space for the run's architecture.

    If training starts from another model, the space leaves its layers unchanged.
    """
    entries: dict[str, Entry] = {
        "model.width": Range(256, 1024, 128),
        "model.blocks": Range(1, 5),
        "model.hidden": Choices(([256, 256], [512, 512], [1024, 1024], [512, 512, 512])),
        "model.activation": Choices(("gelu", "silu", "relu")),
        "model.dropout": Range(0.05, 0.3, 0.05),
        "training.learning_rate": Range(1e-4, 5e-3, log=True),
        "training.batch_size": Choices((32, 64, 128, 256)),
        "training.weight_decay": Range(1e-6, 1e-2, log=True),
        "training.first_derivative": Range(0.0, 2.0, 0.25),
        "training.feature_noise": Range(0.0, 0.2, 0.02),
    }
    if run.transfer.model is not None:
        entries = {key: entry for key, entry in entries.items() if key not in SHAPES}
    return Space({key: entries[key] for key in Space(entries).keys(run.model.name)})


def read_entry(value: Any, types: tuple[type, ...], where: str) -> Entry:
    """Return the choices or the range that a TOML value describes.

    Parameters
    ----------
    value
        A list of choices, or a table of ``low``, ``high``, and ``step`` or ``log``.
    types
        Types that values may have; empty for any.
    where
        File and key, for errors.

    Raises
    ------
    ConfigError
        If the value is neither, or has another type.
    """
    has_ranges = not types or bool({int, float} & set(types))
    if isinstance(value, list) and value:
        choices = tuple(_typed(v, types, where) for v in value)
        if len({json.dumps(v) for v in choices}) < len(choices):
            raise ConfigError(f"{where}: expected distinct choices, received {value}")
        return Choices(choices)
    if isinstance(value, dict) and has_ranges:
        return _range(value, types, where)
    wanted = "a list of choices" + (" or a range {low = …, high = …}" if has_ranges else "")
    raise ConfigError(f"{where}: expected {wanted}, received {value!r}; set fixed values in the configuration")


def _typed(value: Any, types: tuple[type, ...], where: str) -> Any:
    if float in types and type(value) is int:
        value = float(value)
    if type(value) not in (types or (str, bool, int, float, list)) or not _is_finite(value):
        expected = " or ".join(WORDS[t] for t in types) or "text, numbers, true, false or lists"
        raise ConfigError(f"{where}: expected {expected}, received {value!r}")
    return value


def _is_finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _range(value: Mapping[str, Any], types: tuple[type, ...], where: str) -> Range:
    for name in value:
        if name not in MEMBERS:
            hint = did_you_mean(name, MEMBERS, f"expected {', '.join(MEMBERS)}")
            raise ConfigError(f"{where}: unknown setting {name!r} of a range{hint}")
    missing = [name for name in ("low", "high") if name not in value]
    if missing:
        raise ConfigError(f"{where}: expected low and high, received a range without {missing[0]}")
    log, numbers = value.get("log", False), {name: value[name] for name in MEMBERS[:3] if name in value}
    if not isinstance(log, bool):
        raise ConfigError(f"{where}: log: expected true or false, received {log!r}")
    allowed = (int,) if types == (int,) else (int, float)
    for name, number in numbers.items():
        if type(number) not in allowed or not _is_finite(number):
            raise ConfigError(
                f"{where}: {name}: expected a {'whole ' * (allowed == (int,))}number, received {number!r}"
            )
    if float in types or float in map(type, numbers.values()):
        numbers = {name: float(number) for name, number in numbers.items()}
    low, high, step = numbers["low"], numbers["high"], numbers.get("step")
    if not low < high:
        raise ConfigError(f"{where}: expected low below high, received {low} and {high}")
    if log and (low <= 0 or step is not None):
        raise ConfigError(f"{where}: log = true needs low above 0 and no step, received {dict(value)}")
    if step is not None and (step <= 0 or not Range(low, high, step).holds(high)):
        raise ConfigError(f"{where}: expected a step that divides {low} to {high} evenly, received {step}")
    return Range(low, high, step, log)
