"""Write the model folder: weights, description, calibration, history and training sites."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from xanes_hpc.config.files import to_toml
from xanes_hpc.config.sections import RunConfig
from xanes_hpc.data.datasets import TrainingData, iterate
from xanes_hpc.models.architectures import on_graphs
from xanes_hpc.models.distances import FEATURES, KERNEL
from xanes_hpc.models.folder import REGRESSION, SCALING, SITES, WEIGHTS, digests_of_files, write_description
from xanes_hpc.models.gaussian_process import GaussianProcess
from xanes_hpc.models.model import Model
from xanes_hpc.models.numbers import write_regression, write_scalers
from xanes_hpc.models.scaling import Array, Scalers
from xanes_hpc.models.sigma_factors import FEWEST_FOR_FACTORS
from xanes_hpc.models.training_sites import REFERENCE_SITES, SETS, USED_SETS, TrainingSites
from xanes_hpc.training.epochs import Epoch
from xanes_hpc.training.gaussian_process_choice import kernel_left_out
from xanes_hpc.training.held_out import HeldOut, calibrated, held_out
from xanes_hpc.training.leave_group_out import leave_group_out
from xanes_hpc.training.plan import Digests, resolved_run
from xanes_hpc.training.stages import Result, Trained

MOST_LEARNED_AGAIN = 1000
"""Sites up to which the kernel is learned again without a part of them at a time; with more, it suits all alike."""


def reference_sites(
    data: TrainingData, scalers: Scalers, trained: Sequence[str], seed: int, earlier: list[tuple[str, str]],
    landmarks: Sequence[Array] = (),
) -> TrainingSites:  # fmt: skip
    """Return the model's record of its sites, with features of at most ``REFERENCE_SITES`` that it was trained on.

    The features of an earlier model's ``landmarks`` stand before them.
    """
    sampled = data.sites_in(*trained).sample(REFERENCE_SITES, seed)
    vectors = np.concatenate([*landmarks, *(scalers.features(x) for x, _, _ in iterate(sampled))])
    return TrainingSites(data.names, data.formulas, data.sets, vectors, tuple(trained), earlier)


def write_history(epochs: Sequence[Epoch], path: Path) -> None:
    """Write the figures of every epoch as CSV."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["stage", "epoch", "loss", "validation_error_percent", "learning_rate", "seconds"])
        writer.writerows(
            [e.stage, e.epoch, e.loss, e.validation_error, e.learning_rate, round(e.seconds, 3)] for e in epochs
        )


def describe(
    run: RunConfig, data: TrainingData, trained: Trained, digests: Digests, plan: dict[str, Any]
) -> dict[str, Any]:
    """Return the content of ``model.json``, except for the results of calibration.

    Parameters
    ----------
    run, data
        The run and its data.
    trained
        The trained networks.
    digests
        Digests of the sites' structures and spectra.
    plan
        Everything that the result depends on.
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
            "below": run.target.below,
            "above": run.target.above,
        },
        "descriptor": {
            "hash": features.attribute("descriptor_hash"),
            "description": features.description,
        },
        **_graph(run, data),
        "seen": _seen(data, trained.last.sets),
        "uncertainty": {"method": run.uncertainty.method},
        "provenance": {
            **digests,
            "sites": {name: int((data.sets == i).sum()) for i, name in enumerate(SETS)},
            "left_out": data.left_out.as_values(),
            "trained": list(trained.last.sets),
            "chosen": asdict(trained.chosen),
            "split": {**asdict(run.split), "seed": run.training.seed},
            "plan": plan,
            "versions": _versions(),
        },
        "calibration": {},
        "regression": trained.process is not None,
        "distance": FEATURES if trained.process is None else KERNEL,
        "interrupted": trained.interrupted,
    }


def _graph(run: RunConfig, data: TrainingData) -> dict[str, Any]:
    """Return the settings of graphs and their hash, for networks that run on graphs."""
    settings = data.first.features.graph
    if settings is None or not on_graphs(run.model.name, run.model.parameters):
        return {}
    return {"graph": {"hash": settings.hash, "settings": settings.describe()}}


def _seen(data: TrainingData, trained: Sequence[str]) -> list[dict[str, Any]]:
    """Return element, edge, median e0 (eV) and number of trained sites of each absorber."""
    chosen, e0 = data.sites_in(*trained).chosen, data.e0
    entries = []
    for number, (z, edge) in enumerate(data.seen):
        own = chosen & (data.absorbers == number)
        known = own if own.any() else data.absorbers == number
        energy = float(np.nanmedian(e0[known]))
        entries.append({"element": chemical_symbols[z], "edge": edge, "e0": energy, "sites": int(own.sum())})
    return entries


def _versions() -> dict[str, str]:
    from xanes_hpc import __version__
    from xanes_hpc.models.backend import keras, tf

    return {"xanes-hpc": __version__, "tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__}


def _write_sites(
    folder: Path, data: TrainingData, trained: Trained, sets: Sequence[str], seed: int
) -> GaussianProcess | None:
    """Write the sites of the model, in place of earlier ones, and the Gaussian process fitted to some of their sets.

    Returns
    -------
    The process, if there is one.
    """
    for name in (SITES, REGRESSION):
        (folder / name).unlink(missing_ok=True)
    scalers, process, earlier = trained.last.scalers, trained.process, trained.last.earlier
    landmarks = [earlier.landmarks] if process is not None and process.updates and earlier is not None else []
    known = trained.start.sites if trained.start else []
    reference_sites(data, scalers, sets, seed, known, landmarks).write(folder / SITES)
    if process is None:
        return None
    fitted = process.fit(data, sets, scalers, seed, earlier)
    write_regression(folder / REGRESSION, fitted)
    return fitted


def write_model(
    folder: Path, output: Path, trained: Trained, run: RunConfig, data: TrainingData, digests: Digests,
    plan: dict[str, Any], folds: Sequence[HeldOut] = (),
) -> Result:  # fmt: skip
    """Write the model folder, calibrate its model, and return the figures to report.

    Once sigma is calibrated, the Gaussian process is fitted again, to the calibration set too.

    Parameters
    ----------
    folder, output
        The folder to write to, and its final path.
    trained
        The trained networks.
    run, data, digests, plan
        The run that trained them, its data, and the records to keep of both.
    folds
        The sites held out from each fold of a cross-validation, to calibrate with in place of the calibration set.
    """
    last = trained.last
    n_members = last.trainer.n_members
    method = run.uncertainty.method if n_members > 1 else "dropout"
    run = replace(
        run,
        uncertainty=replace(run.uncertainty, method=method, members=n_members),
        training=replace(run.training, positive=last.scalers.softness is not None),
    )
    for member in range(n_members):
        own = folder / "members" / f"{member:02d}"
        own.mkdir(parents=True)
        last.trainer.save(member, own / WEIGHTS)
        write_scalers(own / SCALING, last.scalers)
    process = _write_sites(folder, data, trained, last.sets, run.training.seed)
    write_history(trained.epochs, folder / "history.csv")
    (folder / "run.toml").write_text(to_toml(resolved_run(run, data, output)), encoding="utf-8")
    description = describe(run, data, trained, digests, plan)
    write_description(folder, description)
    model = Model.open(folder)
    known = HeldOut.joined(folds) if folds else held_out(model, data, "calibration", run.training.seed)
    fitted = tuple(name for name in USED_SETS if data.sites_in(name).n_sites) if trained.process else last.sets
    if fitted != last.sets:
        process = _write_sites(folder, data, trained, fitted, run.training.seed)
    every = None
    if trained.process is not None and process is not None and not folds:
        few_known = known is None or known.n_sites < FEWEST_FOR_FACTORS
        if few_known and data.sites_in(*fitted).n_sites <= MOST_LEARNED_AGAIN and not trained.process.updates:
            process = kernel_left_out(process, data, fitted, last.scalers, run.training.seed)
        every = leave_group_out(process, data, fitted, run.training.seed)
    description |= calibrated(known, model, data, every)
    if folds and known is not None:
        description["provenance"]["held_out"] = {"folds": len(folds), "sites": known.n_sites}
    write_description(folder, description | {"files": digests_of_files(folder)})
    return trained.result(data, fitted)
