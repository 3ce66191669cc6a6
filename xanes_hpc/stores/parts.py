"""The parts of an output that is being made: whole files in a folder ``NAME.parts`` beside it.

A run goes on from the parts that an earlier one has left. A part is written under a temporary name, flushed to the
disk, and renamed. ``plan.json`` says what the parts are of; a run that would make others is refused. While a run is at
work it holds a lock on the folder.
"""

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
from h5py._objects import phil

from xanes_hpc.errors import StoreError
from xanes_hpc.stores.new_file import new_file
from xanes_hpc.stores.outputs import explain, flush_to_disk

PLAN, LOCK, WHOLE = "plan.json", "lock", "whole.partial"
PART = re.compile(r"part-\d{6}\.h5")
OURS = re.compile(rf"{PART.pattern}(\.partial)?|{re.escape(PLAN)}(\.partial)?|{LOCK}|{re.escape(WHOLE)}")
NAMES = {"descriptor_hash": "descriptor", "source_digest": "structures"}
"""What a plan's members are called where they differ."""


def parts_folder(output: Path) -> Path:
    """Where the parts of an output stand."""
    return output.with_name(f"{output.name}.parts")


class PartsFolder:
    """The parts of one output, locked for this run.

    Parameters
    ----------
    output
        The file to be made.
    plan
        Everything the parts depend on, as plain values.
    restart
        Throw away the parts of an earlier run.

    Raises
    ------
    StoreError
        If another run is at work, the parts there are of something else, or the folder cannot be made or is not ours.
    """

    def __init__(self, output: Path, plan: dict[str, Any], restart: bool = False) -> None:
        self.path = parts_folder(output)
        self._plan = plan
        try:
            self._lock = self._locked()
            try:
                self._begin(restart)
            except BaseException:
                self._leave(made=False)
                raise
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"{output}: cannot be written: {explain(error)}") from None

    def _refuse_strangers(self) -> None:
        strangers = [entry.name for entry in self.path.iterdir() if not OURS.fullmatch(entry.name)]
        if strangers:
            raise StoreError(
                f"{self.path}: holds other things than parts ({strangers[0]}): remove or rename the folder"
            )

    def _locked(self) -> int:
        """Descriptor of the folder's lock, held by this process until it is closed, however the process ends."""
        while True:
            if self.path.is_symlink():
                raise StoreError(f"{self.path}: is a link, and parts are renamed into place: remove or rename it")
            self.path.mkdir(exist_ok=True)
            self._refuse_strangers()
            lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                holder = os.pread(lock, 200, 0).decode("utf-8", "replace").strip()
                os.close(lock)
                raise StoreError(f"{self.path}: another run is making this output ({holder or 'unknown'})") from None
            try:
                if os.path.samestat(os.fstat(lock), os.stat(self.path / LOCK)):
                    os.ftruncate(lock, 0)
                    os.pwrite(lock, f"process {os.getpid()} on {os.uname().nodename}".encode(), 0)
                    return lock
            except FileNotFoundError:
                pass
            os.close(lock)  # the run that held it has ended and removed the folder in the meantime

    def _begin(self, restart: bool) -> None:
        for stale in self.path.glob("*.partial"):
            stale.unlink()
        path = self.path / PLAN
        if restart or not path.exists() or not self._has_parts():
            self._clear()
            temporary = self.path / f"{PLAN}.partial"
            temporary.write_text(json.dumps(self._plan, indent=2) + "\n", encoding="utf-8")
            flush_to_disk(temporary)
            temporary.replace(path)
            return
        try:
            begun = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            begun = None
        if not isinstance(begun, dict):
            raise StoreError(f"{path}: cannot be read; begin anew with --restart")
        for name, value in self._plan.items():
            if begun.get(name) != value:
                what = NAMES.get(name, name.replace("_", " "))
                raise StoreError(
                    f"{self.path}: parts of an unfinished run with {what} {begun.get(name)}; this run has {what} "
                    f"{value}: finish that one with its own command, or begin anew with --restart"
                )

    def _has_parts(self) -> bool:
        return any(PART.fullmatch(entry.name) for entry in self.path.iterdir())

    def _clear(self) -> None:
        for entry in self.path.iterdir():
            if entry.name != LOCK:
                entry.unlink()

    @property
    def whole(self) -> Path:
        """Temporary name of the output that is made from the parts."""
        return self.path / WHOLE

    def part(self, number: int) -> Path:
        """Name of a part."""
        return self.path / f"part-{number:06d}.h5"

    @contextmanager
    def new_part(
        self,
        number: int,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        chunks: tuple[int, ...],
        filters: dict[str, Any],
    ) -> Iterator[h5py.Dataset]:
        """A part to fill; it takes its name when the block ends well.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        temporary = self.part(number).with_suffix(".h5.partial")
        with suppress(FileNotFoundError):
            temporary.unlink()
        try:
            with new_file(temporary) as file:
                yield file.create_dataset(
                    "rows", shape, dtype, chunks=chunks, maxshape=(None, *shape[1:]), fletcher32=True, **filters
                )
            flush_to_disk(temporary)
            temporary.rename(self.part(number))
        finally:
            with suppress(OSError):
                temporary.unlink()

    def is_whole(self, number: int, shape: tuple[int, ...]) -> bool:
        """Whether a part is there and every checksum in it holds; one that is damaged is removed."""
        path = self.part(number)
        if not path.exists():
            return False
        try:
            with h5py.File(path, "r") as file:
                rows = file["rows"]
                whole = bool(rows.shape == shape)
                for chunk in rows.iter_chunks():
                    rows[chunk]
        except (OSError, KeyError, AttributeError, TypeError, RuntimeError):
            whole = False
        if not whole:
            path.unlink()
        return whole

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Remove the folder if its output is made or no part is; leave the parts to the next run otherwise."""
        self._leave(made=kind is None)

    def _leave(self, made: bool) -> None:
        try:
            for stale in self.path.glob("*.partial"):
                stale.unlink()
            if made or not self._has_parts():
                for entry in self.path.iterdir():
                    if OURS.fullmatch(entry.name):
                        entry.unlink()
                self.path.rmdir()
        except OSError:
            pass
        finally:
            os.close(self._lock)


def copy_chunks(part: Path, target: h5py.Dataset, first_row: int) -> None:
    """Append a part's chunks to a dataset with the same chunks and filters, as they are.

    Raises
    ------
    StoreError
        If the part cannot be read.
    """
    try:
        with h5py.File(part, "r") as file:
            rows = file["rows"].id
            for index in range(rows.get_num_chunks()):
                with phil:  # h5py reads chunks directly without its lock: another thread's reading would crash
                    offset = rows.get_chunk_info(index).chunk_offset
                    mask, data = rows.read_direct_chunk(offset)
                    target.id.write_direct_chunk((first_row + offset[0], *offset[1:]), data, mask)
    except (OSError, KeyError) as error:
        raise StoreError(f"{part}: damaged part, remove it: {str(error).splitlines()[0]}") from None
