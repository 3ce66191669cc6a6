"""Who trains: this process alone, or one of several that take every step together and must agree on what is next."""

from collections.abc import Callable
from typing import Any

from xanes_hpc.machines import Machines


class Alone:
    """This process alone.

    Attributes
    ----------
    n_members, index
        Processes, and which of them this is; the first is the chief, who writes what is written.
    strategy
        TensorFlow's, that all share; None for one of this process's own.
    """

    n_members = 1
    index = 0
    strategy: Any = None

    @property
    def is_chief(self) -> bool:
        """Whether this process writes what is written."""
        return self.index == 0

    def any_of(self, asked: bool) -> bool:
        """Whether any of the processes says so."""
        return asked

    def as_chief(self, value: Callable[[], float]) -> float:
        """What the chief finds; the others do not look."""
        return value()

    def wait(self) -> None:
        """Wait until all are here."""


class Team(Alone):
    """One of several processes; each must call the same methods in the same order.

    Parameters
    ----------
    machines
        Who they are.
    """

    def __init__(self, machines: Machines) -> None:
        from xanes_hpc.backend import shared_strategy

        self.n_members, self.index = len(machines.addresses), machines.index
        self.strategy = shared_strategy(machines.tf_config)

    def any_of(self, asked: bool) -> bool:
        """Whether any of the processes says so."""
        return self._total(float(asked)) > 0.0

    def as_chief(self, value: Callable[[], float]) -> float:
        """What the chief finds, for all; a number in double precision, or NaN."""
        return self._total(value() if self.is_chief else 0.0)

    def wait(self) -> None:
        """Wait until all are here."""
        self._total(0.0)

    def _total(self, value: float) -> float:
        from xanes_hpc.backend import total_of

        return total_of(self.strategy, value)
