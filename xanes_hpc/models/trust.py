"""Recognise sites out of a model's domain by their absorber, their features and the elements around them."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

QUANTILE = 0.99
"""Fraction of the calibration set within the threshold."""


def elements_of(formulas: Iterable[str]) -> set[str]:
    """Return the symbols of the elements in chemical formulas."""
    return {symbol for formula in set(formulas) for symbol in re.findall("[A-Z][a-z]?", formula)}


def describe_trust(nearest: npt.NDArray[np.float64], formulas: Iterable[str]) -> dict[str, Any]:
    """Return the description of a model's domain for ``model.json``.

    Parameters
    ----------
    nearest
        Distance of each calibration site to the nearest training site, (n_sites,); without sites there is no threshold.
    formulas
        Formulas of the training sites' structures.
    """
    threshold = float(np.quantile(nearest, QUANTILE, method="higher")) if nearest.size else None
    return {
        "threshold": threshold,
        "quantile": QUANTILE,
        "n_sites": len(nearest),
        "elements": sorted(elements_of(formulas)),
    }


def reasons(
    trust: dict[str, Any], nearest: npt.NDArray[np.float64], formulas: Sequence[str], unseen: Sequence[str]
) -> list[str]:
    """Return why each site is out of domain; an empty text if it is similar to the training set.

    Parameters
    ----------
    trust
        Result of ``describe_trust``; empty for a model without one.
    nearest
        Distance of each site to the nearest training site, (n_sites,).
    formulas
        Formula of each site's structure; empty if unknown.
    unseen
        Element and edge of each site, such as ``Zn K``, that were not in training; empty for the others.
    """
    threshold, known, n = trust.get("threshold"), set(trust.get("elements", [])), trust.get("n_sites")
    rank = f"{100 * QUANTILE:.0f}th percentile" if n is None or n >= 1 / (1 - QUANTILE) else "largest"
    limited_by = f"{rank} of {'the' if n is None else f'{n:,}'} calibration sites"
    texts = []
    for distance, formula, absorber in zip(nearest, formulas, unseen, strict=True):
        found = [f"absorber not seen in training: {absorber}"] if absorber else []
        if threshold is not None and not distance <= threshold:
            found.append(
                f"unlike the training set: feature distance {distance:.2g}, limit {threshold:.2g} ({limited_by})"
            )
        new = sorted(elements_of([formula]) - known) if known else []
        if new:
            found.append(f"elements not seen in training: {', '.join(new)}")
        texts.append("; ".join(found))
    return texts
