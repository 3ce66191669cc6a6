"""Some sites of a prediction store, as a store of their own."""

from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.sites import SiteTable

ROWS_AT_ONCE = 512
FARTHEST = 8
"""Rows are read with those between them if these are at most so many times as many."""


class ChosenPredictions(PredictionStore):
    """The sites at ascending rows of a prediction store; their data stay in its file.

    Parameters
    ----------
    store
        The store, which must stay open.
    rows
        The rows, (n_sites,).

    Examples
    --------
    >>> from pathlib import Path
    >>> chosen = ChosenPredictions(PredictionStore(Path("predictions.h5")), np.array([2, 5, 20]))
    >>> chosen.n_sites, chosen.read("mean").shape, chosen.read("mean", 1).shape
    (3, (3, 201), (201,))
    """

    def __init__(self, store: PredictionStore, rows: npt.NDArray[np.int64]) -> None:
        super().__init__(file=store.file)
        self.path, self.in_memory = store.path, store.in_memory
        self._rows = rows

    @property
    def n_sites(self) -> int:
        """Number of chosen sites."""
        return int(self._rows.size)

    @property
    def n_averaged(self) -> npt.NDArray[np.int64] | None:
        """As for all sites of the store."""
        every = super().n_averaged
        return None if every is None else every[self._rows]

    @property
    def sites(self) -> SiteTable:
        """The chosen sites."""
        return super().sites.take(self._rows)

    def texts(self, name: str) -> list[str]:
        """Return a text column of the chosen sites."""
        every = super().texts(name)
        return [every[row] for row in self._rows.tolist()]

    def read(self, name: str, rows: Any = slice(None), energies: slice | None = None) -> npt.NDArray[np.float64]:
        """Return values of chosen sites, by their places among these; as for all sites of the store."""
        if name == "energy":
            return super().read(name, rows)
        wanted = self._rows[rows]
        if wanted.ndim == 0:
            return super().read(name, int(wanted), energies)
        some = [wanted[start : start + ROWS_AT_ONCE] for start in range(0, wanted.size, ROWS_AT_ONCE)]
        return np.concatenate([
            super().read(name, slice(0, 0), energies), *(self._read(name, own, energies) for own in some)
        ])  # fmt: skip

    def _read(self, name: str, rows: npt.NDArray[np.int64], energies: slice | None) -> npt.NDArray[np.float64]:
        low, high = int(rows[0]), int(rows[-1]) + 1
        if high - low <= FARTHEST * rows.size:
            return super().read(name, slice(low, high), energies)[rows - low]
        return super().read(name, rows, energies)
