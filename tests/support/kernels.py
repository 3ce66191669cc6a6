"""Slow, obvious versions of kernels and of kernel regression, in float64, one pair of sites at a time."""

import math
from dataclasses import asdict
from functools import partial

import numpy as np


def laplacian(a, b, rate):
    return math.exp(-rate * sum(abs(p - q) for p, q in zip(a, b, strict=True)) / len(a))


def matern(a, b, amplitudes, scales, linear, offsets=None):
    total = sum(weight * p * q for weight, p, q in zip(linear, sums(a, offsets), sums(b, offsets), strict=True))
    for amplitude, own in zip(amplitudes, scales, strict=True):
        d = math.sqrt(sum(scale * (p - q) ** 2 for scale, p, q in zip(own, a, b, strict=True)))
        total += amplitude * (1.0 + math.sqrt(3.0) * d) * math.exp(-math.sqrt(3.0) * d)
    return total


def function_of(kernel):
    """Return the slow function of a Matérn kernel, without its coupling."""
    numbers = {name: values for name, values in asdict(kernel).items() if name != "coupling"}
    return partial(matern, **numbers)


def sums(a, offsets):
    """Return features without their square root."""
    if offsets is None:
        return a
    return [(p + c) * abs(p + c) - c * abs(c) for p, c in zip(a, offsets, strict=True)]


def matrix(function, first, second, absorbers, their_absorbers, coupling=None):
    """Return the kernel between all rows, times the coupling; zero between different elements and edges without one."""
    first, second = first.astype(np.float64).tolist(), second.astype(np.float64).tolist()
    coupling = np.eye(1 + max(*absorbers, *their_absorbers)) if coupling is None else coupling
    return np.array(
        [
            [coupling[own, other] * function(a, b) for b, other in zip(second, their_absorbers, strict=True)]
            for a, own in zip(first, absorbers, strict=True)
        ]
    )


def predicted(function, fitted, absorbers, targets, new, new_absorbers, noise, coupling=None):
    """Return the mean of the Gaussian process at new sites."""
    own = matrix(function, fitted, fitted, absorbers, absorbers, coupling) + noise * np.eye(len(fitted))
    between = matrix(function, new, fitted, new_absorbers, absorbers, coupling)
    return between @ np.linalg.solve(own, targets.astype(np.float64))
