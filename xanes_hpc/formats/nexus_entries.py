"""The entries of a NeXus file, each of which may hold a scan: ``NAME.nxs:ENTRY``."""

from pathlib import Path

import h5py

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.nexus_groups import MOST_LISTED, data_group, is_data, node_here, text_of
from xanes_hpc.runtime.hdf5_files import open_hdf5

SUFFIX = ".nxs"
SUFFIXES = (SUFFIX, ".nexus", ".nx5", ".h5", ".hdf5", ".hdf")
"""Endings of files that are read as NeXus where they are given."""


def parts_of(path: Path) -> tuple[Path, str | None]:
    """Return a file and the name of an entry in it; None for the whole file."""
    name, _, entry = path.name.partition(":")
    if entry and Path(name).suffix.lower() in SUFFIXES:
        return path.with_name(name), entry
    return path, None


def entries(path: Path) -> list[str]:
    """Return the names of a file's entries that hold data over energies, in order; none of a file that is damaged."""
    found: list[str] = []
    try:
        with open_hdf5(path) as file:
            for name in file:
                entry = node_here(file, name)
                if isinstance(entry, h5py.Group) and text_of(entry.attrs.get("NX_class")) == "NXentry":
                    found += [name] if _holds_energies(path, entry) else []
    except (FormatError, OSError, RuntimeError, KeyError, ValueError, TypeError):
        return []
    return found


def _holds_energies(path: Path, entry: h5py.Group) -> bool:
    def look(name: str, node: h5py.HLObject) -> bool | None:
        return (is_data(node) and data_group(path, name, node).has_energies) or None

    return bool(entry.visititems(look))


def root_of(path: Path, file: h5py.File) -> h5py.Group:
    """Return the entry that a path names, or the whole file.

    Raises
    ------
    FormatError
        If there is no such entry.
    """
    entry = parts_of(path)[1]
    if entry is None:
        return file
    found = node_here(file, entry)
    if not isinstance(found, h5py.Group):
        listed = ", ".join(list(file)[:MOST_LISTED]) or "none"
        raise FormatError(f"{path}: expected an entry {entry}, received {listed}")
    return found
