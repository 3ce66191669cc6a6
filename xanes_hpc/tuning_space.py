"""The space of a search: by keys of the configuration, the values that trials may have."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from xanes_hpc import models
from xanes_hpc.config import ModelConfig, RunConfig
from xanes_hpc.tuning_entries import Choices, Entry, Range

if TYPE_CHECKING:
    import optuna

NAME = "model.name"
MODEL, TRAINING = "model.", "training."
SHAPES = ("model.width", "model.blocks", "model.hidden", "model.activation")
"""Keys of the default space that make other layers."""


@dataclass(frozen=True)
class Space:
    """What is searched: choices and ranges by dotted keys, such as ``training.learning_rate``."""

    entries: Mapping[str, Entry]

    def architectures(self, run: RunConfig) -> list[str]:
        """The architectures that trials may have."""
        entry = self.entries.get(NAME)
        return [str(v) for v in entry.probes] if entry else [run.model.name]

    def keys(self, architecture: str) -> list[str]:
        """The keys that apply to trials of an architecture, its name the first."""
        taken = {MODEL + name for name in parameters(architecture)} | {NAME}
        ours = [key for key in self.entries if key in taken or not key.startswith(MODEL)]
        return sorted(ours, key=lambda key: key != NAME)

    def ask(self, trial: "optuna.Trial", run: RunConfig) -> dict[str, Any]:
        """The values of a trial, by key."""
        name = self.entries[NAME].ask(trial, NAME) if NAME in self.entries else run.model.name
        return {key: self.entries[key].ask(trial, key) for key in self.keys(name)}

    def values(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """A trial's values from what Optuna knows them by."""
        return {key: self.entries[key].value(known[key]) for key in self.entries if key in known}

    def own(self, run: RunConfig) -> dict[str, Any] | None:
        """The values of a run as Optuna knows them; None where the space does not hold them."""
        resolved, _ = models.build(run.model.name, run.model.parameters, 1, 1)
        found = {NAME: run.model.name} | {MODEL + name: value for name, value in resolved.items()}
        found |= {TRAINING + name: value for name, value in vars(run.training).items()}
        keys = self.keys(run.model.name)
        if not all(self.entries[key].holds(found[key]) for key in keys):
            return None
        return {key: self.entries[key].known_as(found[key]) for key in keys}

    def as_values(self) -> dict[str, Any]:
        """As in TOML."""
        return {key: entry.as_values() for key, entry in self.entries.items()}


def parameters(architecture: str) -> dict[str, Any]:
    """An architecture's parameters and their defaults."""
    resolved, _ = models.build(architecture, {}, 1, 1)
    return resolved


def applied(run: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """The run with a trial's values; parameters of another architecture than the trial's are dropped."""
    name = values.get(NAME, run.model.name)
    kept = run.model.parameters if name == run.model.name else {}
    of_model = {key.removeprefix(MODEL): v for key, v in values.items() if key.startswith(MODEL) and key != NAME}
    of_training = {key.removeprefix(TRAINING): v for key, v in values.items() if key.startswith(TRAINING)}
    return replace(run, model=ModelConfig(name, {**kept, **of_model}), training=replace(run.training, **of_training))


def default_space(run: RunConfig) -> Space:
    """The space that is searched where none is given: what of it applies to the run's architecture.

    Where training starts from a model, its layers stay as they are.
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
