"""Neural networks for X-ray absorption spectroscopy, from structures to calibrated spectra, at scale."""

import importlib
import importlib.util
from types import ModuleType

__version__ = "0.1.0"


def __getattr__(name: str) -> ModuleType:
    """Modules of the package come when they are asked for: ``import xanes_hpc; xanes_hpc.descriptors.load(…)``."""
    if not name.startswith("_") and importlib.util.find_spec(f"{__name__}.{name}") is not None:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
