"""Figures of merit of one model on its test sites, and their mean and spread over several models."""

import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.analysis.evaluate import error_percent, evaluate
from xanes_hpc.model_selection.cross_validation import FIGURES
from xanes_hpc.models.model import Model
from xanes_hpc.prediction.predict import PredictOptions, predict
from xanes_hpc.prediction.sources import Store
from xanes_hpc.stores.predictions import PredictionStore

Figures = Mapping[str, float | None]
SIGMAS = (1, 2, 3)
RAW_DRAWS = 30
"""Number of draws from which the spread before calibration is measured."""
NOMINAL = (68.27, 95.45, 99.73)
"""Coverage of one, two and three sigma of a Gaussian, percent."""


def measured(predictions: Path, model: Model, source: Store) -> dict[str, float | None]:
    """Return all figures of a model's predictions of a store's test sites; coverage as fractions."""
    with PredictionStore(predictions) as store:
        every = evaluate(store)
    found = {name: of(every) for name, of in FIGURES.items()} | {"n_sites": every["n_sites"]}
    found |= {f"conformal_{c['level']:g}": c["coverage"] for c in every["conformal"]}
    raw = _raw_coverage(model, source)
    return found | {f"raw_coverage_{k}sigma": raw[f"{k}sigma"] for k in SIGMAS}


def _raw_coverage(model: Model, source: Store) -> Mapping[str, float]:
    """Return the fraction of points within 1, 2 and 3 times the spread before calibration."""
    raw = Model.open(model.path)
    raw.description["calibration"] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "raw.h5"
        predict(raw, source, path, PredictOptions(split="test", draws=RAW_DRAWS))
        with PredictionStore(path) as store:
            coverage: Mapping[str, float] = evaluate(store)["coverage"]
    return coverage


def errors(predictions: Path) -> dict[str, float]:
    """Return the error % of each site by name."""
    with PredictionStore(predictions) as store:
        names, values = store.sites.name, error_percent(store.read("reference"), store.read("mean"))
    return dict(zip(names, values.tolist(), strict=True))


def mean_error(found: Mapping[str, float], names: Collection[str]) -> float:
    """Return the mean error over the named sites."""
    return float(np.mean([found[name] for name in names]))


def spread(values: Sequence[float | None]) -> tuple[float, float]:
    """Return mean and standard deviation; NaN for no value, or for a single one."""
    there = known(values)
    nan = float("nan")
    return float(there.mean()) if there.size else nan, float(there.std(ddof=1)) if there.size > 1 else nan


def known(values: Sequence[float | None]) -> npt.NDArray[np.float64]:
    """Return the values that are not None."""
    return np.array([v for v in values if v is not None], np.float64)


def with_spread(values: Sequence[float | None], digits: int = 2, scale: float = 1.0) -> str:
    """Format as ``mean ± standard deviation``; a dash if there are no values."""
    mean, std = spread(values)
    if np.isnan(mean):
        return "–"
    return f"{scale * mean:.{digits}f}" + ("" if np.isnan(std) else f" ± {scale * std:.{digits}f}")


def counted(n: int, noun: str) -> str:
    """Return a count with its noun, such as ``3 seeds``."""
    return f"{n} {noun}{'s' * (n != 1)}"


def column(runs: Sequence[Mapping[str, Any]], name: str) -> list[float | None]:
    """Return one figure of several runs; None where results of earlier versions have none."""
    return [run["figures"].get(name) for run in runs]
