"""Functions that ``training.py`` calls, each in its own process."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from featurise_once import peak_bytes
from generate import complexes
from timing import seconds, summary

from xanes_hpc import descriptors
from xanes_hpc.config.sections import RunConfig, SplitConfig, TargetConfig
from xanes_hpc.data import feed as feeding
from xanes_hpc.data.datasets import SiteSet, TrainingData, statistics
from xanes_hpc.data.gather import gather
from xanes_hpc.features.featurise import describe_sites
from xanes_hpc.models import architectures
from xanes_hpc.spectra.grid import Grid
from xanes_hpc.spectra.spectrum import PlacedSpectrum, Spectrum
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.site_spectra import choose_spectra, gridded
from xanes_hpc.stores.standalone import SharedSpectra, standalone_sites, write_standalone
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.training import tensorflow_setup
from xanes_hpc.training.check import resolved

Array = np.ndarray
ELEMENT, E0 = 26, 7112.0
NOISE = 0.02
"""Relative standard deviation of the noise on every feature."""
MOST_SITES = 4096
ENERGIES = np.arange(226) / 3.0 - 15.0
ROWS_AT_ONCE = 50_000


def time_to_error(features: str, error: float, seed: int, epochs: int) -> dict[str, Any]:
    """Measure seconds and epochs to a validation error for ours and scikit-learn's network, on the same sites."""
    from time_to_error import ours, theirs

    return {"ours": ours(Path(features), error, seed), "theirs": theirs(Path(features), error, seed, epochs)}


def tiled_store(output: str, n_sites: int, source: str | None) -> dict[str, Any]:
    """Write a feature store that repeats the sites of a structure store, or generated ones, with noise."""
    x, y, grid = _some_sites(source)
    descriptor, generator = descriptors.load("wacsf", "default"), np.random.default_rng(0)
    chosen = generator.integers(len(x), size=n_sites)
    features = np.empty((n_sites, x.shape[1]), x.dtype)
    for start in range(0, n_sites, ROWS_AT_ONCE):
        own = x[chosen[start : start + ROWS_AT_ONCE]]
        features[start : start + len(own)] = own * generator.normal(1.0, NOISE, own.shape).astype(x.dtype)
    placed = PlacedSpectrum(Spectrum(grid.energies, y[0]), E0, "given", "e0")
    names = [f"site{k}" for k in range(n_sites)]
    write_standalone(
        Path(output), standalone_sites(names, ELEMENT, ["K"] * n_sites), features, descriptor.describe(),
        descriptor.hash, descriptor.labels, [SharedSpectra(np.arange(n_sites), placed)], _Rows(y, chosen),
    )  # fmt: skip
    start, stop = float(grid.energies[0]), float(grid.energies[-1])
    return {"grid": [start, stop, grid.step], "n_features": x.shape[1], "given": source is not None}


class _Rows:
    """Rows of an array in a given order, looked up on demand."""

    def __init__(self, values: Array, order: Array) -> None:
        self._values, self._order, self.dtype = values, order, values.dtype

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, rows: Any) -> Array:
        return self._values[self._order[rows]]


def _some_sites(source: str | None) -> tuple[Array, Array, Grid]:
    """Return features, spectra and their grid, from a structure store or generated (steps at the edge)."""
    descriptor = descriptors.load("wacsf", "default")
    if source is None:
        x = descriptor.compute(complexes(MOST_SITES // 2))
        heights = np.random.default_rng(0).uniform(0.5, 1.5, (len(x), 1))
        return x, heights * (0.5 + np.arctan(ENERGIES / 2.0) / np.pi), Grid(ENERGIES, "e0")
    with StructureStore(Path(source)) as store:
        n = min(store.n_sites, MOST_SITES)
        rows, _ = choose_spectra(store, store.n_sites, "xanes", None)
        grid = Grid(ENERGIES, "e0")
        y, _ = gridded(store, rows[:n], grid)
        there = np.isfinite(y).all(axis=1)
        return describe_sites(descriptor, store, 0, n)[there], y[there].astype(np.float64), grid


@contextmanager
def _opened(features: str, grid: Sequence[float]) -> Iterator[tuple[FeatureStore, RunConfig, TrainingData]]:
    """Open a standalone store with all its sites in the training set."""
    with ExitStack() as opened:
        store = opened.enter_context(FeatureStore(Path(features)))
        split = SplitConfig(group="none", validation=0.0, calibration=0.0, test=0.0)
        run = resolved(RunConfig(split=split, target=TargetConfig("xanes", None, "e0", *grid)), store.n_features)
        data = gather(run, [(store, store)])
        opened.callback(data.close)
        yield store, run, data


def _trainer(run: RunConfig, part: SiteSet, scalers: Any, n_members: int) -> tuple[Any, feeding.Feed]:
    """Return default networks for some sites, and the feed of their batches."""
    tensorflow_setup.devices(0)
    from xanes_hpc.training.trainer import Trainer

    first = part.sources[0]
    energies = first.targets.grid.energies
    _, layers = architectures.build(run.model.name, run.model.parameters, first.features.n_features, energies.size)
    feed = feeding.Feed(part, scalers, run.training.batch_size, run.training.seed, n_members)
    config = replace(run.training, schedule="constant")
    return Trainer(layers, scalers, config, feed, first.targets.grid.step), feed


def fed_steps(
    features: str, grid: Sequence[float], buffer: int, steps: int, feeds: Sequence[str], rounds: int
) -> dict[str, Any]:
    """Measure steps fed from a store, from memory, or alternately from both; also the peak memory of the process."""
    feeding.BUFFER_BYTES = buffer
    with _opened(features, grid) as (_, run, data):
        whole, first = data.sites_in("train"), data.first
        row_bytes = 4 * (first.features.n_features + first.targets.grid.energies.size + 2)
        in_memory = buffer // row_bytes
        few = SiteSet(whole.sources, np.arange(whole.chosen.size) < in_memory, whole.absorbers)
        scalers = statistics(few, run.training.feature_transform).scalers(run.training.target_scale)
        calls = {}
        for name in feeds:
            trainer, feed = _trainer(run, whole if name == "store" else few, scalers, 1)
            batches = trainer.batches(range(10_000))
            calls[name] = lambda trainer=trainer, batches=batches: trainer.steps(batches, steps)
        taken = _by_turns(calls, rounds)
    ratios = [m / s for s, m in zip(taken["store"], taken["memory"], strict=True)] if len(feeds) == 2 else []
    return {
        "batch": feed.batch_size,
        "steps": steps,
        "in_memory": in_memory,
        "seconds": {name: summary(values) for name, values in taken.items()},
        "ratio": summary(ratios) if ratios else None,
        "peak": peak_bytes(),
    }


def step_rates(features: str, grid: Sequence[float], members: Sequence[int], steps: int, rounds: int) -> dict[str, Any]:
    """Measure steps of ensembles of several sizes, alternately."""
    with _opened(features, grid) as (_, run, data):
        part = data.sites_in("train")
        scalers = statistics(part, run.training.feature_transform).scalers(run.training.target_scale)
        calls = {}
        for n in members:
            trainer, feed = _trainer(run, part, scalers, n)
            batches = trainer.batches(range(100_000))
            calls[str(n)] = lambda trainer=trainer, batches=batches: trainer.steps(batches, steps)
        taken = _by_turns(calls, rounds)
    return {"batch": feed.batch_size, "steps": steps, "seconds": {name: summary(v) for name, v in taken.items()}}


def _by_turns(calls: dict[str, Any], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each call over several rounds of all calls. A first round is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            taken[name].append(seconds(call))
    return taken
