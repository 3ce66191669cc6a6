"""Targets on a model's grid: a cache beside the feature store, safe to delete, row by row in its order."""

import hashlib
import json
import os
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xanes_hpc.config import TargetConfig
from xanes_hpc.errors import SpectrumError, StoreError
from xanes_hpc.records import treatment_name
from xanes_hpc.spectra.grid import Grid, regular, scale, shared_grid
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.spectra import NAMES as SPECTRUM_NAMES
from xanes_hpc.stores.spectra import ROWS_AT_ONCE, SpectrumTable, read_spectra
from xanes_hpc.stores.structures import StructureStore

NONE = -1
"""In place of a spectrum's row where a site has none."""


class TargetStore(hdf5.Store):
    """Targets open for reading."""

    kind = "targets"

    def __init__(self, path: Path, folder: "tempfile.TemporaryDirectory[str] | None" = None) -> None:
        super().__init__(path)
        self._folder = folder  # removed with this object

    @property
    def grid(self) -> Grid:
        """The grid of all targets."""
        energy = self.file["energy"]
        return Grid(energy[:], hdf5.read_text(energy, "origin"))

    @property
    def e0(self) -> npt.NDArray[np.float64]:
        """Edge energy of every site, NaN where it has no spectrum."""
        values: npt.NDArray[np.float64] = self.file["e0"][:]
        return values

    def read(self, start: int, stop: int) -> npt.NDArray[np.float32]:
        """Targets of sites ``start:stop``, shape (n_rows, n_energies); NaN where there is none."""
        with hdf5.reading(self.path):
            values: npt.NDArray[np.float32] = self.file["intensity"][start:stop]
            return values


def choose_spectra(
    source: StructureStore | FeatureStore, n_sites: int, kind: str, treatment: str | None
) -> tuple[npt.NDArray[np.int64], SpectrumTable]:
    """Row of each site's spectrum of a kind and treatment, (n_sites,), -1 where it has none; and the table of spectra.

    Raises
    ------
    SpectrumError
        If no spectrum fits, or several of one site do; lists what there is.
    """
    table = SpectrumTable.read(source.file)
    there = Counter((k, t) for k, t in zip(table.kind, table.treatment, strict=True))
    listed = "; ".join(f"{k}, treatment {treatment_name(t)!r}: {n:,}" for (k, t), n in there.most_common(6)) or "none"
    wanted = {pair for pair in there if pair[0] == kind and treatment in (None, pair[1], treatment_name(pair[1]))}
    if not wanted:
        asked = kind + (f" with treatment {treatment!r}" if treatment else "")
        raise SpectrumError(f"{source.path}: no spectra of kind {asked}; there are: {listed}")
    if len(wanted) > 1:
        raise SpectrumError(
            f"{source.path}: several kinds of spectra fit; choose with --treatment NAME; there are: {listed}"
        )
    chosen = next(iter(wanted))
    rows = [i for i, pair in enumerate(zip(table.kind, table.treatment, strict=True)) if pair == chosen]
    spectrum_of_site = np.full(n_sites, NONE, np.int64)
    sites = table.site[rows]
    if len(np.unique(sites)) < len(sites):
        twice = int(Counter(sites.tolist()).most_common(1)[0][0])
        raise SpectrumError(
            f"{source.path}: site {twice} has several spectra of kind {chosen[0]}, treatment {chosen[1]}"
        )
    spectrum_of_site[sites] = rows
    return spectrum_of_site, table


def prepare_targets(features: FeatureStore, source: StructureStore | FeatureStore, config: TargetConfig) -> TargetStore:
    """The targets of a feature store's sites, from the cache beside it or made in one streaming pass.

    Raises
    ------
    SpectrumError
        If the spectra cannot be chosen or brought to one grid.
    """
    rows, table = choose_spectra(source, features.n_sites, config.kind, config.treatment)
    with hdf5.reading(source.path):
        grid = _grid(source, rows[rows != NONE], config)
    chosen = int(rows[rows != NONE][0])
    key = _key(source, table.kind[chosen], table.treatment[chosen], grid)
    name = f"{features.path.name.removesuffix('.h5')}.targets-{key[:8]}.h5"
    path = features.path.with_name(name)
    cached = _cached(path, key)
    if cached is not None:
        return cached
    folder = None
    if not os.access(path.parent, os.W_OK):  # beside a read-only feature store the cache lasts as long as it is open
        folder = tempfile.TemporaryDirectory(prefix="xanes-hpc-")
        path = Path(folder.name) / name
    _write(path, source, rows, grid, key, table.unit[chosen], table.treatment[chosen])
    return TargetStore(path, folder)


def _cached(path: Path, key: str) -> TargetStore | None:
    if not path.exists():
        return None
    try:
        store = TargetStore(path)
    except StoreError:
        return None
    if store.attribute("key") == key:
        return store
    store.file.close()
    return None


def _write(
    path: Path, source: StructureStore | FeatureStore, rows: npt.NDArray[np.int64], grid: Grid,
    key: str, unit: str, treatment: str,
) -> None:  # fmt: skip
    with hdf5.create_store(path, "targets", overwrite=True) as file:
        for name, text in (("key", key), ("unit", unit), ("treatment", treatment)):
            file.attrs[name] = text
        hdf5.write_whole(file, "energy", grid.energies).attrs["origin"] = grid.origin
        shape = (rows.size, grid.energies.size)
        chunks = (min(ROWS_AT_ONCE, rows.size), grid.energies.size)
        intensity = file.create_dataset("intensity", shape, np.float32, chunks=chunks, fletcher32=True)
        e0 = file.create_dataset("e0", (rows.size,), np.float64, chunks=True, fletcher32=True)
        for start in range(0, rows.size, ROWS_AT_ONCE):
            stop = min(start + ROWS_AT_ONCE, rows.size)
            intensity[start:stop], e0[start:stop] = gridded(source, rows[start:stop], grid)


def gridded(
    source: StructureStore | FeatureStore, rows: npt.NDArray[np.int64], grid: Grid
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Spectra at ``rows`` on a grid, (n_rows, n_energies), and their e0, (n_rows,); NaN where a row is -1."""
    values = np.full((rows.size, grid.energies.size), np.nan, np.float32)
    e0 = np.full(rows.size, np.nan)
    there = np.flatnonzero(rows != NONE)
    with hdf5.reading(source.path):
        for i, placed in zip(there, read_spectra(source.file, rows[there].tolist()), strict=True):
            values[i], e0[i] = grid.resample(placed), placed.e0
    return values, e0


def _grid(source: StructureStore | FeatureStore, rows: npt.NDArray[np.int64], config: TargetConfig) -> Grid:
    starts, stops, steps = np.empty(rows.size), np.empty(rows.size), np.empty(rows.size)
    for i, placed in enumerate(read_spectra(source.file, rows.tolist())):
        energies = scale(placed, config.origin)
        starts[i], stops[i] = energies[0], energies[-1]
        steps[i] = (energies[-1] - energies[0]) / (energies.size - 1)
    if config.start is not None and config.stop is not None and config.step is not None:
        return regular(config.start, config.stop, config.step, config.origin)
    try:
        shared = shared_grid(starts, stops, steps, config.origin)
    except SpectrumError:
        raise SpectrumError(
            f"{source.path}: the spectra share no range (they begin at {starts.min():g} to {starts.max():g} eV and "
            f"end at {stops.min():g} to {stops.max():g} eV); give [target] start, stop and step"
        ) from None
    start = config.start if config.start is not None else float(shared.energies[0])
    stop = config.stop if config.stop is not None else float(shared.energies[-1])
    return regular(start, stop, config.step or shared.step, config.origin)


def digest_of_spectra(source: StructureStore | FeatureStore) -> str:
    """The digest that a structure store carries, or that of a feature store's own spectra."""
    return source.attribute("digest_spectra") or hdf5.digest(source.file, SPECTRUM_NAMES)


def _key(source: StructureStore | FeatureStore, kind: str, treatment: str, grid: Grid) -> str:
    done = {
        "spectra": digest_of_spectra(source),
        "structures": source.attribute("digest_structures"),
        "kind": kind,
        "treatment": treatment,
        "origin": grid.origin,
        "energies": grid.energies.tolist(),
        "interpolation": "linear",
    }
    return hashlib.sha256(json.dumps(done, sort_keys=True).encode()).hexdigest()
