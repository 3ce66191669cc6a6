"""exp(x) for x <= 0 as a polynomial, so that loops over it vectorise.

Numba installed from wheels has no short-vector math library, so that ``math.exp`` in a kernel is a scalar call. Here
x log2 e = n + r with integer n and abs(r) <= 1/2. 2^r is a polynomial (its Chebyshev series, truncated at an error
below the last place), and n is added to the exponent bits.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from xanes_hpc_kernels._jit import by_precision
from xanes_hpc_kernels.polynomial import horner
from xanes_hpc_kernels.types import Real

LOG2_E = 1.4426950408889634
LOG2_E_32 = np.float32(LOG2_E)
SMALLEST, SMALLEST_32 = -1022.0, np.float32(-126.0)
"""Exponents of two below this return 0: the end of the normal range."""
ZERO_32 = np.float32(0.0)
COEFFICIENTS = (
    7.074194562613105e-09,
    1.020869083593037e-07,
    1.3215432534254118e-06,
    1.5252657257186041e-05,
    0.00015403530463727982,
    0.0013333558230170627,
    0.009618129107587253,
    0.05550410866444768,
    0.24022650695910158,
    0.69314718055995,
    1.0,
)
COEFFICIENTS_32 = tuple(
    np.float32(c)
    for c in (
        0.00015469731977475548,
        0.0013400432165385696,
        0.009618025602955837,
        0.05550327214209201,
        0.2402265121359523,
        0.6931472067106199,
        1.0,
    )
)


def _nearest(typingctx: Any, x: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.call(builder.module.declare_intrinsic("llvm.rint", [arguments[0].type]), arguments)

    return x(x), codegen


def _bits(typingctx: Any, x: Any) -> Any:
    integer: Any = types.int32 if x == types.float32 else types.int64

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(integer.bitwidth))

    return integer(x), codegen


def _from_bits(typingctx: Any, bits: Any) -> Any:
    real, llvm = (types.float32, ir.FloatType()) if bits == types.int32 else (types.float64, ir.DoubleType())

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], llvm)

    return real(bits), codegen


nearest_integer, bits_of, from_bits = (cast(Callable[[Any], Any], intrinsic(f)) for f in (_nearest, _bits, _from_bits))


def _double(x: Real) -> Real:
    y = x * LOG2_E
    bounded = max(y, SMALLEST)
    n = nearest_integer(bounded)
    power = bits_of(horner(bounded - n, COEFFICIENTS)) + (np.int64(n) << np.int64(52))
    result: Real = from_bits(power) if y >= SMALLEST else 0.0
    return result


def _single(x: Real) -> Real:
    y = x * LOG2_E_32
    bounded = max(y, SMALLEST_32)
    n = nearest_integer(bounded)
    power = bits_of(horner(bounded - n, COEFFICIENTS_32)) + (np.int32(n) << np.int32(23))
    result: Real = from_bits(np.int32(power)) if y >= SMALLEST_32 else ZERO_32
    return result


@by_precision(_double, _single)
def exp_nonpositive(x: Real) -> Real:
    """Return exp(x) for x <= 0, or 0 if it is below the smallest normal number (x < -708, or -87 in float32).

    The relative error grows with abs(x). In float64 it is 2e-15 down to -10 and 1e-13 down to -708; in float32 3e-7
    down to -10 and 5e-6 down to -87.
    """
    raise NotImplementedError
