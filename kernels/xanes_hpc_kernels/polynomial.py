"""Polynomials by Horner's rule, unrolled by the compiler."""

from xanes_hpc_kernels._jit import inline
from xanes_hpc_kernels.types import Real


@inline
def horner(x: Real, coefficients: tuple[Real, ...]) -> Real:
    """The polynomial with these coefficients, of the highest power first, of the same type as ``x``."""
    p = coefficients[0]
    for k in range(1, len(coefficients)):
        p = p * x + coefficients[k]
    return p
