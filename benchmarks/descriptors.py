"""Accuracy against cost of descriptors: one network, one split, many descriptors, in one run.

    python benchmarks/descriptors.py tmqm.h5 --epochs 60

Prints a table: features, microseconds a site on one thread, error % on the held-out part of a split by formula.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from xanes_hpc import descriptors, threads
from xanes_hpc.config import RunConfig, TrainingConfig
from xanes_hpc.descriptors.wacsf import ELEMENT_CHANNELS
from xanes_hpc.evaluation import evaluate
from xanes_hpc.featurise import featurise
from xanes_hpc.prediction import PredictOptions, predict
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.models import ModelFolder
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.training import train

ZETAS = [1, 2, 4, 8]


def candidates() -> dict[str, dict[str, Any]]:
    """Descriptions by name."""

    def wide(n: int, zetas: list[int]) -> dict[str, Any]:
        return {"style": "centred", "n": n, "r_min": 0.0, "r_max": 6.0, "lambda": [1, -1], "zeta": zetas}

    def radial(n: int) -> dict[str, Any]:
        return {"style": "shifted", "n": n, "r_min": 0.3, "r_max": 6.2}

    def elements(n: int) -> dict[str, Any]:
        return {"elements": list(ELEMENT_CHANNELS), "g2": radial(n)}

    weighted = {
        "Z: 32 G2, 64 G4 over the whole range": [{"weights": "Z", "g2": radial(32), "g4": wide(8, ZETAS)}],
        "elements: 32 G2": [elements(32)],
        "elements: 32 G2; Z: 64 G4": [{"weights": "Z", "g4": wide(8, ZETAS)}, elements(32)],
        "elements: 32 G2; Z: 32 G2, 64 G4": [{"weights": "Z", "g2": radial(32), "g4": wide(8, ZETAS)}, elements(32)],
        "elements: 20 G2; Z: 20 G2, 32 G4": [{"weights": "Z", "g2": radial(20), "g4": wide(8, [1, 4])}, elements(20)],
        "elements: 32 G2; one: 64 G4": [{"weights": "one", "g4": wide(8, ZETAS)}, elements(32)],
    }
    described = {n: {"name": "wacsf", "cutoff": 6.0, "dtype": "float32", "weighting": w} for n, w in weighted.items()}
    presets = {
        f"preset {p}": descriptors.load("wacsf", p).describe() for p in ("xanesnet-2022", "xanesnet-49", "default")
    }
    return presets | described


def measure(source: StructureStore, description: dict[str, Any], run: RunConfig) -> tuple[int, float, float]:
    """Features, microseconds a site on one thread (the best of three), error %."""
    descriptor = descriptors.from_description(description)
    batch = source.batch(0, min(2000, source.n_sites))
    times = []
    with threads.limited_to(1):
        for _ in range(4):
            begin = time.perf_counter()
            descriptor.compute(batch)
            times.append(time.perf_counter() - begin)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        featurise(source, descriptor, folder / "f.features.h5")
        with FeatureStore(folder / "f.features.h5") as features:
            train(run, features, source, folder / "m")
            predict(ModelFolder(folder / "m"), features, folder / "p.h5", PredictOptions(draws=50, part="test"))
        with PredictionStore(folder / "p.h5") as predictions:
            error = evaluate(predictions)["error_percent"]["mean"]
    return descriptor.n_features, 1e6 * min(times[1:]) / batch.n_sites, error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    run = replace(RunConfig(), training=TrainingConfig(epochs=arguments.epochs, seed=arguments.seed))
    print("| descriptor | features | µs a site, 1 thread | error % |\n| --- | --- | --- | --- |", flush=True)
    with StructureStore(arguments.store) as source:
        for name, description in candidates().items():
            n, cost, error = measure(source, description, run)
            print(f"| {name} | {n} | {cost:.1f} | {error:.2f} |", flush=True)


if __name__ == "__main__":
    main()
