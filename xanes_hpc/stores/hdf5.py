"""What all stores share: opening with one-line errors, atomic writing, strings and digests."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt

import xanes_hpc_schema
from xanes_hpc import __version__
from xanes_hpc.errors import StoreError, first_line
from xanes_hpc.runtime.hdf5_files import open_hdf5
from xanes_hpc.runtime.nearest import did_you_mean_path
from xanes_hpc.runtime.new_file import NewFile, new_file
from xanes_hpc.runtime.outputs import check_output, explain, locked_output, remove_stale, whole_output
from xanes_hpc.stores.texts import fix_texts, read_text, write_text
from xanes_hpc.stores.virtual import check_virtual, virtual_parts

ATTRIBUTES = "digest_attributes"
SIGNATURE = b"\x89HDF"
"""First bytes of an HDF5 file."""
SLAB_BYTES = 1 << 22
"""Largest number of bytes of a dataset in memory while all of it is read."""


def open_store(path: Path, kind: str | None = None) -> h5py.File:
    """Open a store for reading, and check it against its schema.

    Raises
    ------
    StoreError
        If the file is missing, not HDF5, truncated, of another kind or of a newer schema.
    """
    if not path.exists():
        raise StoreError(f"{path}: no such file{did_you_mean_path(path)}")
    if path.is_dir():
        raise StoreError(f"{path}: expected an HDF5 file, received a folder")
    try:
        file = open_hdf5(path)
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
        raise StoreError(f"{path}: damaged HDF5 file: {first_line(error)}") from None
    return file


def is_kind(path: Path, kind: str) -> bool:
    """Return whether a file is a store of the given kind, whatever its schema version."""
    try:
        with open_hdf5(path) as file:
            return xanes_hpc_schema.kind_of(file)[0] == kind
    except (OSError, RuntimeError, KeyError, ValueError, TypeError):  # SchemaError is a ValueError
        return False


def store_in_words(path: Path) -> str:
    """Return what kind of store a file is, such as ``structure store``; empty if it is none."""
    kind = next((kind for kind in xanes_hpc_schema.KINDS if is_kind(path, kind)), None)
    return "" if kind is None else xanes_hpc_schema.store_name(kind)


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
        return "truncated HDF5 file; copy or create it again"
    if error.errno:
        return f"cannot be opened: {explain(error)}"
    return f"damaged HDF5 file: {first_line(error)}"


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn HDF5's errors about unreadable data, such as a failed checksum, into a one-line ``StoreError``."""
    try:
        yield
    except StoreError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        if not is_damage(error):
            raise
        raise _damaged(path, error) from None


def _damaged(path: Path, error: BaseException) -> StoreError:
    return StoreError(f"{path}: damaged data ({first_line(error)}); create the file again")


def check_store(path: Path, overwrite: bool, sources: Iterable[Path] = ()) -> None:
    """Check that a store may be written to a path: ``check_output``, and an existing file must be HDF5."""
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
    """Create a store; it is renamed to ``path`` when the block ends without an error.

    Without a path the store lives in memory and stays open. The output is locked against other runs, unless ``locked``
    says that the caller holds the lock already.

    Raises
    ------
    StoreError
        As ``whole_output`` does.
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
        if temporary is None and not locked:  # the folder of parts has its own lock
            opened.enter_context(locked_output(path))
            remove_stale(path)
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
    """Return strings as fixed-width UTF-8 bytes, at least one byte wide."""
    rows = np.array([s.encode() if isinstance(s, str) else bytes(s) for s in strings], dtype=np.bytes_)
    return rows.astype("S1") if rows.dtype.itemsize == 0 else rows


def write_whole(file: h5py.File, name: str, values: npt.NDArray[Any]) -> h5py.Dataset:
    """Write an array to a new dataset with checksums."""
    return file.create_dataset(name, data=values, fletcher32=True)


def write_strings(file: h5py.File, name: str, strings: Sequence[str] | npt.NDArray[Any]) -> None:
    """Write strings to a new dataset of fixed-width UTF-8."""
    rows = encoded(strings)
    file.create_dataset(name, data=rows.astype(h5py.string_dtype("utf-8", rows.dtype.itemsize)), fletcher32=True)


def read_strings(file: h5py.File, name: str, rows: Any = slice(None)) -> list[str]:
    """Return rows of a string dataset."""
    return [s.decode("utf-8", "replace") for s in file[name][rows]]


def slabs(dataset: h5py.Dataset) -> Iterator[npt.NDArray[Any]]:
    """Yield the rows of a dataset in order, a bounded number at a time."""
    row_bytes = dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64))
    step = max(1, SLAB_BYTES // max(1, row_bytes))
    for start in range(0, dataset.shape[0], step):
        yield dataset[start : start + step]


def digest(file: h5py.File, names: Sequence[str]) -> str:
    """Return the SHA-256 of datasets' names, shapes and values in hexadecimal.

    It does not depend on chunks, byte order or the width of strings.
    """
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
    """Return the SHA-256 of all attributes except this digest; HDF5 has checksums for datasets only."""
    values: dict[str, dict[str, Any]] = {}

    def take(path: str, node: h5py.HLObject) -> None:
        values[path] = {name: _plain(node.attrs[name]) for name in node.attrs if (path, name) != ("/", ATTRIBUTES)}

    take("/", file)
    file.visititems(take)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value.tolist() if hasattr(value, "tolist") else value


def is_damage(error: BaseException | None) -> bool:
    """Return whether an error was raised by HDF5 for data that it cannot decode."""
    if not isinstance(error, (OSError, RuntimeError, KeyError, ValueError, TypeError)) or isinstance(error, StoreError):
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    raised_in = "" if trace is None else trace.tb_frame.f_globals.get("__name__", "")
    return not getattr(error, "errno", None) and str(raised_in).startswith("h5py")


def _stamp(path: Path) -> tuple[int, ...]:
    """Return values that change when a file is replaced or written to; empty if it does not exist."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


IN_MEMORY = Path("(in memory)")
"""Path of a store without a file."""


class Store:
    """A store open for reading; a ``with`` block closes it.

    Parameters
    ----------
    path
        Path of the store.
    file
        Given instead of a path: the finished file of a store in memory.
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
        """Close the store.

        Raises
        ------
        StoreError
            In place of an error that HDF5 raised within the block: the data are damaged.
        """
        self.close()
        if error is not None and is_damage(error):
            raise _damaged(self.path, error) from None

    def described(self, contents: str) -> str:
        """Return what ``repr`` shows: kind, place and contents."""
        if not self.file:
            return f"<{type(self).__name__} {self.path}: closed>"
        return f"<{type(self).__name__} {'in memory' if self.in_memory else self.path}: {contents}>"

    def close(self) -> None:
        """Close the store."""
        self.file.close()

    def read_rows(self, name: str, start: int, stop: int) -> npt.NDArray[Any]:
        """Return rows ``start:stop`` of a dataset; it stays open, since opening it takes as long as a short read.

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
        """Check that neither the store nor its parts were replaced or written to since it was opened.

        Raises
        ------
        StoreError
            If a file changed; names it.
        """
        if self.in_memory:
            return
        for path, stamp in {self.path: self._stamp, **self._parts}.items():
            if _stamp(path) != stamp:
                raise StoreError(f"{path}: changed or was replaced while it was being read; try again")

    def attribute(self, name: str) -> str:
        """Return a text attribute of the store; empty if it is absent."""
        return read_text(self.file, name)
