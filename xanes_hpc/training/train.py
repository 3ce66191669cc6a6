"""Train a model: check the settings, gather the data, run the stages, write the folder."""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from xanes_hpc.config.sections import RunConfig
from xanes_hpc.data.datasets import TrainingData, statistics
from xanes_hpc.data.gather import gather
from xanes_hpc.data.left_out import LeftOut
from xanes_hpc.data.target_plan import Pairs
from xanes_hpc.models.folder import CONTENTS
from xanes_hpc.models.model import Model
from xanes_hpc.runtime import outputs
from xanes_hpc.runtime.interruption import Interruption
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.training.check import check_free, prepare, resolved
from xanes_hpc.training.checkpoints import checkpoint_path, read_checkpoint
from xanes_hpc.training.chosen import Chosen
from xanes_hpc.training.held_out import HeldOut
from xanes_hpc.training.plan import check_plan, digests_of, plan_of
from xanes_hpc.training.processes import Machines
from xanes_hpc.training.record import write_model
from xanes_hpc.training.stages import Observer, Result, Training


def train(
    run: RunConfig,
    pairs: Pairs,
    output: Path,
    overwrite: bool = False,
    resume: bool = False,
    augmented: Sequence[FeatureStore] = (),
    observer: Observer | None = None,
    machines: Machines | None = None,
    chosen: Chosen | None = None,
    folds: Sequence[HeldOut] = (),
) -> Result:
    """Train a model and write its folder.

    Parameters
    ----------
    run
        The configuration.
    pairs
        Feature stores, each with the store of its sites' spectra, row for row.
    output
        The model folder.
    overwrite
        Whether to replace an existing model and to discard the checkpoint of a stopped run.
    resume
        Whether to continue from that checkpoint. This replaces the model that the stopped run left.
    augmented
        Feature stores of the same sites with rattled structures.
    observer
        Called during training.
    machines
        Processes that train together. Each calls this function with the same arguments; the first writes the model.
    chosen
        What the folds of a cross-validation have chosen; then all sites are in the training set.
    folds
        The sites held out from each of these folds, which calibrate the uncertainty.

    Raises
    ------
    XanesHpcError
        If the data, the configuration or the devices are not fit for training, or training diverges.
    KeyboardInterrupt
        If the run was interrupted before its first epoch ended, or a second time; or at all, with ``chosen``.
    """
    check_free(output, overwrite, resume)
    prepared = prepare(run, pairs[0][0].n_features, machines)
    checkpoint, team = checkpoint_path(output), prepared.team
    if not team.is_chief:
        team.wait()  # until the chief has prepared the targets
    with ExitStack() as opened:
        if team.is_chief:
            opened.enter_context(outputs.locked_output(output))
        data = opened.enter_context(closing(_gathered(prepared.run, pairs, augmented, chosen)))
        interruption = opened.enter_context(Interruption())
        digests = digests_of(pairs)
        plan = plan_of(prepared.run, data, digests, chosen)
        if team.is_chief:
            if not resume:
                checkpoint.unlink(missing_ok=True)
            team.wait()
        training = Training(prepared, data, plan, checkpoint, interruption, observer or Observer())
        if resume:
            training.resume(read_checkpoint(checkpoint, plan))
        if not team.is_chief:
            return training.run(chosen).result(data)
        with outputs.whole_output(output, overwrite or resume, CONTENTS) as folder:
            trained = training.run(chosen)
            result = write_model(folder, output, trained, prepared.run, data, digests, plan, folds)
            for store in (*(one for pair in pairs for one in pair), *augmented):
                store.check_unchanged()
        if not result.interrupted:
            checkpoint.unlink(missing_ok=True)
        return result


def check(run: RunConfig, pairs: Pairs, augmented: Sequence[FeatureStore] = ()) -> LeftOut:
    """Raise any error that ``train`` would raise before its first step; return the sites it would leave out.

    Raises
    ------
    XanesHpcError
        If the data, the configuration or the devices are not fit for training.
    """
    prepared = prepare(run, pairs[0][0].n_features)
    with closing(gather(prepared.run, pairs, augmented)) as data:
        statistics(data.sites_in("train"), prepared.run.training.feature_transform)
        return data.left_out


def check_trained(
    model: Model, run: RunConfig, pairs: Pairs, augmented: Sequence[FeatureStore] = (), chosen: Chosen | None = None
) -> None:
    """Check that a model was trained with the settings of a run, on the same data, and with the same choices of folds.

    Raises
    ------
    StoreError
        If not; the message names the differences.
    """
    run = resolved(run, pairs[0][0].n_features)
    with closing(_gathered(run, pairs, augmented, chosen)) as data:
        plan = plan_of(run, data, digests_of(pairs), chosen)
        check_plan(model.path, model.description["provenance"].get("plan", {}), plan)


def _gathered(run: RunConfig, pairs: Pairs, augmented: Sequence[FeatureStore], chosen: Chosen | None) -> TrainingData:
    data = gather(run, pairs, augmented)
    return data if chosen is None else data.all_in_training
