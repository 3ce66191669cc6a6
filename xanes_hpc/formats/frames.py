"""Names and checks of the structures of a file."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from xanes_hpc.errors import FormatError
from xanes_hpc.structures.structure import Structure

COMPRESSED = {".gz", ".bz2", ".xz"}


def stem(path: Path) -> str:
    """Return the file's name without endings.

    For VASP's POSCAR and CONTCAR it is the folder's name, and for names such as ``POSCAR.mp-1`` what follows the point.
    """
    plain = path.stem if path.suffix.lower() in COMPRESSED else path.name
    if plain in ("POSCAR", "CONTCAR"):
        return path.resolve().parent.name
    first, _, rest = plain.partition(".")
    if first in ("POSCAR", "CONTCAR") and rest.lower() != "vasp":
        return rest
    return Path(plain).stem


def named(path: Path, frames: Iterable[Structure | FormatError]) -> Iterator[Structure | FormatError]:
    """Yield the frames of a file with names: the file's stem for a single frame, ``stem@k`` (k from 0) for several.

    A frame with its own name keeps it. Errors are prefixed with the file's name.

    Raises
    ------
    FormatError
        If there is no frame, or the rest of the file cannot be read.
    """
    base = stem(path)
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise FormatError(f"{path}: the file has no structure")
    try:
        second = next(iterator, None)
    except FormatError:  # the second frame is damaged, the first one complete
        yield _labelled(path, first, f"{base}@0")
        raise
    if second is None:
        yield _labelled(path, first, base)
        return
    yield _labelled(path, first, f"{base}@0")
    yield _labelled(path, second, f"{base}@1")
    for k, frame in enumerate(iterator, 2):
        yield _labelled(path, frame, f"{base}@{k}")


def _labelled(path: Path, frame: Structure | FormatError, name: str) -> Structure | FormatError:
    if isinstance(frame, FormatError):
        return FormatError(f"{path}: {frame}")
    own = frame if frame.name else replace(frame, name=name)
    where = f"{path}: {own.name}" if own.name != name or "@" in name else str(path)
    if own.numbers.size == 0:
        return FormatError(f"{where}: no atoms")
    bad = np.flatnonzero(~np.isfinite(own.positions).all(axis=1))
    if bad.size:
        return FormatError(f"{where}: atom {bad[0]}: expected finite coordinates, received {own.positions[bad[0]]}")
    if not np.isfinite(own.cell).all():
        return FormatError(f"{where}: expected a finite cell")
    if not own.name.isprintable():
        return FormatError(f"{path}: expected a name without control characters, received {own.name!r}")
    return own
