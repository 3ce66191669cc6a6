"""Polynomials by Horner's rule, unrolled by the compiler."""

from xanes_hpc_kernels._jit import inline
from xanes_hpc_kernels.types import Real


@inline
def horner(x: Real, coefficients: tuple[Real, ...]) -> Real:
    """Return the polynomial with these coefficients, highest power first; they have the type of ``x``."""
    p = coefficients[0]
    for k in range(1, len(coefficients)):
        p = p * x + coefficients[k]
    return p
