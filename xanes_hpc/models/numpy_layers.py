"""Compute the layers of networks with NumPy, in single precision."""

from collections.abc import Callable, Mapping, Sequence
from math import prod

import numpy as np

from xanes_hpc.models.layers import Layer, gaussians
from xanes_hpc.models.scaling import Array

Weights = Mapping[str, tuple[Array, Array]]
"""Kernel and bias of each layer with weights, by name."""


def run_layer(layer: Layer, taken: Sequence[Array], weights: Weights) -> Array:
    """Return the output of a layer that keeps the rows of its inputs; dropout has masks, and is computed elsewhere."""
    x = taken[0]
    match layer.kind:
        case "dense":
            kernel, bias = weights[layer.name]
            y = (x.reshape(-1, x.shape[-1]) @ kernel).reshape(*x.shape[:-1], layer.units)
            y += bias
            return y
        case "convolution":
            return _convolved(x, *weights[layer.name])
        case "activation":
            return ACTIVATIONS[layer.function](x)
        case "add":
            return sum(taken[1:], start=x)
        case "multiply":
            for other in taken[1:]:
                x = x * other
            return x
        case "concatenate":
            shape = np.broadcast_shapes(*(t.shape[:-1] for t in taken))
            return np.concatenate([np.broadcast_to(t, (*shape, t.shape[-1])) for t in taken], axis=-1)
        case "upsample":
            return np.repeat(x, layer.size, axis=-2)
        case "reshape":
            return x.reshape(*x.shape[:-1], layer.size, layer.units)
        case "crop":
            return x.reshape(*x.shape[:2], prod(x.shape[2:]))[..., : layer.units]
        case "embedding":
            kernel, bias = weights[layer.name]
            return np.asarray(kernel[x] + bias)
        case "gaussians":
            centres, spacing = gaussians(layer)
            return np.asarray(np.exp(np.float32(-0.5) * np.square((x - centres) / spacing)))
    raise ValueError(f"unknown kind of layer: {layer.kind}")


def _convolved(x: Array, kernel: Array, bias: Array) -> Array:
    """Return sum_k x[i + k - (size - 1) / 2] kernel[k] + bias along the second last axis, with zero padding."""
    size, channels, _ = kernel.shape
    half, length = size // 2, x.shape[-2]
    wide = np.zeros((*x.shape[:-2], length + 2 * half, channels), np.float32)
    wide[..., half : half + length, :] = x
    y: Array = wide[..., :length, :] @ kernel[0]
    part = np.empty_like(y)
    for k in range(1, size):
        y += np.matmul(wide[..., k : k + length, :], kernel[k], out=part)
    y += bias
    return y


P = tuple(map(np.float32, (0.50000226, 0.22687705, 0.044039104)))
Q = tuple(map(np.float32, (1.0, 1.2517124, 0.58639425, 0.10907419)))
"""Coefficients of P(a) / Q(a) = exp(a² / 2) Φ(-a), a minimax fit to gelu.

Its error is 4e-8, or 3e-7 with the rounding of single precision, up to |x| = 10.
"""
FARTHEST = np.float32(12.5)
"""Largest |x| at which the tail is computed: beyond it the tail is negligible; up to it, powers stay in range."""
ACTIVATED_AT_ONCE = 1 << 16
"""Number of values whose intermediate results fit into the processor's cache."""


def gelu(x: Array) -> Array:
    """Return the Gaussian error linear unit of every value."""
    values = np.ascontiguousarray(x).reshape(-1)
    result = np.maximum(values, np.float32(0.0))
    for start in range(0, values.size, ACTIVATED_AT_ONCE):
        part = slice(start, start + ACTIVATED_AT_ONCE)
        result[part] -= _tail(values[part])
    return result.reshape(x.shape)


def _tail(x: Array) -> Array:
    """Return |x| Φ(-|x|)."""
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
    """Return the sigmoid linear unit of every value, x / (1 + exp(-x))."""
    y: Array = x * (np.float32(0.5) * (np.tanh(np.float32(0.5) * x) + np.float32(1.0)))
    return y


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": gelu,
    "relu": lambda x: np.maximum(x, np.float32(0)),
    "silu": silu,
    "tanh": lambda x: np.tanh(x),
    "linear": lambda x: x,
}
"""Activation functions by the names in ``models.layers.ACTIVATIONS``."""
