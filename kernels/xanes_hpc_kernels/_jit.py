"""The one place that decides how kernels are compiled.

``inline``          small functions called from inside kernels
``parallel_kernel`` kernels whose outer ``prange`` runs over sites, one site per iteration

Floating point may be reassociated and contracted into fused multiply-adds, which is what lets
LLVM vectorise sums; NaN and infinity keep their meaning. Machine code is cached beside the sources or,
from a read-only installation, in the user's cache folder (Numba's own fallback).
"""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])

FASTMATH = {"reassoc", "contract", "arcp", "nsz"}


def inline(function: F) -> F:
    """Compile a function that other kernels call."""
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=FASTMATH)(function))


def parallel_kernel(function: F) -> F:
    """Compile a kernel that shares its sites out over Numba's threads."""
    compiler = numba.njit(cache=True, nogil=True, parallel=True, error_model="numpy", fastmath=FASTMATH)
    return cast(F, compiler(function))
