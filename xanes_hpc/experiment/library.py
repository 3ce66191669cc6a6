"""Stores of spectra to search: predictions with their uncertainty, or calculated spectra of structures."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import SpectrumError, StoreError
from xanes_hpc.experiment.compare import Library, Rows
from xanes_hpc.experiment.normalised import NONE as AS_STORED
from xanes_hpc.experiment.normalised import NormaliseOptions, normalised
from xanes_hpc.spectra.distribution import Distribution
from xanes_hpc.spectra.edge_step import NEEDED_AFTER, NEEDED_BEFORE
from xanes_hpc.spectra.grid import Grid, shared_grid
from xanes_hpc.spectra.spectrum import PlacedSpectrum
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.site_spectra import NONE, choose_spectra, gridded
from xanes_hpc.stores.spectra import read_ranges, read_spectra, read_steps
from xanes_hpc.stores.structures import StructureStore

Array = npt.NDArray[np.float64]
HELD_OUT = ("calibration", "test", "none")
"""Sets of a model's split that its networks were not trained on."""


class PredictionLibrary(Library):
    """The predictions of a store."""

    def __init__(self, store: PredictionStore) -> None:
        self.store = store
        self.energies, self.origin = store.energies, store.origin
        self.sites = store.sites
        self.names, self.e0 = self.sites.name, store.read("sites/e0")
        self.distrust = store.reasons
        self.rows = np.arange(store.n_sites)
        self.not_compared: dict[str, int] = {}
        self.treated = ""

    @property
    def distribution(self) -> Distribution:
        """The distribution of errors in standard deviations."""
        return self.store.distribution

    def read(self, rows: Rows) -> tuple[Array, Array | None]:
        """Return mean and standard deviation at ascending rows, each (n_rows, n_energies)."""
        low, high = int(rows[0]), int(rows[-1]) + 1
        mean, std = (self.store.read(name, slice(low, high))[rows - low] for name in ("mean", "std"))
        return mean, std

    def references(self, rows: Rows, most: int) -> tuple[Rows, Array]:
        """Return at most ``most`` of the rows that no network was trained on, and their reference spectra.

        Held out are the sites of the calibration and test sets, and those of no set. Both are empty in a store without
        references.
        """
        parts = self.store.texts("part") if self.store.has_reference else []
        own = rows[np.array([parts[row] in HELD_OUT for row in rows.tolist()], bool)] if parts else rows[:0]
        own = own[np.linspace(0, own.size - 1, min(own.size, most)).astype(np.int64)] if own.size else own
        found = np.array([self.store.read("reference", int(row)) for row in own], np.float64)
        found = found.reshape(own.size, self.energies.size)
        there = np.isfinite(found).all(axis=1)
        return own[there], found[there]


class SpectrumLibrary(Library):
    """The spectra of a structure store, interpolated to the grid that most of them cover.

    Those whose range has room for windows, as measured spectra have, are normalised as a measured one is, each with
    windows of its own. ``not_compared`` counts the store's sites without such a spectrum, and those whose spectrum does
    not cover the grid; ``treated`` says how many have room for windows.
    """

    def __init__(
        self, store: StructureStore, kind: str, treatment: str | None, normalisation: NormaliseOptions
    ) -> None:
        self._store = store
        self._how = NormaliseOptions(normalisation.method, flatten=normalisation.flatten)
        self._spectra, _ = choose_spectra(store, store.n_sites, kind, treatment)
        there = np.flatnonzero(self._spectra != NONE)
        ranges = read_ranges(store.file, self._spectra[there])
        steps = read_steps(store.file, self._spectra[there])
        self._grid: Grid = shared_grid(ranges.first, ranges.last, steps, "e0")
        self.energies, self.origin = self._grid.energies, "e0"
        self.sites = store.sites
        self.names, self.distrust = self.sites.name, [""] * store.n_sites
        self.e0 = np.full(store.n_sites, np.nan)
        self.e0[there] = ranges.e0
        below, above = self._grid.shortfalls(ranges.first, ranges.last, ranges.n_points)
        self.rows = there[(below == 0) & (above == 0)]
        self.not_compared = {"without_spectrum": store.n_sites - there.size, "short": there.size - self.rows.size}
        self.treated = ""
        self._roomy = np.zeros(store.n_sites, np.bool_)
        if self._how.method != AS_STORED:
            self._roomy[there] = ranges.last - ranges.first >= NEEDED_BEFORE + NEEDED_AFTER
        if n_long := int(self._roomy[self.rows].sum()):
            self.treated = (
                f"normalised as the measured one, where there is room: {n_long:,} of {self.rows.size:,} spectra"
            )

    def read(self, rows: Rows) -> tuple[Array, Array | None]:
        """Return spectra at ascending rows, (n_rows, n_energies), and no standard deviation.

        A spectrum that cannot be normalised is NaN.
        """
        found = gridded(self._store, self._spectra[rows], self._grid)[0].astype(np.float64)
        roomy = np.flatnonzero(self._roomy[rows])
        if roomy.size:
            with hdf5.reading(self._store.path):
                every = list(read_spectra(self._store.file, self._spectra[rows[roomy]].tolist()))
            for k, placed in zip(roomy, every, strict=True):
                found[k] = self._normalised(int(rows[k]), placed)
        return found, None

    def _normalised(self, row: int, placed: PlacedSpectrum) -> Array:
        on_e0 = replace(placed.spectrum, energies=placed.relative)
        try:
            own = normalised(on_e0, self._how, int(self.sites.element[row]), self.sites.edge[row])
        except SpectrumError:
            return np.full(self.energies.size, np.nan)
        return np.interp(self.energies, placed.relative, own.spectrum.intensities)


def library_of(
    store: PredictionStore | StructureStore,
    kind: str = "xanes",
    treatment: str | None = None,
    normalisation: NormaliseOptions | None = None,
) -> PredictionLibrary | SpectrumLibrary:
    """Return the predictions of a store, or the spectra of a kind and treatment in a structure store, as a library.

    ``normalisation`` is that of the measured spectrum; the spectra of a structure store are treated alike.

    Raises
    ------
    SpectrumError
        If the spectra cannot be chosen, or share no range of energies.
    """
    if isinstance(store, PredictionStore):
        return PredictionLibrary(store)
    return SpectrumLibrary(store, kind, treatment, normalisation or NormaliseOptions())


@contextmanager
def open_library(
    path: Path, kind: str = "xanes", treatment: str | None = None, normalisation: NormaliseOptions | None = None
) -> Iterator[Any]:
    """Open a prediction or structure store as a library; arguments as of ``library_of``.

    Raises
    ------
    StoreError
        If the file is neither.
    """
    if hdf5.is_kind(path, "predictions"):
        with PredictionStore(path) as store:
            yield library_of(store)
    elif hdf5.is_kind(path, "structures"):
        with StructureStore(path) as source:
            yield library_of(source, kind, treatment, normalisation)
    else:
        hdf5.open_store(path).close()  # raises with the reason if the file cannot be read
        raise StoreError(f"{path}: expected a prediction store, or a structure store with spectra")
