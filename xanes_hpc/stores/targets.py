"""Targets on a model's grid: a cache beside the feature store, safe to delete, row by row in its order."""

import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from xanes_hpc.config import Recipe, TargetConfig
from xanes_hpc.errors import SpectrumError, StoreError
from xanes_hpc.records import treatment_name
from xanes_hpc.spectra.grid import Grid, regular, shared_grid
from xanes_hpc.spectra.normalisation import unit_after
from xanes_hpc.spectra.treating import check_kind, treat, treatment_after
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.outputs import only_run
from xanes_hpc.stores.sites import SiteTable
from xanes_hpc.stores.spectra import ROWS_AT_ONCE, SpectrumTable, read_ranges, read_spectra, spectrum_names
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.stores.texts import read_text

NONE = -1
"""In place of a spectrum's row where a site has none."""


class TargetStore(hdf5.Store):
    """Targets open for reading."""

    kind = "targets"

    def __init__(self, path: Path, folder: "tempfile.TemporaryDirectory[str] | None" = None) -> None:
        super().__init__(path)
        self._folder = folder

    def close(self) -> None:
        """Close the store, and remove the folder that it was made in for want of another."""
        self.file.close()
        if self._folder is not None:
            self._folder.cleanup()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def grid(self) -> Grid:
        """The grid of all targets."""
        energy = self.file["energy"]
        return Grid(energy[:], read_text(energy, "origin"))

    @property
    def e0(self) -> npt.NDArray[np.float64]:
        """Edge energy of every site, NaN where it has no spectrum."""
        values: npt.NDArray[np.float64] = self.file["e0"][:]
        return values

    @property
    def source_treatment(self) -> str:
        """The treatment of the spectra that they were made of."""
        return self.attribute("source_treatment") or self.attribute("treatment")

    def read(self, start: int, stop: int) -> npt.NDArray[np.float32]:
        """Targets of sites ``start:stop``, shape (n_rows, n_energies); NaN where there is none."""
        return self.read_rows("intensity", start, stop)


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


Pairs = Sequence[tuple[FeatureStore, StructureStore | FeatureStore]]
"""Feature stores, each with the store of its sites' spectra."""


AS_STORED = Recipe()


def prepare_targets(pairs: Pairs, config: TargetConfig, recipe: Recipe = AS_STORED) -> list[TargetStore]:
    """The targets of each feature store's sites, from the cache beside it or made in one streaming pass.

    All are on one grid: the configured one, or the range that the stores share in the finest of their steps; and
    broadened and normalised before, if that is configured.

    Raises
    ------
    SpectrumError
        If the spectra cannot be chosen, treated or brought to one grid, or are not of one treatment and unit.
    """
    chosen = [choose_spectra(source, store.n_sites, config.kind, config.treatment) for store, source in pairs]
    first = [int(rows[rows != NONE][0]) for rows, _ in chosen]
    of_each = [(table.treatment[row], table.unit[row]) for row, (_, table) in zip(first, chosen, strict=True)]
    for (store, _), (treatment, unit) in zip(pairs, of_each, strict=True):
        if (treatment, unit) != of_each[0]:
            expected, received = (f"{treatment_name(t)} in {u}" for t, u in (of_each[0], (treatment, unit)))
            raise SpectrumError(
                f"{store.path}: expected spectra as those of {pairs[0][0].path}, {expected}; received {received}"
            )
    check_kind(config.kind, recipe)
    try:
        treatment_after(recipe, of_each[0][0])
    except SpectrumError as error:
        raise SpectrumError(f"{pairs[0][1].path}: {error}") from None
    sources = [source for _, source in pairs]
    if recipe.normalisation.e0 != "stored" and None in (config.start, config.stop, config.step):
        raise SpectrumError(
            f"normalisation.e0 {recipe.normalisation.e0}: edges move, and with them the range that spectra share: give "
            "[target] start, stop and step"
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
    name = f"{features.path.name.removesuffix('.h5')}.targets-{key[:8]}.h5"
    path = features.path.with_name(name)
    cached = _cached(path, key)
    if cached is not None:
        return cached
    folder = None
    if not os.access(path.parent, os.W_OK):  # beside a read-only feature store the cache lasts as long as it is open
        folder = tempfile.TemporaryDirectory(prefix="xanes-hpc-")
        path = Path(folder.name) / name
    with only_run(path, wait=True):  # several trainings may begin at once: one makes it for all
        cached = _cached(path, key)
        if cached is None:
            _write(path, features, source, rows, grid, key, unit, treatment, recipe)
    return cached or TargetStore(path, folder)


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
    path: Path, features: FeatureStore, source: StructureStore | FeatureStore, rows: npt.NDArray[np.int64], grid: Grid,
    key: str, unit: str, treatment: str, recipe: Recipe,
) -> None:  # fmt: skip
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
        chunks = (min(chunk_rows, rows.size), grid.energies.size)  # those of the features, so that both are read alike
        intensity = file.create_dataset("intensity", shape, np.float32, chunks=chunks, fletcher32=True)
        e0 = file.create_dataset("e0", (rows.size,), np.float64, chunks=True, fletcher32=True)
        at_once = chunk_rows * max(1, ROWS_AT_ONCE // chunk_rows)
        for start in range(0, rows.size, at_once):
            stop = min(start + at_once, rows.size)
            own = sites.take(np.arange(start, stop))
            intensity[start:stop], e0[start:stop] = gridded(source, rows[start:stop], grid, own, recipe)


def gridded(
    source: StructureStore | FeatureStore,
    rows: npt.NDArray[np.int64],
    grid: Grid,
    sites: SiteTable | None = None,
    recipe: Recipe = AS_STORED,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Spectra at ``rows`` on a grid, (n_rows, n_energies), and their e0, (n_rows,); NaN where a row is -1.

    ``sites`` are those of the rows; a recipe asks for their elements and edges.
    """
    values = np.full((rows.size, grid.energies.size), np.nan, np.float32)
    e0 = np.full(rows.size, np.nan)
    there = np.flatnonzero(rows != NONE)
    with hdf5.reading(source.path):
        every = list(read_spectra(source.file, rows[there].tolist()))
    for row, placed in zip(rows[there], every, strict=True):
        if not np.isfinite(placed.spectrum.intensities).all():
            raise SpectrumError(f"{source.path}: spectrum {row} has NaN or infinite intensities: import it again")
    if sites is not None and not recipe.does_nothing:
        own = sites.take(there)
        try:
            every = treat(every, own.element.tolist(), own.edge, recipe)
        except SpectrumError as error:
            raise SpectrumError(f"{source.path}: {error}") from None
    for i, placed in zip(there, every, strict=True):
        values[i], e0[i] = grid.resample(placed), placed.e0
    return values, e0


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
            f"the stores' spectra share no range: those of {sources[int(np.argmax(starts))].path} begin at "
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
            f"{source.path}: the spectra share no range (they begin at {starts.min():g} to {starts.max():g} eV and "
            f"end at {stops.min():g} to {stops.max():g} eV); give [target] start, stop and step"
        ) from None


def digest_of_spectra(source: StructureStore | FeatureStore) -> str:
    """The digest that a structure store carries, or that of a feature store's own spectra."""
    return source.attribute("digest_spectra") or hdf5.digest(source.file, spectrum_names(source.file))


def _key(source: StructureStore | FeatureStore, kind: str, treatment: str, grid: Grid, recipe: Recipe) -> str:
    done = {
        "spectra": digest_of_spectra(source),
        "structures": source.attribute("digest_structures"),
        "kind": kind,
        "treatment": treatment,
        "origin": grid.origin,
        "energies": grid.energies.tolist(),
        "interpolation": "linear",
        "broadened": treatment_after(recipe, treatment),
    }
    return hashlib.sha256(json.dumps(done, sort_keys=True).encode()).hexdigest()
