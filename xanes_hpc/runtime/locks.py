"""Lock files, exclusively or shared, and record who holds a lock."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path


def hold(descriptor: int) -> bool:
    """Lock an open file exclusively; return False if another process has locked it.

    The lock ends when the file is closed or the process ends. On a file system without locks, return True.
    """
    return _locked(descriptor, fcntl.LOCK_EX)


def share(descriptor: int) -> bool:
    """Lock an open file together with other processes; return False if one has locked it exclusively."""
    return _locked(descriptor, fcntl.LOCK_SH)


def wait_for(descriptor: int) -> bool:
    """Lock an open file as ``hold`` does, after waiting until it is free; always return True."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return True


def _locked(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def is_still(descriptor: int, path: Path) -> bool:
    """Return whether an open file is still the one at ``path``: the run that held it may have removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def holder(descriptor: int) -> str:
    """Return who signed a locked file; empty if nobody did."""
    return os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip()


def sign(descriptor: int, before: str = "") -> None:
    """Write into a locked file that this process holds it."""
    text = f"{before}process {os.getpid()} on {os.uname().nodename}"
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)
