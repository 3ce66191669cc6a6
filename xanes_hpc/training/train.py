"""Training networks on feature stores and the spectra of their sites: what is checked before, and kept between runs."""

import hashlib
import math
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from xanes_hpc.config.sections import RunConfig
from xanes_hpc.data.datasets import TrainingData, statistics
from xanes_hpc.data.gather import gather
from xanes_hpc.data.targets import Pairs
from xanes_hpc.errors import ConfigError, StoreError
from xanes_hpc.models import architectures
from xanes_hpc.models.folder import CONTENTS
from xanes_hpc.models.model import Model
from xanes_hpc.runtime import outputs
from xanes_hpc.runtime.interruption import Interruption
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.training import tensorflow_setup
from xanes_hpc.training.checkpoints import check_plan, checkpoint_path, read_checkpoint
from xanes_hpc.training.processes import Alone, Machines, Team
from xanes_hpc.training.record import Digests, digests_of, resolved_run
from xanes_hpc.training.stages import Looker, Result, Training
from xanes_hpc.training.transfer import frozen_layers

LEARNING_RATE, TRANSFER_LEARNING_RATE = 2e-3, 2e-4
NOT_IN_PLAN = ("gpus", "devices", "checkpoint_minutes")
"""What does not change the result."""


def train(
    run: RunConfig,
    pairs: Pairs,
    output: Path,
    overwrite: bool = False,
    resume: bool = False,
    augmented: Sequence[FeatureStore] = (),
    looker: Looker | None = None,
    machines: Machines | None = None,
) -> Result:
    """Train a model and write its folder.

    Parameters
    ----------
    run
        The configuration.
    pairs
        Feature stores, each with the store of its sites' spectra, row of site for row of site.
    output
        The model folder.
    overwrite
        Whether a model that exists is replaced, and a checkpoint of a run that was stopped thrown away.
    resume
        Whether to go on from that checkpoint; what the run has kept when it was stopped is replaced.
    augmented
        Feature stores of the same sites with rattled structures.
    looker
        Who is told how it goes.
    machines
        Processes that train together, each called with the same arguments; the first writes the model.

    Raises
    ------
    XanesHpcError
        If the data, the configuration or the devices do not allow it.
    KeyboardInterrupt
        If the run was asked to end before there was anything to keep, or at once.
    """
    check_free(output, overwrite, resume)
    checkpoint = checkpoint_path(output)
    run = resolved(run, pairs[0][0].n_features)
    devices = _devices(run)
    team = Alone() if machines is None else Team(machines)
    run = _shared_out(run, team, max(1, len(devices)))
    if not team.is_chief:
        team.wait()  # until the first has made the targets
    with ExitStack() as opened:
        if team.is_chief:
            opened.enter_context(outputs.only_run(output))
        data = opened.enter_context(closing(gather(run, pairs, augmented)))
        interruption = opened.enter_context(Interruption())
        digests = digests_of(pairs)
        plan = plan_of(run, data, digests)
        if not resume and team.is_chief:
            checkpoint.unlink(missing_ok=True)
        if team.is_chief:
            team.wait()
        training = Training(run, data, devices, plan, checkpoint, interruption, looker or Looker(), team)
        if resume:
            training.take_up(read_checkpoint(checkpoint, training.plan))
        if not team.is_chief:
            return training.run_all(output, output, digests)
        with outputs.whole_output(output, overwrite or resume, CONTENTS) as folder:
            result = training.run_all(folder, output, digests)
            for store in (*(one for pair in pairs for one in pair), *augmented):
                store.check_unchanged()
        if not result.interrupted:
            checkpoint.unlink(missing_ok=True)
        return result


def _shared_out(run: RunConfig, team: Alone, n_local: int) -> RunConfig:
    """The run with its number of shards, which the machines must be able to share out."""
    n_shards = run.training.shards or team.n_members
    if n_shards % team.n_members:
        raise ConfigError(f"training.shards: expected a multiple of the {team.n_members} machines, received {n_shards}")
    if run.training.batch_size % math.lcm(n_shards, team.n_members * n_local):
        what = f"{n_shards} shards" + (f" and {team.n_members * n_local} devices" if team.n_members > 1 else "")
        raise ConfigError(f"batch_size {run.training.batch_size}: expected a multiple of the {what}")
    if team.n_members > 1 and run.training.devices is not None:
        raise ConfigError("--devices: expected without --distributed")
    return replace(run, training=replace(run.training, shards=n_shards))


def check_free(output: Path, overwrite: bool, resume: bool) -> None:
    """Refuse a model folder that may not be written, and a run that was stopped unless it is told what becomes of it.

    Raises
    ------
    StoreError
        Saying which, and what to do.
    """
    checkpoint = checkpoint_path(output)
    if checkpoint.exists() and not resume and not overwrite:
        raise StoreError(
            f"{checkpoint}: a run was stopped: add --resume to go on with it, or --overwrite to train anew"
        )
    outputs.check_output(output, overwrite or (resume and checkpoint.exists()), CONTENTS)


def check(run: RunConfig, pairs: Pairs, augmented: Sequence[FeatureStore] = ()) -> None:
    """Find what ``train`` would refuse before its first step.

    Raises
    ------
    XanesHpcError
        As ``train`` does.
    """
    run = resolved(run, pairs[0][0].n_features)
    _devices(run)
    with closing(gather(run, pairs, augmented)) as data:
        statistics(data.part("train"), run.training.feature_transform)


def _devices(run: RunConfig) -> list[str]:
    devices = tensorflow_setup.devices(run.training.gpus, run.training.devices)
    if run.training.batch_size % max(1, len(devices)):
        raise ConfigError(f"batch_size {run.training.batch_size}: expected a multiple of the {len(devices)} devices")
    return devices


def resolved(run: RunConfig, n_features: int) -> RunConfig:
    """The run with the architecture's parameters in full, a learning rate and a number of members.

    Raises
    ------
    XanesHpcError
        If there is no such network, or nothing to start from where layers are frozen.
    """
    n_energies_unknown = 1
    parameters, layers = architectures.build(run.model.name, run.model.parameters, n_features, n_energies_unknown)
    rate = run.training.learning_rate or (TRANSFER_LEARNING_RATE if run.transfer.model else LEARNING_RATE)
    averaged = run.training.kernel_ridge if run.training.kernel_ridge is not None else not run.transfer.model
    frozen_layers(layers, run.transfer.freeze)
    if run.transfer.freeze and not run.transfer.model:
        raise ConfigError("--freeze: expected a model to start from: --init-from MODEL")
    return replace(
        run,
        model=replace(run.model, parameters=parameters),
        training=replace(run.training, learning_rate=rate, kernel_ridge=averaged),
        uncertainty=replace(run.uncertainty, members=run.uncertainty.n_members),
    )


def check_trained(model: Model, run: RunConfig, pairs: Pairs, augmented: Sequence[FeatureStore] = ()) -> None:
    """Hold a model to the run that it should be of.

    Raises
    ------
    StoreError
        Naming what differs.
    """
    run = resolved(run, pairs[0][0].n_features)
    with closing(gather(run, pairs, augmented)) as data:
        check_plan(model.path, model.description["provenance"].get("plan", {}), plan_of(run, data, digests_of(pairs)))


def plan_of(run: RunConfig, data: TrainingData, digests: Digests) -> dict[str, Any]:
    """All that the result of a resolved run depends on."""
    values = resolved_run(run, data, Path()).as_values()
    for name in ("features", "spectra", "augmented", "output"):
        del values[name]
    for name in NOT_IN_PLAN:
        del values["training"][name]
    if values["training"]["shards"] in (None, 1):
        del values["training"]["shards"]
    start = Model.open(Path(run.transfer.model)).digest if run.transfer.model else None
    return {
        "run": values | {"transfer": {"model": start, "freeze": run.transfer.freeze}},
        "descriptor": data.first.features.attribute("descriptor_hash"),
        "augmented": [store.rattle for source in data.sources for store in source.augmented],
        "sites": len(data.names),
        "sites_by_part": hashlib.sha256(data.parts.tobytes()).hexdigest(),
        **digests,
    }
