"""Prepare targets: choose, treat and resample spectra to one grid, and cache them beside the feature stores."""

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xanes_hpc.config.sections import TargetConfig
from xanes_hpc.errors import SpectrumError, StoreError
from xanes_hpc.runtime.outputs import locked_output
from xanes_hpc.spectra.grid import Grid, regular, shared_grid
from xanes_hpc.spectra.normalisation import unit_after
from xanes_hpc.spectra.recipe import Recipe
from xanes_hpc.spectra.spectrum import treatment_name
from xanes_hpc.spectra.treatment import check_kind, treatment_after
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.new_file import NewFile
from xanes_hpc.stores.site_spectra import AS_STORED, NONE, choose_spectra, digest_of_spectra, gridded
from xanes_hpc.stores.spectra import ROWS_AT_ONCE, read_ranges
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.stores.targets import TargetStore

Pairs = Sequence[tuple[FeatureStore, StructureStore | FeatureStore]]
"""Feature stores, each with the store of its sites' spectra."""


def prepare_targets(pairs: Pairs, config: TargetConfig, recipe: Recipe = AS_STORED) -> list[TargetStore]:
    """Return the targets of each feature store's sites, from the cache beside it or computed in one pass.

    All targets are on one grid: the configured one, or by default the energy range that all stores share, in the finest
    of their steps. If configured, spectra are broadened and normalised first.

    Raises
    ------
    SpectrumError
        If the spectra cannot be chosen, treated or brought to one grid, or differ in treatment or unit.
    """
    chosen = [choose_spectra(source, store.n_sites, config.kind, config.treatment) for store, source in pairs]
    first = [int(rows[rows != NONE][0]) for rows, _ in chosen]
    of_each = [(table.treatment[row], table.unit[row]) for row, (_, table) in zip(first, chosen, strict=True)]
    for (store, _), (treatment, unit) in zip(pairs, of_each, strict=True):
        if (treatment, unit) != of_each[0]:
            expected, received = (f"{treatment_name(t)} in {u}" for t, u in (of_each[0], (treatment, unit)))
            raise SpectrumError(
                f"{store.path}: expected the treatment and unit of {pairs[0][0].path} ({expected}), received {received}"
            )
    check_kind(config.kind, recipe)
    try:
        treatment_after(recipe, of_each[0][0])
    except SpectrumError as error:
        raise SpectrumError(f"{pairs[0][1].path}: {error}") from None
    sources = [source for _, source in pairs]
    if recipe.normalisation.e0 != "stored" and None in (config.start, config.stop, config.step):
        raise SpectrumError(
            f"normalisation.e0 {recipe.normalisation.e0} moves the edges, so the range that spectra share is unknown; "
            "give [target] start, stop and step"
        )
    grid = _grid(sources, [rows[rows != NONE] for rows, _ in chosen], config)
    prepared = []
    with ExitStack() as opened:
        for (store, source), (rows, table), row in zip(pairs, chosen, first, strict=True):
            prepared.append(_prepared(store, source, rows, grid, table.kind[row], *of_each[0], recipe))
            opened.callback(prepared[-1].close)
        opened.pop_all()
    return prepared


def _prepared(
    features: FeatureStore, source: StructureStore | FeatureStore, rows: npt.NDArray[np.int64], grid: Grid,
    kind: str, treatment: str, unit: str, recipe: Recipe,
) -> TargetStore:  # fmt: skip
    key = _key(source, kind, treatment, grid, recipe)
    if features.in_memory:
        return TargetStore(file=_write(None, features, source, rows, grid, key, unit, treatment, recipe))
    name = f"{features.path.name.removesuffix('.h5')}.targets-{key[:8]}.h5"
    path = features.path.with_name(name)
    cached = _cached(path, key)
    if cached is not None:
        return cached
    folder = None
    if not os.access(path.parent, os.W_OK):  # the folder is read-only: use a temporary cache
        folder = tempfile.TemporaryDirectory(prefix="xanes-hpc-")
        path = Path(folder.name) / name
    with locked_output(path, wait=True):  # if several runs start at once, one writes the cache for all
        cached = _cached(path, key)
        if cached is None:
            _write(path, features, source, rows, grid, key, unit, treatment, recipe)
    return cached or TargetStore(path, folder=folder)


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
    path: Path | None, features: FeatureStore, source: StructureStore | FeatureStore,
    rows: npt.NDArray[np.int64], grid: Grid, key: str, unit: str, treatment: str, recipe: Recipe,
) -> NewFile:  # fmt: skip
    chunk_rows, sites = features.chunk_rows, features.sites
    texts = {
        "key": key,
        "unit": unit_after(recipe.normalisation, unit),
        "treatment": treatment_after(recipe, treatment),
    }
    with hdf5.create_store(path, "targets", overwrite=True, locked=True) as file:
        for name, text in (texts | {"source_treatment": treatment}).items():
            file.attrs[name] = text
        hdf5.write_whole(file, "energy", grid.energies).attrs["origin"] = grid.origin
        shape = (rows.size, grid.energies.size)
        chunks = (min(chunk_rows, rows.size), grid.energies.size)  # as the features, because both are read together
        intensity = file.create_dataset("intensity", shape, np.float32, chunks=chunks, fletcher32=True)
        e0 = file.create_dataset("e0", (rows.size,), np.float64, chunks=True, fletcher32=True)
        at_once = chunk_rows * max(1, ROWS_AT_ONCE // chunk_rows)
        for start in range(0, rows.size, at_once):
            stop = min(start + at_once, rows.size)
            own = sites.take(np.arange(start, stop))
            intensity[start:stop], e0[start:stop] = gridded(source, rows[start:stop], grid, own, recipe)
    return file


def _grid(
    sources: Sequence[StructureStore | FeatureStore], rows: Sequence[npt.NDArray[np.int64]], config: TargetConfig
) -> Grid:
    if config.start is not None and config.stop is not None and config.step is not None:
        return regular(config.start, config.stop, config.step, config.origin)
    grids = [_own_grid(source, own, config.origin) for source, own in zip(sources, rows, strict=True)]
    starts, stops = ([grid.energies[end] for grid in grids] for end in (0, -1))
    start = config.start if config.start is not None else float(max(starts))
    stop = config.stop if config.stop is not None else float(min(stops))
    if start >= stop:
        raise SpectrumError(
            f"the stores' spectra share no energy range: those of {sources[int(np.argmax(starts))].path} begin at "
            f"{start:g} eV, those of {sources[int(np.argmin(stops))].path} end at {stop:g} eV; "
            "give [target] start and stop"
        )
    return regular(start, stop, config.step or min(grid.step for grid in grids), config.origin)


def _own_grid(source: StructureStore | FeatureStore, rows: npt.NDArray[np.int64], origin: str) -> Grid:
    ranges = read_ranges(source.file, rows)
    moved = ranges.e0 if origin == "absolute" else 0.0
    starts, stops = ranges.first + moved, ranges.last + moved
    steps = (stops - starts) / (ranges.n_points - 1)
    try:
        return shared_grid(starts, stops, steps, origin)
    except SpectrumError:
        raise SpectrumError(
            f"{source.path}: the spectra share no energy range (they begin at {starts.min():g} to {starts.max():g} eV "
            f"and end at {stops.min():g} to {stops.max():g} eV); give [target] start, stop and step"
        ) from None


def _key(source: StructureStore | FeatureStore, kind: str, treatment: str, grid: Grid, recipe: Recipe) -> str:
    values = {
        "spectra": digest_of_spectra(source),
        "structures": source.attribute("digest_structures"),
        "kind": kind,
        "treatment": treatment,
        "origin": grid.origin,
        "energies": grid.energies.tolist(),
        "interpolation": "linear",
        "broadened": treatment_after(recipe, treatment),
    }
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
