"""Shapley values (Lundberg & Lee, arXiv:1705.07874), estimated from random orders.

Orders are used with their reverse, as by Mitchell et al. (arXiv:2104.12199).
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Present = npt.NDArray[np.bool_]


def shapley_values(
    value: Callable[[Present], Array], n_players: int, rounds: int = 1, seed: int = 0
) -> tuple[Array, Array, Array]:
    """Return how much each player adds to each output.

    Players join in random orders and leave in the same order again, so that each is met with few others present and
    with many. The values add up to the output with all players minus that with none.

    Parameters
    ----------
    value
        Function from the players present, (n_rows, n_players), to outputs, (n_rows, n_outputs).
    n_players
        Number of players.
    rounds
        Number of random orders.
    seed
        Seed of the orders.

    Returns
    -------
    values : (n_outputs, n_players)
    without, whole : (n_outputs,)
        Outputs with no player and with all of them.

    Examples
    --------
    >>> def product(present):
    ...     return 6.0 * present.all(axis=1, keepdims=True)
    >>> values, without, whole = shapley_values(product, 2)
    >>> values.tolist(), without.tolist(), whole.tolist()
    ([[3.0, 3.0]], [0.0], [6.0])
    """
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(n_players) for _ in range(rounds)]
    outputs = value(np.concatenate([_joining_and_leaving(order) for order in orders]))
    values = np.zeros((outputs.shape[1], n_players))
    for order, own in zip(orders, outputs.reshape(rounds, 2 * n_players + 1, -1), strict=True):
        steps = np.diff(own, axis=0)
        values[:, order] += (steps[:n_players] - steps[n_players:]).T / (2 * rounds)
    return values, outputs[0], outputs[n_players]


def _joining_and_leaving(order: npt.NDArray[np.int64]) -> Present:
    """Return who is present, (2 n_players + 1, n_players), as players join in an order and leave in the same order."""
    place = np.argsort(order)
    step = np.arange(2 * order.size + 1)[:, None]
    return np.asarray((step > place) & (step <= place + order.size))
