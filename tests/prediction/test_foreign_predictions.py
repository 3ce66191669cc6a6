"""Models of features that another program made: training, prediction, selection and explanation."""

import csv
import shutil

import numpy as np
import pytest
from support.builders import refused, run, write_npz
from support.shared import made_once
from support.trainings import train_on

import xanes_hpc as xh
from xanes_hpc.analysis.explain import ExplainOptions, explain
from xanes_hpc.errors import ConfigError, ModelError
from xanes_hpc.models.model import Model
from xanes_hpc.models.training_sites import LEFT_OUT
from xanes_hpc.prediction.predictor import SitePredictor
from xanes_hpc.spectra.grid import Grid
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.site_spectra import gridded
from xanes_hpc.stores.structures import StructureStore

WIDTH, KNOWN = 6, 100


@pytest.fixture(scope="module")
def made(small, tmp_path_factory):
    """A folder with a store of 120 sites, features of ``KNOWN`` of them made elsewhere, and models of these."""

    def make(folder):
        shutil.copy(small / "small.h5", folder)
        with FeatureStore(small / "small.features.h5") as store:
            x, names = store.read(0, store.n_sites), np.array(store.sites.name)
        embedded = np.tanh(np.log1p(abs(x)) @ np.random.default_rng(0).normal(size=(x.shape[1], WIDTH)) / 9)
        labels = np.array([f"e{k}" for k in range(WIDTH)])
        shared = {"source": "net", "labels": labels}
        write_npz(folder / "known.npz", {"x": embedded[:KNOWN], "names": names[:KNOWN], **shared})
        write_npz(folder / "all.npz", {"x": embedded[::-1], "names": names[::-1], **shared}, compressed=True)
        with StructureStore(folder / "small.h5") as structures:
            formulas, sites = np.array(structures.site_formulas()), structures.sites
        np.savez(folder / "parts.npz", formulas=formulas, elements=sites.element)
        words = ["import", folder / "known.npz", "--structures", folder / "small.h5"]
        assert run(*words, "-o", folder / "alone.features.h5") == 0
        words = ["featurise", folder / "small.h5", "--preset", "xanesnet-49", "--foreign", folder / "known.npz"]
        assert run(*words, "-o", folder / "both.features.h5") == 0
        for name in ("alone", "both"):
            train_on(folder / f"{name}.features.h5", folder / f"{name}.model")

    return made_once(tmp_path_factory, "foreign", make)


def test_training_leaves_out_sites_without_features(made):
    for name in ("alone", "both"):
        model = Model.open(made / f"{name}.model")
        assert np.count_nonzero(model.training_sites.sets == LEFT_OUT) == 120 - KNOWN
        assert model.description["descriptor"]["description"]["source"] == "net"


@pytest.mark.parametrize("name", ["alone", "both"])
def test_structures_are_predicted_with_a_file_of_features(made, tmp_path, name):
    """The same spectra as from the feature store, for the sites that have features in both, in any order."""
    shutil.copy(made / f"{name}.features.h5", tmp_path)
    shutil.copy(made / "small.h5", tmp_path)
    model, outputs = made / f"{name}.model", [tmp_path / "a.h5", tmp_path / "b.h5", tmp_path / "c.h5"]
    words = ["--model", model, "--draws", 4, "-o"]
    assert run("predict", tmp_path / f"{name}.features.h5", *words, outputs[0]) == 0
    assert run("predict", made / "small.h5", "--foreign", made / "all.npz", *words, outputs[1]) == 0
    assert run("predict", made / "small.h5", "--foreign", made / "known.npz", *words, outputs[2]) == 0
    stores = [PredictionStore(path) for path in outputs]
    assert [store.n_sites for store in stores] == [KNOWN, 120, KNOWN]
    assert all(store.has_reference for store in stores)
    for store in stores[1:]:
        np.testing.assert_allclose(store.read("mean")[:KNOWN], stores[0].read("mean"), rtol=1e-5, atol=1e-6)
        assert store.sites.name[:KNOWN] == stores[0].sites.name
    for store in stores:
        store.close()


def test_a_file_of_features_is_predicted_itself(made, tmp_path):
    with np.load(made / "all.npz") as found, np.load(made / "parts.npz") as more:
        arrays = {**found, **{name: more[name][::-1] for name in more.files}}
    path = write_npz(tmp_path / "new.npz", arrays)
    spectra = xh.predict(path, made / "alone.model", draws=4)
    beside = xh.predict(made / "small.h5", made / "alone.model", foreign=made / "all.npz", draws=4)
    np.testing.assert_allclose(spectra.mean, beside.mean[::-1], rtol=1e-5, atol=1e-6)
    assert run("predict", path, "--model", made / "alone.model", "-o", tmp_path / "p.h5") == 0
    with PredictionStore(tmp_path / "p.h5") as store:
        assert store.texts("formula") == arrays["formulas"].tolist()
        assert "train" in store.texts("part")


def test_features_with_their_own_spectra_and_formulas_train_by_formula(made, tmp_path):
    with np.load(made / "all.npz") as found, np.load(made / "parts.npz") as more:
        arrays = {**found, **{name: more[name][::-1] for name in more.files}}
    grid = Grid(np.linspace(-20.0, 60.0, 81), "e0")
    with StructureStore(made / "small.h5") as store:
        arrays["y"] = gridded(store, np.arange(120), grid)[0][::-1].astype(float)
    path = write_npz(tmp_path / "own.npz", {**arrays, "e": grid.energies})
    features = xh.import_features(path, output=tmp_path / "own.features.h5")
    assert features.has_spectra
    model = xh.train(features, epochs=2, members=1, gaussian_process=False, output=tmp_path / "own.model")
    assert model.predict(features, draws=4).mean.shape[0] == 120
    bare = {k: v for k, v in arrays.items() if k != "formulas"} | {"e": grid.energies}
    nameless = xh.import_features(write_npz(tmp_path / "bare.npz", bare))
    with pytest.raises(ConfigError, match="no structures, so no formulas"):
        xh.train(nameless, epochs=2)


def test_other_features_are_refused(made, tmp_path, capsys):
    with np.load(made / "all.npz") as found:
        arrays = dict(found)
    changed = {
        "source": {"source": "another"},
        "width": {"x": arrays["x"][:, :4], "labels": arrays["labels"][:4]},
        "labels": {"labels": arrays["labels"][::-1]},
    }
    words = ("--model", made / "both.model", "-o", tmp_path / "p.h5")
    for name, change in changed.items():
        path = write_npz(tmp_path / f"{name}.npz", arrays | change)
        line = refused(capsys, tmp_path, "predict", made / "small.h5", "--foreign", path, *words)
        assert line.startswith(f"{path}: expected ")
        assert {"source": "'another'", "width": "4 features", "labels": "'e5' instead of 'e0'"}[name] in line
    line = refused(capsys, tmp_path, "predict", made / "small.h5", *words)
    assert "6 features of 'net' with wacsf" in line
    assert "--foreign" in line
    line = refused(capsys, tmp_path, "predict", made / "alone.features.h5", *words)
    assert "expected 6 features of 'net' with wacsf" in line
    line = refused(capsys, tmp_path, "predict", made / "both.features.h5", "--foreign", made / "all.npz", *words)
    assert "has features already" in line


def test_a_model_of_structures_needs_no_file(made, model, tmp_path, capsys):
    words = ("--model", model, "-o", tmp_path / "p.h5")
    line = refused(capsys, tmp_path, "predict", made / "small.h5", "--foreign", made / "all.npz", *words)
    assert line == f"{made / 'all.npz'}: {model} was trained on wacsf features alone; omit --foreign"
    line = refused(capsys, tmp_path, "predict", made / "alone.features.h5", *words)
    assert "expected wacsf features" in line


def test_single_structures_are_refused(made):
    with pytest.raises(ModelError, match=r"both\.model: was trained on 6 features of 'net' with wacsf"):
        SitePredictor(Model.open(made / "both.model"))


def test_sites_are_selected_among_those_with_features(made, tmp_path):
    for name in ("alone", "both"):
        output = tmp_path / f"{name}.csv"
        assert (
            run("select", made / f"{name}.features.h5", "--model", made / f"{name}.model", "-n", 3, "-o", output) == 0
        )
        with output.open(newline="") as stream:
            chosen = [row["site"] for row in csv.DictReader(stream)]
        with FeatureStore(made / f"{name}.features.h5") as store:
            sites = store.sites.name
        assert len(chosen) == 3
        assert all(sites.index(site) < KNOWN for site in chosen)


def test_explanations_name_the_features_by_their_labels(made):
    with FeatureStore(made / "alone.features.h5") as source:
        found = explain([Model.open(made / "alone.model")], source, ExplainOptions(most_sites=20, repeats=1))
        assert [group.label for group in found.groups.groups] == [f"e{k}" for k in range(WIDTH)]
        assert [group.label for group in found.kinds.groups] == ["foreign"]
        assert found.shells.groups == []
        with pytest.raises(ModelError, match="another program made all its features"):
            explain([Model.open(made / "alone.model")], source, ExplainOptions(atoms_of=(source.sites.name[0],)))
        with pytest.raises(ConfigError, match="`shells`: another program"):
            explain([Model.open(made / "alone.model")], source, ExplainOptions(shells=(2.0,)))
    with FeatureStore(made / "both.features.h5") as source:
        found = explain([Model.open(made / "both.model")], source, ExplainOptions(most_sites=20, repeats=1))
        assert {"foreign", "G2"} <= {group.label for group in found.kinds.groups}
        bare = source.sites.name[-1]
        with pytest.raises(ModelError, match="has no features"):
            explain([Model.open(made / "both.model")], source, ExplainOptions(atoms_of=(bare,), most_sites=20))
