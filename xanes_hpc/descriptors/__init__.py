"""Descriptors turn the surroundings of a site into a vector of numbers.

Each descriptor has its own file, which is named after it and defines it as ``PLUGIN``. Other packages register theirs
under the entry point group ``xanes_hpc.descriptors``. All presets share one namespace; if names clash, the preset of
our own descriptor is used.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from xanes_hpc.descriptors.base import Descriptor
from xanes_hpc.errors import DescriptorError
from xanes_hpc.runtime.nearest import did_you_mean
from xanes_hpc.runtime.plugins import Plugins

__all__ = ["Descriptor", "choose", "from_description", "load", "names", "presets", "read_toml", "with_properties"]

PLUGINS = Plugins("descriptor", "xanes_hpc.descriptors", "xanes_hpc.descriptors", DescriptorError, ("base",))


def names() -> list[str]:
    """Return the names of all descriptors."""
    return PLUGINS.names()


def load(name: str, preset: str | None = None, dtype: str | None = None) -> Descriptor:
    """Return a descriptor by name and preset.

    Parameters
    ----------
    name
        The descriptor, such as ``wacsf``.
    preset
        One of the descriptor's presets, such as ``xanesnet-2022``; by default the one called ``default``, or the first
        if there is none.
    dtype
        Type of the features, ``float32`` or ``float64``; by default the preset's.

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
    """Return the names of all presets and their descriptors."""
    found: dict[str, str] = {}
    for preset, name in _each_preset():
        found.setdefault(preset, name)
    return found


def from_description(description: Mapping[str, Any]) -> Descriptor:
    """Build a descriptor from its description, as read from TOML or a store.

    Raises
    ------
    DescriptorError
        If the description does not name a descriptor, or has keys or values that the descriptor does not accept.
    """
    if not isinstance(description.get("name"), str):
        raise DescriptorError('the description of a descriptor has no name; give one, such as name = "wacsf"')
    descriptor: Descriptor = _part(description["name"])(description)
    return descriptor


def read_toml(path: Path) -> Descriptor:
    """Build a descriptor from its description in a TOML file.

    Raises
    ------
    DescriptorError
        If the file is missing, not TOML, or not a valid description.
    """
    from xanes_hpc.runtime.toml import read_toml as read

    description = read(path, DescriptorError)
    try:
        return from_description(description)
    except DescriptorError as error:
        raise DescriptorError(f"{path}: {error}") from None


def choose(preset: str | None, description: Path | None) -> Descriptor:
    """Return the descriptor of a preset or of a TOML file; by default ``wacsf`` with its default preset.

    A descriptor's name stands for its default preset.

    Raises
    ------
    DescriptorError
        If both are given, or there is no such preset or file.
    """
    if description is not None:
        if preset is not None:
            raise DescriptorError("expected `preset` or `description`, received both")
        return read_toml(description)
    if preset is None:
        return load("wacsf")
    for known, name in _each_preset():
        if known == preset:
            return load(name, preset)
    if preset in names() and _part(preset).PRESETS:
        return load(preset)
    hint = did_you_mean(preset, presets())
    raise DescriptorError(f"no descriptor has a preset {preset!r}{hint} (expected {', '.join(presets())})")


def with_properties(descriptor: Descriptor, properties: str | Sequence[str]) -> Descriptor:
    """Return a descriptor that appends properties to the features of another.

    Parameters
    ----------
    descriptor
        The descriptor to extend.
    properties
        One or more names, or ``name=number`` with a default for sites without the property.

    Raises
    ------
    DescriptorError
        If a default is not a number, or a property is given twice.
    """
    defaults: dict[str, float] = {}
    names = []
    for text in [properties] if isinstance(properties, str) else properties:
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
    """Yield (preset, descriptor), our own first; those of other packages are imported only when reached."""
    own = PLUGINS.own_names()
    for name in [*own, *(n for n in names() if n not in own)]:
        for preset in _part(name).PRESETS:
            yield preset, name


def _part(name: str) -> type[Descriptor]:
    part = PLUGINS.find(name)
    if not (isinstance(part, type) and issubclass(part, Descriptor) and hasattr(part, "PRESETS")):
        raise DescriptorError(f"descriptor {name}: expected a class of Descriptor with PRESETS, received {part!r}")
    return part
