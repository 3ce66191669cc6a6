"""Open our HDF5 files for reading."""

from pathlib import Path

import h5py

from xanes_hpc.errors import StoreError
from xanes_hpc.runtime.hdf5_files import open_hdf5

Dataset = h5py.Dataset


def bytes_in_memory(path: Path) -> int:
    """Return the number of bytes that the datasets of a file occupy in memory.

    Raises
    ------
    StoreError
        If data of the file are stored elsewhere.
    OSError
        If the file cannot be opened.
    """
    names: list[str] = []
    n_bytes = 0
    with open_hdf5(path) as file:
        file.visit_links(names.append)
        for name in names:
            node = file[name] if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
            if node is None or (isinstance(node, Dataset) and (node.external or node.is_virtual)):
                shown = name.encode("unicode_escape").decode()
                raise StoreError(f"{path}: {shown}: expected data in this file, received a link")
            n_bytes += node.nbytes if isinstance(node, Dataset) else 0
    return n_bytes
