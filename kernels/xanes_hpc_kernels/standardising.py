"""Standardisation of vectors, equation (11), and the way back, equation (18), each in one pass."""

import math
from typing import Any

from xanes_hpc_kernels._jit import exact_inline, kernel
from xanes_hpc_kernels.types import Floats, Ints

NEGLIGIBLE = 37.0
"""Beyond x = 37, log(1 + e^x) is x in double precision."""


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
    """Write equation (11) for ``x_sf[s]``, with mean and scale of its kind ``kinds_s[s]``, to ``out[rows_s[s]]``.

    With ``rooted``, sign(x) √|x| replaces x. Values are clipped at ±``most``, which may be infinite. Arithmetic is in
    the more precise type of ``mean_kf`` and ``x_sf``, and exactly as written.
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


@kernel
def rescale(
    z_se: Floats, kinds_s: Ints, mean_ke: Floats, scale_ke: Floats, softness_ke: Floats, out_se: Floats
) -> None:
    """Write equation (18) for ``z_se[s]``, with mean, scale and softness of its kind ``kinds_s[s]``, to ``out_se[s]``.

    Without rows of ``softness_ke`` values are rescaled only.
    """
    for s in range(z_se.shape[0]):
        kind = kinds_s[s]
        z_e, mean_e, scale_e, out_e = z_se[s], mean_ke[kind], scale_ke[kind], out_se[s]
        for e in range(z_e.size):
            out_e[e] = z_e[e] * scale_e[e] + mean_e[e]
        if softness_ke.shape[0]:
            softness_e = softness_ke[kind]
            for e in range(z_e.size):
                x, b = out_e[e], softness_e[e]
                if x < NEGLIGIBLE * b:
                    out_e[e] = max(x, 0.0) + b * math.log1p(math.exp(-abs(x) / b))
