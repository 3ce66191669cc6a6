"""Powers of angular factors, which are at most 1, by squarings that vectorise.

A square that is next to nothing becomes nothing: further squares would be denormal numbers, which processors are slow
with.
"""

import numpy as np

from xanes_hpc_kernels._jit import by_precision
from xanes_hpc_kernels.types import Real

NOTHING, NOTHING_32, ZERO_32 = 1e-150, np.float32(1e-18), np.float32(0.0)
"""The largest square that counts as zero; that of anything larger is a normal number."""


def _double(base: Real) -> Real:
    square = base * base
    return square if square > NOTHING else 0.0


def _single(base: Real) -> Real:
    square = base * base
    return square if square > NOTHING_32 else ZERO_32


@by_precision(_double, _single)
def square_of(base: Real) -> Real:
    """``base`` times itself, zero where that is not above ``NOTHING``."""
    raise NotImplementedError
