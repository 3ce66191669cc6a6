"""Checks before training starts, and values for the settings that a configuration leaves open."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

from xanes_hpc.config.sections import RunConfig
from xanes_hpc.errors import ConfigError, StoreError
from xanes_hpc.models import architectures
from xanes_hpc.models.folder import CONTENTS
from xanes_hpc.models.layers import takes_graphs
from xanes_hpc.runtime import outputs
from xanes_hpc.training import tensorflow_setup
from xanes_hpc.training.checkpoints import checkpoint_path
from xanes_hpc.training.processes import Alone, Machines, Team
from xanes_hpc.training.transfer import frozen_layers

GRAPH_EPOCHS, GRAPHS_AT_ONCE = 140, 16
"""Largest number of epochs, and number of sites in a batch, for networks on graphs."""
LEARNING_RATE, TRANSFER_LEARNING_RATE = 2e-3, 2e-4
ENERGIES_UNKNOWN = 1
"""Number of energies of a network that is built only to check its parameters."""


@dataclass(frozen=True)
class Prepared:
    """A run ready to start.

    Attributes
    ----------
    run
        The configuration with every setting resolved.
    devices
        Names of the devices that share each batch; empty for TensorFlow's default device.
    team
        The processes that train together.
    """

    run: RunConfig
    devices: list[str]
    team: Alone


def prepare(run: RunConfig, n_features: int, machines: Machines | None = None) -> Prepared:
    """Resolve and check a configuration, and start the devices and processes that it asks for.

    Raises
    ------
    XanesHpcError
        If the architecture, one of its parameters, the devices or the batch size are not valid.
    """
    run = resolved(run, n_features)
    devices = tensorflow_setup.devices(run.training.gpus, run.training.devices)
    if run.training.sites_at_once % max(1, len(devices)):
        raise ConfigError(
            f"training.batch_size: expected a multiple of the {len(devices)} devices, received "
            f"{run.training.sites_at_once}"
        )
    if architectures.on_graphs(run.model.name, run.model.parameters):
        _check_alone(run, devices, machines)
    team = Alone() if machines is None else Team(machines)
    return Prepared(_with_shards(run, team, max(1, len(devices))), devices, team)


def _check_alone(run: RunConfig, devices: list[str], machines: Machines | None) -> None:
    """Refuse what graph networks do not support: several devices or processes, and noise on features."""
    if machines is not None or len(devices) > 1 or (run.training.shards or 1) > 1:
        raise ConfigError(
            f"model {run.model.name}: trains on one device; leave out `distributed`, `devices` and training.shards"
        )
    if run.training.feature_noise:
        raise ConfigError(
            f"training.feature_noise: model {run.model.name} takes no features; train on rattled structures instead "
            "(`augment`)"
        )


def resolved(run: RunConfig, n_features: int) -> RunConfig:
    """Return the configuration with every setting of the model, the training and the uncertainty filled in.

    Raises
    ------
    XanesHpcError
        If there is no such architecture or parameter, layers are frozen without a model to start from, or edges are to
        be aligned without a Gaussian process.
    """
    parameters, layers = architectures.build(run.model.name, run.model.parameters, n_features, ENERGIES_UNKNOWN)
    frozen_layers(layers, run.transfer.freeze)
    if run.transfer.freeze and not run.transfer.model:
        raise ConfigError("`freeze`: needs a model whose layers to freeze; give it with `init_from`")
    rate = run.training.learning_rate or (TRANSFER_LEARNING_RATE if run.transfer.model else LEARNING_RATE)
    averaged = run.training.gaussian_process is not False
    if run.target.aligned and not averaged:
        raise ConfigError(
            "target.aligned: the Gaussian process learns the shifts; set training.gaussian_process = true, or leave "
            "target.aligned out"
        )
    epochs, batch_size, members = run.training.most_epochs, run.training.sites_at_once, run.uncertainty.n_members
    if takes_graphs(layers):
        epochs, batch_size = run.training.epochs or GRAPH_EPOCHS, run.training.batch_size or GRAPHS_AT_ONCE
    if run.uncertainty.method == "dropout" and (averaged or takes_graphs(layers)):
        members = run.uncertainty.members or 1
    refits = not averaged if run.training.refit is None else run.training.refit
    return replace(
        run,
        target=replace(run.target, aligned=averaged if run.target.aligned is None else run.target.aligned),
        model=replace(run.model, parameters=parameters),
        training=replace(
            run.training,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=rate,
            gaussian_process=averaged,
            refit=refits,
        ),
        uncertainty=replace(run.uncertainty, members=members),
    )


def _with_shards(run: RunConfig, team: Alone, n_local: int) -> RunConfig:
    """Return the run with its number of shards, after checking that processes and devices can share them evenly."""
    n_shards, batch_size = run.training.shards or team.n_members, run.training.sites_at_once
    if n_shards % team.n_members:
        raise ConfigError(
            f"training.shards: expected a multiple of the {team.n_members} processes, received {n_shards}"
        )
    if batch_size % math.lcm(n_shards, team.n_members * n_local):
        what = f"{n_shards} shards" + (f" and {team.n_members * n_local} devices" if team.n_members > 1 else "")
        raise ConfigError(f"training.batch_size: expected a multiple of the {what}, received {batch_size}")
    if team.n_members > 1 and run.training.devices is not None:
        raise ConfigError("`devices`: cannot be combined with `distributed`; leave one of them out")
    return replace(run, training=replace(run.training, shards=n_shards))


def check_free(output: Path, overwrite: bool, resume: bool) -> None:
    """Raise an error if training would replace a model or discard a stopped run, unless asked to.

    Raises
    ------
    StoreError
        If so; the message names the folder or the checkpoint.
    """
    checkpoint = checkpoint_path(output)
    if checkpoint.exists() and not resume and not overwrite:
        raise StoreError(
            f"{checkpoint}: a run was stopped here; continue it with `resume`, or start again with `overwrite`"
        )
    outputs.check_output(output, overwrite or (resume and checkpoint.exists()), CONTENTS)
