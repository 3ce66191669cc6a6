"""What several test files share."""

import os
from pathlib import Path

import pytest
from support.shared import made_once

from xanes_hpc import descriptors
from xanes_hpc.features.featurise import featurise
from xanes_hpc.importing import demo_data
from xanes_hpc.importing.from_files import import_structures
from xanes_hpc.importing.options import ImportOptions
from xanes_hpc.stores.structures import StructureStore

QUICK = {"training.epochs": 12, "training.batch_size": 16, "training.seed": 0, "uncertainty.members": 2}
"""A training run that takes a few seconds."""
LONGEST = (
    "test_stopped_trainings.py", "test_replicas.py", "test_training_notes.py", "test_tune.py", "test_fdmnes_runs.py",
    "test_fuzz.py", "test_fit_broadening.py", "test_benchmarks.py", "test_cross_validation.py", "test_page.py",
    "test_page_comparisons.py",
)  # fmt: skip
"""The slowest test files; run first, so that processes that divide the tests finish at about the same time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the longest files first."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def published() -> Path:
    """The folder of published data sets."""
    path = Path(os.environ.get("XANES_HPC_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no published data at {path}; set XANES_HPC_DATA")
    return path


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 120 generated complexes: files, structure store, feature store. Read only."""
    return made_once(tmp_path_factory, "small", _make_small)


def _make_small(folder: Path) -> None:
    demo_data.write(folder, n=120, seed=1)
    options = ImportOptions(spectra=(folder / "spectra",), treatment='{"name":"synthetic"}')
    import_structures([folder / "structures"], folder / "small.h5", options)
    with StructureStore(folder / "small.h5") as source:
        featurise(source, descriptors.load("wacsf", "xanesnet-49"), folder / "small.features.h5")


@pytest.fixture(scope="session")
def model(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained on the small set, briefly. Read only."""
    from xanes_hpc.config.files import load_run
    from xanes_hpc.stores.features import FeatureStore
    from xanes_hpc.training.train import train

    def make(folder: Path) -> None:
        (folder / "quick.toml").write_text('[model]\nname = "mlp"\nhidden = [32, 32]\n')
        run = load_run(folder / "quick.toml", folder, QUICK)
        with FeatureStore(small / "small.features.h5") as features, features.open_source() as source:
            train(run, [(features, source)], folder / "small.model")

    return made_once(tmp_path_factory, "model", make) / "small.model"


@pytest.fixture(scope="session")
def predicted(model: Path, small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Predictions of the small set with 12 draws. Read only."""
    from xanes_hpc.models.model import Model
    from xanes_hpc.prediction.predict import PredictOptions, predict

    def make(folder: Path) -> None:
        with StructureStore(small / "small.h5") as source:
            predict(Model.open(model), source, folder / "p.h5", PredictOptions(draws=12, keep_draws=True))

    return made_once(tmp_path_factory, "predicted", make) / "p.h5"
