"""Select the sites worth calculating next: those that best cover the sites whose spectra are unknown.

The error of a predicted spectrum grows about as the square root of the feature distance to the nearest known site. So
the sum of these square roots over all sites to predict stands for the error to expect, and each step of ``coverage``
selects the site that lowers this sum most. Such a site has many unlike the known ones around it: it is neither an
outlier, which helps no other site, nor a near-duplicate of a known site or of one selected before.

A site lowers the sum the less, the more sites are known already (the sum is submodular). What a site was worth at an
earlier step is therefore an upper bound, and only the sites with the largest bounds are computed again (Minoux,
doi:10.1007/BFb0006528). The selection is the same as if all were.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import ConfigError, ModelError
from xanes_hpc.models.distances import mean_differences
from xanes_hpc.models.model import Model
from xanes_hpc.models.numpy_network import DRAWS
from xanes_hpc.models.scaling import Array
from xanes_hpc.models.training_sites import USED_SETS
from xanes_hpc.prediction.predict import ROWS_AT_ONCE
from xanes_hpc.prediction.site_features import features_of
from xanes_hpc.prediction.sources import Store, check_seen

STRATEGIES = ("coverage", "chance")
SAMPLED = 8192
"""Largest number of sites to cover, and number of candidates unless more are to be selected: a seeded sample."""
CANDIDATES_PER_SITE = 2
"""Smallest number of candidates per site to select, if there are as many."""
BOUNDS_AT_ONCE = 16
"""Number of sites computed again at a time."""

Progress = Callable[[int, int], None]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Selected:
    """A selected site.

    Attributes
    ----------
    row, site
        Its row in the store, and its name.
    gain_percent
        How much it lowers the sum of square roots, in percent of the sum before the selection; None for ``chance``.
        Without a model, in percent of the sum after the first site, which has None.
    uncertainty_percent
        Mean predicted sigma over mean intensity; None without a model.
    distance
        Distance to the nearest training site, of the kind that the model compares sites by (``Model.distance``); None
        without a model.
    """

    row: int
    site: str
    gain_percent: float | None
    uncertainty_percent: float | None = None
    distance: float | None = None


def select(
    model: Model,
    source: Store,
    n: int,
    strategy: str = "coverage",
    seed: int = 0,
    rows: Rows | None = None,
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
        Seed of ``chance``, of the sample of a large store, and of the draws.
    rows
        Rows to select from and to cover; by default the ``unused`` ones.
    progress
        Called with sites read and in all.

    Raises
    ------
    ConfigError
        If there is no such strategy.
    ModelError
        If there are fewer sites, or the model was not trained on one's element and edge.
    """
    check_strategy(strategy)
    sites = source.sites
    if rows is None:
        rows = unused(model, source)
    rows = rows[~features_of(model, source).without[rows]]
    if rows.size < n:
        raise ModelError(
            f"{source.path}: expected at least {n:,} sites that {model.path} was not made with, received {rows.size:,}"
        )
    check_seen(model, sites.take(rows), force=False)
    generator = np.random.default_rng(seed)
    gains: list[float | None] = [None] * n
    if strategy == "chance":
        chosen = generator.permutation(rows)[:n]
    else:
        rows = sampled(rows, n, generator)
        order, fallen = cover_sites(*_described(model, source, rows, progress), n, generator)
        chosen, gains = rows[order], [100.0 * float(one) for one in fallen]
    uncertainty, distance = judged(model, source, np.sort(chosen), seed)
    place = np.searchsorted(np.sort(chosen), chosen)
    return [
        Selected(int(row), sites.name[int(row)], gain, 100.0 * float(uncertainty[i]), float(distance[i]))
        for row, gain, i in zip(chosen, gains, place, strict=True)
    ]


def check_strategy(strategy: str) -> None:
    """Check the name of a strategy.

    Raises
    ------
    ConfigError
        If there is no such strategy.
    """
    if strategy not in STRATEGIES:
        raise ConfigError(f"`strategy` {strategy!r}: expected {', '.join(STRATEGIES)}")


def sampled(rows: Rows, n: int, generator: np.random.Generator) -> Rows:
    """Return the candidates among which ``n`` sites are selected: ``rows``, or a sample if there are too many."""
    size = min(rows.size, max(SAMPLED, CANDIDATES_PER_SITE * n))
    return np.sort(generator.choice(rows, size, replace=False))


def cover_sites(
    x: Array, distance: npt.NDArray[np.float32], n: int, generator: np.random.Generator
) -> tuple[Rows, npt.NDArray[np.float64]]:
    """Return what ``cover`` does for candidates with standardised features ``x``, (n_sites, n_features).

    They cover each other, or a sample of them; ``distance``, (n_sites,), is that to the nearest known site.
    """
    targets = generator.permutation(len(x))[:SAMPLED]
    to_cover = x[targets]
    return cover(lambda some: mean_differences(to_cover, x[some]), distance[targets], len(x), n)


def unused(model: Model, source: Store) -> Rows:
    """Return the rows of a store's sites outside the model's training, validation and calibration sets."""
    names = source.sites.name
    sets = model.training_sites.sets_of(names, [""] * len(names))
    return np.flatnonzero([own not in USED_SETS for own in sets])


def cover(
    between: Callable[[Rows], Array], distance: npt.NDArray[np.floating], n_sites: int, n: int
) -> tuple[Rows, npt.NDArray[np.float64]]:
    """Return the sites that best cover the targets, in the order of selection, and the fraction each lowers the sum by.

    Parameters
    ----------
    between
        Function that returns the distances, (n_targets, n_some), between the targets and some of the sites.
    distance : (n_targets,)
        Distance of each target to the nearest known site.
    n_sites, n
        Number of sites to select from, and to select.

    Examples
    --------
    The known site is at 0. The first one selected has a neighbour to cover, the second is farther away but alone:

    >>> x = np.array([0.1, 5.0, 5.1, -6.0], np.float32)
    >>> cover(lambda some: np.abs(x[:, None] - x[some]), np.abs(x), n_sites=4, n=2)[0].tolist()
    [1, 3]
    """
    uncovered = np.sqrt(distance)
    whole = float(uncovered.sum()) or 1.0

    def gain(some: Rows) -> npt.NDArray[np.float64]:
        fall = uncovered[:, None] - np.sqrt(between(some))
        return np.asarray(np.maximum(fall, 0.0).sum(axis=0, dtype=np.float64))

    bounds = np.concatenate([gain(np.arange(here.start, here.stop)) for here in _blocks(n_sites)])
    order, gains = np.empty(n, np.int64), np.empty(n)
    for k in range(n):
        current = np.isneginf(bounds)
        while not current[best := int(np.argmax(bounds))]:
            some = np.argsort(np.where(current, np.inf, -bounds))[:BOUNDS_AT_ONCE]
            some = some[~current[some]]
            bounds[some], current[some] = gain(some), True
        order[k], gains[k], bounds[best] = best, bounds[best] / whole, -np.inf
        uncovered = np.minimum(uncovered, np.sqrt(between(order[k : k + 1])[:, 0]))
    return order, gains


def judged(
    model: Model, source: Store, rows: Rows, seed: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the predicted uncertainty, mean sigma over mean intensity, and the distance of sites, (n_sites,) each."""
    sites = source.sites
    features, calibration = features_of(model, source), model.calibration
    uncertainty, distance = np.empty(rows.size), np.empty(rows.size)
    for here in _blocks(rows.size):
        own = sites.take(rows[here])
        drawn, evidence = model.sample(
            features.read(rows[here]), model.absorbers(own.element, own.edge), DRAWS, seed,
            graphs=features.graphs(rows[here]),
        )  # fmt: skip
        sigma = calibration.sigma(evidence).mean(axis=1)
        size = np.abs(drawn.mean).mean(axis=1)
        uncertainty[here] = sigma / np.where(size > 0, size, np.inf)
        distance[here] = evidence.distance
    return uncertainty, distance


def _described(model: Model, source: Store, rows: Rows, progress: Progress) -> tuple[Array, npt.NDArray[np.float32]]:
    """Return the standardised features of sites, and their distances to the nearest training site."""
    read, scalers = features_of(model, source).read, model.members[0].scalers
    known = model.training_sites.features
    x, distance = np.empty((rows.size, known.shape[1]), np.float32), np.empty(rows.size, np.float32)
    for here in _blocks(rows.size):
        progress(here.start, rows.size)
        x[here] = scalers.features(read(rows[here]))
        distance[here] = mean_differences(x[here], known).min(axis=1)
    progress(rows.size, rows.size)
    return x, distance


def _blocks(n: int) -> list[slice]:
    return [slice(start, min(start + ROWS_AT_ONCE, n)) for start in range(0, n, ROWS_AT_ONCE)]
