"""The one place where an HDF5 file of ours is opened for reading."""

from pathlib import Path

import h5py

from xanes_hpc.errors import StoreError

Dataset = h5py.Dataset


def open_file(path: Path) -> h5py.File:
    """Open an HDF5 file for reading, whatever it holds.

    Raises
    ------
    OSError
        If it cannot be opened.
    """
    return h5py.File(path, "r")


def bytes_of_numbers(path: Path) -> int:
    """Return how many bytes the datasets of a file take in memory.

    Raises
    ------
    StoreError
        If some of them lie outside the file.
    OSError
        If it cannot be opened.
    """
    names: list[str] = []
    n_bytes = 0
    with open_file(path) as file:
        file.visit_links(names.append)
        for name in names:
            node = file[name] if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
            if node is None or (isinstance(node, Dataset) and (node.external or node.is_virtual)):
                shown = name.encode("unicode_escape").decode()
                raise StoreError(f"{path}: {shown}: expected numbers in the file, received a link")
            n_bytes += node.nbytes if isinstance(node, Dataset) else 0
    return n_bytes
