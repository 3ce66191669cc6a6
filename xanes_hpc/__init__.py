"""Neural networks for X-ray absorption spectroscopy, from structures to calibrated spectra, at scale.

>>> import xanes_hpc as xh
>>> model = xh.load_model("complexes.model")
>>> sorted(model.elements)
['Co', 'Cr', 'Cu', 'Mn', 'Ni']
"""

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xanes_hpc.api.calculations import calculate, grow
    from xanes_hpc.api.comparison import broaden, evaluate, export
    from xanes_hpc.api.fits import fit_broadening
    from xanes_hpc.api.foreign import import_features
    from xanes_hpc.api.matches import match
    from xanes_hpc.api.measured import normalise, read_spectrum
    from xanes_hpc.api.models import Predictor, load_model, predict, train
    from xanes_hpc.api.scans import calibrate, deglitch, merge
    from xanes_hpc.api.series import fit_standards, series
    from xanes_hpc.api.spectra import Spectra
    from xanes_hpc.api.stores import featurise, import_structures, load_descriptor
    from xanes_hpc.api.structures import build_complexes, sample_frames, substitute_element

__version__ = "0.1.0"

__all__ = [
    "Predictor",
    "Spectra",
    "__version__",
    "broaden",
    "build_complexes",
    "calculate",
    "calibrate",
    "deglitch",
    "evaluate",
    "export",
    "featurise",
    "fit_broadening",
    "fit_standards",
    "grow",
    "import_features",
    "import_structures",
    "load_descriptor",
    "load_model",
    "match",
    "merge",
    "normalise",
    "predict",
    "read_spectrum",
    "sample_frames",
    "series",
    "substitute_element",
    "train",
]

_HOMES = {
    **dict.fromkeys(("import_structures", "featurise", "load_descriptor"), "api.stores"),
    **dict.fromkeys(("build_complexes", "sample_frames", "substitute_element"), "api.structures"),
    **dict.fromkeys(("train", "load_model", "predict", "Predictor"), "api.models"),
    **dict.fromkeys(("broaden", "evaluate", "export"), "api.comparison"),
    **dict.fromkeys(("calculate", "grow"), "api.calculations"),
    "fit_broadening": "api.fits",
    "match": "api.matches",
    **dict.fromkeys(("normalise", "read_spectrum"), "api.measured"),
    **dict.fromkeys(("calibrate", "deglitch", "merge"), "api.scans"),
    **dict.fromkeys(("fit_standards", "series"), "api.series"),
    "Spectra": "api.spectra",
    "import_features": "api.foreign",
}
"""Modules that define what the package offers; each is imported when it is first asked for."""


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    if not name.startswith("_") and importlib.util.find_spec(f"{__name__}.{name}") is not None:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
