"""Searching for a recipe: trials of one network each, learnt from the training part and judged by the validation part.

Calibration and test parts take no part in it, so that the test part may measure the model of the recipe that is found.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from xanes_hpc.config.sections import RunConfig
from xanes_hpc.data.datasets import statistics
from xanes_hpc.data.gather import gather
from xanes_hpc.data.targets import Pairs
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
    """What came of a search: its trials by number, how much each key matters, and whether Ctrl-C has ended it."""

    trials: list[Trial]
    importance: dict[str, float]
    interrupted: bool


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
    """Search for the recipe with the least validation error, and write its configuration.

    Parameters
    ----------
    run
        The configuration of what is not searched. It is the first trial itself, where the space holds it.
    space
        What is searched.
    pairs, augmented
        As for ``train``.
    output
        A folder: ``study.journal``, ``trials.csv`` and ``best.toml``.
    limits
        When it ends.
    overwrite
        Whether a search that stands there is replaced.
    resume
        Whether it is gone on with.
    progress
        Called with trials that are done, trials in all, and how the running one goes.

    Raises
    ------
    XanesHpcError
        If the space, the data, the configuration or the devices do not allow it, or the search is another one.
    """
    from xanes_hpc.model_selection.study import Journal, check_free, create_journal

    check_space(space, run, "the space")
    journal_path = output / JOURNAL
    if not resume and not overwrite and journal_path.exists():
        raise StoreError(f"{output}: holds a search: add --resume to go on with it, or --overwrite to search anew")
    if resume or journal_path.exists():
        check_free(journal_path)
    if not resume:
        outputs.check_output(output, overwrite, CONTENTS)
    base = resolved(run, pairs[0][0].n_features)
    devices = tensorflow_setup.devices(run.training.gpus, run.training.devices)
    _check_batch_sizes(space, base, len(devices))
    with Interruption() as interruption, closing(gather(base, pairs, augmented)) as data:
        if not data.part("validation").n_sites:
            raise ConfigError("split.validation: expected validation sites to judge trials by, received none")
        plan = plan_of(base, data, digests_of(pairs)) | {"space": space.as_values()}
        statistics(data.part("train"), base.training.feature_transform)  # features that are no numbers end it here
        if not resume:
            with outputs.whole_output(output, overwrite, CONTENTS) as folder:
                folder.mkdir()
                create_journal(folder / JOURNAL, plan, space.own(base))
        for stale in output.glob(".*.partial"):
            stale.unlink()
        seed, n_epochs = base.training.seed, base.training.epochs
        with closing(Journal(journal_path, plan, space, seed, n_epochs)) as journal:
            trials = Trials(run, space, data, devices, journal, output, interruption, progress)
            trials.go_on(limits or Limits())
            return Search(journal.trials, journal.importance(), interruption.asked)


def _check_batch_sizes(space: Space, run: RunConfig, n_devices: int) -> None:
    sizes = space.entries[BATCH_SIZE].probes if BATCH_SIZE in space.entries else (run.training.batch_size,)
    for size in sizes:
        if size % max(1, n_devices):
            raise ConfigError(f"{BATCH_SIZE} {size}: expected a multiple of the {n_devices} devices")
