"""Activation functions in NumPy and single precision.

gelu(x) = x Φ(x), Φ the normal distribution (Hendrycks & Gimpel, arXiv:1606.08415), is computed as

    max(x, 0) - |x| exp(-x² / 2) (p0 + p1 |x| + p2 x²) / (1 + q1 |x| + q2 x² + q3 |x|³)

with coefficients fitted to Φ's tail, so that neither SciPy has to be imported nor its scalar erf be called for every
value.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

P = tuple(map(np.float32, (0.50000226, 0.22687705, 0.044039104)))
Q = tuple(map(np.float32, (1.0, 1.2517124, 0.58639425, 0.10907419)))
"""Least greatest error of gelu, 4e-8; with the rounding of single precision it is 3e-7 up to |x| = 10."""
FARTHEST = np.float32(12.5)
"""|x| from which on the tail is nothing, and before which its powers neither overflow nor lose their digits."""
VALUES_AT_ONCE = 1 << 16
"""Values whose intermediate results stay in the processor's cache."""


def gelu(x: Array) -> Array:
    """The Gaussian error linear unit of every value."""
    values = np.ascontiguousarray(x).reshape(-1)
    result = np.maximum(values, np.float32(0.0))
    for start in range(0, values.size, VALUES_AT_ONCE):
        part = slice(start, start + VALUES_AT_ONCE)
        result[part] -= _tail(values[part])
    return result.reshape(x.shape)


def _tail(x: Array) -> Array:
    """|x| Φ(-|x|)."""
    a = np.abs(x)
    np.minimum(a, FARTHEST, out=a)
    above, below = a * P[2], a * Q[3]
    above += P[1]
    above *= a
    above += P[0]
    above *= a
    below += Q[2]
    below *= a
    below += Q[1]
    below *= a
    below += Q[0]
    above /= below
    a *= a
    a *= np.float32(-0.5)
    np.exp(a, out=a)
    above *= a
    return above


def silu(x: Array) -> Array:
    """The sigmoid linear unit of every value: x / (1 + exp(-x))."""
    y: Array = x * (np.float32(0.5) * (np.tanh(np.float32(0.5) * x) + np.float32(1.0)))
    return y


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": gelu,
    "relu": lambda x: np.maximum(x, np.float32(0)),
    "silu": silu,
    "tanh": lambda x: np.tanh(x),
    "linear": lambda x: x,
}
"""By the names that ``models.network`` gives them."""
