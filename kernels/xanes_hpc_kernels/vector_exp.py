"""exp(x) for x <= 0 as a polynomial, so that loops over it vectorise.

Numba installed from wheels has no short-vector math library: ``math.exp`` in a kernel is a scalar call.
Here x = n ln 2 + r with integer n and abs(r) <= ln 2 / 2; exp(r) is its Taylor polynomial of degree 12 (truncation
below 2e-16 relative) and 2^n is written straight into the exponent bits.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from xanes_hpc_kernels._jit import inline

LOG2_E = 1.4426950408889634
LN_2 = 0.6931471805599453
SMALLEST = -708.0
"""Below this argument the result is 0 (exp(-708) is 3e-308, the end of the normal range)."""


def _bits_to_float64(typingctx: Any, bits: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), codegen


_float64_from_bits = cast(Callable[[Any], Any], intrinsic(_bits_to_float64))


@inline
def exp_nonpositive(x: float) -> float:
    """exp(x) for x <= 0, to 1e-13 relative (2e-15 above -10) down to -708 and 0 below."""
    bounded = max(x, SMALLEST)
    n = np.int32(bounded * LOG2_E - 0.5)
    r = bounded - np.float64(n) * LN_2
    p = 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    power = _float64_from_bits((np.int64(n) + np.int64(1023)) << np.int64(52))
    return p * power if x >= SMALLEST else 0.0
