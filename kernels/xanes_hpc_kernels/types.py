"""Names for the argument types of kernels."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Real: TypeAlias = float | np.floating[Any]
"""A number whose type determines the precision of a function."""
Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Ints: TypeAlias = npt.NDArray[np.integer[Any]]
Bools: TypeAlias = npt.NDArray[np.bool_]
Bytes: TypeAlias = npt.NDArray[np.uint8]
