"""Architectures: one file each, known by its name, with a function ``PART``.

``PART(parameters, n_features, n_energies)`` returns the network as a tuple of ``Layer``, out of a small closed
set that both Keras (``keras_network``) and NumPy (``xanes_hpc.inference``) can run. Other distributions add
theirs through the entry point group ``xanes_hpc.models``. Nothing here but ``keras_network`` imports TensorFlow.
"""

import sys
from collections.abc import Mapping
from typing import Any

from xanes_hpc import registry
from xanes_hpc.errors import ModelError
from xanes_hpc.models.network import Layer, shapes

__all__ = ["Layer", "build", "names"]

NOT_PARTS = {"network", "parameters", "keras_network"}
"""Modules here that are not architectures."""


def names() -> list[str]:
    """Names of all architectures."""
    return registry.names(sys.modules[__name__])


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
    part = registry.find(sys.modules[__name__], name, ModelError)
    resolved: dict[str, Any]
    layers: tuple[Layer, ...]
    resolved, layers = part(parameters, n_features, n_energies)
    given = shapes(layers, n_features)[layers[-1].name] if layers else None
    if given != (n_energies,):
        raise ModelError(f"architecture {name}: expected it to end in {n_energies} values, received shape {given}")
    return resolved, layers
