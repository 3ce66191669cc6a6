"""Training on several feature stores with different elements and one grid, and on rattled features."""

import json
import shutil

import h5py
import numpy as np
import pytest
from ase.data import atomic_numbers
from support.trainings import FEATURES, copied, gathered, history, run_of, train_on

from xanes_hpc import descriptors
from xanes_hpc.config.files import load_run
from xanes_hpc.data.datasets import statistics
from xanes_hpc.errors import ConfigError, ModelError, SpectrumError
from xanes_hpc.features.featurise import featurise
from xanes_hpc.importing.from_files import import_structures
from xanes_hpc.importing.options import ImportOptions
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.rattling import Rattling

FACTOR = 5.0
"""Spectra of the second store are higher by this factor, coarser, and of a narrower range."""
METALS = {"light": ("Cr", "Mn", "Fe"), "heavy": ("Co", "Ni", "Cu")}


def store_of(small, folder, name, treatment='{"name":"synthetic"}', preset="xanesnet-49"):
    """Write the feature store of some metals' complexes and return its path."""
    files, spectra = folder / name, folder / f"{name}-spectra"
    files.mkdir(exist_ok=True)
    spectra.mkdir(exist_ok=True)
    for path in (small / "structures").iterdir():
        if path.stem.split("_")[1] in METALS[name]:
            shutil.copy(path, files)
            points = np.loadtxt(small / "spectra" / f"{path.stem}.txt")
            if name == "heavy":
                points = points[25:176:2] * [1.0, FACTOR]
            np.savetxt(spectra / f"{path.stem}.txt", points)
    options = ImportOptions(spectra=(spectra,), treatment=treatment)
    import_structures([files], folder / f"{name}.h5", options)
    with StructureStore(folder / f"{name}.h5") as source:
        featurise(source, descriptors.load("wacsf", preset), folder / f"{name}.features.h5")
    return folder / f"{name}.features.h5"


def rattled(path, seed, folder=None):
    """Featurise a store's sites with displaced atoms, beside the store or in a folder, and return the path."""
    output = (folder or path.parent) / f"rattled-{seed}.features.h5"
    structures = path.with_name(path.name.removesuffix(".features.h5") + ".h5")
    with StructureStore(structures) as source:
        featurise(source, descriptors.load("wacsf", "xanesnet-49"), output, rattling=Rattling(0.1, seed))
    return output


@pytest.fixture(scope="module")
def stores(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stores")
    return [store_of(small, folder, name) for name in METALS]


def test_stores_share_one_grid_and_every_element_has_its_own_scale(stores, tmp_path):
    with gathered(stores, run_of(tmp_path)) as data:
        energies = [source.targets.grid.energies for source in data.sources]
        np.testing.assert_array_equal(*energies)
        np.testing.assert_allclose(energies[0], np.linspace(-10.0, 50.0, 151), atol=1e-6)
        symbols = ("Cr", "Mn", "Fe", "Co", "Ni", "Cu")
        assert data.seen == [(atomic_numbers[symbol], "K") for symbol in symbols]
        assert len(data.names) == len(data.sets) == len(data.e0) == 120
        assert data.sources[1].first == data.sources[0].features.n_sites
        scalers = statistics(data.sites_in("train"), "sqrt").scalers("global")
        heights = scalers.target_mean.mean(axis=1)
        np.testing.assert_allclose(heights[3:] / heights[:3].mean(), FACTOR, rtol=0.15)
        spreads = scalers.target_scale.mean(axis=1)
        assert spreads[3:].min() > 2.0 * spreads[:3].max()


def test_a_conditioned_network_learns_all_elements(stores, tmp_path):
    network = '[model]\nname = "conditioned"\nwidth = 24\nblocks = 1\n'
    options = {"training__epochs": 20, "training__learning_rate": 0.01, "training__refit": False}
    model = train_on(stores, tmp_path / "m", network=network, **options)
    losses = history(model, "loss")
    assert losses[-1] < 0.5 * losses[0]
    description = json.loads((tmp_path / "m" / "model.json").read_text())
    assert [s["element"] for s in description["seen"]] == ["Cr", "Mn", "Fe", "Co", "Ni", "Cu"]
    assert sum(s["sites"] for s in description["seen"]) == description["provenance"]["sites"]["train"]
    assert [len(description["provenance"][name]) for name in ("digest_structures", "digest_spectra")] == [2, 2]
    with gathered(stores, run_of(tmp_path)) as data:
        for source in data.sources:
            features, targets = (s.read(0, source.features.n_sites) for s in (source.features, source.targets))
            table = source.features.sites
            predicted = model.members[0].mean_network(features, model.absorbers(table.element, table.edge))
            error = 100 * np.abs(predicted - targets).sum(axis=1) / targets.sum(axis=1)
            mean = np.abs(targets - targets.mean(axis=0)).sum(axis=1) / targets.sum(axis=1)
            assert error.mean() < 100 * mean.mean()


def test_features_of_several_descriptors_are_refused(small, stores, tmp_path):
    other = store_of(small, tmp_path, "heavy", preset="xanesnet-2022")
    with pytest.raises(ModelError, match=r"heavy\.features\.h5: expected features from the same descriptor as .*light"):
        train_on([stores[0], other], tmp_path / "m")


def test_spectra_of_several_treatments_are_refused(small, stores, tmp_path):
    other = store_of(small, tmp_path, "heavy", treatment='{"name":"other"}')
    message = (
        r"heavy\.features\.h5: expected the treatment and unit of .*light\S* \(synthetic in .*\), received other in"
    )
    with pytest.raises(SpectrumError, match=message):
        train_on([stores[0], other], tmp_path / "m")


def test_ranges_that_do_not_overlap_are_refused(stores, tmp_path):
    with pytest.raises(SpectrumError, match=r"share no energy range: those of .*heavy\.h5 begin at -10 eV, .* end"):
        train_on(stores, tmp_path / "m", "[target]\nstop = -12.0\n")


def test_rattled_features_are_learned_from_too(small, tmp_path):
    path = copied(small, tmp_path)
    extra = [rattled(path, seed) for seed in (1, 2)]
    with gathered([path], run_of(tmp_path), extra) as data:
        assert data.first.n_variants == 3
        part = data.sites_in("train")
        chunk = part.chunks[0]
        plain, first, second = (part.read(chunk, variant) for variant in range(3))
        assert not np.allclose(plain[0], first[0], rtol=1e-3)
        assert not np.allclose(second[0], first[0], rtol=1e-3)
        np.testing.assert_array_equal(plain[2], second[2])
    with_them = train_on(path, tmp_path / "a", augmented=extra, training__refit=False)
    without = train_on(path, tmp_path / "b", training__refit=False)
    assert history(with_them, "loss") != pytest.approx(history(without, "loss"), rel=1e-4)
    again = load_run(tmp_path / "a" / "run.toml", tmp_path, {})
    assert again.features == [str(path)]


def test_rattled_features_of_other_sites_or_instead_of_plain_ones_are_refused(small, stores, tmp_path):
    path = copied(small, tmp_path)
    extra = rattled(path, 1)
    with pytest.raises(ConfigError, match=r"rattled-1\.features\.h5: expected the sites of one of the plain feature"):
        train_on(stores, tmp_path / "m", augmented=[extra])
    with pytest.raises(ConfigError, match=r"rattled-1\.features\.h5: features of rattled structures; give .*`augment`"):
        train_on(extra, tmp_path / "m")


def test_only_one_of_two_stores_may_have_rattled_variants(stores, tmp_path):
    extra = [rattled(stores[1], 1)]
    with gathered(stores, run_of(tmp_path), extra) as data:
        assert [source.n_variants for source in data.sources] == [1, 2]


def test_a_store_without_structures_cannot_be_split_by_formula(small, tmp_path):
    """Unless other stores have formulas: its sites are then groups of their own."""
    path = copied(small, tmp_path)
    with h5py.File(path, "a") as file, h5py.File(small / "small.h5") as source:
        source.copy("spectra", file)
        for name in ("source_path", "source_digest", "digest_attributes"):
            del file.attrs[name]
    with pytest.raises(ConfigError, match="no structures, so no formulas to group by; set"):
        train_on(path, tmp_path / "m")
    with gathered([path], run_of(tmp_path, split__group="none")) as data:
        assert data.sites_in("test").n_sites == 6
    with gathered([small / FEATURES, path], run_of(tmp_path)) as data:
        assert data.formulas[0] != data.formulas[120] == ""
    with pytest.raises(ConfigError, match="expected the sites of one of the plain feature stores"):
        train_on(path, tmp_path / "m", augmented=[rattled(small / FEATURES, 3, tmp_path)], split__group="none")


def test_sites_given_twice_are_refused(stores, tmp_path):
    """Else one set of the split could hold sites of another."""
    with pytest.raises(ConfigError, match=r"light\.features\.h5: expected stores with different sites, rec"):
        train_on([stores[0], stores[0]], tmp_path / "m")
    shutil.copy(stores[0].with_name("light.h5"), tmp_path)
    shutil.copy(stores[0], tmp_path / "copy.features.h5")
    with pytest.raises(ConfigError, match=r"copy\.features\.h5: expected no sites of .*light.* of them \(the first"):
        train_on([stores[0], tmp_path / "copy.features.h5"], tmp_path / "m")


def test_plain_features_cannot_augment(stores, tmp_path):
    with pytest.raises(ConfigError, match=r"light\.features\.h5: expected features of rattled structures for `aug"):
        train_on(stores[0], tmp_path / "m", augmented=[stores[0]])
