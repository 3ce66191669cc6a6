"""Files that one process at a time works on, or several that know of each other."""

import fcntl


def hold(descriptor: int) -> bool:
    """Lock an open file until it is closed, however its process ends; False where another process has it.

    On a file system without locks nobody has it.
    """
    return _locked(descriptor, fcntl.LOCK_EX)


def share(descriptor: int) -> bool:
    """Lock an open file together with others that share it; False where a process holds it alone."""
    return _locked(descriptor, fcntl.LOCK_SH)


def _locked(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True
