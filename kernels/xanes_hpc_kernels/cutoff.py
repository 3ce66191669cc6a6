"""The cosine cutoff, equation (1) of ``kernels/README.md``, from the squared distance.

fc(r) = (cos(pi r / r_c) + 1) / 2 = cos^2(pi r / 2 r_c), and cos(sqrt(y)) is a power series in y = (pi r / 2 r_c)^2, so
that neither a square root nor a cosine is needed. Where fc vanishes, the error is in the last place of its square root,
not of fc itself.
"""

from math import factorial

import numpy as np

from xanes_hpc_kernels._jit import by_precision
from xanes_hpc_kernels.polynomial import horner
from xanes_hpc_kernels.types import Real

QUARTER_PI_SQUARED = 2.4674011002723395
TERMS = [(-1.0) ** k / factorial(2 * k) for k in range(11)]
"""Power series of cos(sqrt(y)) in y."""
COEFFICIENTS = tuple(TERMS[::-1])
COEFFICIENTS_32 = tuple(np.float32(c) for c in TERMS[6::-1])
SCALE_32, ZERO_32 = np.float32(QUARTER_PI_SQUARED), np.float32(0.0)


def _double(r_squared: Real, cutoff_squared: Real) -> Real:
    root = horner(QUARTER_PI_SQUARED * r_squared / cutoff_squared, COEFFICIENTS)
    return root * root if r_squared < cutoff_squared else 0.0


def _single(r_squared: Real, cutoff_squared: Real) -> Real:
    root = horner(SCALE_32 * r_squared / cutoff_squared, COEFFICIENTS_32)
    return root * root if r_squared < cutoff_squared else ZERO_32


@by_precision(_double, _single)
def cosine_cutoff(r_squared: Real, cutoff_squared: Real) -> Real:
    """Return fc of a distance from its square, in the unit of ``cutoff_squared``; 0 at and beyond the cutoff.

    The error is below 1e-15 in float64 and 1e-6 in float32.
    """
    raise NotImplementedError
