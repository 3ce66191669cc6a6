"""Short training runs on the small set."""

import csv
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from xanes_hpc.config.files import load_run
from xanes_hpc.config.sections import RunConfig
from xanes_hpc.data.datasets import TrainingData
from xanes_hpc.data.gather import gather
from xanes_hpc.data.target_plan import Pairs
from xanes_hpc.models.model import Model
from xanes_hpc.stores.features import FeatureStore

FEATURES = "small.features.h5"
BRIEF = {
    "training.epochs": 3, "training.batch_size": 16, "uncertainty.members": 1, "training.gaussian_process": False,
}  # fmt: skip
"""Settings of a training run on the small set that takes a second or two, without the kernel ridge regression."""
TINY = '[model]\nname = "mlp"\nhidden = [16]\n'
"""A network that predicts badly but trains quickly."""


@contextmanager
def opened(*paths: Path) -> Iterator[Pairs]:
    """Open feature stores and yield them, each with its own spectra or those of its structure store."""
    with ExitStack() as stack:
        stores = [stack.enter_context(FeatureStore(path)) for path in paths]
        yield [(s, s if s.has_spectra else stack.enter_context(s.open_source())) for s in stores]


def copied(small: Path, folder: Path) -> Path:
    """Copy the small set's stores to a folder and return the path of the feature store."""
    folder.mkdir(exist_ok=True)
    shutil.copy(small / "small.h5", folder)
    return Path(shutil.copy(small / FEATURES, folder))


def run_of(folder: Path, toml: str = "", network: str = TINY, **flags: object) -> RunConfig:
    """Return the configuration of a brief run; ``toml`` continues its section ``[model]``."""
    config = folder / "brief.toml"
    config.write_text(network + toml)
    return load_run(config, folder, BRIEF | {key.replace("__", "."): value for key, value in flags.items()})


def train_on(
    paths: Path | Sequence[Path], output: Path, toml: str = "", augmented: Sequence[Path] = (), **flags: object
) -> Model:
    """Train a model briefly and return it; flags are keys of the configuration, with two underscores for a dot."""
    from xanes_hpc.training.train import train

    options = {name: flags.pop(name) for name in ("overwrite", "resume", "observer") if name in flags}
    run = run_of(output.parent, toml, **flags)
    with ExitStack() as stack, opened(*([paths] if isinstance(paths, Path) else paths)) as pairs:
        rattled = [stack.enter_context(FeatureStore(path)) for path in augmented]
        train(run, pairs, output, augmented=rattled, **options)
    return Model.open(output)


@contextmanager
def gathered(paths: Sequence[Path], run: RunConfig, augmented: Sequence[Path] = ()) -> Iterator[TrainingData]:
    """Gather and yield the data that a run would train on."""
    with ExitStack() as stack, opened(*paths) as pairs:
        data = gather(run, pairs, [stack.enter_context(FeatureStore(path)) for path in augmented])
        stack.callback(data.close)
        yield data


def history(model: Model, column: str, stage: str = "choose") -> list[float]:
    """Return one column of ``history.csv`` for the epochs of a stage."""
    with (model.path / "history.csv").open() as stream:
        return [float(row[column]) for row in csv.DictReader(stream) if row["stage"] == stage]
