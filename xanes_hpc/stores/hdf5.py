"""What all stores have in common: opening with one-line errors, making whole or not at all, strings, digests."""

import difflib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt

import xanes_hpc_schema
from xanes_hpc import __version__
from xanes_hpc.errors import StoreError
from xanes_hpc.runtime.outputs import check_output, explain, only_run, whole_output
from xanes_hpc.stores.new_file import NewFile, new_file
from xanes_hpc.stores.opening import open_file
from xanes_hpc.stores.texts import fix_texts, read_text, write_text
from xanes_hpc.stores.virtual import check_virtual, virtual_parts

ATTRIBUTES = "digest_attributes"
SIGNATURE = b"\x89HDF"
"""First bytes of an HDF5 file."""
MOST_BESIDE = 10_000
"""Entries of a folder among which like names are looked for."""
SLAB_BYTES = 1 << 22
"""Most bytes of one dataset that are in memory at a time when a store is walked through."""


def open_store(path: Path, kind: str | None = None) -> h5py.File:
    """Open a store for reading and check it against its schema.

    Raises
    ------
    StoreError
        If there is no such file, it is not HDF5, truncated, of another kind or of a newer schema.
    """
    if not path.exists():
        raise StoreError(f"{path}: no such file{nearest(path)}")
    if path.is_dir():
        raise StoreError(f"{path}: expected an HDF5 file, received a folder")
    try:
        file = open_file(path)
    except OSError as error:
        raise StoreError(f"{path}: {_why_not_opened(path, error)}") from None
    try:
        xanes_hpc_schema.validate(file, kind)
        check_virtual(file, path)
    except xanes_hpc_schema.SchemaError as error:
        file.close()
        raise StoreError(f"{path}: {error}") from None
    except StoreError:
        file.close()
        raise
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        file.close()
        raise StoreError(f"{path}: damaged HDF5 file: {str(error).splitlines()[0]}") from None
    return file


def nearest(path: Path) -> str:
    """The file or folder beside a path that is missing whose name is most like its, as words to add; or nothing."""
    try:
        names = [entry.name for entry in islice(os.scandir(path.parent), MOST_BESIDE)]
    except OSError:
        return ""
    found = difflib.get_close_matches(path.name, names, 1, 0.75)
    return f"; did you mean {path.with_name(found[0])}?" if found else ""


def is_kind(path: Path, kind: str) -> bool:
    """Whether a file is a store of a kind, whatever its schema version."""
    try:
        with open_file(path) as file:
            return xanes_hpc_schema.kind_of(file)[0] == kind
    except (OSError, RuntimeError, KeyError, ValueError, TypeError):  # SchemaError is a ValueError
        return False


def _why_not_opened(path: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "permission denied"
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
    except OSError as failure:
        return explain(failure)
    if start != b"\x89HDF\r\n\x1a\n":
        return "empty file, expected HDF5" if not start else "not an HDF5 file"
    if "truncated" in str(error):
        return "truncated HDF5 file: copy or make it again"
    return f"damaged HDF5 file: {str(error).splitlines()[0]}"


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what HDF5 says of unreadable data (a failed checksum, say) into one line."""
    try:
        yield
    except StoreError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        if not is_damage(error):
            raise
        raise StoreError(f"{path}: damaged data, make the file again: {first_line(error)}") from None


def check_store(path: Path, overwrite: bool, sources: Iterable[Path] = ()) -> None:
    """Refuse an output that no store may be written to; as ``outputs.check_output``, and only stores are replaced."""
    check_output(path, overwrite, None, sources, SIGNATURE)


@contextmanager
def create_store(
    path: Path | None,
    kind: str,
    overwrite: bool = False,
    sources: Iterable[Path] = (),
    temporary: Path | None = None,
    locked: bool = False,
) -> Iterator[NewFile]:
    """Open a new store for writing; it takes its name when the block ends without an error.

    Without a path the store lives in memory and stays open. No other run writes the same store meanwhile; ``locked``
    says that the caller has seen to that.

    Raises
    ------
    StoreError
        As ``whole_output``.
    """
    if path is None:
        file = NewFile()
        try:
            _begin(file, kind)
            yield file
            _finish(file, kind)
        except BaseException:
            file.close()
            raise
        return
    with ExitStack() as opened:
        check_store(path, overwrite, sources)
        if temporary is None and not locked:  # parts have a lock of their own
            opened.enter_context(only_run(path))
        name = opened.enter_context(whole_output(path, overwrite, None, sources, SIGNATURE, temporary))
        file = opened.enter_context(new_file(name))
        _begin(file, kind)
        yield file
        _finish(file, kind)


def _begin(file: NewFile, kind: str) -> None:
    schema = xanes_hpc_schema.load(kind)
    file.attrs["format"] = schema["format"]
    file.attrs["schema_version"] = schema["schema_version"]
    file.attrs["creator"] = f"xanes-hpc {__version__}"


def _finish(file: NewFile, kind: str) -> None:
    fix_texts(file)
    write_text(file, ATTRIBUTES, digest_attributes(file))
    file.flush()
    xanes_hpc_schema.validate(file, kind)


def encoded(strings: Sequence[str] | npt.NDArray[Any]) -> npt.NDArray[np.bytes_]:
    """Strings as fixed-width UTF-8 bytes, at least one byte wide."""
    rows = np.array([s.encode() if isinstance(s, str) else bytes(s) for s in strings], dtype=np.bytes_)
    return rows.astype("S1") if rows.dtype.itemsize == 0 else rows


def write_whole(file: h5py.File, name: str, values: npt.NDArray[Any]) -> h5py.Dataset:
    """Write a dataset at once, in chunks with checksums."""
    return file.create_dataset(name, data=values, fletcher32=True)


def write_strings(file: h5py.File, name: str, strings: Sequence[str] | npt.NDArray[Any]) -> None:
    """Write a whole dataset of fixed-width UTF-8 strings."""
    rows = encoded(strings)
    file.create_dataset(name, data=rows.astype(h5py.string_dtype("utf-8", rows.dtype.itemsize)), fletcher32=True)


def read_strings(file: h5py.File, name: str, rows: Any = slice(None)) -> list[str]:
    """Rows of a string dataset."""
    return [s.decode("utf-8", "replace") for s in file[name][rows]]


def slabs(dataset: h5py.Dataset) -> Iterator[npt.NDArray[Any]]:
    """The dataset's rows in order, a bounded number at a time."""
    row_bytes = dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64))
    step = max(1, SLAB_BYTES // max(1, row_bytes))
    for start in range(0, dataset.shape[0], step):
        yield dataset[start : start + step]


def digest(file: h5py.File, names: Sequence[str]) -> str:
    """SHA-256 over datasets' names, shapes and values, whatever their chunks and string widths; in hexadecimal."""
    result = hashlib.sha256()
    for name in sorted(names):
        dataset = file[name]
        text = h5py.check_string_dtype(dataset.dtype) is not None
        kind = "text" if text else dataset.dtype.newbyteorder("<").str
        result.update(f"{name}\0{kind}\0{dataset.shape}\0".encode())
        for rows in slabs(dataset):
            if text:
                result.update(b"".join(s + b"\0" for s in rows.tolist()))
            else:
                result.update(np.ascontiguousarray(rows, rows.dtype.newbyteorder("<")).tobytes())
    return result.hexdigest()


def digest_attributes(file: h5py.File) -> str:
    """SHA-256 over all attributes of a store but this one: HDF5 guards datasets with checksums, not their texts."""
    values: dict[str, dict[str, Any]] = {}

    def take(path: str, node: h5py.HLObject) -> None:
        values[path] = {name: _plain(node.attrs[name]) for name in node.attrs if (path, name) != ("/", ATTRIBUTES)}

    take("/", file)
    file.visititems(take)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value.tolist() if hasattr(value, "tolist") else value


def is_damage(error: BaseException | None) -> bool:
    """Whether an error is what HDF5 says of data that it cannot make sense of."""
    if not isinstance(error, (OSError, RuntimeError, KeyError, ValueError, TypeError)) or isinstance(error, StoreError):
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    raised_in = "" if trace is None else trace.tb_frame.f_globals.get("__name__", "")
    return not getattr(error, "errno", None) and str(raised_in).startswith("h5py")


def first_line(error: BaseException | None) -> str:
    """What an error says, in a line."""
    text = str(error.args[0]) if error is not None and error.args else ""
    return text.splitlines()[0] if text else type(error).__name__


def _stamp(path: Path) -> tuple[int, ...]:
    """What tells a file from what may have taken its name since; nothing of one that is not there."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


IN_MEMORY = Path("(in memory)")
"""In place of the path of a store that has none."""


class Store:
    """A store open for reading; closes at the end of a ``with`` block.

    Parameters
    ----------
    path
        Its file.
    file
        Instead of a path: the finished file of a store in memory.
    """

    kind: str

    def __init__(self, path: Path | None = None, file: h5py.File | None = None) -> None:
        self.path = IN_MEMORY if path is None else Path(path)
        self.in_memory = file is not None
        self._stamp = () if file is not None else _stamp(self.path)
        self.file = open_store(self.path, self.kind) if file is None else file
        datasets = [node for node in self.file.values() if isinstance(node, h5py.Dataset)]
        self._parts = {part: _stamp(part) for node in datasets for part in virtual_parts(node, self.path)}
        self._datasets: dict[str, h5py.Dataset] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the store; what HDF5 itself raised within the block is damage.

        Raises
        ------
        StoreError
            In the place of such an error.
        """
        self.close()
        if is_damage(error):
            raise StoreError(f"{self.path}: damaged data, make the file again: {first_line(error)}") from None

    def described(self, contents: str) -> str:
        """Return what ``repr`` shows: kind, place and contents."""
        if not self.file:
            return f"<{type(self).__name__} {self.path}: closed>"
        return f"<{type(self).__name__} {'in memory' if self.in_memory else self.path}: {contents}>"

    def close(self) -> None:
        """Close the store."""
        self.file.close()

    def read_rows(self, name: str, start: int, stop: int) -> npt.NDArray[Any]:
        """Rows ``start:stop`` of a dataset, which stays open: to find it takes as long as to read some.

        Raises
        ------
        StoreError
            If the data are damaged.
        """
        with reading(self.path):
            if name not in self._datasets:
                self._datasets[name] = self.file[name]
            rows: npt.NDArray[Any] = self._datasets[name][start:stop]
            return rows

    def check_unchanged(self) -> None:
        """Refuse what was read of a file that another took the place of in the meantime, or that was written over.

        Raises
        ------
        StoreError
            Naming the file.
        """
        if self.in_memory:
            return
        for path, stamp in {self.path: self._stamp, **self._parts}.items():
            if _stamp(path) != stamp:
                raise StoreError(f"{path}: was changed or replaced while it was read: give the command again")

    def attribute(self, name: str) -> str:
        """A text attribute of the store; empty where it is absent."""
        return read_text(self.file, name)
