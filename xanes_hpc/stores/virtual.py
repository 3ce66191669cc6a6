"""Virtual datasets of a store, whose rows stay in the parts beside it.

HDF5 silently returns the fill value for missing data, and follows any file name. A virtual store may therefore refer
only to the parts in ``NAME.parts`` beside it, and each part is checked whenever the store is opened.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import h5py

from xanes_hpc.errors import StoreError
from xanes_hpc.runtime.hdf5_files import open_hdf5, why_unreadable
from xanes_hpc.stores.part_files import PLAN_DIGEST, Table, part_name, parts_folder, why_not_expected
from xanes_hpc.stores.texts import read_text, write_text


def write_virtual(file: h5py.File, table: Table, output: Path, bounds: Sequence[int], plan: str) -> None:
    """Create a virtual dataset over the parts of an output; part k has its rows ``bounds[k]:bounds[k + 1]``."""
    layout = h5py.VirtualLayout((bounds[-1], *table.row_shape), table.dtype)
    folder = parts_folder(output).name
    for number, (start, stop) in enumerate(pairwise(bounds)):
        shape = (stop - start, *table.row_shape)
        layout[start:stop] = h5py.VirtualSource(f"{folder}/{part_name(number)}", table.name, shape, table.dtype)
    dataset = file.create_virtual_dataset(table.name, layout)
    write_text(dataset, PLAN_DIGEST, plan)


def check_virtual(file: h5py.File, path: Path) -> None:
    """Check that the virtual datasets of a store refer to all of its own parts, and to nothing else.

    Raises
    ------
    StoreError
        If they do not; names the part.
    """
    names: list[str] = []
    file.visititems(lambda name, node: names.append(name) if _is_virtual(node) else None)
    for name in names:
        _check_dataset(file[name], path)


def virtual_parts(dataset: h5py.Dataset, path: Path) -> list[Path]:
    """Return the paths of the parts that a store's dataset refers to; empty if it is not virtual."""
    return [path.parent / source.file_name for source in dataset.virtual_sources()] if dataset.is_virtual else []


def is_virtual_store(path: Path) -> bool:
    """Return whether a file is a readable store whose rows stay in its parts."""
    try:
        with open_hdf5(path) as file:
            return any(_is_virtual(node) for node in file.values())
    except (OSError, RuntimeError, KeyError):
        return False


def _is_virtual(node: object) -> bool:
    return isinstance(node, h5py.Dataset) and bool(node.is_virtual)


def _check_dataset(dataset: h5py.Dataset, path: Path) -> None:
    folder, name = parts_folder(path).name, dataset.name.lstrip("/")
    plan, next_row = read_text(dataset, PLAN_DIGEST), 0
    for number, source in enumerate(dataset.virtual_sources()):
        expected = f"{folder}/{part_name(number)}"
        if source.file_name != expected or source.dset_name.lstrip("/") != name:
            raise StoreError(
                f"{path}: {name}: expected rows from {expected}, received {source.file_name}; a virtual store cannot "
                "be renamed, and refers only to its own parts"
            )
        start, stop = source.vspace.get_select_bounds()
        whole = (start[0], *start[1:]) == (next_row, *(0,) * (len(start) - 1))
        n_points = (stop[0] + 1 - start[0]) * math.prod(dataset.shape[1:])
        every = source.src_space.get_select_type() == h5py.h5s.SEL_ALL
        gapless = source.vspace.get_select_npoints() == n_points and every
        if not whole or tuple(stop[1:]) != tuple(n - 1 for n in dataset.shape[1:]) or not gapless:
            raise StoreError(f"{path}: {name}: expected the rows of its parts in order, without gaps")
        _check_part(path.parent / expected, name, stop[0] + 1 - start[0], dataset, plan)
        next_row = stop[0] + 1
    if next_row != dataset.shape[0]:
        raise StoreError(f"{path}: {name}: expected parts with {dataset.shape[0]:,} rows, received {next_row:,}")


def _check_part(part: Path, name: str, n_rows: int, dataset: h5py.Dataset, plan: str) -> None:
    if not part.exists():
        raise StoreError(
            f"{part}: no such file; the virtual store beside its folder needs it: move it back, or finalise again"
        )
    if part.is_symlink() or part.parent.is_symlink():
        raise StoreError(f"{part}: is a symbolic link; the parts of a virtual store must be regular files")
    try:
        with open_hdf5(part) as file:
            found = file[name] if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
            shape = (n_rows, *dataset.shape[1:])
            if (
                not isinstance(found, h5py.Dataset)
                or (found.shape, found.dtype) != (shape, dataset.dtype)
                or found.is_virtual
                or found.external
                or found.file != file
                or found.id.get_storage_size() == 0
                or not plan
                or why_not_expected(file, part, plan)
            ):
                raise StoreError(f"{part}: is not the part that the virtual store was made from")
    except StoreError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise StoreError(f"{part}: {why_unreadable(error, 'damaged part')}") from None
