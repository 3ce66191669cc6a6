"""Reading and writing of a training run's configuration as TOML.

Flags override the run's file, which overrides ``xanes-hpc.toml`` in the working folder, which overrides the defaults.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from xanes_hpc.config.checks import check
from xanes_hpc.config.sections import DEFAULT_ARCHITECTURE, ModelConfig, RunConfig
from xanes_hpc.errors import ConfigError
from xanes_hpc.runtime.nearest import did_you_mean
from xanes_hpc.runtime.toml import read_toml
from xanes_hpc.spectra.recipe import BROADENING_PRESETS, BroadeningConfig

FILE_NAME = "xanes-hpc.toml"
WORDS = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}
NAMED_SECTIONS = ("model", "broadening", "normalisation")
"""Sections whose keys depend on their ``name``."""
T = TypeVar("T")


def load_run(
    config: Path | None,
    folder: Path | None,
    flags: Mapping[str, Any],
    architecture_of: Callable[[Path], dict[str, Any]] | None = None,
) -> RunConfig:
    """Load a run from ``folder``'s ``xanes-hpc.toml``, then ``config``, then flags; later values override earlier ones.

    Parameters
    ----------
    config
        The run's own file, if there is one.
    folder
        The working folder; None to ignore its file.
    flags
        Values by dotted key, such as ``training.epochs``; None for a flag that was not given.
    architecture_of
        Function that returns the section ``[model]`` of a model to start from, used if no such section is given.

    Raises
    ------
    ConfigError
        If a file is missing or not TOML, a key is unknown, or a value is invalid.
    """
    values: dict[str, Any] = {}
    if folder is not None and (folder / FILE_NAME).is_file():
        _merge(values, _read(folder / FILE_NAME))
    if config is not None:
        _merge(values, _from_its_folder(_read(config), config.parent))
    given: dict[str, Any] = {}
    for key, value in flags.items():
        if value is not None:
            section, _, name = key.rpartition(".")
            (given.setdefault(section, {}) if section else given)[name] = value
    _merge(values, given)
    run = build(RunConfig, values, "the configuration")
    if architecture_of is not None and run.transfer.model and not values.get("model"):
        run = build(RunConfig, values | {"model": architecture_of(Path(run.transfer.model))}, "the configuration")
    check(run)
    return run


SHORT = {"architecture": "model.name", "init_from": "transfer.model"}
"""Short names of settings, clearer than their keys."""


def settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by dotted key, given keys that occur in one section only, or whole sections.

    Raises
    ------
    ConfigError
        If a key is unknown, or occurs in several sections.

    Examples
    --------
    >>> settings({"epochs": 60, "split": {"group": "cluster"}})
    {'training.epochs': 60, 'split.group': 'cluster'}
    """
    sections = {f.name: get_type_hints(RunConfig)[f.name] for f in fields(RunConfig)}
    sections = {name: kind for name, kind in sections.items() if is_dataclass(kind)}
    found: dict[str, Any] = {}
    for key, value in values.items():
        if key in SHORT:
            found[SHORT[key]] = value
            continue
        if key == "model" and isinstance(value, str):  # as --model does, not the key of [transfer]
            found["model.name"] = value
            continue
        if key in sections and isinstance(value, Mapping):
            found |= {f"{key}.{name}": own for name, own in value.items()}
            continue
        homes = [section for section, kind in sections.items() if key in {f.name for f in fields(kind)}]
        if len(homes) > 1:
            raise ConfigError(f"{key!r}: expected one of {', '.join(f'{home}={{{key!r}: …}}' for home in homes)}")
        if not homes:
            known = sorted({f.name for kind in sections.values() for f in fields(kind)} | set(sections))
            raise ConfigError(f"unknown setting {key!r}{did_you_mean(key, known)}")
        found[f"{homes[0]}.{key}"] = value
    return found


FORMER = {"kernel_ridge": "gaussian_process"}
"""Present names of keys, by the names that they had before."""


def _read(path: Path) -> dict[str, Any]:
    values = read_toml(path, ConfigError)
    build(RunConfig, values, str(path))  # so that an error names the file
    return values


def _from_its_folder(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the values of a file with relative paths resolved against its folder."""

    def placed(path: Any) -> Any:
        return os.path.normpath(folder / path) if isinstance(path, str) and path else path

    values = dict(values)
    for key in ("features", "spectra", "augmented", "output"):
        if key in values:
            given = values[key]
            values[key] = [placed(p) for p in given] if isinstance(given, list) else placed(given)
    for section, key in (("transfer", "model"), ("split", "file")):
        given = values.get(section)
        if isinstance(given, dict) and key in given:
            values[section] = given | {key: placed(given[key])}
    return values


def _merge(into: dict[str, Any], values: dict[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            if key in NAMED_SECTIONS and "name" in value and value["name"] != into[key].get("name", value["name"]):
                into[key] = dict(value)  # another name: the former parameters do not apply
            else:
                _merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, dict) else value


def build(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """Return a section, a dataclass, with values from TOML.

    Parameters
    ----------
    cls, values
        The dataclass, which may hold others, and its values by name.
    where
        File and section, for errors.

    Raises
    ------
    ConfigError
        If a key is unknown, or a value is of another type.
    """
    if cls is ModelConfig:
        name = values.get("name", DEFAULT_ARCHITECTURE)
        if not isinstance(name, str):
            raise ConfigError(f"{where}, model.name: expected a string, received {name!r}")
        parameters = {k: v for k, v in values.items() if k != "name"}
        return cast(T, ModelConfig(name=name, parameters=parameters))
    if cls is BroadeningConfig and isinstance(values.get("name"), str):
        values = dict(values) | BROADENING_PRESETS.get(values["name"], {})
    hints = get_type_hints(cls)
    known = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    built = {}
    for given, value in values.items():
        key = FORMER.get(given, given)
        if key not in known:
            hint = did_you_mean(key, known, f"it has {', '.join(known)}")
            raise ConfigError(f"{where}: unknown key {key!r}{hint}")
        hint_type = hints[key]
        if is_dataclass(hint_type):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{where}: expected a section [{key}], received {value!r}")
            built[key] = build(hint_type, value, f"{where}, [{key}]")  # type: ignore[arg-type]
        else:
            built[key] = _typed(hint_type, value, f"{where}: {key}")
    return cls(**built)


def _typed(wanted: Any, value: Any, where: str) -> Any:
    if get_origin(wanted) is list:
        several = [value] if isinstance(value, str) else value
        if not isinstance(several, list) or not all(isinstance(v, str) for v in several):
            raise ConfigError(f"{where}: expected a string or a list of strings, received {value!r}")
        return several
    types = get_args(wanted) if get_origin(wanted) in (UnionType,) else (wanted,)
    if float in types and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ConfigError(f"{where}: expected a number within ±1.8e308") from None
    plain = tuple(t for t in types if isinstance(t, type))
    if not isinstance(value, plain) or (isinstance(value, bool) and bool not in types):
        names = " or ".join(WORDS[t] for t in plain if t is not NoneType)
        raise ConfigError(f"{where}: expected {names}, received {value!r}")
    return value


def to_toml(run: RunConfig) -> str:
    """Return the run as TOML that ``load_run`` reads back; keys without a value are omitted."""
    lines, sections = [], []
    for f in fields(run):
        value = getattr(run, f.name)
        if is_dataclass(value):
            sections += ["", *_section(f.name, value)]
        elif value != []:
            lines += _entries({f.name: value})
    text = "\n".join([*lines, *sections]) + "\n"
    return text.encode("utf-8", "replace").decode()  # file names may not be UTF-8, but TOML must be


def broadening_toml(broadening: BroadeningConfig) -> str:
    """Return the section ``[broadening]`` alone, as TOML that ``load_run`` reads."""
    return "\n".join(_section("broadening", broadening)) + "\n"


def _section(name: str, section: Any) -> list[str]:
    """Return the lines of a section; the parameters of an architecture are written like any key."""
    entries = {f.name: getattr(section, f.name) for f in fields(section)}
    entries |= entries.pop("parameters", {})
    return [f"[{name}]", *_entries(entries)]


def _entries(values: Mapping[str, Any]) -> list[str]:
    texts = {k: json.dumps(v, ensure_ascii=False) for k, v in values.items() if v is not None}
    return [f"{k} = {text}".replace("\x7f", "\\u007f") for k, text in texts.items()]
