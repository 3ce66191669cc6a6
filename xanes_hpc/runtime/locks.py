"""Files that one process at a time works on, or several that know of each other."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path


def hold(descriptor: int) -> bool:
    """Lock an open file until it is closed, however its process ends; False where another process has it.

    On a file system without locks nobody has it.
    """
    return _locked(descriptor, fcntl.LOCK_EX)


def share(descriptor: int) -> bool:
    """Lock an open file together with others that share it; False where a process holds it alone."""
    return _locked(descriptor, fcntl.LOCK_SH)


def wait_for(descriptor: int) -> bool:
    """Lock an open file as ``hold`` does, once whoever has it has ended; True."""
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
    """Whether an open file is the one that has a name: a run that held it may have ended and removed it since."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def holder(descriptor: int) -> str:
    """Who says that they hold a locked file; empty where nobody does."""
    return os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip()


def sign(descriptor: int, before: str = "") -> None:
    """Say in a locked file that this process holds it."""
    text = f"{before}process {os.getpid()} on {os.uname().nodename}"
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)
