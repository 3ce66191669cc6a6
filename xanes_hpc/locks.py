"""Files that one process at a time works on."""

import fcntl


def hold(descriptor: int) -> bool:
    """Lock an open file until it is closed, however its process ends; False where another process has it.

    On a file system without locks nobody has it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True
