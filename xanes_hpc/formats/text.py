"""Text files, plain or compressed."""

import bz2
import gzip
import lzma
from pathlib import Path
from typing import Any, TextIO

from xanes_hpc.errors import FormatError

OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
"""What opens a compressed file, by its ending."""


def open_text(path: Path, errors: str = "strict", newline: str | None = None) -> TextIO:
    """Open a text file for reading, compressed if its name ends in ``.gz``, ``.bz2`` or ``.xz``.

    A byte-order mark is skipped.

    Parameters
    ----------
    path
        The file.
    errors, newline
        As in ``open``.
    """
    opener = OPENERS.get(path.suffix.lower(), open)
    stream: TextIO = opener(path, "rt", encoding="utf-8-sig", errors=errors, newline=newline)
    return stream


def read_text(path: Path) -> str:
    """Return a whole text file, plain or compressed.

    Raises
    ------
    FormatError
        If the file is empty.
    OSError
        If it cannot be read.
    """
    with open_text(path, "replace") as stream:
        text = stream.read()
    if not text.strip():
        raise FormatError(f"{path}: empty file")
    return text
