"""Select sites worth calculating next: those that a model knows least about, and that differ from one another.

Sites are selected one at a time, always the one with the largest score

    both          u · d
    uncertainty   u
    diversity     d
    chance        a random number

where u is the predicted uncertainty, mean sigma over mean intensity, and d the distance (mean absolute difference of
standardised features) to the nearest known site. Known are the training sites and those already selected, so that one
selection does not repeat a kind of site.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import ConfigError, ModelError
from xanes_hpc.models.feature_distance import mean_differences
from xanes_hpc.models.model import Model
from xanes_hpc.models.training_sites import USED_SETS
from xanes_hpc.prediction.predict import ROWS_AT_ONCE
from xanes_hpc.prediction.site_features import features_of
from xanes_hpc.prediction.sources import Store, check_seen

STRATEGIES = ("both", "uncertainty", "diversity", "chance")
POOL = 5_000
"""Number of candidates, plus twenty per site to select: the sites with the largest initial scores."""
DRAWS = 30

Progress = Callable[[int, int], None]
Array = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Selected:
    """A selected site."""

    row: int
    site: str
    score: float
    uncertainty_percent: float
    distance: float


@dataclass(frozen=True)
class Candidates:
    """Sites to select from: their rows in the store, u and d, each (n_sites,)."""

    rows: npt.NDArray[np.int64]
    uncertainty: npt.NDArray[np.float64]
    distance: npt.NDArray[np.float64]


def select(
    model: Model,
    source: Store,
    n: int,
    strategy: str = "both",
    seed: int = 0,
    rows: npt.NDArray[np.int64] | None = None,
    progress: Progress = lambda done, total: None,
) -> list[Selected]:
    """Select sites of a store and return them in the order of selection.

    Parameters
    ----------
    model
        A model trained on the spectra known so far.
    source
        A feature or structure store.
    n
        Number of sites to select.
    strategy
        One of ``STRATEGIES``.
    seed
        Seed of the draws, and of ``chance``.
    rows
        Rows to select from; by default the ``unused`` ones.
    progress
        Called with sites done and in all.

    Raises
    ------
    ConfigError
        If there is no such strategy.
    ModelError
        If there are fewer sites, or the model was not trained on one's element and edge.
    """
    if strategy not in STRATEGIES:
        raise ConfigError(f"`strategy` {strategy!r}: expected {', '.join(STRATEGIES)}")
    sites = source.sites
    if rows is None:
        rows = unused(model, source)
    features = features_of(model, source)
    rows = rows[~features.without[rows]]
    if rows.size < n:
        raise ModelError(
            f"{source.path}: expected at least {n:,} sites that {model.path} was not made with, received {rows.size:,}"
        )
    check_seen(model, sites.take(rows), force=False)
    known = judged(model, source, rows, seed, progress)
    order = pick(known, n, strategy, seed, lambda some: model.members[0].scalers.features(features.read(some)))
    return [
        Selected(
            int(known.rows[i]), sites.name[int(known.rows[i])], score, 100.0 * float(known.uncertainty[i]),
            float(known.distance[i]),
        )
        for i, score in order
    ]  # fmt: skip


def unused(model: Model, source: Store) -> npt.NDArray[np.int64]:
    """Return the rows of a store's sites outside the model's training, validation and calibration sets."""
    names = source.sites.name
    sets = model.training_sites.sets_of(names, [""] * len(names))
    return np.flatnonzero([own not in USED_SETS for own in sets])


def judged(
    model: Model,
    source: Store,
    rows: npt.NDArray[np.int64],
    seed: int,
    progress: Progress = lambda done, total: None,
) -> Candidates:
    """Return the uncertainty and distance of sites, predicting ``ROWS_AT_ONCE`` at a time."""
    sites = source.sites
    read, calibration = features_of(model, source).read, model.calibration
    uncertainty, distance = np.empty(rows.size), np.empty(rows.size)
    for start in range(0, rows.size, ROWS_AT_ONCE):
        progress(start, rows.size)
        here = slice(start, min(start + ROWS_AT_ONCE, rows.size))
        own = sites.take(rows[here])
        drawn, evidence = model.sample(read(rows[here]), model.absorbers(own.element, own.edge), DRAWS, seed)
        sigma = calibration.sigma(evidence).mean(axis=1)
        size = np.abs(drawn.mean).mean(axis=1)
        uncertainty[here] = sigma / np.where(size > 0, size, np.inf)
        distance[here] = evidence.distance
    progress(rows.size, rows.size)
    return Candidates(rows, uncertainty, distance)


def pick(
    known: Candidates, n: int, strategy: str, seed: int, features: Callable[[npt.NDArray[np.int64]], Array]
) -> list[tuple[int, float]]:
    """Return the indices of selected candidates with their scores, in the order of selection.

    Parameters
    ----------
    known
        The candidates.
    n
        Number of candidates to select.
    strategy
        One of ``STRATEGIES``.
    seed
        Seed of ``chance``.
    features
        Function that returns the standardised features of ascending rows.
    """
    if strategy == "chance":
        numbers = np.random.default_rng(seed).random(known.rows.size)
        return [(int(i), float(numbers[i])) for i in np.argsort(-numbers)[:n]]
    first = _score(strategy, known.uncertainty, known.distance)
    order = np.argsort(-first, kind="stable")
    if strategy == "uncertainty":
        return [(int(i), float(first[i])) for i in order[:n]]
    pool = np.sort(order[: POOL + 20 * n])
    x = np.asarray(features(known.rows[pool]), np.float32)
    distance, chosen = known.distance[pool].copy(), []
    free = np.ones(pool.size, np.bool_)
    for _ in range(n):
        score = np.where(free, _score(strategy, known.uncertainty[pool], distance), -np.inf)
        best = int(np.argmax(score))
        chosen.append((int(pool[best]), float(score[best])))
        free[best] = False
        distance = np.minimum(distance, mean_differences(x, x[best : best + 1])[:, 0])
    return chosen


def _score(
    strategy: str, uncertainty: npt.NDArray[np.float64], distance: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    if strategy == "uncertainty":
        return uncertainty
    return distance if strategy == "diversity" else uncertainty * distance
