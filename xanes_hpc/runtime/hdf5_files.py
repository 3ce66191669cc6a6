"""Open HDF5 files for reading, also on file systems without locks."""

import errno
from pathlib import Path
from typing import Any

import h5py

from xanes_hpc.errors import first_line
from xanes_hpc.runtime.outputs import explain

WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, 524)
"""Errors of file systems without locks; 524 is the Linux kernel's own ENOTSUPP."""
LOCKINGS = (None, False, True, "best-effort")
"""Ways to lock, in the order in which they are tried; the first is HDF5's default."""


def open_hdf5(path: Path) -> h5py.File:
    """Open an HDF5 file for reading; where the file system has no locks, without one.

    A file that this process has open already is locked as it was then, because HDF5 refuses any other way.

    Raises
    ------
    OSError
        If the file cannot be opened.
    """
    first: OSError | None = None
    for locking in LOCKINGS:
        try:
            return _opened(path, locking)
        except OSError as error:
            first = first or error
            if error.errno not in WITHOUT_LOCKS and not _is_locked_otherwise(error):
                raise
    assert first is not None
    raise first


def why_unreadable(error: BaseException, damage: str = "damaged") -> str:
    """Return what an error says of a file: that the system cannot read it, or that it is damaged."""
    if isinstance(error, OSError) and error.errno:
        return f"cannot be read: {explain(error)}"
    return f"{damage}: {first_line(error)}"


def _opened(path: Path, locking: Any) -> h5py.File:
    return h5py.File(path, "r", locking=locking)


def _is_locked_otherwise(error: OSError) -> bool:
    """Return whether this process has the file open with another way of locking."""
    return "flag values don't match" in str(error)
