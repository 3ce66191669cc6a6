"""Rows of unequal length that stand one after another: row i is ``offsets_i[i]:offsets_i[i + 1]``."""

from xanes_hpc_kernels._jit import inline
from xanes_hpc_kernels.types import Ints


@inline
def longest(offsets_i: Ints) -> int:
    """Length of the longest row, 0 without any.

    Not NumPy's: its functions bring with them, wherever a kernel is loaded, all that Numba knows of linear algebra.
    """
    most = 0
    for i in range(offsets_i.size - 1):
        length = offsets_i[i + 1] - offsets_i[i]
        if length > most:
            most = length
    return most
