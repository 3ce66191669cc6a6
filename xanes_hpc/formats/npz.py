"""Published training sets in NumPy's ``.npz`` format: features and spectra of the same sites, without structures.

Arrays are ``x`` (n_sites, n_features), ``y`` (n_sites, n_energies) and optionally ``e`` (n_energies). Nothing is
unpickled.
"""

import zlib
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from numpy.lib.npyio import NpzFile

from xanes_hpc.errors import FormatError

ZIP = (b"PK\3\4", b"PK\5\6")
"""First bytes of a ZIP archive, and of an empty one."""
DAMAGE = (EOFError, ValueError, BadZipFile, MemoryError, OverflowError, RuntimeError, TokenError, zlib.error)
"""Exceptions that NumPy raises for damaged files, and for files that claim more data than they have."""
MOST_NAMED = 8
"""Maximum number of arrays named in a message."""


@dataclass(frozen=True)
class FeatureArrays:
    """The arrays of a file.

    Attributes
    ----------
    features : (n_sites, n_features), of the requested type
    intensities : (n_sites, n_energies) float64
    energies : (n_energies,) float64, eV; None if the file has none or they were not requested
    unused
        Names of the arrays that were not read.
    """

    features: npt.NDArray[np.floating[Any]]
    intensities: npt.NDArray[np.float64]
    energies: npt.NDArray[np.float64] | None
    unused: tuple[str, ...]


def recognises(path: Path) -> bool:
    """Return True if a path's name is that of an ``.npz`` file."""
    return path.suffix.lower() == ".npz" and not path.is_dir()


def read(path: Path, dtype: np.dtype[Any], with_energies: bool = True) -> FeatureArrays:
    """Read the arrays of a file.

    Parameters
    ----------
    path
        The file.
    dtype
        Type of the returned features, which must be finite in it.
    with_energies
        Whether to read the array ``e`` if there is one.

    Raises
    ------
    FormatError
        If the file cannot be read, an array is missing, has the wrong type or shape, or is not finite.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(len(ZIP[0]))
            if start not in ZIP:
                raise FormatError(f"{path}: " + ("not an .npz file (a ZIP of arrays)" if start else "empty file"))
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as archive:
                return _read(path, archive, dtype, with_energies)
    except FormatError:
        raise
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file or folder") from None
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from None
    except DAMAGE as error:
        raise FormatError(f"{path}: damaged, or not written by NumPy: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


def _read(path: Path, archive: NpzFile, dtype: np.dtype[Any], with_energies: bool) -> FeatureArrays:
    names = archive.files
    if not {"x", "y"} <= set(names):
        more = ", …" if len(names) > MOST_NAMED else ""
        raise FormatError(
            f"{path}: expected arrays x (features) and y (spectra), received "
            f"{', '.join(map(repr, names[:MOST_NAMED])) or 'none'}{more}"
        )
    features = _array(path, archive, "x", ("n_sites", "n_features"), dtype)
    intensities = _array(path, archive, "y", ("n_sites", "n_energies"), np.dtype(np.float64))
    if len(features) != len(intensities):
        raise FormatError(
            f"{path}: expected as many rows in y as in x, received {len(intensities)} and {len(features)}"
        )
    used = {"x", "y"}
    energies = None
    if with_energies and "e" in names:
        used.add("e")
        energies = _array(path, archive, "e", ("n_energies",), np.dtype(np.float64))
        if energies.size != intensities.shape[1]:
            raise FormatError(
                f"{path}: expected as many energies in e as y has columns, received "
                f"{energies.size} and {intensities.shape[1]}"
            )
    return FeatureArrays(features, intensities, energies, tuple(n for n in names if n not in used))


def _array(path: Path, archive: NpzFile, name: str, shape: tuple[str, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    where = f"{path}: array {name}"
    try:
        read = np.asarray(archive[name])
    except ValueError as error:  # for example an array of Python objects
        raise FormatError(f"{where}: cannot be read: {_reason(error)}") from None
    if read.dtype.kind != "f" or read.dtype.itemsize not in (4, 8):
        raise FormatError(f"{where}: expected float32 or float64, received {read.dtype}")
    if read.ndim != len(shape) or not read.size:
        raise FormatError(f"{where}: expected shape ({', '.join(shape)}), received {read.shape}")
    with np.errstate(over="ignore"):  # a value too large for the type becomes infinite
        values = np.ascontiguousarray(read, dtype)
    finite = np.isfinite(values)
    if not finite.all():
        bad = tuple(np.argwhere(~finite)[0].tolist())
        counted = ", ".join(f"{what} {i}" for what, i in zip(("row", "column"), bad, strict=False))
        raise FormatError(f"{where}, {counted}: expected a finite number ({dtype.name}), received {read[bad]:g}")
    return values
