"""Check outputs before any work is done, and write them atomically."""

import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path

from xanes_hpc.errors import StoreError, first_line
from xanes_hpc.runtime.locks import hold, holder, is_still, sign, wait_for

PARTIAL = re.compile(r"\.[0-9a-f]{8}\.partial")
"""What follows the name of an output in that of its temporary file."""
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL, errno.EACCES)
"""Errors of file systems without hard links."""


def explain(error: OSError) -> str:
    """Return an error of the operating system or HDF5 in a few words."""
    if error.errno == errno.ENOSPC or "No space left" in str(error):
        return "no space left on the disk"
    if error.errno == errno.EFBIG or "File too large" in str(error):
        return "the file would exceed the system's size limit"
    if error.errno:
        return os.strerror(error.errno).lower()
    return first_line(error)


def check_output(
    path: Path,
    overwrite: bool,
    contents: Sequence[str] | None = None,
    sources: Iterable[Path] = (),
    signature: bytes = b"",
) -> None:
    """Check that an output may be written: its folder exists, and it replaces nothing that it must not.

    Parameters
    ----------
    path, overwrite
        The output, and whether an existing one may be replaced.
    contents
        If the output is a folder: patterns of the names in it, the first of which must exist. An existing folder is
        replaced only if it is empty, or has that entry and all others match.
    sources
        Inputs of the output.
    signature
        First bytes of files that may be replaced; empty files may always be.

    Raises
    ------
    StoreError
        If the output exists and may not be replaced, is one of its sources, or its folder does not exist.
    """
    if path.exists():
        if not overwrite:
            raise StoreError(f"{path}: already exists; name another output, or replace it with `overwrite`")
        if any(source.exists() and source.samefile(path) for source in sources):
            raise StoreError(f"{path}: is one of the inputs; name another output")
        if path.is_dir() != (contents is not None) or (contents is not None and not _is_ours(path, contents)):
            folder = "a folder" if contents is None else "a folder with other files"
            what = folder if path.is_dir() else "a file"
            raise StoreError(f"{path}: is {what} and will not be replaced; name another output")
        if not path.is_file() and not path.is_dir():
            raise StoreError(f"{path}: is not a regular file and will not be replaced; name another output")
        if signature and path.is_file() and not _begins(path, signature):
            raise StoreError(f"{path}: is a file of another kind and will not be replaced; name another output")
    if not path.parent.is_dir():
        raise StoreError(f"{path.parent}: no such folder for the output {path.name}")


def _is_ours(folder: Path, contents: Sequence[str]) -> bool:
    there = [entry.name for entry in folder.iterdir()]
    known = all(any(fnmatch(name, pattern) for pattern in contents) for name in there)
    return known and (not there or contents[0] in there)


def _begins(path: Path, signature: bytes) -> bool:
    """Return whether a file starts with the given bytes, or is empty."""
    with path.open("rb") as file:
        return file.read(len(signature)) in (signature, b"")


@contextmanager
def whole_output(
    path: Path,
    overwrite: bool,
    contents: Sequence[str] | None = None,
    sources: Iterable[Path] = (),
    signature: bytes = b"",
    temporary: Path | None = None,
) -> Iterator[Path]:
    """Yield a temporary path; it is renamed to ``path`` when the block ends without an error, and removed otherwise.

    The block makes a file at the temporary path, or a folder if ``contents`` are given. By default the temporary path
    is a new one beside ``path``. After a failure, an existing output is unchanged. The new one is flushed to disk
    before it is renamed. Other parameters and errors are those of ``check_output``; a failed write is a ``StoreError``
    too.
    """
    check_output(path, overwrite, contents, sources, signature)
    temporary = temporary or path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        yield temporary
        flush_to_disk(temporary)
        if not overwrite:
            _give_free_name(temporary, path)
        elif path.is_dir():
            _swap_folder(temporary, path)
        else:
            temporary.replace(path)
    except StoreError:
        raise
    except OSError as error:
        if error.filename is not None and not str(error.filename).startswith(str(temporary)):
            raise
        raise StoreError(f"{path}: cannot be written: {explain(error)}") from None
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            with suppress(OSError):
                temporary.unlink()


@contextmanager
def locked_output(path: Path, wait: bool = False) -> Iterator[None]:
    """Lock an output within the block, by a file beside it; the lock also ends with the process.

    With ``wait``, wait until another run that holds the lock has ended.

    Raises
    ------
    StoreError
        If another run is making the output; names it.
    """
    beside = path.with_name(f".{path.name}.lock")
    try:
        while True:
            lock = os.open(beside, os.O_RDWR | os.O_CREAT, 0o666)
            if not (wait_for(lock) if wait else hold(lock)):
                who = holder(lock)
                os.close(lock)
                raise StoreError(f"{path}: another run is making this output ({who or 'unknown'})")
            if is_still(lock, beside):
                break
            os.close(lock)
        sign(lock)
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {explain(error)}") from None
    try:
        yield
    finally:
        with suppress(OSError):
            beside.unlink()
        os.close(lock)


def remove_stale(path: Path) -> None:
    """Remove the temporary files of runs that were killed while they made an output, whose lock the caller holds.

    Such a file is locked by the process that writes it. One that is locked, or on a file system without locks, stays.
    """
    start = f".{path.name}"
    with os.scandir(path.parent) as entries:
        names = [one.name for one in entries if one.name.startswith(start) and one.is_file(follow_symlinks=False)]
    for found in (path.with_name(name) for name in names if PARTIAL.fullmatch(name.removeprefix(start))):
        with suppress(OSError):
            ours, other = (os.open(found, os.O_RDWR) for _ in range(2))
            try:
                if hold(ours) and not hold(other):  # a second lock succeeds where there are no locks
                    found.unlink()
            finally:
                os.close(ours)
                os.close(other)


def _give_free_name(temporary: Path, path: Path) -> None:
    """Rename to a path that was free at the start, unless another run has created it since."""
    try:
        if temporary.is_file():
            os.link(temporary, path)
            temporary.unlink()
            return
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
    if path.exists():
        raise StoreError(
            f"{path}: another run made it in the meantime; name another output, or replace it with `overwrite`"
        )
    temporary.rename(path)


def _swap_folder(temporary: Path, path: Path) -> None:
    """Replace a folder; the old one is restored if that fails."""
    doomed = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.old")
    try:
        path.rename(doomed)
        temporary.rename(path)
    except BaseException:
        if os.path.lexists(doomed) and not os.path.lexists(path):
            doomed.rename(path)
        raise
    if doomed.is_symlink():
        doomed.unlink()
    else:
        shutil.rmtree(doomed)


def flush_to_disk(path: Path) -> None:
    """Wait until a file, or all files of a folder, are on the disk."""
    for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
