"""Descriptors: from the surroundings of an absorption site to a vector of numbers.

One file per descriptor, which is known by the file's name and named ``PLUGIN`` in it. Other distributions add theirs
through the entry point group ``xanes_hpc.descriptors``. All presets share one space of names: one that several
descriptors have is our own descriptor's.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from xanes_hpc.descriptors.base import Descriptor
from xanes_hpc.errors import DescriptorError
from xanes_hpc.runtime.plugins import Plugins

__all__ = ["Descriptor", "choose", "from_description", "load", "names", "presets", "read_toml", "with_properties"]

PLUGINS = Plugins("descriptor", "xanes_hpc.descriptors", "xanes_hpc.descriptors", DescriptorError, ("base",))


def names() -> list[str]:
    """Names of all descriptors."""
    return PLUGINS.names()


def load(name: str, preset: str | None = None, dtype: str | None = None) -> Descriptor:
    """A descriptor by name and preset.

    Parameters
    ----------
    name
        The descriptor, such as ``wacsf``.
    preset
        One of the descriptor's presets, such as ``xanesnet-2022``; by default the one called ``default``, or else its
        first.
    dtype
        ``float32`` or ``float64`` for the features, instead of the preset's.

    Raises
    ------
    DescriptorError
        If there is no such descriptor or preset.
    """
    known = _part(name).PRESETS
    if preset is None:
        preset = "default" if "default" in known else next(iter(known), "default")
    if preset not in known:
        raise DescriptorError(
            f"descriptor {name} has no preset {preset!r}; it has {', '.join(sorted(known)) or 'none'}"
        )
    description = {"name": name, **known[preset]()}
    return from_description(description | ({"dtype": dtype} if dtype else {}))


def presets() -> dict[str, str]:
    """Every preset's name and the descriptor it belongs to."""
    found: dict[str, str] = {}
    for preset, name in _each_preset():
        found.setdefault(preset, name)
    return found


def from_description(description: Mapping[str, Any]) -> Descriptor:
    """Build the descriptor that ``description`` (as read from TOML or a store) names and describes.

    Raises
    ------
    DescriptorError
        If the description names no descriptor, or has keys or values the descriptor does not take.
    """
    if not isinstance(description.get("name"), str):
        raise DescriptorError('a descriptor\'s description needs its name, such as name = "wacsf"')
    descriptor: Descriptor = _part(description["name"])(description)
    return descriptor


def read_toml(path: Path) -> Descriptor:
    """Build the descriptor described in a TOML file.

    Raises
    ------
    DescriptorError
        If the file is missing, not TOML, or describes no descriptor.
    """
    from xanes_hpc.runtime.toml import read_toml as read

    description = read(path, DescriptorError)
    try:
        return from_description(description)
    except DescriptorError as error:
        raise DescriptorError(f"{path}: {error}") from None


def choose(preset: str | None, path: Path | None) -> Descriptor:
    """The descriptor of a preset or of a TOML file; by default the project's own default.

    Raises
    ------
    DescriptorError
        If both are given, or there is no such preset or file.
    """
    if path is not None:
        if preset is not None:
            raise DescriptorError("expected a preset or a description of the descriptor, received both")
        return read_toml(path)
    if preset is None:
        return load("wacsf")
    for known, name in _each_preset():
        if known == preset:
            return load(name, preset)
    near = difflib.get_close_matches(preset, presets(), 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise DescriptorError(f"no descriptor has a preset {preset!r}{hint} (there are {', '.join(presets())})")


def with_properties(descriptor: Descriptor, properties: Sequence[str]) -> Descriptor:
    """A descriptor with properties after its features.

    Parameters
    ----------
    descriptor
        The plain one.
    properties
        Names, or ``name=number`` with what is taken where a site has none.

    Raises
    ------
    DescriptorError
        If a default is no number, or a property is given twice.
    """
    defaults: dict[str, float] = {}
    names = []
    for text in properties:
        name, given, value = text.partition("=")
        names.append(name)
        if given:
            try:
                defaults[name] = float(value)
            except ValueError:
                raise DescriptorError(f"property {text!r}: expected a name, or name=number") from None
    plain = descriptor.describe()
    return from_description({"name": "extended", "properties": names, "defaults": defaults, "descriptor": plain})


def _each_preset() -> Iterator[tuple[str, str]]:
    """(preset, descriptor), our own first; others' are imported only when it comes to them."""
    own = PLUGINS.own_names()
    for name in [*own, *(n for n in names() if n not in own)]:
        for preset in _part(name).PRESETS:
            yield preset, name


def _part(name: str) -> type[Descriptor]:
    part = PLUGINS.find(name)
    if not (isinstance(part, type) and issubclass(part, Descriptor) and hasattr(part, "PRESETS")):
        raise DescriptorError(f"descriptor {name}: expected a class of Descriptor with PRESETS, received {part!r}")
    return part
