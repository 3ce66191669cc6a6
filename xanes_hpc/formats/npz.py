"""Published training sets of NumPy, ``.npz``: feature vectors and spectra of the same sites, and no structures.

Arrays ``x`` (n_sites, n_features), ``y`` (n_sites, n_energies) and perhaps ``e`` (n_energies). Nothing is unpickled.
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
"""How a ZIP archive begins, and an empty one."""
DAMAGE = (EOFError, ValueError, BadZipFile, MemoryError, OverflowError, RuntimeError, TokenError, zlib.error)
"""What NumPy makes of a file that is damaged, or claims what it does not have."""
MOST_NAMED = 8
"""Arrays that a message names."""


@dataclass(frozen=True)
class FeatureArrays:
    """What such a file holds.

    Attributes
    ----------
    features : (n_sites, n_features), of the type asked for
    intensities : (n_sites, n_energies) float64
    energies : (n_energies,) float64, eV; None where the file has none, or they were not asked for
    unused
        Names of what was not read.
    """

    features: npt.NDArray[np.floating[Any]]
    intensities: npt.NDArray[np.float64]
    energies: npt.NDArray[np.float64] | None
    unused: tuple[str, ...]


def recognises(path: Path) -> bool:
    """Whether a source is taken for such a file, by its name."""
    return path.suffix.lower() == ".npz" and not path.is_dir()


def read(path: Path, dtype: np.dtype[Any], with_energies: bool = True) -> FeatureArrays:
    """The arrays of a file.

    Parameters
    ----------
    path
        The file.
    dtype
        Type that the features are to have; they must be finite in it.
    with_energies
        Whether the array ``e`` is read where there is one.

    Raises
    ------
    FormatError
        If the file cannot be read, lacks an array, or one is of another type or shape than expected or not finite.
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
        raise FormatError(f"{path}: damaged, or not of NumPy's making: {_reason(error)}") from None


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
    except ValueError as error:  # of Python's objects, say
        raise FormatError(f"{where}: cannot be read: {_reason(error)}") from None
    if read.dtype.kind != "f" or read.dtype.itemsize not in (4, 8):
        raise FormatError(f"{where}: expected float32 or float64, received {read.dtype}")
    if read.ndim != len(shape) or not read.size:
        raise FormatError(f"{where}: expected shape ({', '.join(shape)}), received {read.shape}")
    with np.errstate(over="ignore"):  # what is too large for the type is infinite in it
        values = np.ascontiguousarray(read, dtype)
    finite = np.isfinite(values)
    if not finite.all():
        bad = tuple(np.argwhere(~finite)[0].tolist())
        counted = ", ".join(f"{what} {i}" for what, i in zip(("row", "column"), bad, strict=False))
        raise FormatError(f"{where}, {counted}: expected a finite number ({dtype.name}), received {read[bad]:g}")
    return values
