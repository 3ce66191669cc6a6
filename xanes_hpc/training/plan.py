"""The plan of a training run: a record of everything that its result depends on."""

import hashlib
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from xanes_hpc.config.sections import RunConfig
from xanes_hpc.data.datasets import TrainingData
from xanes_hpc.data.target_plan import Pairs
from xanes_hpc.errors import StoreError
from xanes_hpc.models.model import Model
from xanes_hpc.stores.site_spectra import digest_of_spectra
from xanes_hpc.training.chosen import Chosen

Digests = dict[str, str | list[str]]


def resolved_run(run: RunConfig, data: TrainingData, output: Path) -> RunConfig:
    """Return the run with the target's grid and treatment filled in, and paths relative to the model folder."""
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
        features=[seen_from_model(source.features.path) for source in data.sources if not source.features.in_memory],
        spectra=[seen_from_model(path) for path in run.spectra],
        augmented=[seen_from_model(path) for path in run.augmented],
        output=None,
        target=target,
        transfer=transfer,
    )


def digests_of(pairs: Pairs) -> Digests:
    """Return digests of the structures and the spectra behind the feature stores: strings, or lists for several."""
    found = {
        "digest_structures": [store.attribute("source_digest") for store, _ in pairs],
        "digest_spectra": [digest_of_spectra(source) for _, source in pairs],
    }
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


NOT_IN_PLAN = {"training": ("gpus", "devices", "checkpoint_minutes"), "target": ("most_left_out",)}
"""Keys of sections that do not change the result."""


def plan_of(run: RunConfig, data: TrainingData, digests: Digests, chosen: Chosen | None = None) -> dict[str, Any]:
    """Return everything that the result of a resolved run depends on, as plain values."""
    values = resolved_run(run, data, Path()).as_values()
    for name in ("features", "spectra", "augmented", "output"):
        del values[name]
    for section, names in NOT_IN_PLAN.items():
        for name in names:
            del values[section][name]
    if values["training"]["shards"] in (None, 1):
        del values["training"]["shards"]
    start = Model.open(Path(run.transfer.model)).digest if run.transfer.model else None
    return {
        "run": values | {"transfer": {"model": start, "freeze": run.transfer.freeze}},
        "descriptor": data.first.features.attribute("descriptor_hash"),
        "augmented": [store.rattle for source in data.sources for store in source.augmented],
        "sites": len(data.names),
        "sites_by_part": hashlib.sha256(data.sets.tobytes()).hexdigest(),
        **digests,
        **({} if chosen is None else {"chosen": asdict(chosen)}),
    }


def check_plan(path: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Check that the plan found in a checkpoint or a model is that of the present run.

    Raises
    ------
    StoreError
        If not; the message names up to three differences.
    """
    differs = differences(found, json.loads(json.dumps(wanted)))
    if differs:
        settings = [difference for difference in differs if difference.startswith("run.")]  # may have caused the others
        raise StoreError(
            f"{path}: belongs to another run: {'; '.join((settings or differs)[:3])}; "
            "use that run's settings, or train again with `overwrite`"
        )


def differences(found: Any, wanted: Any, where: str = "") -> list[str]:
    """Return a phrase for each value in which two plans differ."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        return [
            difference
            for key in sorted({*found, *wanted})
            for difference in differences(found.get(key), wanted.get(key), f"{where}.{key}" if where else key)
        ]
    return [] if found == wanted else [f"{where} was {_short(found)}, now {_short(wanted)}"]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
