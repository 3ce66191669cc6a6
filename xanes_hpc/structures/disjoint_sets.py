"""Disjoint sets of numbers."""

from collections.abc import Sequence


class DisjointSets:
    """Disjoint sets of the numbers from 0 to ``size`` - 1, at first one for each."""

    def __init__(self, size: int) -> None:
        self._parents = list(range(size))

    def _root(self, k: int) -> int:
        while self._parents[k] != k:
            self._parents[k] = self._parents[self._parents[k]]
            k = self._parents[k]
        return k

    def join(self, members: Sequence[int]) -> None:
        """Make one set of those of all members."""
        for k in members:
            low, high = sorted((self._root(members[0]), self._root(k)))
            self._parents[high] = low

    def found(self, among: Sequence[int] | None = None) -> list[list[int]]:
        """Return the sets, or those of some numbers."""
        sets: dict[int, list[int]] = {}
        for k in range(len(self._parents)) if among is None else among:
            sets.setdefault(self._root(k), []).append(k)
        return list(sets.values())
