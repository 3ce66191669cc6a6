"""Open HDF5 files for reading, also on file systems without locks."""

import errno
from pathlib import Path

import h5py

WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, 524)
"""Errors of file systems without locks; 524 is the Linux kernel's own ENOTSUPP."""


def open_hdf5(path: Path) -> h5py.File:
    """Open an HDF5 file for reading; where the file system has no locks, without one.

    Raises
    ------
    OSError
        If the file cannot be opened.
    """
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        return h5py.File(path, "r", locking=False)
