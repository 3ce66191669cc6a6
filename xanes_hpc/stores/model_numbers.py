"""What is read of a model folder's HDF5 files: weights, scalers, and columns of numbers and text."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from xanes_hpc.errors import StoreError
from xanes_hpc.scaling import TRANSFORMS, Array, Scalers

SCALERS = ("feature_mean", "feature_scale", "target_mean", "target_scale")
SOFTNESS = "softness"
POSITIVE = ("feature_scale", "target_scale", SOFTNESS)


@contextmanager
def open_numbers(path: Path) -> Iterator[h5py.File]:
    """A file of a model folder, open for reading.

    Raises
    ------
    StoreError
        If it is missing, or what the block reads of it is damaged or not there.
    """
    if not path.is_file():
        raise StoreError(f"{path}: no such file: the model is not whole")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except StoreError:
        raise
    except (OSError, KeyError, RuntimeError, AttributeError, TypeError, ValueError) as error:
        raise StoreError(f"{path}: damaged: {str(error).splitlines()[0]}") from None


def read_columns(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Whole datasets of equal length, by name.

    Raises
    ------
    StoreError
        If the file is missing or damaged.
    """
    with open_numbers(path) as file:
        values = {name: file[name][:] for name in names}
    lengths = {name: len(column) for name, column in values.items()}
    if len(set(lengths.values())) > 1:
        raise StoreError(f"{path}: damaged: expected columns of one length, received {lengths}")
    return values


def read_scalers(path: Path, n_features: int, n_absorbers: int, n_energies: int) -> Scalers:
    """A member's scalers.

    Raises
    ------
    StoreError
        If the file is missing or damaged, or its numbers do not fit the model.
    """
    with open_numbers(path) as file:
        values = {name: file[name][:] for name in (*SCALERS, SOFTNESS) if name != SOFTNESS or name in file}
        transform = str(file.attrs.get("transform", "none"))
    if transform not in TRANSFORMS:
        raise StoreError(f"{path}: expected a transform {', '.join(TRANSFORMS)}, received {transform!r}")
    for name, numbers in values.items():
        shape = (n_features,) if name.startswith("feature") else (n_absorbers, n_energies)
        if numbers.shape == shape[1:]:  # schema 1 has one row for all absorbers
            numbers = values[name] = np.broadcast_to(numbers, shape)
        if numbers.shape != shape:
            raise StoreError(f"{path}: damaged: {name}: expected shape {shape}, received {numbers.shape}")
        if not np.isfinite(numbers).all() or (name in POSITIVE and not (numbers > 0).all()):
            kind = "positive finite numbers" if name in POSITIVE else "finite numbers"
            raise StoreError(f"{path}: damaged: {name}: expected {kind}")
    return Scalers(**values, transform=transform)


def read_weights(path: Path) -> dict[str, tuple[Array, Array]]:
    """Kernel and bias of each layer of a Keras weights file, by the layer's name.

    Raises
    ------
    StoreError
        If the file is missing or damaged.
    """
    weights = {}
    with open_numbers(path) as file:
        for group in file["layers"].values():
            variables = group["vars"]
            if len(variables) == 2:
                weights[str(variables.attrs["name"])] = (variables["0"][:], variables["1"][:])
    return weights
