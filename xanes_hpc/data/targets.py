"""Prepare targets: treat and resample spectra to one grid, and cache them beside the feature stores."""

import hashlib
import json
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xanes_hpc.config.sections import TargetConfig
from xanes_hpc.data.target_plan import Pairs, TargetPlan, plan_targets
from xanes_hpc.errors import StoreError
from xanes_hpc.runtime.new_file import NewFile
from xanes_hpc.runtime.outputs import locked_output
from xanes_hpc.spectra.grid import Grid
from xanes_hpc.spectra.normalisation import unit_after
from xanes_hpc.spectra.recipe import Recipe
from xanes_hpc.spectra.treatment import treatment_after
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.site_spectra import AS_STORED, digest_of_spectra, gridded
from xanes_hpc.stores.spectra import ROWS_AT_ONCE
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.stores.targets import TargetStore


def prepare(plan: TargetPlan) -> list[TargetStore]:
    """Return the targets of each feature store's sites, from the cache beside it or computed in one pass.

    Raises
    ------
    SpectrumError
        If spectra cannot be treated.
    """
    prepared = []
    with ExitStack() as opened:
        for (store, source), rows, kind in zip(plan.pairs, plan.rows, plan.kinds, strict=True):
            prepared.append(_prepared(store, source, rows, plan.grid, kind, plan.treatment, plan.unit, plan.recipe))
            opened.callback(prepared[-1].close)
        opened.pop_all()
    return prepared


def prepare_targets(pairs: Pairs, config: TargetConfig, recipe: Recipe = AS_STORED) -> list[TargetStore]:
    """Plan and prepare targets, however many sites the grid leaves out.

    Raises
    ------
    SpectrumError
        As ``plan_targets`` and ``prepare``.
    """
    return prepare(plan_targets(pairs, config, recipe))


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
    padding = {name: way for name, way in (("below", grid.below), ("above", grid.above)) if way is not None}
    return hashlib.sha256(json.dumps(values | padding, sort_keys=True).encode()).hexdigest()
