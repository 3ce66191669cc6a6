"""An HDF5 file being written on a disk that may fill up.

HDF5 must be able to write what it holds when a file is closed; where it cannot, it leaves objects behind that crash
the interpreter at its end. So it is never told of a failure: the first one is kept, everything after it is thrown away,
as the file will be, and whoever fills the file meets the failure at ``check``.
"""

import io
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np


class Sink(io.FileIO):
    """A new file that takes every write, and keeps the first error in ``failure``."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "x+")
        self.failure: BaseException | None = None

    def write(self, data: Any) -> int:
        """Write all of ``data``; nothing once a write has failed."""
        rest = memoryview(data)
        try:
            while rest and self.failure is None:
                rest = rest[super().write(rest) :]
        except BaseException as error:  # a signal's, too: HDF5 would take it for its own
            self.failure = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Set the length; nothing once a write has failed."""
        try:
            if self.failure is None:
                return super().truncate(size)
        except BaseException as error:
            self.failure = error
        return size or 0


_in_memory = itertools.count()


class NewFile(h5py.File):  # type: ignore[misc]
    """A new HDF5 file; assignments to the datasets it creates raise the error of a write that failed.

    Parameters
    ----------
    path
        Where to write it; by default the file lives in memory, and is gone when it is closed.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._sink = None if path is None else Sink(path)
        if self._sink is None:
            name = f"in memory {next(_in_memory)}"  # HDF5 tells open files apart by their names
            super().__init__(name, "w", driver="core", backing_store=False, libver="v110")
        else:
            super().__init__(self._sink, "w", libver="v110")

    def create_dataset(self, *args: Any, **kwargs: Any) -> h5py.Dataset:
        """As h5py does; the dataset raises as ``check`` does."""
        return _Dataset(super().create_dataset(*args, **kwargs).id, self)

    def check(self) -> None:
        """Tell whether all could be written so far.

        Raises
        ------
        OSError
            The first error of the system; whatever else interrupted a write.
        """
        if self._sink is not None and self._sink.failure is not None:
            raise self._sink.failure

    def sync(self) -> None:
        """Have what is written so far on the disk, so that the end of a long job does not wait for all of it.

        Raises
        ------
        OSError
            As ``check``.
        """
        self.check()
        if self._sink is not None:
            os.fsync(self._sink.fileno())

    def close(self) -> None:
        """Close the file; ``check`` tells whether all of it was written."""
        super().close()
        if self._sink is not None:
            self._sink.close()


class _Dataset(h5py.Dataset):  # type: ignore[misc]
    def __init__(self, identifier: Any, file: NewFile) -> None:
        super().__init__(identifier)
        self._new_file = file

    def __setitem__(self, rows: Any, values: np.ndarray[Any, Any]) -> None:
        super().__setitem__(rows, values)
        self._new_file.check()


@contextmanager
def new_file(path: Path) -> Iterator[NewFile]:
    """A new HDF5 file, closed at the end of the block.

    Raises
    ------
    OSError
        If not all of it could be written; also in place of what followed from that in the block.
    """
    file = NewFile(path)
    try:
        yield file
    except BaseException:
        with suppress(OSError, RuntimeError):
            file.close()
        file.check()  # what follows from a failed write is not the cause
        raise
    file.close()
    file.check()
