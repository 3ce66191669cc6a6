"""Text files, plain or gzipped."""

import gzip
from pathlib import Path
from typing import TextIO


def open_text(path: Path, errors: str = "strict", newline: str | None = None) -> TextIO:
    """Open a text file for reading, gzipped if its name ends in ``.gz``; a byte-order mark is skipped.

    Parameters
    ----------
    path
        The file.
    errors, newline
        As in ``open``.
    """
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", errors=errors, newline=newline)
    return path.open(encoding="utf-8-sig", errors=errors, newline=newline)
