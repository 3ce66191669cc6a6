"""The configuration of a training run: frozen dataclasses, read from TOML.

Flags beat ``--config run.toml``, which beats ``xanes-hpc.toml`` in the working folder, which beats the defaults here.

    features = "tmqm.features.h5"
    output = "tmqm.model"

    [target]
    kind = "xanes"

    [model]
    name = "mlp"
    hidden = [512, 512]
"""

import difflib
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from xanes_hpc.errors import ConfigError, XanesHpcError

FILE_NAME = "xanes-hpc.toml"
LARGEST = 2**31 - 1
"""Of whole numbers, seeds among them."""
T = TypeVar("T")


@dataclass(frozen=True)
class TargetConfig:
    """What the model predicts.

    Attributes
    ----------
    kind
        Kind of spectrum: ``xanes``, ``xes``.
    treatment
        Name (or full text) of the treatment the spectra must have; needed where a site has spectra of several.
    origin
        ``e0``: energies relative to each site's edge energy; ``absolute``: as they are.
    start, stop, step
        The grid in eV; by default the range and step that the spectra share.
    """

    kind: str = "xanes"
    treatment: str | None = None
    origin: str = "e0"
    start: float | None = None
    stop: float | None = None
    step: float | None = None


@dataclass(frozen=True)
class SplitConfig:
    """How sites are shared out; sites of one group stay together.

    Attributes
    ----------
    group
        ``formula``, ``code`` (what stands before the first ``_`` of a name: the CSD code), or ``none``.
    validation
        Fraction that chooses the best weights.
    calibration
        Fraction that calibrates the uncertainty.
    test
        Fraction held out from all of it.
    """

    group: str = "formula"
    validation: float = 0.05
    calibration: float = 0.05
    test: float = 0.1


@dataclass(frozen=True)
class ModelConfig:
    """The architecture by name, and its own parameters (see its file in ``xanes_hpc/models``)."""

    name: str = "mlp"
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingConfig:
    """How the network is trained.

    Attributes
    ----------
    epochs, batch_size, seed
        ``batch_size`` is the global one, shared out over devices; a smaller training set is one batch.
    learning_rate, weight_decay
        Of AdamW; the rate falls to zero along a half cosine.
    loss
        ``mae`` or ``mse``, of the scaled spectra.
    target_scale
        ``global``: one number scales all energies; ``energy``: each energy is scaled by its own spread.
    feature_transform
        ``sqrt`` or ``none``, of the features before they are standardised.
    gpus
        Number of GPUs, 0 for the CPU; by default one, or the CPU where there is none.
    """

    epochs: int = 200
    batch_size: int = 64
    seed: int = 0
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    loss: str = "mae"
    target_scale: str = "global"
    feature_transform: str = "sqrt"
    gpus: int | None = None


@dataclass(frozen=True)
class RunConfig:
    """A training run.

    Attributes
    ----------
    features
        Feature store to train on.
    spectra
        Structure store whose spectra are the targets, where it is not the one that the feature store names.
    output
        Model folder to write.
    """

    features: str | None = None
    spectra: str | None = None
    output: str | None = None
    target: TargetConfig = field(default_factory=TargetConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)


def load_run(config: Path | None, folder: Path, flags: Mapping[str, Any]) -> RunConfig:
    """The run from ``folder``'s ``xanes-hpc.toml``, then ``config``, then flags.

    Parameters
    ----------
    config
        The file given with ``--config``.
    folder
        The working folder.
    flags
        Values by dotted key, such as ``training.epochs``; None where a flag was not given.

    Raises
    ------
    ConfigError
        If a file is missing or not TOML, or a key is unknown or a value of the wrong type.
    """
    values: dict[str, Any] = {}
    own = folder / FILE_NAME
    if own.is_file():
        _merge(values, _read(own))
    if config is not None:
        _merge(values, _from_its_folder(_read(config), config.parent))
    for key, value in flags.items():
        if value is not None:
            section, _, name = key.rpartition(".")
            (values.setdefault(section, {}) if section else values)[name] = value
    run = _build(RunConfig, values, "the configuration")
    _check(run)
    return run


def read_toml(path: Path, kind: type[XanesHpcError]) -> dict[str, Any]:
    """A TOML file's values.

    Raises
    ------
    XanesHpcError
        Of the type ``kind``, if the file cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise kind(f"{path}: cannot be read: {(error.strerror or '').lower()}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise kind(f"{path}: not TOML: {error}") from None


def _read(path: Path) -> dict[str, Any]:
    values = read_toml(path, ConfigError)
    _build(RunConfig, values, str(path))  # so that an error names the file
    return values


def _from_its_folder(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Relative paths of a file given with ``--config`` count from its folder."""
    paths = {k: os.path.normpath(folder / values[k]) for k in ("features", "spectra", "output") if values.get(k)}
    return values | paths


def _merge(into: dict[str, Any], values: dict[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            if key == "model" and "name" in value and value["name"] != into[key].get("name", "mlp"):
                into[key] = dict(value)  # another architecture: the former one's parameters do not apply
            else:
                _merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, dict) else value


def _build(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    if cls is ModelConfig:
        name = values.get("name", "mlp")
        if not isinstance(name, str):
            raise ConfigError(f"{where}, model.name: expected text, received {name!r}")
        parameters = {k: v for k, v in values.items() if k != "name"}
        return cast(T, ModelConfig(name=name, parameters=parameters))
    hints = get_type_hints(cls)
    known = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    built = {}
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
            raise ConfigError(f"{where}: unknown key {key!r}; {hint}")
        hint_type = hints[key]
        if is_dataclass(hint_type):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{where}: expected a section [{key}], received {value!r}")
            built[key] = _build(hint_type, value, f"{where}, [{key}]")  # type: ignore[arg-type]
        else:
            built[key] = _typed(hint_type, value, f"{where}: {key}")
    return cls(**built)


def _typed(wanted: Any, value: Any, where: str) -> Any:
    types = get_args(wanted) if get_origin(wanted) in (UnionType,) else (wanted,)
    if float in types and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    plain = tuple(t for t in types if isinstance(t, type))
    if not isinstance(value, plain) or (isinstance(value, bool) and bool not in types):
        names = " or ".join(
            {str: "text", int: "a whole number", float: "a number"}.get(t, str(t)) for t in plain if t is not NoneType
        )
        raise ConfigError(f"{where}: expected {names}, received {value!r}")
    return value


def _check(run: RunConfig) -> None:
    split, training, target = run.split, run.training, run.target
    for name in ("validation", "calibration", "test"):
        if not 0 <= getattr(split, name) < 1:
            raise ConfigError(f"split.{name}: expected a fraction from 0 to 1, received {getattr(split, name)}")
    if split.validation + split.calibration + split.test >= 1:
        raise ConfigError("split: validation, calibration and test leave nothing to train on")
    for name, low in (("epochs", 1), ("batch_size", 1), ("seed", 0), ("gpus", 0)):
        if getattr(training, name) is not None and not low <= getattr(training, name) <= LARGEST:
            raise ConfigError(f"training.{name}: expected {low} to {LARGEST}, received {getattr(training, name)}")
    if not training.learning_rate > 0 or not training.weight_decay >= 0:
        raise ConfigError("training: expected learning_rate above 0 and weight_decay at least 0")
    choices = {
        "split.group": (split.group, ("formula", "code", "none")),
        "training.loss": (training.loss, ("mae", "mse")),
        "training.target_scale": (training.target_scale, ("global", "energy")),
        "training.feature_transform": (training.feature_transform, ("sqrt", "none")),
        "target.origin": (target.origin, ("e0", "absolute")),
    }
    for key, (value, allowed) in choices.items():
        if value not in allowed:
            raise ConfigError(f"{key}: expected {' or '.join(allowed)}, received {value!r}")
    if target.step is not None and not target.step > 0:
        raise ConfigError(f"target.step: expected a step above 0 eV, received {target.step}")
    if target.start is not None and target.stop is not None and not target.start < target.stop:
        raise ConfigError(f"target: expected start below stop, received {target.start} and {target.stop} eV")


def to_toml(run: RunConfig) -> str:
    """The run as TOML that ``load_run`` reads back; keys without a value are left out."""
    lines, sections = [], []
    for f in fields(run):
        value = getattr(run, f.name)
        if is_dataclass(value):
            entries = {g.name: getattr(value, g.name) for g in fields(value)}
            entries |= entries.pop("parameters", {})
            sections += [f"\n[{f.name}]", *_entries(entries)]
        else:
            lines += _entries({f.name: value})
    return "\n".join([*lines, *sections]) + "\n"


def _entries(values: Mapping[str, Any]) -> list[str]:
    return [f"{k} = {json.dumps(v, ensure_ascii=False)}" for k, v in values.items() if v is not None]
