"""Checks of single values in descriptions of descriptors."""

import sys
from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np

from xanes_hpc.errors import DescriptorError


def is_number(value: Any) -> TypeGuard[float]:
    """Return True for a finite number that fits into a float, and is not a bool."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def read_dtype(where: str, description: Mapping[str, Any]) -> np.dtype[Any]:
    """Return the type of the features, by default float64.

    Raises
    ------
    DescriptorError
        If the type is neither float32 nor float64.
    """
    dtype = description.get("dtype", "float64")
    if dtype not in ("float32", "float64"):
        raise DescriptorError(f"{where}: expected dtype float32 or float64, received {dtype!r}")
    checked: np.dtype[Any] = np.dtype(dtype)
    return checked
