"""Text files, plain or gzipped."""

import gzip
from pathlib import Path
from typing import TextIO


def open_text(path: Path, errors: str = "strict", newline: str | None = None) -> TextIO:
    """A text file open for reading, gzipped where its name ends so; a byte-order mark is passed over.

    Parameters
    ----------
    path
        The file.
    errors, newline
        As of ``open``.
    """
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", errors=errors, newline=newline)
    return path.open(encoding="utf-8-sig", errors=errors, newline=newline)
