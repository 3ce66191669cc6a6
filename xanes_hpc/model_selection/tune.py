"""Search for hyperparameters: each trial trains one network on the training set and is judged by the validation set.

The calibration and test sets are not used, so the test set remains valid for the model with the best hyperparameters.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from xanes_hpc.config.sections import RunConfig
from xanes_hpc.data.datasets import statistics
from xanes_hpc.data.gather import gather
from xanes_hpc.data.left_out import LeftOut
from xanes_hpc.data.target_plan import Pairs
from xanes_hpc.errors import ConfigError, StoreError
from xanes_hpc.model_selection.record import BEST, TRIALS, Trial
from xanes_hpc.model_selection.space import Space
from xanes_hpc.model_selection.space_file import check_space
from xanes_hpc.model_selection.trials import Limits, Trials
from xanes_hpc.runtime import outputs
from xanes_hpc.runtime.interruption import Interruption
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.training import tensorflow_setup
from xanes_hpc.training.check import resolved
from xanes_hpc.training.plan import digests_of, plan_of

JOURNAL = "study.journal"
CONTENTS = (JOURNAL, f"{JOURNAL}.*", TRIALS, BEST, ".*.partial")
BATCH_SIZE = "training.batch_size"


@dataclass(frozen=True)
class Search:
    """The result of a search.

    Attributes
    ----------
    trials
        The trials by number.
    importance
        Importance of each key.
    interrupted
        Whether the user interrupted the search.
    left_out
        The sites that the trials do not use.
    """

    trials: list[Trial]
    importance: dict[str, float]
    interrupted: bool
    left_out: LeftOut


def tune(
    run: RunConfig,
    space: Space,
    pairs: Pairs,
    output: Path,
    limits: Limits | None = None,
    overwrite: bool = False,
    resume: bool = False,
    augmented: Sequence[FeatureStore] = (),
    progress: Callable[[int, int, str], None] = lambda done, total, note: None,
) -> Search:
    """Search for the hyperparameters with the lowest validation error, and write their configuration.

    Parameters
    ----------
    run
        Configuration of everything that is not searched. If its values are in the space, they are the first trial.
    space
        Space of the search.
    pairs, augmented
        Stores, as for ``train``.
    output
        Folder to write, with ``study.journal``, ``trials.csv`` and ``best.toml``.
    limits
        When the search ends.
    overwrite
        Whether to replace an earlier search.
    resume
        Whether to resume an earlier search.
    progress
        Called with the number of finished trials, the total, and a note on the running trial.

    Raises
    ------
    XanesHpcError
        If the space, data, configuration or devices are invalid, or the search to resume has other settings.
    """
    from xanes_hpc.model_selection.study import Journal, check_free, create_journal

    check_space(space, run, "the space")
    journal_path = output / JOURNAL
    if not resume and not overwrite and journal_path.exists():
        raise StoreError(f"{output}: holds a search; continue it with `resume`, or start again with `overwrite`")
    if resume or journal_path.exists():
        check_free(journal_path)
    if not resume:
        outputs.check_output(output, overwrite, CONTENTS)
    base = resolved(run, pairs[0][0].n_features)
    devices = tensorflow_setup.devices(run.training.gpus, run.training.devices)
    _check_batch_sizes(space, base, len(devices))
    with Interruption() as interruption, closing(gather(base, pairs, augmented)) as data:
        if not data.sites_in("validation").n_sites:
            raise ConfigError("split.validation: the validation set is empty; trials need one to be compared")
        plan = plan_of(base, data, digests_of(pairs)) | {"space": space.as_values()}
        statistics(data.sites_in("train"), base.training.feature_transform)  # raises if features are not finite
        if not resume:
            with outputs.whole_output(output, overwrite, CONTENTS) as folder:
                folder.mkdir()
                create_journal(folder / JOURNAL, plan, space.own(base))
        for stale in output.glob(".*.partial"):
            stale.unlink()
        seed, n_epochs = base.training.seed, base.training.most_epochs
        with closing(Journal(journal_path, plan, space, seed, n_epochs)) as journal:
            trials = Trials(run, space, data, devices, journal, output, interruption, progress)
            trials.run(limits or Limits())
            return Search(journal.trials, journal.importance(), interruption.asked, data.left_out)


def _check_batch_sizes(space: Space, run: RunConfig, n_devices: int) -> None:
    sizes = space.entries[BATCH_SIZE].probes if BATCH_SIZE in space.entries else (run.training.sites_at_once,)
    for size in sizes:
        if size % max(1, n_devices):
            raise ConfigError(f"{BATCH_SIZE} {size}: expected a multiple of the {n_devices} devices")
