"""Text files, plain or compressed."""

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from pathlib import Path
from typing import Any, TextIO

from xanes_hpc.errors import FormatError

OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
"""What opens a compressed file, by its ending."""
ENCODINGS = ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
"""Encodings by the mark that begins a file; UTF-8 without one."""
UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""Errors of files that are missing, forbidden or damaged."""


def unreadable(path: Path, error: Exception) -> FormatError:
    """Return the error that says why a file or folder cannot be read."""
    return FormatError(f"{path}: cannot be read: {(getattr(error, 'strerror', None) or str(error)).lower()}")


def unpacked_name(path: Path) -> str:
    """Return a file's name without the ending of a compression.

    Examples
    --------
    >>> unpacked_name(Path("a/FeO.dat.gz")), unpacked_name(Path("FeO.dat"))
    ('FeO.dat', 'FeO.dat')
    """
    return path.stem if path.suffix.lower() in OPENERS else path.name


def plain_suffix(path: Path) -> str:
    """Return the ending of a file's name in lower case, without that of a compression."""
    return Path(unpacked_name(path)).suffix.lower()


def open_text(path: Path, errors: str = "strict", newline: str | None = None) -> TextIO:
    """Open a text file for reading, compressed if its name ends in ``.gz``, ``.bz2`` or ``.xz``.

    A byte-order mark is skipped, and tells UTF-16, as spreadsheets write it, from UTF-8.

    Parameters
    ----------
    path
        The file.
    errors, newline
        As in ``open``.
    """
    opener = OPENERS.get(path.suffix.lower(), open)
    binary = opener(path, "rb")
    try:
        start = binary.peek(4)[:4]
    except BaseException:
        binary.close()
        raise
    encoding = next((name for mark, name in ENCODINGS if start.startswith(mark)), "utf-8-sig")
    return io.TextIOWrapper(binary, encoding=encoding, errors=errors, newline=newline)


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
