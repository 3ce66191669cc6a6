"""Targets: the choice of spectra, their grid, and the cache."""

import shutil

import h5py
import numpy as np
import pytest
from support.trainings import FEATURES, copied, opened

from xanes_hpc.config.sections import TargetConfig
from xanes_hpc.data.targets import prepare_targets
from xanes_hpc.errors import SpectrumError
from xanes_hpc.importing.from_files import import_structures
from xanes_hpc.importing.options import ImportOptions
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.site_spectra import choose_spectra
from xanes_hpc.stores.spectra import read_ranges, read_spectra, read_steps
from xanes_hpc.stores.structures import StructureStore


def targets_of(path, rows=slice(0, 120), **config):
    """Return energies and targets of a feature store's sites."""
    with opened(path) as pairs:
        (targets,) = prepare_targets(pairs, TargetConfig(**config))
        with targets:
            return targets.grid.energies, targets.read(rows.start, rows.stop)


def cached(folder):
    return sorted(folder.glob("*.targets-*.h5"))


def test_targets_are_spectra_on_one_grid(small, tmp_path):
    energies, targets = targets_of(copied(small, tmp_path))
    np.testing.assert_allclose(energies, np.linspace(-20, 60, 201), atol=1e-6)
    own = np.loadtxt(sorted((small / "spectra").iterdir())[3])
    np.testing.assert_allclose(targets[3], own[:, 1], atol=2e-4)


def test_the_grid_can_be_configured(small, tmp_path):
    energies, targets = targets_of(copied(small, tmp_path), start=-5.0, stop=5.0, step=0.5)
    np.testing.assert_allclose(energies, np.linspace(-5, 5, 21))
    own = np.loadtxt(sorted((small / "spectra").iterdir())[0])
    whole, _ = targets_of(tmp_path / FEATURES)
    np.testing.assert_allclose(targets[0], np.interp(energies, whole, own[:, 1]), atol=2e-4)
    assert len(cached(tmp_path)) == 2


def test_the_cache_is_reused_and_may_be_deleted_or_damaged(small, tmp_path):
    path = copied(small, tmp_path)
    _, first = targets_of(path)
    (cache,) = cached(tmp_path)
    made = cache.stat().st_mtime_ns
    assert np.array_equal(targets_of(path)[1], first)
    assert cache.stat().st_mtime_ns == made
    cache.write_bytes(cache.read_bytes()[:1000])
    assert np.array_equal(targets_of(path)[1], first)
    cache.unlink()
    assert np.array_equal(targets_of(path)[1], first)


def test_nothing_is_written_beside_a_read_only_store(small, tmp_path, monkeypatch):
    path = copied(small, tmp_path)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert np.isfinite(targets_of(path)[1]).all()
    assert not cached(tmp_path)


def test_one_of_two_treatments_must_be_chosen(small, tmp_path):
    second = tmp_path / "second"
    shutil.copytree(small / "spectra", second)
    for path in second.iterdir():
        path.rename(path.with_name(path.stem + "_conv.txt"))
    options = ImportOptions(spectra=(small / "spectra", second))
    import_structures([small / "structures"], tmp_path / "two.h5", options)
    with StructureStore(tmp_path / "two.h5") as store:
        with pytest.raises(
            SpectrumError, match=r"several treatments of xanes; choose one with `treatment`: .*fdmnes-conv"
        ):
            choose_spectra(store, store.n_sites, "xanes", None)
        rows, table = choose_spectra(store, store.n_sites, "xanes", "fdmnes-conv")
        assert (rows >= 0).all()
        assert {table.treatment[i] for i in rows} == {'{"name":"fdmnes-conv"}'}


def test_the_cache_is_not_used_for_changed_spectra_in_a_feature_store(small, tmp_path):
    path = copied(small, tmp_path)
    found = []
    for factor in (1.0, 5.0):
        with h5py.File(path, "a") as file, h5py.File(small / "small.h5") as source:
            if "spectra" in file:
                del file["spectra"]
            source.copy("spectra", file)
            file["spectra/intensities"][:] *= factor
        with FeatureStore(path) as features:
            assert features.has_spectra
        found.append(targets_of(path)[1])
    np.testing.assert_allclose(found[1], 5.0 * found[0], rtol=1e-5, atol=1e-12)
    assert len(cached(tmp_path)) == 2


@pytest.mark.parametrize("points_at_once", [7, 1 << 22])
def test_ranges_equal_those_of_the_spectra(small, monkeypatch, points_at_once):
    monkeypatch.setattr("xanes_hpc.stores.spectra.POINTS_AT_ONCE", points_at_once)
    rows = np.array([3, 0, 119, 3, 57])
    with StructureStore(small / "small.h5") as store:
        found = read_ranges(store.file, rows)
        for i, placed in enumerate(read_spectra(store.file, rows.tolist())):
            assert (found.first[i], found.last[i]) == (placed.relative[0], placed.relative[-1])
            assert (found.n_points[i], found.e0[i]) == (placed.relative.size, placed.e0)


def test_the_default_step_is_that_near_the_edge(small, tmp_path):
    """The spectra have steps of 0.4 eV, of 0.1 eV from -10 to 5 eV, and of 2.25 eV above."""
    path = copied(small, tmp_path)
    uneven = np.concatenate([np.linspace(-20, -10, 26)[:-1], np.linspace(-10, 5, 151), np.linspace(6, 60, 25)])
    with h5py.File(tmp_path / "small.h5", "r+") as file:
        file["spectra/energies"][:] = (uneven + file["spectra/e0"][:][:, None]).ravel()
    energies, _ = targets_of(path)
    assert (energies[0], energies[-1]) == (-20.0, 60.0)
    assert energies[1] - energies[0] == pytest.approx(0.1)


def test_steps_are_read_from_a_sample(small, monkeypatch):
    monkeypatch.setattr("xanes_hpc.stores.spectra.STEPS_SAMPLED", 7)
    with StructureStore(small / "small.h5") as store:
        np.testing.assert_allclose(read_steps(store.file, np.arange(120)), np.full(7, 0.4), rtol=1e-9)
        assert read_steps(store.file, np.array([5])).size == 1
