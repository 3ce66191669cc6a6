"""Recognise sites out of a model's domain by their absorber, their features and the elements around them."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.models.distances import DISTANCES, FEATURES, KERNEL
from xanes_hpc.models.domain import Scores

NEIGHBOURHOOD = 3.0
"""Radius within which neighbours are counted, Å."""
QUANTILE = 0.99
"""Fraction of the calibration set within the threshold."""
FEWEST_IN_COMMON = 300
"""Fewest training sites whose structures show which elements all structures should contain."""


def elements_of(formulas: Iterable[str]) -> set[str]:
    """Return the symbols of the elements in chemical formulas."""
    return {symbol for formula in set(formulas) for symbol in re.findall("[A-Z][a-z]?", formula)}


def _in_common(formulas: Sequence[str]) -> list[str]:
    """Return the elements that the structures of all training sites contain; none if there are few, or unknown ones."""
    each = [elements_of([formula]) for formula in set(formulas)]
    return sorted(set.intersection(*each)) if len(formulas) >= FEWEST_IN_COMMON else []


def describe_trust(
    nearest: npt.NDArray[np.float64],
    formulas: Iterable[str],
    beyond: Mapping[str, Any] | None = None,
    neighbours: npt.NDArray[np.int64] | None = None,
    n_sites: int | None = None,
) -> dict[str, Any]:
    """Return the description of a model's domain for ``model.json``.

    Parameters
    ----------
    nearest
        Distance of held-out sites to the nearest training site, (n_held_out,); without sites there is no threshold.
    formulas
        Formulas of the training sites' structures.
    beyond
        Limits of the scores, as returned by ``domain.limits``.
    neighbours
        Number of neighbours of training sites within ``NEIGHBOURHOOD``; None if unknown.
    n_sites
        Number of calibration sites, which ``beyond`` is from; by default as many as distances.
    """
    formulas = list(formulas)
    common = _in_common(formulas)
    threshold = float(np.quantile(nearest, QUANTILE, method="higher")) if nearest.size else None
    return {
        "threshold": threshold,
        "quantile": QUANTILE,
        "n_sites": len(nearest) if n_sites is None else n_sites,
        "n_nearest": len(nearest),
        "elements": sorted(elements_of(formulas)),
        **({"in_common": common} if common else {}),
        **(beyond or {}),
        **({} if neighbours is None or not neighbours.size else {"neighbours": _range(neighbours)}),
    }


def _range(counts: npt.NDArray[np.int64]) -> dict[str, int | float]:
    return {"radius": NEIGHBOURHOOD, "least": int(counts.min()), "most": int(counts.max())}


def reasons(
    trust: dict[str, Any],
    nearest: npt.NDArray[np.float64],
    formulas: Sequence[str],
    unseen: Sequence[str],
    scores: Scores | None = None,
    neighbours: Callable[[int], int] | None = None,
    distance_by: str = FEATURES,
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
    scores
        The sites' scores; without them only the distance counts.
    neighbours
        Returns the number of neighbours of a site, by its index, within ``NEIGHBOURHOOD``; called for few sites.
    distance_by
        What the distance is: ``KERNEL``, or ``FEATURES``, which counts only without radial functions.
    """
    threshold, known = trust.get("threshold"), set(trust.get("elements", []))
    n = trust.get("n_nearest", trust.get("n_sites"))  # older models have one number
    rank = f"{100 * QUANTILE:.0f}th percentile" if n is None or n >= 1 / (1 - QUANTILE) else "largest"
    limited_by = f"{rank} of {'the' if n is None else f'{n:,}'} held-out sites"
    texts = []
    beyond = _beyond(trust, scores, trust.get("n_sites"))
    for i, (distance, formula, absorber) in enumerate(zip(nearest, formulas, unseen, strict=True)):
        found = [f"absorber not seen in training: {absorber}"] if absorber else []
        unlike = list(beyond[i]) if beyond else []
        counts = distance_by == KERNEL or scores is None or "profile" not in trust
        if threshold is not None and counts and not distance <= threshold:
            unlike.insert(0, f"{DISTANCES[distance_by]} {distance:.2g}, limit {threshold:.2g} ({limited_by})")
        if unlike and neighbours is not None and "neighbours" in trust:
            known_counts, count = trust["neighbours"], neighbours(i)
            if not known_counts["least"] <= count <= known_counts["most"]:
                unlike.insert(
                    0,
                    f"{count} neighbour{'s' if count != 1 else ''} within {known_counts['radius']:g} Å, training sites "
                    f"have {known_counts['least']} to {known_counts['most']}",
                )
        if unlike:
            found.append(f"unlike the training set: {', '.join(unlike)}")
        new = sorted(elements_of([formula]) - known) if known else []
        if new:
            found.append(f"elements not seen in training: {', '.join(new)}")
        missing = sorted(set(trust.get("in_common", [])) - elements_of([formula])) if formula else []
        if missing:
            found.append(f"without {' and '.join(missing)}, which all structures of the training set contain")
        texts.append("; ".join(found))
    return texts


def _beyond(trust: dict[str, Any], scores: Scores | None, n_sites: int | None) -> list[list[str]]:
    """Return which scores of each site are beyond their limits, in words; nothing for models without such limits."""
    if scores is None or "excess" not in trust:
        return []
    from_sites = "" if n_sites is None else f" from {n_sites:,} calibration site{'s' if n_sites != 1 else ''}"
    texts: list[list[str]] = [[] for _ in scores.excess]
    if scores.profile is not None and "profile" in trust:
        limit = trust["profile"]["limit"]
        for i in np.flatnonzero(~(scores.profile <= limit)):
            texts[i].append(
                f"neighbours spaced otherwise (radial distance {scores.profile[i]:.2g}, limit {limit:.2g}{from_sites})"
            )
    limit = trust["excess"]["limit"]
    for i in np.flatnonzero(~(scores.excess <= limit)):
        texts[i].append(
            f"features beyond the training range (excess {scores.excess[i]:.2g}, limit {limit:.2g}{from_sites})"
        )
    return texts
