"""Sums of absolute differences of vectors, equation (6), for Laplacian kernels."""

from xanes_hpc_kernels._jit import kernel
from xanes_hpc_kernels.types import Floats

AT_ONCE = 64
"""Vectors of the second set that are compared with the whole first set at once, so that they stay in the cache."""


@kernel
def manhattan(first_sf: Floats, second_lf: Floats, out_sl: Floats) -> None:
    """Write equation (6), sum_f |first[s, f] - second[l, f]|, to ``out_sl``."""
    zero = out_sl.dtype.type(0.0)
    for begin in range(0, second_lf.shape[0], AT_ONCE):
        end = min(begin + AT_ONCE, second_lf.shape[0])
        for s in range(first_sf.shape[0]):
            first_f = first_sf[s]
            for row in range(begin, end):
                second_f = second_lf[row]
                total = zero
                for f in range(first_f.size):
                    total += abs(first_f[f] - second_f[f])
                out_sl[s, row] = total
