"""Read and write the HDF5 files of a model folder: weights, scalers, regression, and columns of numbers and text."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import StoreError
from xanes_hpc.models.aligned import Aligned
from xanes_hpc.models.gaussian_process import GaussianProcess
from xanes_hpc.models.kernels import Kernel, Laplacian, Matern
from xanes_hpc.models.scaling import TRANSFORMS, Array, Scalers
from xanes_hpc.runtime.hdf5_files import open_hdf5, why_unreadable
from xanes_hpc.runtime.new_file import new_file

SCALERS = ("feature_mean", "feature_scale", "target_mean", "target_scale")
SOFTNESS = "softness"
LARGEST_RATE = 1e6
"""Largest rate, amplitude or scale of a kernel; beyond it, the kernel between different sites vanishes."""
LARGEST_COUPLING = 1e3
LARGEST_OFFSET = 1e12
"""Largest offset of a kernel; its square is still a finite number in float32."""
MATERN, OFFSETS, COUPLING = ("amplitudes", "scales", "linear"), "offsets", "coupling"
"""Parameters of a Matérn kernel; the last two are optional."""
ALIGNED = "aligned"
"""Attribute with the share of shift and shape, if the regression has both."""
POSITIVE = ("feature_scale", "target_scale", SOFTNESS)


@contextmanager
def open_numbers(path: Path) -> Iterator[Any]:
    """Open a file of a model folder for reading.

    Raises
    ------
    StoreError
        If the file is missing, or anything that the block reads is missing or damaged.
    """
    if not path.is_file():
        raise StoreError(f"{path}: no such file: the model is incomplete; restore the file from a copy of the model")
    try:
        with open_hdf5(path) as file:
            yield file
    except StoreError:
        raise
    except (OSError, KeyError, RuntimeError, AttributeError, TypeError, ValueError) as error:
        raise StoreError(f"{path}: {why_unreadable(error)}") from None


def read_columns(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Return whole datasets of equal length, by name.

    Raises
    ------
    StoreError
        If the file is missing or damaged.
    """
    with open_numbers(path) as file:
        values = {name: file[name][:] for name in names}
    lengths = {name: len(column) for name, column in values.items()}
    if len(set(lengths.values())) > 1:
        raise StoreError(f"{path}: damaged: expected columns of equal length, received {lengths}")
    return values


def read_scalers(path: Path, n_features: int, n_absorbers: int, n_energies: int) -> Scalers:
    """Read a member's scalers.

    Raises
    ------
    StoreError
        If the file is missing or damaged, or does not fit the model.
    """
    with open_numbers(path) as file:
        values = {name: file[name][:] for name in (*SCALERS, SOFTNESS) if name != SOFTNESS or name in file}
        transform = str(file.attrs.get("transform", "none"))
    if transform not in TRANSFORMS:
        raise StoreError(f"{path}: damaged: transform: expected {' or '.join(TRANSFORMS)}, received {transform!r}")
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


def write_scalers(path: Path, scalers: Scalers) -> None:
    """Write a member's scalers."""
    with new_file(path) as file:
        for name in SCALERS:
            file.create_dataset(name, data=getattr(scalers, name), fletcher32=True)
        if scalers.softness is not None:
            file.create_dataset(SOFTNESS, data=scalers.softness, fletcher32=True)
        file.attrs["transform"] = scalers.transform


def read_weights(path: Path) -> dict[str, tuple[Array, Array]]:
    """Return kernel and bias of each layer in a Keras weights file, by name.

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


def write_weights(path: Path, layers: Iterable[tuple[str, str, Sequence[Array]]]) -> None:
    """Write the weights of layers as Keras does; HDF5 itself would neither survive a full disk nor do without locks.

    Parameters
    ----------
    path
        The file, which ends in ``.weights.h5``.
    layers
        Keras's word for the kind of each layer (``dense``, ``conv1d``), its name and its weights, in order.
    """
    counts: Counter[str] = Counter()
    with new_file(path) as file:
        for kind, name, weights in layers:
            group = f"{kind}_{counts[kind]}" if counts[kind] else kind
            variables = file.create_group(f"layers/{group}/vars")
            variables.attrs["name"] = name
            counts[kind] += 1
            for number, values in enumerate(weights):
                variables[str(number)] = values


def write_regression(path: Path, regression: GaussianProcess) -> None:
    """Write a Gaussian process whose landmarks are the training sites in ``sites.h5``."""
    with new_file(path) as file:
        file.create_dataset("absorbers", data=regression.absorbers, fletcher32=True)
        file.create_dataset("coefficients", data=regression.coefficients, fletcher32=True)
        if regression.errors is not None:
            file.create_dataset("errors", data=regression.errors, fletcher32=True)
        if isinstance(regression.kernel, Matern):
            for name, numbers in asdict(regression.kernel).items():
                if numbers is not None:
                    file.create_dataset(name, data=numbers, fletcher32=True)
        else:
            file.attrs["rate"] = regression.kernel.rate
        file.attrs["share"] = regression.share
        if regression.aligned is not None:
            file.attrs[ALIGNED] = regression.aligned.share


def read_regression(
    path: Path, landmarks: Array, energies: npt.NDArray[np.float64], scalers: Scalers
) -> GaussianProcess:
    """Read a Gaussian process.

    Parameters
    ----------
    path
        The file.
    landmarks : (n_landmarks, n_features)
        The training sites' features, which are its landmarks.
    energies : (n_energies,)
        The model's grid, eV.
    scalers
        Scalers of features and targets.

    Raises
    ------
    StoreError
        If the file is missing or damaged.
    """
    with open_numbers(path) as file:
        absorbers, coefficients = file["absorbers"][:], file["coefficients"][:]
        errors = file["errors"][:] if "errors" in file else None  # schema 2 has none
        share = float(file.attrs["share"])
        aligned = Aligned(energies, scalers, float(file.attrs[ALIGNED])) if ALIGNED in file.attrs else None
        kernel: Kernel
        if "rate" in file.attrs:  # up to schema 3
            kernel = Laplacian(float(file.attrs["rate"]))
        else:
            optional = [name for name in (OFFSETS, COUPLING) if name in file]
            kernel = Matern(**{name: file[name][:] for name in (*MATERN, *optional)})
    n_columns = energies.size if aligned is None else aligned.n_columns
    expected = (len(landmarks),), (len(landmarks), n_columns)
    numbers = coefficients.dtype.kind == "f" and absorbers.dtype.kind in "iu"
    if (absorbers.shape, coefficients.shape) != expected or not numbers or not np.isfinite(coefficients).all():
        received = absorbers.shape, coefficients.shape
        raise StoreError(f"{path}: damaged: expected finite numbers of shapes {expected}, received {received}")
    if errors is not None:
        shape = (len(landmarks), energies.size)
        fits = errors.shape == shape and errors.dtype.kind == "f"
        if not fits or not np.isfinite(errors).all() or (errors < 0).any():
            raise StoreError(f"{path}: damaged: errors: expected non-negative finite numbers of shape {shape}")
    for value in (share, *([] if aligned is None else [aligned.share])):
        if not 0 <= value <= 1:
            raise StoreError(f"{path}: damaged: expected a share from 0 to 1, received {value}")
    if isinstance(kernel, Laplacian):
        if not 0 < kernel.rate < LARGEST_RATE:
            raise StoreError(
                f"{path}: damaged: expected a rate between 0 and {LARGEST_RATE:,.0f}, received {kernel.rate}"
            )
    else:
        _check_matern(path, kernel, landmarks.shape[1], int(absorbers.max(initial=0)) + 1)
    return GaussianProcess(landmarks, absorbers, coefficients, kernel, share, scalers, errors, aligned)


def _check_matern(path: Path, kernel: Matern, n_features: int, n_absorbers: int) -> None:
    n_components = max(1, kernel.amplitudes.size)
    shapes = dict(zip(MATERN, ((n_components,), (n_components, n_features), (n_features,)), strict=True))
    if kernel.offsets is not None:
        shapes[OFFSETS] = (n_features,)
    if kernel.coupling is not None:
        n_coupled = max(n_absorbers, len(kernel.coupling))
        shapes[COUPLING] = (n_coupled, n_coupled)
    limits = {OFFSETS: (-LARGEST_OFFSET, LARGEST_OFFSET), COUPLING: (0.0, LARGEST_COUPLING)}
    for name, shape in shapes.items():
        numbers = getattr(kernel, name)
        least, most = limits.get(name, (0.0, LARGEST_RATE))
        fits = numbers.shape == shape and numbers.dtype.kind == "f"
        if not fits or not ((numbers >= least) & (numbers < most)).all():
            raise StoreError(
                f"{path}: damaged: {name}: expected numbers from {least:,.0f} to {most:,.0f} of shape {shape}, "
                f"received shape {numbers.shape}"
            )
