"""Architectures, one per file: the file's name is the architecture's name, and its ``PLUGIN`` is a function.

``PLUGIN(parameters, n_features, n_energies)`` returns all parameters, and the network as a tuple of ``Layer``, which
both Keras (``keras_network``) and NumPy (``numpy_network``) can run. Other distributions add architectures through the
entry point group ``xanes_hpc.models``.
"""

from collections.abc import Mapping
from typing import Any

from xanes_hpc.errors import ModelError
from xanes_hpc.models.layers import Layer, shapes, takes_graphs
from xanes_hpc.runtime.plugins import Plugins

__all__ = ["Layer", "build", "names", "on_graphs"]

PLUGINS = Plugins("architecture", "xanes_hpc.models.architectures", "xanes_hpc.models", ModelError)


def names() -> list[str]:
    """Return the names of all architectures."""
    return PLUGINS.names()


def build(
    name: str, parameters: Mapping[str, Any], n_features: int, n_energies: int
) -> tuple[dict[str, Any], tuple[Layer, ...]]:
    """Return an architecture's parameters, with their defaults, and its layers.

    Raises
    ------
    ModelError
        If there is no such architecture, a parameter is unknown or out of range, the layers do not fit together, or the
        last one does not return one value per energy.
    """
    architecture = PLUGINS.find(name)
    resolved: dict[str, Any]
    layers: tuple[Layer, ...]
    resolved, layers = architecture(parameters, n_features, n_energies)
    given = shapes(layers, n_features)[layers[-1].name] if layers else None
    if given != (n_energies,):
        raise ModelError(f"architecture {name}: expected an output of shape ({n_energies},), received {given}")
    return resolved, layers


def on_graphs(name: str, parameters: Mapping[str, Any]) -> bool:
    """Return whether networks of an architecture take graphs of sites instead of features.

    Raises
    ------
    ModelError
        As ``build`` does.
    """
    return takes_graphs(build(name, parameters, 1, 1)[1])
