"""arctan(x) as a polynomial, so that loops over it vectorise.

With t the smaller of abs(x) and 1 / abs(x), arctan(t) is t times a polynomial in t² (the Chebyshev series of
arctan(√u) / √u over u from 0 to 1, truncated at an error below 1e-14). arctan(|x|) is arctan(t), or π/2 - arctan(t).
"""

import math
from typing import Any

from xanes_hpc_kernels._jit import inline
from xanes_hpc_kernels.polynomial import horner

HALF_PI = 0.5 * math.pi
EVEN = (
    7.063142635888046e-05,
    0.0030659957028108006,
    0.018198570485395787,
    0.04051778977125066,
    0.05794192316881845,
    0.07688811662401294,
    0.11111077584971772,
    0.19999999957481826,
    0.9999999999999925,
)
ODD = (
    -0.0006774105399645076,
    -0.008792435542217635,
    -0.029589012194344372,
    -0.04977996675955047,
    -0.06646145790221254,
    -0.09090489647799033,
    -0.142857126460504,
    -0.3333333333289398,
)
"""Coefficients of even and odd powers of t², highest first: two polynomials in t⁴, short enough to unroll."""


@inline
def arctan(x: float) -> float:
    """Return the arctangent of any number, including infinity; the error is below 1e-14."""
    size = abs(x)
    t = min(size, 1.0 / size)
    u = t * t
    inner: Any = t * (horner(u * u, EVEN) + u * horner(u * u, ODD))
    outer = HALF_PI - inner if size > 1.0 else inner
    signed: float = outer if x >= 0.0 else -outer
    return signed
