"""Read the space of a search from TOML, and check it before anything is trained.

Keys are those of the configuration, dotted or in sections. Each has a list of choices or a range:

    "model.name" = ["residual", "mlp"]
    "model.width" = {low = 256, high = 1024, step = 128}
    "training.learning_rate" = {low = 3e-4, high = 5e-3, log = true}
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

from xanes_hpc.config.checks import check
from xanes_hpc.config.sections import RunConfig, TrainingConfig
from xanes_hpc.errors import ConfigError, ModelError
from xanes_hpc.model_selection.space import MODEL, NAME, TRAINING, Entry, Space, applied, parameters, read_entry
from xanes_hpc.models import architectures as models
from xanes_hpc.runtime.nearest import did_you_mean
from xanes_hpc.runtime.toml import read_toml

MEASURES = "it determines the data that errors are measured on"
NO_EFFECT = "it has no effect on a trial"
NOT_SEARCHED = {
    **dict.fromkeys(("features", "spectra", "augmented", "target", "split"), MEASURES),
    **dict.fromkeys(("output", "training.refit", "training.checkpoint_minutes"), NO_EFFECT),
    **dict.fromkeys(("training.gpus", "training.devices"), NO_EFFECT),
    "training.seed": "all trials share one seed, so that they differ only in their hyperparameters",
    **dict.fromkeys(("uncertainty", "training.gaussian_process"), "a trial trains a single network and nothing else"),
    "transfer": "all trials start from the same weights",
}
"""Keys and sections of the configuration that cannot be searched, with the reason."""


def read_space(path: Path, run: RunConfig) -> Space:
    """Read and check the space in a file.

    Parameters
    ----------
    path
        A TOML file.
    run
        Configuration of everything that is not searched.

    Raises
    ------
    ConfigError
        If the file cannot be read, a key is unknown or cannot be searched, or a value is invalid.
    """
    where = str(path)
    found: dict[str, Any] = {}
    for key, value in _flat(read_toml(path, ConfigError)):
        if key in found:
            raise ConfigError(f"{where}: {key} appears twice")
        found[key] = value
    if not found:
        raise ConfigError(f"{where}: empty space; `show_space` prints one to start from")
    entries: dict[str, Entry] = {}
    architectures = [run.model.name]
    if NAME in found:
        entries[NAME] = read_entry(found.pop(NAME), (str,), f"{where}: {NAME}")
        architectures = [_known_architecture(name, where) for name in entries[NAME].probes]
    known = _known(architectures)
    for key, value in found.items():
        if key not in known:
            raise ConfigError(f"{where}: {_unknown(key, known, architectures)}")
        entries[key] = read_entry(value, known[key], f"{where}: {key}")
    space = Space(entries)
    check_space(space, run, where)
    return space


def check_space(space: Space, run: RunConfig, where: str) -> None:
    """Check that every value a trial could take is valid.

    Raises
    ------
    ConfigError
        If not; the message names the key.
    """
    if "training.feature_transform" in space.entries and run.split.group == "cluster":
        raise ConfigError(
            f'{where}: training.feature_transform cannot be searched with split.group = "cluster", because the split '
            "depends on it; remove it, or set another group"
        )
    for architecture in space.architectures(run):
        for key in space.keys(architecture):
            for probe in space.entries[key].probes if key != NAME else (architecture,):
                candidate = applied(run, {NAME: architecture, key: probe})
                try:
                    check(candidate)
                    models.build(architecture, candidate.model.parameters, 1, 1)
                except (ConfigError, ModelError) as error:
                    raise ConfigError(
                        f"{where}: {error}" if key in str(error) else f"{where}: {key}: {error}"
                    ) from None


def to_toml(space: Space) -> str:
    """Return the space as TOML that ``read_space`` can read."""
    return "".join(f"{json.dumps(key)} = {_toml(value)}\n" for key, value in space.as_values().items())


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_toml(v)}" for name, v in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def _flat(values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and values; sections may be tables."""
    sections = {f.name for f in fields(RunConfig)}
    for key, value in values.items():
        if key in sections and isinstance(value, dict):
            yield from ((f"{key}.{name}", v) for name, v in value.items())
        else:
            yield key, value


def _known_architecture(name: Any, where: str) -> str:
    try:
        parameters(str(name))
    except ModelError as error:
        raise ConfigError(f"{where}: {NAME}: {error}") from None
    return str(name)


def _known(architectures: Iterable[str]) -> dict[str, tuple[type, ...]]:
    """Return the keys that can be searched, with the types of their values; empty if only the architecture checks."""
    hints = get_type_hints(TrainingConfig)
    known = {TRAINING + name: tuple(t for t in get_args(h) or (h,) if t is not NoneType) for name, h in hints.items()}
    for architecture in architectures:
        for name, default in parameters(architecture).items():
            known[MODEL + name] = (float,) if isinstance(default, float) else ()
    return {NAME: (str,)} | {key: types for key, types in known.items() if key not in NOT_SEARCHED}


def _unknown(key: str, known: Iterable[str], architectures: list[str]) -> str:
    for name in (key, key.partition(".")[0]):
        if name in NOT_SEARCHED:
            return f"{key} cannot be searched: {NOT_SEARCHED[name]}; set it in the configuration"
    if key.startswith(MODEL) and any(_takes(name, key.removeprefix(MODEL)) for name in models.names()):
        taken = ", ".join(k for k in known if k.startswith(MODEL) and k != NAME)
        named = f"{key} does not apply to {' or '.join(architectures)} (expected {taken})"
        return f"{named}; remove it, or add its architecture to {NAME}"
    hint = did_you_mean(key, known, f"expected {', '.join(known)}")
    return f"unknown key {key!r}{hint}"


def _takes(architecture: str, name: str) -> bool:
    try:
        return name in parameters(architecture)
    except ModelError:  # from another distribution, and not loadable
        return False
