"""The functions behind ``import xanes_hpc`` give the same numbers as the commands, from and to memory or files."""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.io import read
from support.builders import run
from support.trainings import FEATURES

import xanes_hpc as xh
from xanes_hpc.errors import ConfigError, FormatError, ModelError, SpectrumError, StoreError
from xanes_hpc.models.numpy_network import DRAWS

SETTINGS = {"epochs": 2, "members": 1, "seed": 3, "gaussian_process": False, "model": {"name": "mlp", "hidden": [16]}}
TOML = """
[model]
name = "mlp"
hidden = [16]
[training]
epochs = 2
seed = 3
gaussian_process = false
[uncertainty]
members = 1
"""


@pytest.fixture(scope="module")
def files(small, tmp_path_factory):
    """Return a folder in which the commands wrote a model and predictions of its test set."""
    folder = tmp_path_factory.mktemp("commands")
    (folder / "run.toml").write_text(TOML)
    source = small / FEATURES
    assert run("train", source, "--config", folder / "run.toml", "-o", folder / "c.model") == 0
    assert run("predict", source, "--model", folder / "c.model", "--split", "test", "-o", folder / "p.h5") == 0
    return folder


@pytest.fixture(scope="module")
def structures(small):
    return xh.import_structures(small / "structures", spectra=small / "spectra", treatment="synthetic")


@pytest.fixture(scope="module")
def trained(structures):
    return xh.train(xh.featurise(structures, preset="xanesnet-49"), **SETTINGS)


def datasets(file):
    found = {}
    file.visititems(lambda name, node: found.update({name: node[()]}) if isinstance(node, h5py.Dataset) else None)
    return found


def assert_same(ours, path, but=()):
    with h5py.File(path) as file:
        expected, found = datasets(file), datasets(ours)
    assert set(found) == set(expected)
    for name in set(expected) - set(but):
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_structures_and_features_in_memory_equal_those_in_files_bit_for_bit(small, structures):
    assert_same(structures.file, small / "small.h5")
    assert structures.attribute("digest_structures") == xh.import_structures(
        small / "structures", spectra=small / "spectra", treatment="synthetic"
    ).attribute("digest_structures")
    assert_same(xh.featurise(structures, preset="xanesnet-49").file, small / FEATURES)


def test_a_model_trained_in_memory_equals_that_of_the_command(files, trained):
    command = xh.load_model(files / "c.model")
    for a, b in zip(trained.model.members, command.model.members, strict=True):
        for name, arrays in a.weights.items():
            for ours, theirs in zip(arrays, b.weights[name], strict=True):
                np.testing.assert_array_equal(ours, theirs)
    assert trained.model.description["calibration"] == command.model.description["calibration"]


def test_predictions_equal_those_of_the_command(files, structures):
    spectra = xh.load_model(files / "c.model").predict(structures, split="test")
    assert_same(spectra.store.file, files / "p.h5")
    assert xh.evaluate(spectra) == xh.evaluate(files / "p.h5")


def test_a_structure_by_path_and_as_atoms_gives_the_same_spectrum(small, files):
    model = xh.load_model(files / "c.model")
    path = sorted((small / "structures").iterdir())[0]
    by_path, by_atoms = model.predict(path), model.predict(read(path))
    np.testing.assert_array_equal(by_path.mean, by_atoms.mean)
    np.testing.assert_array_equal(by_path.std, by_atoms.std)
    assert model.predict([path]).sites == by_path.sites == [path.stem]
    assert model.predict(path.parent.glob(path.name)).sites == [path.stem]
    assert xh.import_structures(path.parent.glob(path.name)).sites.name == [path.stem]
    np.testing.assert_array_equal(xh.predict(path, files / "c.model", draws=DRAWS).std, by_path.std)


def test_outputs_are_written_only_where_asked_for(small, files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = xh.import_structures(small / "structures", spectra=small / "spectra", output="s.h5")
    features = xh.featurise(store, preset="xanesnet-49", output="f.h5")
    model = xh.train(features, **SETTINGS, output="m.model")
    model.predict("f.h5", output="p.h5")
    assert {p.name for p in Path().iterdir() if "targets" not in p.name} == {"s.h5", "f.h5", "m.model", "p.h5"}
    with pytest.raises(StoreError, match=r"f\.h5: already exists.*`overwrite`"):
        xh.featurise(store, preset="xanesnet-49", output="f.h5")
    xh.featurise(store, preset="xanesnet-49", output="f.h5", overwrite=True)


def test_a_model_in_memory_leaves_nothing_behind(structures, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    model = xh.train(xh.featurise(structures, preset="xanesnet-49"), **SETTINGS)
    kept = model.save("kept.model")
    assert len(list(tmp_path.iterdir())) == 2
    del model
    assert [p.name for p in tmp_path.iterdir()] == ["kept.model"]
    assert kept.predict(structures, split="test").mean.shape[1] == 201
    with pytest.raises(ConfigError):
        xh.train(xh.featurise(structures, preset="xanesnet-49"), **SETTINGS | {"loss": "none"})
    with pytest.raises(StoreError):
        xh.train(structures, **SETTINGS)
    assert [p.name for p in tmp_path.iterdir()] == ["kept.model"]


def test_a_copy_of_the_process_keeps_its_temporary_model(structures, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    model = xh.train(xh.featurise(structures, preset="xanesnet-49"), **SETTINGS)
    path, own = model.path, os.getpid()
    monkeypatch.setattr("os.getpid", lambda: own + 1)
    del model
    assert path.is_dir()


def test_spectra_can_be_selected_sampled_tabulated_plotted_and_exported(structures, files, tmp_path):
    spectra = xh.load_model(files / "c.model").predict(structures, draws=40)
    some = spectra[[3, 1]]
    assert len(spectra) == 120
    assert len(some) == 2
    assert some.sites == [spectra.sites[3], spectra.sites[1]]
    np.testing.assert_array_equal(some.mean, spectra.mean[[3, 1]])
    np.testing.assert_allclose(some.draws.std(axis=1, ddof=1), some.std, rtol=1e-6)
    low, high = some.quantiles((0.1, 0.9))
    assert (low <= high).all()
    assert spectra[spectra.sites[5]].sites == [spectra.sites[5]]
    assert len(spectra[spectra.out_of_domain]) == sum(map(bool, spectra.reasons))
    table = some.to_dataframe()
    assert len(table) == 2 * spectra.energies.size
    np.testing.assert_array_equal(table["mean"], some.mean.ravel())
    assert [path.name for path in some.to_xdi(tmp_path / "xdi")] == [f"{name}.xdi" for name in some.sites]
    some.plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    page = some._repr_html_()
    assert all(name in page for name in some.sites)
    assert "data:image/png" in page
    assert xh.evaluate(some)["n_sites"] == 2
    assert spectra[[spectra.sites[3], spectra.sites[1]]].sites == some.sites
    np.testing.assert_array_equal(some.quantiles(0.1), low)
    assert len(some.plot(sites=some.sites[0]).axes) == 1


def test_only_the_selected_sites_are_broadened(structures, files):
    spectra = xh.load_model(files / "c.model").predict(structures, draws=40)
    some = xh.broaden(spectra[[3, 1]], "gaussian", gaussian=2.0)
    assert some.sites == [spectra.sites[3], spectra.sites[1]]
    np.testing.assert_array_equal(some.mean, xh.broaden(spectra, "gaussian", gaussian=2.0).mean[[3, 1]])


def test_an_empty_selection_is_shown_and_sampled(structures, files):
    none = xh.load_model(files / "c.model").predict(structures, draws=40)[[]]
    assert "0 sites" in none._repr_html_()
    assert none.draws.shape == (0, 40, 201)
    assert none.quantiles().shape == (3, 0, 201)
    with pytest.raises(ConfigError, match="`sites`"):
        none.plot()


def test_a_saved_model_replaces_another_but_never_itself(files, tmp_path):
    model = xh.load_model(files / "c.model")
    saved = model.save(tmp_path / "a.model")
    before = {path.name for path in saved.path.iterdir()}
    assert before == {path.name for path in model.path.iterdir()}
    with pytest.raises(StoreError, match="`overwrite`"):
        model.save(saved.path)
    assert repr(model.save(saved.path, overwrite=True)) == repr(saved)
    with pytest.raises(StoreError, match="inputs"):
        saved.save(saved.path, overwrite=True)
    assert {path.name for path in saved.path.iterdir()} == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("mine")
    with pytest.raises(StoreError, match="other"):
        model.save(tmp_path / "other", overwrite=True)
    assert (tmp_path / "other" / "letter.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["sites.h5", "members/00/scalers.h5"])
def test_no_output_replaces_a_part_of_a_model(files, small, structures, tmp_path, name):
    model = xh.load_model(files / "c.model").save(tmp_path / "a.model")
    part = model.path / name
    before = part.read_bytes()
    for write in (
        lambda: model.predict(structures, output=part, overwrite=True),
        lambda: xh.import_structures(Atoms("Fe"), output=part, overwrite=True),
        lambda: xh.featurise(small / "small.h5", output=part, overwrite=True),
        lambda: xh.broaden(structures, "gaussian", gaussian=2.0, output=part, overwrite=True),
    ):
        with pytest.raises(StoreError, match="part of the model"):
            write()
    assert part.read_bytes() == before


def test_structures_in_memory_get_names_of_their_own():
    atoms = [Atoms("O", info={"name": name}) for name in ("x-1", "x", "x")]
    assert xh.import_structures(atoms, sites="O").sites.name == ["x-1", "x-2", "x-3"]


def test_settings_may_be_numbers_of_numpy(structures):
    features = xh.featurise(structures, preset="xanesnet-49")
    model = xh.train(features, **SETTINGS | {"epochs": np.int64(1), "gaussian_process": np.bool_(False)})
    assert model.model.description["members"] == 1


def test_an_architecture_is_named_as_on_the_command_line(structures):
    features = xh.featurise(structures, preset="xanesnet-49")
    model = xh.train(features, **SETTINGS | {"epochs": 1, "model": "mlp"})
    assert model.model.description["architecture"]["name"] == "mlp"


def test_one_property_is_not_split_into_letters():
    one = xh.load_descriptor("xanesnet-49", properties="charge=0")
    assert one.describe() == xh.load_descriptor("xanesnet-49", properties=["charge=0"]).describe()


def test_names_are_escaped_in_notebooks(files):
    odd = Atoms("FeO", [(0, 0, 0), (0, 0, 1.8)], info={"name": "<b>&"})
    page = xh.load_model(files / "c.model").predict(odd, force=True)._repr_html_()
    assert "&lt;b&gt;&amp;" in page
    assert "<b>" not in page


def test_a_measured_spectrum_finds_its_site_and_its_broadening(structures, tmp_path):
    with_spectra = xh.broaden(structures, "gaussian", gaussian=2.0)
    assert with_spectra.n_spectra == 120
    from xanes_hpc.experiment.calculated import calculated_of

    name = structures.sites.name[7]
    raw, broad = calculated_of(structures, name).placed, calculated_of(with_spectra, name).placed
    measured = broad.spectrum.energies + 1.25, 3.0 * broad.spectrum.intensities
    element = ["Cr", "Mn", "Fe", "Co", "Ni", "Cu"][int(structures.sites.element[7]) - 24]
    assert xh.match(measured, with_spectra, absorber=element, max_shift=2.0).ranked[0].site == name
    fit = xh.fit_broadening(structures, measured, site=name, recipe="gaussian")
    assert repr(xh.fit_broadening(structures, measured, site=name, recipe="gaussian", vary="gaussian")) == repr(fit)
    assert "gaussian 2" in repr(fit)
    assert name in repr(xh.match(measured, with_spectra, absorber=element, max_shift=2.0))
    assert raw.e0 == broad.e0
    assert fit.parameters["shift"].value == pytest.approx(1.25, abs=0.05)
    assert fit.parameters["gaussian"].value == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: xh.import_structures("nowhere.xyz"), FormatError, "nowhere.xyz"),
        (lambda: xh.import_structures(3.0), FormatError, "float"),
        (lambda: xh.import_structures(Atoms("Fe"), spectra="x"), ConfigError, "`spectra`"),
        (lambda: xh.import_structures(Atoms("Fe"), elements="Co", e0=7112), ConfigError, "`e0`, `elements`"),
        (lambda: xh.import_structures(Atoms("Fe"), edge="Q"), SpectrumError, "'Q'"),
        (lambda: xh.train([]), StoreError, "`features`"),
        (lambda: xh.load_model("nowhere.model"), StoreError, "nowhere.model"),
        (lambda: xh.featurise(Atoms("Fe"), preset="a", descriptor="b.toml"), ConfigError, "`preset` or `descriptor`"),
        (lambda: xh.featurise(Atoms("Fe"), preset="xanesnet"), xh.errors.DescriptorError, "did you mean"),
        (lambda: xh.train("f.h5", epoch=3), ConfigError, "'epoch'; did you mean 'epochs'?"),
        (lambda: xh.train("f.h5", name="mlp"), ConfigError, "'name': expected one of"),
        (lambda: xh.train("f.h5", folds=1), ConfigError, "folds: expected"),
        (lambda: xh.train("f.h5", model="mlp"), StoreError, "f.h5"),
        (lambda: xh.train(xh.import_structures(Atoms("Fe"))), StoreError, "`features`: expected a feature store"),
        (lambda: xh.train(3), StoreError, "received int"),
        (lambda: xh.import_structures([]), FormatError, "received none"),
        (
            lambda: xh.evaluate(xh.featurise(Atoms("Fe"), preset="xanesnet-49")),
            StoreError,
            "`predictions`: expected a prediction store",
        ),
        (lambda: xh.match(([1, 2], [1]), "p.h5"), StoreError, "p.h5"),
        (lambda: xh.match(([1, 2], [1, 2]), [1, 2]), StoreError, "received list"),
    ],
)
def test_errors_are_one_line_without_flags(tmp_path, monkeypatch, call, error, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as caught:
        call()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "--" not in str(caught.value)


def test_arguments_that_do_not_suit_a_model_are_refused(files, structures):
    model = xh.load_model(files / "c.model")
    with pytest.raises(ModelError, match=r"Zn K.*`force`"):
        model.predict(Atoms("ZnO", [(0, 0, 0), (0, 0, 2)]))
    with pytest.raises(StoreError, match="`sites`"):
        model.predict(structures, sites="Fe")
    with pytest.raises(ConfigError, match="`levels`"):
        model.predict(structures, split="test").quantiles((2.0,))
    with pytest.raises(SpectrumError, match="energies"):
        xh.match(([2.0, 1.0], [1.0, 1.0]), files / "p.h5", absorber="Cr")
    with pytest.raises(SpectrumError, match="energies"):
        xh.match(([], []), files / "p.h5", absorber="Cr")
    features = xh.featurise(structures, preset="xanesnet-49")
    with pytest.raises(ConfigError, match="twice"):
        xh.train([features, features], **SETTINGS)


def test_importing_the_package_imports_nothing_heavy():
    program = "import sys, xanes_hpc; print(sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert not {"numpy", "h5py", "ase", "tensorflow", "matplotlib"} & set(eval(done.stdout))
    assert set(dir(xh)) == set(xh.__all__)
