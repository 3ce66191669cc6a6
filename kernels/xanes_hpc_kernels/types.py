"""Names for the types that kernels take."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Real: TypeAlias = float | np.floating[Any]
"""A number whose type decides in which precision a function works."""
Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Ints: TypeAlias = npt.NDArray[np.integer[Any]]
Bools: TypeAlias = npt.NDArray[np.bool_]
