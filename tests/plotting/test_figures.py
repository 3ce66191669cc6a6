"""Figures and the errors they raise; projections compared with those of scikit-learn and UMAP."""

import re
import shutil

import h5py
import matplotlib
import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from support.builders import run, write

from xanes_hpc import Spectra
from xanes_hpc.analysis.site_map import map_sites, project
from xanes_hpc.errors import ConfigError, StoreError
from xanes_hpc.models.history import read_history
from xanes_hpc.models.model import Model
from xanes_hpc.models.training_sites import USED_SETS
from xanes_hpc.plotting import spectra
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.predictions import PredictionStore

KINDS = ("spectra", "errors", "parity", "uncertainty", "distance")


@pytest.fixture
def bare(predicted, tmp_path):
    """Return the predictions without references."""
    path = tmp_path / "bare.h5"
    path.write_bytes(predicted.read_bytes())
    with h5py.File(path, "r+") as file:
        del file["reference"]
    return path


def is_drawn(path):
    """Return whether a PNG is more than a blank page."""
    image = matplotlib.image.imread(path)
    return image.shape[0] > 300 and image[..., :3].std() > 0.02


def strip_date(path):
    return re.sub(r"<dc:date>.*</dc:date>", "", path.read_text())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_figures_of_predictions(predicted, tmp_path, capsys, kind, ending):
    path = tmp_path / f"f.{ending}"
    assert run("plot", kind, predicted, "-o", path) == 0
    if ending == "png":
        assert is_drawn(path)
    else:
        assert path.read_bytes().startswith(b"%PDF" if ending == "pdf" else b"<?xml")
    if ending == "svg":
        assert re.search(rf"K edge, {predicted.name}", path.read_text())
    assert ("so the errors are too low" in capsys.readouterr().err) == (kind != "spectra")


def test_default_name_and_redrawing(predicted, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "parity.png", "old")
    assert run("plot", "parity", predicted) == 0
    assert capsys.readouterr().out.startswith("parity.png\n")
    assert is_drawn(tmp_path / "parity.png")


def test_chosen_sites_with_and_without_references(predicted, bare, tmp_path, capsys):
    with PredictionStore(predicted) as store:
        first, second = store.sites.name[:2]
    for source in (predicted, bare):
        path = tmp_path / "s.svg"
        assert run("plot", "spectra", source, "--site", first, "--site", second, "-o", path) == 0
        text = path.read_text()
        assert first in text or re.search(r"<!-- " + re.escape(first), text)
    assert run("plot", "spectra", predicted, "--site", "nobody", "-o", tmp_path / "n.png") == 2
    assert "no site 'nobody'; expected one of" in capsys.readouterr().err
    assert not (tmp_path / "n.png").exists()


@pytest.mark.parametrize("kind", ["errors", "parity", "uncertainty"])
def test_without_references_there_is_nothing_to_measure(bare, tmp_path, capsys, kind):
    assert run("plot", kind, bare, "-o", tmp_path / "f.png") == 2
    assert "bare.h5" in capsys.readouterr().err
    assert not (tmp_path / "f.png").exists()


@pytest.mark.parametrize("kind", ["distance", "spectra"])
def test_some_figures_need_no_references(bare, tmp_path, kind):
    assert run("plot", kind, bare, "-o", tmp_path / "f.png") == 0
    assert is_drawn(tmp_path / "f.png")


def test_text_stays_text(bare, tmp_path):
    assert run("plot", "spectra", bare, "-o", tmp_path / "f.svg") == 0
    assert "<text" in (tmp_path / "f.svg").read_text()
    assert run("plot", "spectra", bare, "-o", tmp_path / "f.pdf") == 0
    assert b"/Type3" not in (tmp_path / "f.pdf").read_bytes()


def test_the_program_s_style_does_not_affect_our_figures_and_is_restored(predicted, tmp_path):
    theirs = {"text.usetex": True, "font.size": 30, "figure.figsize": [3, 3], "axes.grid": True, "savefig.dpi": 50}
    drawn = []
    for settings in ({}, theirs):
        with matplotlib.rc_context(settings):
            spectra_shown = Spectra.open(predicted)[:2]
            figure = spectra_shown.plot(tmp_path / "f.svg")
            drawn.append((strip_date(tmp_path / "f.svg"), figure._repr_png_(), spectra_shown._repr_html_()))
            assert settings.items() <= matplotlib.rcParams.items()
    assert drawn[0] == drawn[1]


def test_a_map_of_sites(predicted, bare, model, small, tmp_path, capsys):
    words = ["--model", model, "--features", small / "small.features.h5", "-o", tmp_path / "m.png"]
    for source in (predicted, bare):
        assert run("plot", "map", source, *words) == 0
        assert is_drawn(tmp_path / "m.png")
    assert run("plot", "map", predicted) == 2
    assert "map: expected --model MODEL and --features STORE, the store of the sites" in capsys.readouterr().err


@pytest.mark.parametrize("n_sites", [1, 2, 6])
def test_titles_and_legends_do_not_overlap(predicted, monkeypatch, tmp_path, n_sites):
    """Titles and legends do not overlap, for synthetic spectra of sites out of domain."""
    drawn = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda own, *words, **more: drawn.append(own) or save(own, *words, **more))
    with PredictionStore(predicted) as store:
        monkeypatch.setattr(PredictionStore, "distrust", ["far"] * store.n_sites)
        spectra.chosen_sites(store, range(n_sites), tmp_path / "f.png")
    (figure,) = drawn
    figure.draw_without_rendering()
    boxes = [figure.legends[0].get_window_extent(), figure._suptitle.get_window_extent()]
    boxes += [axis.get_window_extent() for axis in figure.axes] + [
        axis.title.get_window_extent() for axis in figure.axes[:n_sites]
    ]
    assert "SYNTHETIC" in figure._suptitle.get_text()
    assert "OUT OF DOMAIN" in figure.axes[0].get_title()
    for k, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[k + 1 :])


@pytest.mark.parametrize("kind", ["uncertainty", "distance", "errors"])
def test_no_data_cross_a_legend(predicted, monkeypatch, tmp_path, kind):
    drawn = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda own, *words, **more: drawn.append(own) or save(own, *words, **more))
    assert run("plot", kind, predicted, "-o", tmp_path / "f.png") == 0
    (figure,) = drawn
    figure.draw_without_rendering()
    legends = [axis.get_legend().get_window_extent() for axis in figure.axes] + [figure.legends[0].get_window_extent()]
    panels = [axis.patch.get_window_extent() for axis in figure.axes]
    for k, legend in enumerate(legends):
        assert not any(legend.overlaps(other) for other in panels + legends[k + 1 :])
        assert figure.bbox.x0 <= legend.x0 < legend.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= legend.y0 < legend.y1 <= figure.bbox.y1


def test_a_map_without_other_sites_of_the_model_shows_those_it_keeps(
    predicted, model, small, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr("xanes_hpc.analysis.site_map.sets_of", lambda model, sites, known: ["none"] * len(sites))
    folder = Model.open(model)
    with PredictionStore(predicted) as store, FeatureStore(small / "small.features.h5") as source:
        found = map_sites(store, folder, source, "pca")
    assert found.from_model
    assert len(found.behind) == len(folder.training_sites.features)
    words = ["--model", model, "--features", small / "small.features.h5", "-o", tmp_path / "m.png"]
    assert run("plot", "map", predicted, *words) == 0
    assert "training sites that the model keeps" in capsys.readouterr().err


def test_training_sites_are_drawn_behind(predicted, model, small):
    """A map shows each site once: as predicted, or as a training site that was not predicted."""
    folder = Model.open(model)
    with PredictionStore(predicted) as store, FeatureStore(small / "small.features.h5") as source:
        found = map_sites(store, folder, source, "pca")
        names, parts = source.sites.name, store.texts("part")
        x = folder.members[0].scalers.features(source.read(0, source.n_sites))
        own = [names.index(name) for name in store.sites.name]
    trained = sum(folder.training_sites.count(part) for part in USED_SETS)
    assert len(found.behind) == trained - sum(part in USED_SETS for part in parts)
    assert found.places.shape == (len(own), 2)
    every = np.concatenate([found.places, found.behind])
    assert len(every) <= len(names)
    apart = np.linalg.norm(x[own][:, None] - x[own][None], axis=-1)
    flat = np.linalg.norm(found.places[:, None] - found.places[None], axis=-1)
    assert (flat <= apart + 1e-4).all()  # a projection increases no distance


def test_training_of_one_model_and_of_several(model, tmp_path, capsys):
    assert run("plot", "learning", model, "-o", tmp_path / "l.png") == 0
    assert is_drawn(tmp_path / "l.png")
    assert run("plot", "learning", model, model, "-o", tmp_path / "l.svg") == 0
    history = read_history(Model.open(model).path)
    assert list(history) == ["choose"]
    assert history["choose"]["epoch"].tolist() == list(range(1, history["choose"]["epoch"].size + 1))


def test_both_stages_of_a_training_are_drawn(model, tmp_path):
    retrained = tmp_path / "retrained.model"
    shutil.copytree(model, retrained)
    with (retrained / "history.csv").open("a") as stream:
        stream.write("refit,1,0.5,nan,0.001,0.1\nrefit,2,0.4,nan,0.001,0.1\n")
    assert run("plot", "learning", retrained, "-o", tmp_path / "l.png") == 0
    assert is_drawn(tmp_path / "l.png")
    assert read_history(retrained)["refit"]["loss"].tolist() == [0.5, 0.4]


@pytest.mark.parametrize("text", [None, "", "stage,epoch\n", "stage,epoch,loss\nchoose,one,2\n"])
def test_missing_history(tmp_path, text):
    if text is not None:
        write(tmp_path / "history.csv", text)
    with pytest.raises(StoreError, match=r"history\.csv: "):
        read_history(tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pie", "p.h5"], "Invalid value for 'KIND': 'pie' is not one of"),
        (["parity", "p.h5", "q.h5"], "parity: expected one prediction store, received 2"),
        (["errors", "p.h5", "--site", "a"], "--site: applies to spectra, received with errors"),
        (["learning", "here.h5"], "here.h5: expected a model folder, received a file"),
        (["parity", "none.h5"], "none.h5"),
        (["parity", "p.h5", "-o", "f.jpg"], "f.jpg: expected a file ending in .png, .svg, .pdf, received '.jpg'"),
        (["parity", "p.h5", "-o", "no/f.png"], "no: no such folder; create it before drawing f.png"),
    ],
)
def test_invalid_commands(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "here.h5", "a file")
    assert run("plot", *words) == 2
    assert message in capsys.readouterr().err


def test_principal_components_agree_with_scikit_learn():
    x = np.random.default_rng(0).normal(size=(60, 9)) * np.arange(1, 10)
    places, explained = project(x.astype(np.float32), "pca")
    expected = PCA(2).fit(x)
    np.testing.assert_allclose(explained, expected.explained_variance_ratio_, rtol=1e-5)
    np.testing.assert_allclose(np.abs(places), np.abs(expected.transform(x)), rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_umap_separates_clusters():
    pytest.importorskip("umap", reason="umap-learn is not installed")
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, (40, 8)), rng.normal(30, 1, (40, 8))])
    places, explained = project(x, "umap")
    assert explained is None
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    nearest = np.argsort(apart, axis=1)[:, 1:6]
    assert ((nearest < 40) == (np.arange(80) < 40)[:, None]).all()  # how far apart depends on the machine


def test_sites_that_cannot_be_projected(monkeypatch):
    with pytest.raises(ConfigError, match="`by` 'tsne': expected pca, umap"):
        project(np.zeros((9, 2)), "tsne")
    with pytest.raises(ConfigError, match="a map needs at least 4 sites, received 3"):
        project(np.zeros((3, 2)), "pca")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs umap.*pip install 'xanes-hpc\[umap\]'"):
        project(np.zeros((9, 2)), "umap")


def test_models_of_several_sizes_have_a_learning_curve(model, small, tmp_path):
    """Models with different numbers of training sites have a learning curve."""
    (tmp_path / "run.toml").write_text(
        '[model]\nname = "mlp"\nhidden = [8]\n[training]\nepochs = 2\ngaussian_process = false\n'
        "[uncertainty]\nmembers = 1\n[split]\ntest = 0.5\n"
    )
    fewer = tmp_path / "fewer.model"
    assert run("train", small / "small.features.h5", "--config", tmp_path / "run.toml", "-o", fewer) == 0
    assert run("plot", "learning", model, fewer, "-o", tmp_path / "sizes.svg") == 0
    assert run("plot", "learning", model, model, "-o", tmp_path / "same.svg") == 0
    texts = [(tmp_path / name).read_text() for name in ("sizes.svg", "same.svg")]
    assert ["training sites" in text for text in texts] == [True, False]
