"""Whether a site is like those a model was trained on: what absorbs, distance of its features, elements around it."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

QUANTILE = 0.99
"""Fraction of held-out sites that lie within the threshold."""


def elements_of(formulas: Iterable[str]) -> set[str]:
    """Symbols of the elements in chemical formulas."""
    return {symbol for formula in set(formulas) for symbol in re.findall("[A-Z][a-z]?", formula)}


def describe_trust(nearest: npt.NDArray[np.float64], formulas: Iterable[str]) -> dict[str, Any]:
    """What a model says of whom to trust: for ``model.json``.

    Parameters
    ----------
    nearest
        Distances of held-out sites to the training sites, (n_sites,); without any there is no threshold.
    formulas
        Of the training sites' structures.
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
    """Why each site's prediction should not be trusted; empty where nothing speaks against it.

    Parameters
    ----------
    trust
        As ``describe_trust`` gives it; empty for models that do not say.
    nearest
        Distance of each site to the nearest training site, (n_sites,).
    formulas
        Of the sites' structures; empty where not known.
    unseen
        Each site's element and edge, such as ``Zn K``, where no weight has seen it; else empty.
    """
    threshold, known, n = trust.get("threshold"), set(trust.get("elements", [])), trust.get("n_sites")
    share = f"{QUANTILE:.0%} of" if n is None or n >= 1 / (1 - QUANTILE) else "all of"
    texts = []
    for distance, formula, absorber in zip(nearest, formulas, unseen, strict=True):
        found = [f"absorber not seen in training: {absorber}"] if absorber else []
        if threshold is not None and not distance <= threshold:
            within = f"{share} {'' if n is None else f'{n:,} '}held-out ones within {threshold:.2g}"
            found.append(f"far from the training sites ({distance:.2g}; {within})")
        new = sorted(elements_of([formula]) - known) if known else []
        if new:
            found.append(f"elements not seen in training: {', '.join(new)}")
        texts.append("; ".join(found))
    return texts
