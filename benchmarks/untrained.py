"""A model of the default size with random weights, as large and as slow as a trained one.

Axes: s site, f feature, e energy.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.config.sections import DEFAULT_ARCHITECTURE, UncertaintyConfig
from xanes_hpc.descriptors import Descriptor
from xanes_hpc.models import architectures
from xanes_hpc.models.folder import WEIGHTS, write_description
from xanes_hpc.models.layers import weight_shapes
from xanes_hpc.models.numbers import write_scalers
from xanes_hpc.models.scaling import Scalers
from xanes_hpc.models.training_sites import TrainingSites
from xanes_hpc.models.trust import describe_trust
from xanes_hpc.runtime.new_file import new_file

ENERGIES = np.linspace(-15.0, 60.0, 226)


def write_model(
    folder: Path, descriptor: Descriptor, features_sf: npt.NDArray[np.floating], metals: Sequence[int]
) -> int:
    """Write a model folder with the sites' features and the metals' K edges; return its number of members."""
    n_features, n_metals, n_members = descriptor.n_features, len(metals), UncertaintyConfig().n_members
    generator = np.random.default_rng(0)
    parameters, layers = architectures.build(DEFAULT_ARCHITECTURE, {}, n_features, ENERGIES.size)
    shape = (n_metals, ENERGIES.size)
    mean_f, scale_f = features_sf.mean(axis=0, dtype=np.float64), features_sf.std(axis=0, dtype=np.float64) + 1e-3
    scalers = Scalers(mean_f, scale_f, np.ones(shape), np.full(shape, 0.1), np.full(shape, 0.05))
    for member in range(n_members):
        own = folder / "members" / f"{member:02d}"
        own.mkdir(parents=True)
        write_scalers(own / "scalers.h5", scalers)
        with new_file(own / WEIGHTS) as file:
            for name, (kernel, bias) in weight_shapes(layers, n_features, n_metals).items():
                variables = file.create_group(f"layers/{name}/vars")
                variables.attrs["name"] = name
                spread = 1.0 / np.sqrt(np.prod(kernel[:-1]))
                variables["0"] = (spread * generator.normal(size=kernel)).astype(np.float32)
                variables["1"] = np.zeros(bias, np.float32)
    names = [f"trained{s}" for s in range(len(features_sf))]
    parts = np.zeros(len(names), np.uint8)
    TrainingSites(names, [""] * len(names), parts, scalers.features(features_sf)).write(folder / "sites.h5")
    description: dict[str, Any] = {
        "architecture": {"name": DEFAULT_ARCHITECTURE, "parameters": parameters},
        "members": n_members,
        "n_features": n_features,
        "grid": {"origin": "e0", "energies": ENERGIES.tolist()},
        "target": {"kind": "xanes", "treatment": "none", "unit": "arbitrary"},
        "descriptor": {"hash": descriptor.hash, "description": descriptor.describe()},
        "seen": [{"element": chemical_symbols[z], "edge": "K", "e0": 7000.0, "sites": 1} for z in metals],
        "uncertainty": {"method": "dropout"},
        "calibration": {},
        "trust": describe_trust(np.ones(2), []),
        "provenance": {},
    }
    write_description(folder, description)
    return n_members
