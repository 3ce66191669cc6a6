"""Write, check and copy parts: HDF5 files with some rows of an output's tables, each written atomically."""

import math
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
from h5py._objects import phil

from xanes_hpc.errors import StoreError
from xanes_hpc.runtime.hdf5_files import open_hdf5, why_unreadable
from xanes_hpc.runtime.new_file import NewFile, new_file
from xanes_hpc.runtime.outputs import flush_to_disk
from xanes_hpc.stores.texts import read_text, write_text

PART_BYTES = 32 << 20
"""Approximate size of a part; larger if the output would otherwise have more than ``MOST_PARTS``."""
MOST_PARTS = 1000
"""Largest number of parts of an output."""
PLAN_DIGEST = "plan"
"""Attribute of a part: digest of its plan, and the part's file name."""


@dataclass(frozen=True)
class Table:
    """A dataset of an output that is made in parts, each a whole number of chunks."""

    name: str
    row_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk_rows: int
    filters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def row_bytes(self) -> int:
        """Size of a row in bytes."""
        return math.prod(self.row_shape) * self.dtype.itemsize

    @property
    def in_words(self) -> str:
        """What the rows are, for errors."""
        return f"rows of {self.dtype}"

    def create(self, file: h5py.File, n_rows: int, extendable: bool = False) -> h5py.Dataset:
        """Create the dataset, chunked and with checksums, and return it."""
        return file.create_dataset(
            self.name,
            (n_rows, *self.row_shape),
            self.dtype,
            chunks=(self.chunk_rows, *self.row_shape),
            maxshape=(None, *self.row_shape) if extendable else None,  # allows fewer rows than a chunk
            fletcher32=True,
            **self.filters,
        )

    def fits(self, file: h5py.File, n_rows: int) -> bool:
        """Return whether a part has the dataset, with so many rows."""
        return bool(file[self.name].shape == (n_rows, *self.row_shape) and file[self.name].dtype == self.dtype)

    def append(self, part: Path, target: h5py.Dataset, first_row: int, n_rows: int, plan: str) -> None:
        """Copy the rows of a part to the dataset of an output.

        Raises
        ------
        StoreError
            As ``copy_chunks`` does.
        """
        copy_chunks(part, target, self.name, first_row, n_rows, plan)


class AnyTable(Protocol):
    """A table that is made in parts; the rows of a ``Table`` have equal sizes."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def chunk_rows(self) -> int: ...  # noqa: D102
    @property
    def row_bytes(self) -> int: ...  # noqa: D102
    @property
    def in_words(self) -> str: ...  # noqa: D102

    def create(self, file: h5py.File, n_rows: int, extendable: bool = False) -> Any:
        """Create the datasets of so many rows in a part or an output, and return what writes to them."""

    def fits(self, file: h5py.File, n_rows: int) -> bool:
        """Return whether a part has the datasets, with so many rows."""

    def append(self, part: Path, target: Any, first_row: int, n_rows: int, plan: str) -> None:
        """Copy the rows of a part to an output; ``target`` is what ``create`` returned, parts come in order."""


def part_bounds(tables: Sequence[AnyTable], n_rows: int) -> tuple[int, ...]:
    """Return the bounds of parts: part k has rows ``bounds[k]:bounds[k + 1]``.

    A part is a whole number of chunks, of about ``PART_BYTES`` or more in all tables together.
    """
    chunk_rows = max(table.chunk_rows for table in tables)
    chunk_bytes = chunk_rows * sum(table.row_bytes for table in tables)
    n_chunks = -(-n_rows // chunk_rows)
    n = chunk_rows * max(1, PART_BYTES // chunk_bytes, -(-n_chunks // MOST_PARTS))
    return (*range(0, n_rows, n), n_rows)


def read_through(dataset: h5py.Dataset) -> None:
    """Read all of a dataset, so that HDF5 checks the checksum of every chunk."""
    for chunk in dataset.iter_chunks() if dataset.chunks and dataset.size else ((),):
        dataset[chunk]


@dataclass(frozen=True)
class Part:
    """A part being written: its file, which may get further datasets, and what writes to its tables, by name."""

    file: NewFile
    rows: dict[str, Any]


@contextmanager
def new_part(path: Path, tables: Sequence[AnyTable], n_rows: int, plan: str) -> Iterator[Part]:
    """Create a part; it is flushed to disk and renamed to ``path`` when the block ends without an error.

    The temporary name is unique to this process: on a file system without locks, two processes may make the same part,
    with the same bytes.

    Raises
    ------
    OSError
        If the part cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{os.uname().nodename}-{os.getpid()}-{uuid.uuid4().hex[:8]}.partial")
    try:
        with new_file(temporary) as file:
            write_text(file, PLAN_DIGEST, _mark(path, plan))
            yield Part(file, {table.name: table.create(file, n_rows, extendable=True) for table in tables})
        flush_to_disk(temporary)
        temporary.rename(path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def _mark(path: Path, plan: str) -> str:
    return f"{plan} {path.name}"


def why_not_expected(file: h5py.File, path: Path, plan: str) -> str:
    """Return why an open file is not the part that the plan expects at ``path``; empty if it is."""
    own, _, name = read_text(file, PLAN_DIGEST).rpartition(" ")
    if own != plan:
        return "belongs to another plan"
    return "" if name == path.name else f"has the rows of {name}"


def why_not_whole(path: Path, tables: Sequence[AnyTable], n_rows: int, plan: str) -> str:
    """Return what is wrong with a part, after checking every checksum; empty if nothing is."""
    if not path.exists():
        return "missing"
    try:
        with open_hdf5(path) as file:
            if wrong := why_not_expected(file, path, plan):
                return wrong
            for table in tables:
                if not table.fits(file, n_rows):
                    return f"{table.name}: expected {n_rows} {table.in_words}"
            names: list[str] = []
            file.visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None)
            for name in names:
                read_through(file[name])
    except (OSError, KeyError, AttributeError, TypeError, RuntimeError, ValueError) as error:
        return why_unreadable(error)
    return ""


def copy_chunks(part: Path, target: h5py.Dataset, name: str, first_row: int, n_rows: int, plan: str) -> None:
    """Copy the chunks of a part, without decoding them, to a dataset with the same chunks and filters.

    Raises
    ------
    StoreError
        If the part cannot be read, or belongs to another plan.
    """
    with open_part(part, plan) as file:
        own, rows = file[name], file[name].id
        alike = (own.shape[1:], own.dtype, own.chunks) == (target.shape[1:], target.dtype, target.chunks)
        n_chunks = -(-n_rows // target.chunks[0]) * math.prod(
            -(-n // size) for n, size in zip(target.shape[1:], target.chunks[1:], strict=True)
        )
        if not alike or own.shape[0] != n_rows:
            raise StoreError(f"{part}: was replaced by a part of another output; run again")
        if rows.get_num_chunks() != n_chunks:
            raise StoreError(
                f"{part}: damaged part: expected {n_chunks} chunks, received {rows.get_num_chunks()}; delete it "
                "and run again"
            )
        for index in range(rows.get_num_chunks()):
            with phil:  # h5py does not lock direct reads of chunks: a read in another thread would crash
                offset = rows.get_chunk_info(index).chunk_offset
                mask, data = rows.read_direct_chunk(offset)
                target.id.write_direct_chunk((first_row + offset[0], *offset[1:]), data, mask)


@contextmanager
def open_part(part: Path, plan: str) -> Iterator[h5py.File]:
    """Open a part of a plan for reading within the block.

    Raises
    ------
    StoreError
        If the part cannot be read, or belongs to another plan.
    """
    try:
        with open_hdf5(part) as file:
            if why_not_expected(file, part, plan):
                raise StoreError(f"{part}: was replaced by a part of another output; run again")
            yield file
    except StoreError:
        raise
    except (OSError, KeyError, AttributeError) as error:
        advice = "" if getattr(error, "errno", None) else "; delete it and run again"
        raise StoreError(f"{part}: {why_unreadable(error, 'damaged part')}{advice}") from None


def parts_folder(output: Path) -> Path:
    """Return the folder for the parts of an output."""
    return output.with_name(f"{output.name}.parts")


def part_name(number: int) -> str:
    """Return the file name of a part."""
    return f"part-{number:06d}.h5"
