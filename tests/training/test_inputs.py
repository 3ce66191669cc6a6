"""The stores a training run reads by default, and those it refuses."""

import re
import shutil
from pathlib import Path

import pytest
from support.trainings import FEATURES, copied

from xanes_hpc import descriptors
from xanes_hpc.config.files import load_run
from xanes_hpc.errors import ConfigError, StoreError
from xanes_hpc.features.featurise import featurise
from xanes_hpc.importing.from_files import import_structures
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.rattling import Rattling
from xanes_hpc.training.inputs import default_output, find_features, open_spectra


def test_the_only_feature_store_of_a_folder_is_found(small, tmp_path):
    run = load_run(None, tmp_path, {})
    with pytest.raises(ConfigError, match=re.escape(f"expected one feature store, found none in {tmp_path}; name one")):
        find_features(run, tmp_path)
    shutil.copy(small / "small.h5", tmp_path / "a.h5")
    shutil.copy(small / FEATURES, tmp_path / "b.h5")
    assert find_features(run, tmp_path) == [Path("b.h5")]
    shutil.copy(small / FEATURES, tmp_path / "c.h5")
    with pytest.raises(ConfigError, match=r"found several \(b.h5, c.h5\)"):
        find_features(run, tmp_path)
    (tmp_path / "xanes-hpc.toml").write_text('features = ["c.h5", "b.h5"]\n')
    assert find_features(load_run(None, tmp_path, {}), tmp_path) == [Path("c.h5"), Path("b.h5")]
    assert default_output(Path("x/tmqm.features.h5")) == Path("x/tmqm.model")


def test_rattled_features_are_not_found_by_default(small, tmp_path):
    path = copied(small, tmp_path)
    with StructureStore(tmp_path / "small.h5") as source:
        rattled = tmp_path / "rattled.features.h5"
        featurise(source, descriptors.load("wacsf", "xanesnet-49"), rattled, rattling=Rattling(0.05, 1))
    assert find_features(load_run(None, tmp_path, {}), tmp_path) == [Path(path.name)]


def test_spectra_come_from_the_source_or_from_the_store_given(small, tmp_path):
    path = copied(small, tmp_path)
    other = shutil.move(tmp_path / "small.h5", tmp_path / "moved.h5")
    with FeatureStore(path) as features:
        with pytest.raises(StoreError, match="no such file; it is the structure store of"):
            open_spectra([features], [])
        ((_, source),) = open_spectra([features], [other])
        with source:
            assert source.path == Path(other)
        with pytest.raises(ConfigError, match=r"`spectra`: expected 1, .*, received 2"):
            open_spectra([features], [other, other])


def test_features_whose_structures_changed_are_refused(small, tmp_path):
    path = copied(small, tmp_path)
    (tmp_path / "small.h5").unlink()
    import_structures(sorted((small / "structures").iterdir())[:30], tmp_path / "small.h5")
    with FeatureStore(path) as features, pytest.raises(StoreError, match=r"its structures .* are not those that"):
        features.open_source()
