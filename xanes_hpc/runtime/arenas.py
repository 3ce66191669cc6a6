"""The memory arenas of glibc, which keeps several for the threads of a process and gives little of them back."""

import ctypes

M_ARENA_MAX = -8
"""Number of the option in glibc's ``malloc.h``."""


def share_arenas(most: int = 2) -> bool:
    """Let the threads of this process share a few arenas, so that its memory does not grow; return whether they do.

    Each thread of a server would else fill an arena of its own. Other C libraries have no arenas.

    Parameters
    ----------
    most
        Largest number of arenas from now on.
    """
    try:
        return bool(ctypes.CDLL(None).mallopt(M_ARENA_MAX, most))
    except (AttributeError, OSError, TypeError):
        return False
