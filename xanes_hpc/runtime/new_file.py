"""Write an HDF5 file to a disk that may fill up.

If HDF5 cannot write its buffers when it closes a file, it leaves objects behind that crash the interpreter at exit. We
therefore hide failed writes from HDF5: ``Sink`` keeps the first error and discards everything written after it, and
``NewFile.check`` raises that error. The caller then deletes the file.
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

from xanes_hpc.runtime.locks import hold


class Sink(io.FileIO):
    """A new file that accepts every write, and keeps the first error in ``failure``."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "x+")
        hold(self.fileno())  # until it is closed or the process ends: see ``outputs.remove_stale``
        self.failure: BaseException | None = None

    def write(self, data: Any) -> int:
        """Write all of ``data``, unless a write has failed."""
        rest = memoryview(data)
        try:
            while rest and self.failure is None:
                rest = rest[super().write(rest) :]
        except BaseException as error:  # a signal's too: HDF5 would report it as a failed write
            self.failure = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Set the length, unless a write has failed."""
        try:
            if self.failure is None:
                return super().truncate(size)
        except BaseException as error:
            self.failure = error
        return size or 0


_in_memory = itertools.count()


class NewFile(h5py.File):  # type: ignore[misc]
    """A new HDF5 file; assigning to its datasets raises the error of a failed write.

    Parameters
    ----------
    path
        Path to write to; by default the file lives in memory until it is closed.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._sink = None if path is None else Sink(path)
        if self._sink is None:
            name = f"in memory {next(_in_memory)}"  # HDF5 identifies open files by their names
            super().__init__(name, "w", driver="core", backing_store=False, libver="v110")
        else:
            super().__init__(self._sink, "w", libver="v110")

    def create_dataset(self, *args: Any, **kwargs: Any) -> h5py.Dataset:
        """Create a dataset as h5py does; assigning to it raises the error of a failed write."""
        return _Dataset(super().create_dataset(*args, **kwargs).id, self)

    def check(self) -> None:
        """Raise the first error of a write, if any failed.

        Raises
        ------
        OSError
            From the system; an exception that interrupted a write is raised as it is.
        """
        if self._sink is not None and self._sink.failure is not None:
            raise self._sink.failure

    def sync(self) -> None:
        """Flush to disk what was written so far, so that a long job need not wait for all of it at the end.

        Raises
        ------
        OSError
            As ``check`` does.
        """
        self.check()
        if self._sink is not None:
            os.fsync(self._sink.fileno())

    def close(self) -> None:
        """Close the file; call ``check`` to learn whether all of it was written."""
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
    """Create an HDF5 file that is closed at the end of the block.

    Raises
    ------
    OSError
        If some of it could not be written; also in place of errors that this caused in the block.
    """
    file = NewFile(path)
    try:
        yield file
    except BaseException:
        with suppress(OSError, RuntimeError):
            file.close()
        file.check()  # a failed write is the cause of the errors that follow it
        raise
    file.close()
    file.check()
