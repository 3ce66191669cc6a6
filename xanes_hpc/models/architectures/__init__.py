"""Architectures: one file each, known by its name, with a function ``PLUGIN``.

``PLUGIN(parameters, n_features, n_energies)`` returns the network as a tuple of ``Layer``, out of a small closed
set that both Keras (``keras_network``) and NumPy (``numpy_network``) can run. Other distributions add
theirs through the entry point group ``xanes_hpc.models``.
"""

from collections.abc import Mapping
from typing import Any

from xanes_hpc.errors import ModelError
from xanes_hpc.models.layers import Layer, shapes
from xanes_hpc.runtime.plugins import Plugins

__all__ = ["Layer", "build", "names"]

PLUGINS = Plugins("architecture", "xanes_hpc.models.architectures", "xanes_hpc.models", ModelError)


def names() -> list[str]:
    """Names of all architectures."""
    return PLUGINS.names()


def build(
    name: str, parameters: Mapping[str, Any], n_features: int, n_energies: int
) -> tuple[dict[str, Any], tuple[Layer, ...]]:
    """An architecture's parameters in full, and its layers.

    Raises
    ------
    ModelError
        If there is no such architecture, it does not take a parameter, or its layers do not fit together or do not
        end in one value per energy.
    """
    part = PLUGINS.find(name)
    resolved: dict[str, Any]
    layers: tuple[Layer, ...]
    resolved, layers = part(parameters, n_features, n_energies)
    given = shapes(layers, n_features)[layers[-1].name] if layers else None
    if given != (n_energies,):
        raise ModelError(f"architecture {name}: expected it to end in {n_energies} values, received shape {given}")
    return resolved, layers
