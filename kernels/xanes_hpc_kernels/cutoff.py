"""The cosine cutoff, equation (1) of ``kernels/README.md``, from the squared distance.

fc(r) = (cos(pi r / r_c) + 1) / 2 = cos^2(pi r / 2 r_c), and cos(sqrt(y)) is a power series in y = (pi r / 2 r_c)^2: no
square root and no cosine. Where fc vanishes the error is of the order of 1e-16 in its square root, not in itself.
"""

from xanes_hpc_kernels._jit import inline

QUARTER_PI_SQUARED = 2.4674011002723395


@inline
def cosine_cutoff(r_squared: float, cutoff_squared: float) -> float:
    """fc of a distance given as its square, in the unit of ``cutoff_squared``; 0 at and beyond the cutoff."""
    if r_squared >= cutoff_squared:
        return 0.0
    y = QUARTER_PI_SQUARED * r_squared / cutoff_squared
    c = 1.0 / 1.1240007277776077e21
    c = 1.0 / 2.43290200817664e18 - c * y
    c = 1.0 / 6402373705728000.0 - c * y
    c = 1.0 / 20922789888000.0 - c * y
    c = 1.0 / 87178291200.0 - c * y
    c = 1.0 / 479001600.0 - c * y
    c = 1.0 / 3628800.0 - c * y
    c = 1.0 / 40320.0 - c * y
    c = 1.0 / 720.0 - c * y
    c = 1.0 / 24.0 - c * y
    c = 0.5 - c * y
    c = 1.0 - c * y
    return c * c
