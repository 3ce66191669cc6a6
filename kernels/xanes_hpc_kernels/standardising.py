"""Standardisation of vectors, in one sweep from where they are to where they shall be: equation (11)."""

import math
from typing import Any

from xanes_hpc_kernels._jit import exact_inline, kernel
from xanes_hpc_kernels.types import Floats, Ints


@exact_inline
def _standardised(value: Any, mean: Any, scale: Any) -> Any:
    return (value - mean) / scale


@exact_inline
def _signed_root(value: Any) -> Any:
    return math.copysign(math.sqrt(abs(value)), value)


@kernel
def standardise(
    x_sf: Floats, rooted: bool, kinds_s: Ints, mean_kf: Floats, scale_kf: Floats, most: float, rows_s: Ints, out: Floats
) -> None:
    """Equation (11), of ``x_sf[s]`` by the mean and scale of its kind ``kinds_s[s]``, into ``out[rows_s[s]]``.

    ``rooted`` puts sign(x) √|x| in the place of x; ``most`` is where values are cut off, infinite for nowhere.
    Arithmetic is in the type of ``mean_kf`` or ``x_sf``, whichever is the finer, and exactly as it is written.
    """
    given, stored = x_sf.dtype.type, out.dtype.type
    high, low = stored(most), stored(-most)
    for s in range(x_sf.shape[0]):
        x_f, mean_f, scale_f, out_f = x_sf[s], mean_kf[kinds_s[s]], scale_kf[kinds_s[s]], out[rows_s[s]]
        if rooted:
            for f in range(x_f.size):
                value = stored(_standardised(given(_signed_root(x_f[f])), mean_f[f], scale_f[f]))
                out_f[f] = min(max(value, low), high)
        else:
            for f in range(x_f.size):
                value = stored(_standardised(x_f[f], mean_f[f], scale_f[f]))
                out_f[f] = min(max(value, low), high)
