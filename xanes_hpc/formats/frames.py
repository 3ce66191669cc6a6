"""Naming the structures of a file, and holding them to what every structure must be."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from xanes_hpc.errors import FormatError
from xanes_hpc.structures.structure import Structure

COMPRESSED = {".gz", ".bz2", ".xz"}


def stem(path: Path) -> str:
    """The file's name without its endings; the folder's name for VASP's POSCAR and CONTCAR."""
    plain = path.stem if path.suffix.lower() in COMPRESSED else path.name
    if plain in ("POSCAR", "CONTCAR"):
        return path.resolve().parent.name
    return Path(plain).stem


def named(path: Path, frames: Iterable[Structure | FormatError]) -> Iterator[Structure | FormatError]:
    """Name the frames of a file: by the file's stem if there is one, ``stem@k`` (k from 0) if there are several.

    A frame that has a name of its own keeps it. Errors get the file's name put in front.
    """
    base = stem(path)
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise FormatError(f"{path}: no structure in the file")
    try:
        second = next(iterator, None)
    except FormatError:  # of what comes after: the first frame is whole
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
        return FormatError(f"{path}: a name with control characters: {own.name!r}")
    return own
