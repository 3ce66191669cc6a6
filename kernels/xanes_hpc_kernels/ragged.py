"""Rows of unequal length in one array: row i is ``offsets_i[i]:offsets_i[i + 1]``."""

from xanes_hpc_kernels._jit import inline
from xanes_hpc_kernels.types import Ints


@inline
def longest(offsets_i: Ints) -> int:
    """Return the length of the longest row, or 0 if there are none.

    NumPy's functions are not used: with them, loading a kernel would import all of Numba's linear algebra.
    """
    most = 0
    for i in range(offsets_i.size - 1):
        length = offsets_i[i + 1] - offsets_i[i]
        if length > most:
            most = length
    return most
