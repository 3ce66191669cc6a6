"""NumPy's ``.npz`` files, read array by array. Nothing is unpickled.

Arrays of numbers may be larger than memory. An uncompressed array is mapped where it lies in the file; a compressed one
is unpacked to a temporary file first. Both are read through once, so that damage is found before anything is used.
"""

import mmap
import shutil
import struct
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from xanes_hpc.errors import FormatError

ZIP = (b"PK\3\4", b"PK\5\6")
"""First bytes of a ZIP archive, and of an empty one."""
LOCAL_HEADER = "<26xHH"
"""A member's own header in the archive: the lengths of its name and extra field, which follow."""
DAMAGE = (
    EOFError, ValueError, BadZipFile, MemoryError, NotImplementedError, OverflowError, RuntimeError, TokenError,
    struct.error, zlib.error,
)  # fmt: skip
"""Exceptions that damaged files raise, and files that claim more data than they have."""
MOST_NAMED = 8
"""Maximum number of arrays named in a message."""
BYTES_AT_ONCE = 1 << 24


def recognises(path: Path) -> bool:
    """Return True if a path's name is that of an ``.npz`` file, or of a single array, which ``Arrays`` refuses."""
    return path.suffix.lower() in (".npz", ".npy") and not path.is_dir()


@dataclass(frozen=True)
class Numbers:
    """A finite array of numbers in a file; rows are read when they are asked for.

    Attributes
    ----------
    stored
        The array as the file has it, on ``mapped`` bytes of a file.
    dtype
        Type in which rows are returned.
    """

    stored: npt.NDArray[Any]
    mapped: mmap.mmap
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.stored.shape

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, rows: Any) -> npt.NDArray[Any]:
        with np.errstate(over="ignore"):  # a value too large for the type becomes infinite
            values = np.array(self.stored[rows], self.dtype, order="C")
        self.mapped.madvise(mmap.MADV_DONTNEED)  # the bytes need not stay in memory
        return values

    def blocks(self) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        """Yield the first row and the values of blocks of rows that need little memory."""
        largest = max(self.stored.itemsize, self.dtype.itemsize)
        step = max(1, BYTES_AT_ONCE // (largest * max(1, self.stored.size // max(1, len(self)))))
        for start in range(0, len(self), step):
            yield start, self[start : start + step]


class Arrays:
    """The arrays of a file.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    names
        Names of all arrays.
    used
        Names of the arrays that were read.

    Raises
    ------
    FormatError
        If the file cannot be read or is not an archive.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.used = path, set[str]()
        with self._told(), path.open("rb") as stream:
            start = stream.read(len(ZIP[0]))
            if start not in ZIP:
                plain = "; save the array with np.savez(FILE, x=array)" if path.suffix.lower() == ".npy" else ""
                raise FormatError(
                    f"{path}: " + (f"not an .npz file (a ZIP of arrays){plain}" if start else "empty file")
                )
            with ZipFile(stream) as archive:
                self._members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        self.names = list(self._members)

    @property
    def unused(self) -> tuple[str, ...]:
        """Names of the arrays that were not read."""
        return tuple(name for name in self.names if name not in self.used)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    @property
    def in_words(self) -> str:
        """The arrays' names, for messages."""
        more = ", …" if len(self.names) > MOST_NAMED else ""
        return (", ".join(map(repr, self.names[:MOST_NAMED])) or "none") + more

    def numbers(self, name: str, shape: tuple[str, ...], dtype: np.dtype[Any], any_type: bool = False) -> Numbers:
        """Return an array of finite numbers.

        Parameters
        ----------
        name
            Its name.
        shape
            Names of its dimensions, for messages.
        dtype
            Type of the returned rows; the numbers must be finite in it.
        any_type
            Whether to take all real numbers, integers included, instead of float32 and float64 only.

        Raises
        ------
        FormatError
            If the array cannot be read, has the wrong type or shape, or is not finite.
        """
        with self._opened(name) as (where, stream):
            own, order, found = _header(where, stream, self._members[name].file_size)
            usable = found.kind in "fiu" if any_type else found.kind == "f" and found.itemsize in (4, 8)
            if not usable:
                expected = "real numbers" if any_type else "float32 or float64"
                raise FormatError(f"{where}: expected {expected}, received {found}")
            if len(own) != len(shape) or 0 in own:
                raise FormatError(f"{where}: expected shape ({', '.join(shape)}), received {own}")
            start, mapped = self._mapped(self._members[name], stream)
            stored = np.ndarray(own, found, mapped, start, order="F" if order else "C")
        numbers = Numbers(stored, mapped, dtype)
        for start, values in numbers.blocks():
            finite = np.isfinite(values)
            if not finite.all():
                bad = tuple(np.argwhere(~finite)[0].tolist())
                bad = (start + bad[0], *bad[1:])
                counted = ", ".join(f"{what} {i}" for what, i in zip(("row", "column"), bad, strict=False))
                raise FormatError(
                    f"{where}, {counted}: expected a finite number ({dtype.name}), received {stored[bad]:g}"
                )
        return numbers

    def plain(self, name: str) -> npt.NDArray[Any]:
        """Return an array of any type that holds no Python objects, in memory.

        Raises
        ------
        FormatError
            If the array cannot be read.
        """
        with self._opened(name) as (where, stream):
            _header(where, stream, self._members[name].file_size)
            stream.seek(0)
            return np.asarray(npy.read_array(stream, allow_pickle=False))

    def texts(self, name: str, n: int, one_for_all: bool = False) -> list[str]:
        """Return an array of ``n`` texts; with ``one_for_all``, a single one counts for all.

        Raises
        ------
        FormatError
            If the array cannot be read, is not of text, has another length, or a text is empty or has control
            characters.
        """
        where, values = f"{self.path}: array {name}", self.plain(name)
        if values.dtype.kind not in "US":
            raise FormatError(f"{where}: expected text, received {values.dtype}; save it with .astype(str)")
        shared = values.size == 1 and (n == 1 or one_for_all)
        if values.shape != (n,) and not shared:
            expected = "a single text" if n == 1 else f"{n:,} texts" + (", or one for all" if one_for_all else "")
            raise FormatError(f"{where}: expected {expected}, received shape {values.shape}")
        if values.dtype.kind == "U" and _points(values).max(initial=0) > sys.maxunicode:
            raise FormatError(f"{where}: expected text, received numbers that are no characters")
        try:
            found = [t.decode() if isinstance(t, bytes) else str(t) for t in values.ravel().tolist()]
        except UnicodeDecodeError:
            raise FormatError(f"{where}: expected text in UTF-8, received other bytes") from None
        for row, text in enumerate(found):
            if not text or text != text.strip() or not text.isprintable():
                raise FormatError(
                    f"{where}, row {row}: expected text without control characters or blanks around it, "
                    f"received {text!r}"
                )
        return found * n if shared else found

    def _mapped(self, info: ZipInfo, stream: IO[bytes]) -> tuple[int, mmap.mmap]:
        """Return where a member's values begin in mapped bytes, after reading through it; ``stream`` is at them."""
        header = stream.tell()
        if info.compress_type != ZIP_STORED:
            with tempfile.TemporaryFile() as unpacked:
                shutil.copyfileobj(stream, unpacked, BYTES_AT_ONCE)
                unpacked.flush()
                return 0, mmap.mmap(unpacked.fileno(), 0, access=mmap.ACCESS_READ)
        while stream.read(BYTES_AT_ONCE):
            pass
        with self.path.open("rb") as whole:
            whole.seek(info.header_offset)
            lengths = struct.unpack(LOCAL_HEADER, whole.read(struct.calcsize(LOCAL_HEADER)))
            start = whole.tell() + sum(lengths) + header
            return start, mmap.mmap(whole.fileno(), 0, access=mmap.ACCESS_READ)

    @contextmanager
    def _opened(self, name: str) -> Iterator[tuple[str, IO[bytes]]]:
        """Yield an array's name in messages and its bytes."""
        self.used.add(name)
        with self._told(), ZipFile(self.path) as archive, archive.open(self._members[name]) as stream:
            yield f"{self.path}: array {name}", stream

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Raise errors of reading as ``FormatError``."""
        try:
            yield
        except FormatError:
            raise
        except FileNotFoundError:
            raise FormatError(f"{self.path}: no such file or folder") from None
        except OSError as error:
            raise FormatError(f"{self.path}: cannot be read: {(error.strerror or str(error)).lower()}") from None
        except DAMAGE as error:
            reason = " ".join(str(error).split())[:120] or type(error).__name__
            raise FormatError(f"{self.path}: damaged, or not written by NumPy: {reason}") from None


def _points(texts: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
    """Return the code points of texts."""
    return np.frombuffer(texts.tobytes(), np.dtype(np.uint32).newbyteorder(texts.dtype.byteorder))


def _header(where: str, stream: IO[bytes], size: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return the shape, whether columns come first, and the type of an array of ``size`` bytes with its header.

    The stream is left where the values begin.
    """
    version = npy.read_magic(stream)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read is None:
        raise FormatError(f"{where}: expected a plain array, received one with named fields")
    shape, order, dtype = read(stream)
    if dtype.hasobject:
        raise FormatError(
            f"{where}: expected numbers or text, received Python objects (dtype object); save numbers with "
            ".astype(float), text with .astype(str)"
        )
    claimed, left = int(np.prod(shape, dtype=object)) * dtype.itemsize, size - stream.tell()
    if claimed != left:
        raise ValueError(f"its header claims {claimed:,} bytes, the file has {left:,}")
    return shape, order, dtype
