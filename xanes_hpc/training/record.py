"""What a training run writes down about itself in the model folder."""

import csv
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from xanes_hpc.config.sections import RunConfig
from xanes_hpc.data.datasets import TrainingData, iterate
from xanes_hpc.data.targets import Pairs
from xanes_hpc.models.scaling import Scalers
from xanes_hpc.models.training_sites import PARTS, REFERENCE_SITES, TrainingSites
from xanes_hpc.stores.site_spectra import digest_of_spectra
from xanes_hpc.training.epochs import Epoch

Digests = dict[str, str | list[str]]


def reference_sites(
    data: TrainingData, scalers: Scalers, trained: Sequence[str], seed: int, earlier: list[tuple[str, str]]
) -> TrainingSites:
    """What the model remembers of its sites, at most ``REFERENCE_SITES`` of the trained sites' features."""
    sampled = data.part(*trained).sample(REFERENCE_SITES, seed)
    vectors = np.concatenate([scalers.features(x) for x, _, _ in iterate(sampled)])
    return TrainingSites(data.names, data.formulas, data.parts, vectors, tuple(trained), earlier)


def resolved_run(run: RunConfig, data: TrainingData, output: Path) -> RunConfig:
    """The run with nothing left to defaults or to the data, and paths as seen from the model folder."""
    targets = data.first.targets
    grid = targets.grid
    target = replace(
        run.target,
        treatment=targets.source_treatment,
        start=float(grid.energies[0]),
        stop=float(grid.energies[-1]),
        step=grid.step,
    )

    def seen_from_model(path: Path | str) -> str:
        return os.path.relpath(Path(path).resolve(), output.resolve())

    transfer = run.transfer
    if transfer.model is not None:
        transfer = replace(transfer, model=seen_from_model(transfer.model))
    return replace(
        run,
        features=[seen_from_model(source.features.path) for source in data.sources],
        spectra=[seen_from_model(path) for path in run.spectra],
        augmented=[seen_from_model(path) for path in run.augmented],
        output=None,
        target=target,
        transfer=transfer,
    )


def write_history(epochs: Sequence[Epoch], path: Path) -> None:
    """Write the figures of every epoch as CSV."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["stage", "epoch", "loss", "validation_error_percent", "learning_rate", "seconds"])
        writer.writerows(
            [e.stage, e.epoch, e.loss, e.validation_error, e.learning_rate, round(e.seconds, 3)] for e in epochs
        )


def describe(
    run: RunConfig, data: TrainingData, trained: Sequence[str], digests: Digests, plan: dict[str, Any]
) -> dict[str, Any]:
    """What ``model.json`` says, but for what is only known in the end.

    Parameters
    ----------
    run, data
        The run, and what it is trained on.
    trained
        Parts that weights are fitted to.
    digests
        Of the sites' structures and spectra.
    plan
        All that the result depends on.
    """
    targets, features = data.first.targets, data.first.features
    return {
        "architecture": {"name": run.model.name, "parameters": run.model.parameters},
        "members": run.uncertainty.n_members,
        "n_features": features.n_features,
        "grid": {"origin": targets.grid.origin, "energies": targets.grid.energies.tolist()},
        "target": {
            "kind": run.target.kind,
            "treatment": targets.attribute("treatment"),
            "unit": targets.attribute("unit"),
            "source_treatment": targets.source_treatment,
            "broadening": asdict(run.broadening),
            "normalisation": asdict(run.normalisation),
        },
        "descriptor": {
            "hash": features.attribute("descriptor_hash"),
            "description": features.description,
        },
        "seen": _seen(data, trained),
        "uncertainty": {"method": run.uncertainty.method},
        "provenance": {
            **digests,
            "sites": {name: int((data.parts == i).sum()) for i, name in enumerate(PARTS)},
            "trained": list(trained),
            "split": {**asdict(run.split), "seed": run.training.seed},
            "plan": plan,
            "versions": _versions(),
        },
    }


def digests_of(pairs: Pairs) -> Digests:
    """Of the structures and spectra behind every feature store; several are listed."""
    found = {
        "digest_structures": [store.attribute("source_digest") for store, _ in pairs],
        "digest_spectra": [digest_of_spectra(source) for _, source in pairs],
    }
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _seen(data: TrainingData, trained: Sequence[str]) -> list[dict[str, Any]]:
    chosen, e0 = data.part(*trained).chosen, data.e0
    entries = []
    for number, (z, edge) in enumerate(data.seen):
        own = chosen & (data.absorbers == number)
        known = own if own.any() else data.absorbers == number
        energy = float(np.nanmedian(e0[known]))
        entries.append({"element": chemical_symbols[z], "edge": edge, "e0": energy, "sites": int(own.sum())})
    return entries


def _versions() -> dict[str, str]:
    import keras
    import tensorflow as tf

    from xanes_hpc import __version__

    return {"xanes-hpc": __version__, "tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__}
