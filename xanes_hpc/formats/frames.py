"""Names and checks of the structures of a file."""

from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.text import unpacked_name
from xanes_hpc.structures.structure import Structure

REPEATED = "structures of one name in a file were numbered"


def stem(path: Path) -> str:
    """Return the file's name without endings.

    For VASP's POSCAR and CONTCAR it is the folder's name, and for names such as ``POSCAR.mp-1`` what follows the point.
    """
    plain = unpacked_name(path)
    if plain in ("POSCAR", "CONTCAR"):
        return path.resolve().parent.name
    first, _, rest = plain.partition(".")
    if first in ("POSCAR", "CONTCAR") and rest.lower() != "vasp":
        return rest
    return Path(plain).stem


def named(
    path: Path, frames: Iterable[Structure | FormatError], repeated: Container[str] = ()
) -> Iterator[Structure | FormatError]:
    """Yield the frames of a file with names: the file's stem for a single frame, ``stem@k`` (k from 0) for several.

    A frame with its own name keeps it. Frames that share a name, in a row or because it is among those ``repeated``
    in the file, are numbered in the same way. Errors are prefixed with the file's name.

    Raises
    ------
    FormatError
        If there is no frame, or the rest of the file cannot be read.
    """
    base, k, counts = stem(path), -1, Counter[str]()
    for k, (frame, following) in enumerate(_followed(frames)):
        own = _own_name(frame)
        if own not in repeated:
            counts = Counter({name: n for name, n in counts.items() if name == own or name in repeated})
        if isinstance(frame, Structure) and own and (own in counts or own in repeated or own == _own_name(following)):
            number = counts[own]
            counts[own] += 1
            note = (REPEATED, path.name)
            frame = replace(frame, name=f"{own}@{number}", choices=(*frame.choices, note))
        yield _labelled(path, frame, base if k == 0 and following is None else f"{base}@{k}")
    if k < 0:
        raise FormatError(f"{path}: the file has no structure")


def _followed(
    frames: Iterable[Structure | FormatError],
) -> Iterator[tuple[Structure | FormatError, Structure | FormatError | None]]:
    """Yield each frame with the next one, which is the error if the rest of the file is damaged, and None at the end.

    Raises
    ------
    FormatError
        After the last complete frame of a damaged file.
    """
    last = None
    try:
        for frame in frames:
            if last is not None:
                yield last, frame
            last = frame
    except FormatError as error:
        if last is not None:
            yield last, error
        raise
    if last is not None:
        yield last, None


def _own_name(frame: Structure | FormatError | None) -> str:
    return frame.name if isinstance(frame, Structure) else ""


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
