"""Powers of angular factors, which are at most 1, by repeated squaring, which vectorises.

Negligible squares become zero: further squaring would yield denormal numbers, on which processors are slow.
"""

import numpy as np

from xanes_hpc_kernels._jit import by_precision
from xanes_hpc_kernels.types import Real

NOTHING, NOTHING_32, ZERO_32 = 1e-150, np.float32(1e-18), np.float32(0.0)
"""Largest square that becomes zero; the square of any larger number is a normal number."""


def _double(base: Real) -> Real:
    square = base * base
    return square if square > NOTHING else 0.0


def _single(base: Real) -> Real:
    square = base * base
    return square if square > NOTHING_32 else ZERO_32


@by_precision(_double, _single)
def square_of(base: Real) -> Real:
    """Return the square of ``base``, or zero if it is not above ``NOTHING``."""
    raise NotImplementedError
