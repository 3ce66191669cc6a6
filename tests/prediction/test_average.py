"""Averaging and broadening predictions: means, draws, references, and sigma from the draws."""

import h5py
import numpy as np
import pytest
from support.builders import run, write

from xanes_hpc.analysis.evaluate import evaluate
from xanes_hpc.errors import ConfigError, FormatError, SpectrumError, StoreError
from xanes_hpc.models.model import Model
from xanes_hpc.prediction.average import average
from xanes_hpc.prediction.broaden_predictions import treat_predictions
from xanes_hpc.prediction.predict import PredictOptions, predict
from xanes_hpc.spectra.broadening import broaden
from xanes_hpc.spectra.recipe import BroadeningConfig, NormalisationConfig, Recipe
from xanes_hpc.spectra.spectrum import PlacedSpectrum, Spectrum, treatment_name
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structures import StructureStore

NARROW = Recipe(BroadeningConfig("gaussian", gaussian=2.0))


@pytest.fixture
def renamed(predicted, tmp_path):
    """Return a function that copies the predictions, with other names for the first sites, and returns the path."""

    def rename(names, elements=None, weights=None):
        path = tmp_path / "renamed.h5"
        path.write_bytes(predicted.read_bytes())
        with h5py.File(path, "r+") as file:
            own = file["sites/name"][:]
            own[: len(names)] = [name.encode() for name in names]
            file["sites/name"][...] = own
            file["sites/element"][: len(names)] = elements or [26] * len(names)
            file["sites/e0"][: len(names)] = 7112.0
            if weights:
                file["sites/weight"][: len(names)] = weights
        return path

    return rename


def predictions_of_frames(path):
    """Rename the sites of a store so that each is the only frame of its own trajectory, and return the path."""
    with h5py.File(path, "r+") as file:
        names = file["sites/name"]
        names[...] = [f"t{k}@0".encode() for k in range(names.size)]
    return path


def by_hand(path, rows, weights):
    """Return the mean, draws and reference of an average, computed directly."""
    with PredictionStore(path) as store:
        draws = np.array([store.calibrated_draws(row) for row in rows])
        mean, reference = (store.read(name, rows) for name in ("mean", "reference"))
    shares = np.array(weights) / np.sum(weights)
    return (shares @ mean, np.tensordot(shares, draws, 1), shares @ reference)


@pytest.mark.parametrize(
    ("by", "names", "averages"),
    [
        ("structure", ["A#0", "A#3", "A#7", "B"], {"A": [0, 1, 2], "B": [3]}),
        ("frames", ["t@0", "t@1#4", "t@1#5", "u@0"], {"t": [0, 1, 2], "u": [3]}),
    ],
)
def test_sigma_of_an_average_is_that_of_its_averaged_draws(renamed, tmp_path, by, names, averages):
    weights = [1.0, 3.0, 2.0, 5.0]
    path = renamed(names, weights=weights)
    with PredictionStore(path) as store:
        done = average(store, tmp_path / "a.h5", by)
        n_sites = store.n_sites
    assert (done.n_averages, done.n_sites) == (n_sites - 2, n_sites)
    with PredictionStore(tmp_path / "a.h5") as found:
        own = found.sites.name
        assert len(set(own)) == len(own)
        for name, rows in averages.items():
            k = own.index(name)
            mean, draws, reference = by_hand(path, rows, [weights[r] for r in rows])
            np.testing.assert_allclose(found.read("mean", k), mean, rtol=1e-6)
            np.testing.assert_allclose(found.read("draws", k), draws, rtol=1e-6)
            np.testing.assert_allclose(found.read("reference", k), reference, rtol=1e-6)
            np.testing.assert_allclose(found.read("std", k), draws.std(axis=0, ddof=1), rtol=1e-5)
            assert found.sites.weight[k] == sum(weights[r] for r in rows)
        figures = evaluate(found)
    assert figures["n_sites"] == n_sites - 2


def test_common_errors_do_not_average_out(renamed, tmp_path):
    """A site averaged with itself keeps its sigma; the average of all sites has less than the mean sigma."""
    path = renamed(["A#0", "A#1"])
    with h5py.File(path, "r+") as file:
        for name in ("mean", "std", "draws"):
            file[name][1] = file[name][0]
    with PredictionStore(path) as store:
        average(store, tmp_path / "a.h5")
        average(store, tmp_path / "all.h5", "all")
        std, every = store.read("std", 0), store.read("std")
    with PredictionStore(tmp_path / "a.h5") as found:
        np.testing.assert_allclose(found.read("std", found.sites.name.index("A")), std, rtol=1e-5)
    with PredictionStore(tmp_path / "all.h5") as found:
        assert {name.rsplit(" ", 2)[0] for name in found.sites.name} == {"renamed"}
        assert found.read("std").mean() < 0.8 * every.mean()


def test_elements_are_averaged_separately_and_edges_are_aligned(renamed, tmp_path):
    path = renamed(["A#0", "A#1", "A#2"], elements=[26, 26, 27])
    with h5py.File(path, "r+") as file:
        file["sites/e0"][:3] = [7111.0, 7113.0, 7709.0]
    with PredictionStore(path) as store:
        average(store, tmp_path / "a.h5")
        energies, means = store.energies, store.read("mean", slice(0, 2))
    with PredictionStore(tmp_path / "a.h5") as found:
        names = found.sites.name
        assert {"A Fe K", "A Co K"} <= set(names)
        k = names.index("A Fe K")
        assert found.read("sites/e0", k) == 7112.0
        moved = [np.interp(energies + m, energies, mean) for m, mean in zip((1.0, -1.0), means, strict=True)]
        np.testing.assert_allclose(found.read("mean", k), np.mean(moved, axis=0), rtol=1e-5)


def test_an_average_counts_its_flagged_sites_and_has_a_set_only_if_they_agree(renamed, tmp_path):
    path = renamed(["A#0", "A#1", "A#2"])
    with h5py.File(path, "r+") as file:
        flags, parts = file["sites/distrust"], file["sites/part"]
        width = flags.dtype.itemsize
        values = flags[:]
        values[:3] = [b"", b"far", b"far"]
        del file["sites/distrust"]
        file["sites/distrust"] = values.astype(f"S{max(width, 16)}")
        own = parts[:]
        own[:3] = [b"train", b"train", b"test"]
        parts[...] = own
    with PredictionStore(path) as store:
        average(store, tmp_path / "a.h5")
    with PredictionStore(tmp_path / "a.h5") as found:
        k = found.sites.name.index("A")
        assert found.distrust[k] == "2 of 3 sites: far"
        assert found.texts("part")[k] == "none"


def test_predictions_and_weights_that_cannot_be_averaged(predicted, model, small, tmp_path, tmp_path_factory):
    weights = tmp_path_factory.mktemp("weights")
    with StructureStore(small / "small.h5") as source:
        predict(Model.open(model), source, tmp_path / "n.h5", PredictOptions(draws=2))
    with PredictionStore(tmp_path / "n.h5") as store:
        with pytest.raises(StoreError, match=r"n\.h5: has no draws.*`keep_draws`"):
            average(store, tmp_path / "a.h5")
        with pytest.raises(StoreError, match=r"n\.h5: has no draws.*`keep_draws`"):
            treat_predictions(store, tmp_path / "a.h5", NARROW)
    with PredictionStore(predicted) as store:
        with pytest.raises(ConfigError, match="`by` 'sites': expected structure, frames, all"):
            average(store, tmp_path / "a.h5", "sites")
        with pytest.raises(ConfigError, match="`by` 'frames': expected structures named NAME@0, NAME@1, "):
            average(store, tmp_path / "a.h5", "frames")
        for value, error, message in (
            ("-1", FormatError, r"w\.csv: weight of .*: expected 0 or more, received -1"),
            ("0", ConfigError, "weights of the sites of .*: expected at least one above 0"),
            ("nan", FormatError, r"w\.csv: weight of .*: expected a number, received an empty or odd cell"),
            ("", FormatError, "expected a number, received an empty or odd cell"),
            ("abc", FormatError, "expected a number, received abc"),
        ):
            rows = "".join(f"{name},{value}\n" for name in store.sites.name)
            with pytest.raises(error, match=message):
                average(store, tmp_path / "a.h5", weights=write(weights / "w.csv", f"name,weight\n{rows}"))
        with pytest.raises(StoreError, match="is one of the inputs"):
            average(store, predicted, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"n.h5"}


def test_the_command_averages_with_weights(renamed, tmp_path, capsys):
    path = renamed(["A#0", "A#1"])
    with PredictionStore(path) as store:
        others = store.sites.name[2:]
    rows = "".join(f"{name},1\n" for name in others)
    table = write(tmp_path / "w.csv", f"name,weight\nA#0,3\nA#1,1\n{rows}")
    assert run("average", path, "-o", tmp_path / "a.h5", "--weights", table) == 0
    assert "averages  119 over 120 sites" in capsys.readouterr().out
    mean, *_ = by_hand(path, [0, 1], [3.0, 1.0])
    with PredictionStore(tmp_path / "a.h5") as found:
        np.testing.assert_allclose(found.read("mean", found.sites.name.index("A")), mean, rtol=1e-6)
    short = write(tmp_path / "short.csv", "name,weight\nA#0,3\n")
    assert run("average", path, "-o", tmp_path / "b.h5", "--weights", short) == 2
    assert "short.csv: weight of A#1: expected a number, received no row for it" in capsys.readouterr().err
    other = write(tmp_path / "other.csv", "name,share\nA#0,3\n")
    assert run("average", path, "-o", tmp_path / "b.h5", "--weights", other) == 2
    assert "other.csv: expected a column weight, received share" in capsys.readouterr().err
    assert run("export", tmp_path / "a.h5", "--format", "xdi", "-o", tmp_path / "x") == 0
    assert "# Xanes_hpc.average: 2 sites by structure, weights w.csv" in (tmp_path / "x" / "A.xdi").read_text()
    assert run("average", tmp_path / "a.h5", "-o", tmp_path / "again.h5", "--by", "all") == 0
    with PredictionStore(tmp_path / "again.h5") as found:
        assert found.n_averaged.sum() == 120
    more = write(tmp_path / "more.csv", table.read_text() + "nobody,1\n")
    assert run("average", path, "-o", tmp_path / "c.h5", "--weights", more) == 2
    line = capsys.readouterr().err
    assert "more.csv: expected only names of sites or structures in the store, received 1 others" in line
    assert run("broaden", tmp_path / "a.h5", "-o", tmp_path / "b.h5", "--recipe", "gaussian", "--gaussian", "1") == 0
    with PredictionStore(tmp_path / "b.h5") as found:
        assert sorted(found.n_averaged.tolist())[-2:] == [1, 2]
    capsys.readouterr()
    assert run("average", predictions_of_frames(path), "-o", tmp_path / "c.h5", "--by", "frames") == 0
    assert "Note: every average is over a single site" in capsys.readouterr().err


def test_predictions_are_broadened_with_their_draws(predicted, tmp_path):
    with PredictionStore(predicted) as store:
        treated = treat_predictions(store, tmp_path / "b.h5", NARROW)
        energies, sites, e0 = store.energies, store.sites, store.read("sites/e0")
        own = [store.read("mean", 5), store.read("reference", 5), *store.calibrated_draws(5)]
        n_draws, columns = len(own) - 2, store.texts("part")
    assert (treatment_name(treated.before), treatment_name(treated.after)) == ("synthetic", "synthetic+gaussian")
    placed = [PlacedSpectrum(Spectrum(energies, y), float(e0[5]), "s", "e0") for y in own]
    n = len(placed)
    done = broaden(placed, [int(sites.element[5])] * n, ["K"] * n, NARROW.broadening)
    with PredictionStore(tmp_path / "b.h5") as found:
        np.testing.assert_allclose(found.read("mean", 5), done[0], rtol=1e-5)
        np.testing.assert_allclose(found.read("reference", 5), done[1], rtol=1e-5)
        np.testing.assert_allclose(found.read("std", 5), np.std(done[2:], axis=0, ddof=1), rtol=1e-4)
        assert found.read("draws", 5).shape == (n_draws, energies.size)
        assert (found.attribute("treatment"), found.texts("part")) == (treated.after, columns)
        assert evaluate(found)["conformal"] == []


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (Recipe(), "nothing to do"),
        (
            Recipe(BroadeningConfig("arctangent")),
            r"p\.h5: .*expected unbroadened spectra, received treatment 'synthe",
        ),
        (Recipe(normalisation=NormalisationConfig(e0="steepest")), "`edge_at`: predictions share one grid"),
    ],
)
def test_recipes_that_predictions_cannot_be_broadened_with(predicted, tmp_path, recipe, message):
    with PredictionStore(predicted) as store, pytest.raises(SpectrumError, match=message):
        treat_predictions(store, tmp_path / "b.h5", recipe)
    assert not list(tmp_path.iterdir())


def test_predictions_that_are_not_finite_are_named(predicted, tmp_path, capsys):
    path = tmp_path / "odd.h5"
    path.write_bytes(predicted.read_bytes())
    with h5py.File(path, "r+") as file:
        file["mean"][3, 5] = np.nan
        name = file["sites/name"][3].decode()
    for words in (
        ("average", path, "-o", tmp_path / "a.h5", "--by", "all"),
        ("broaden", path, "-o", tmp_path / "a.h5", "--recipe", "gaussian", "--gaussian", "1"),
        ("export", path, "-o", tmp_path / "x", "--format", "csv"),
    ):
        assert run(*words) == 2
        assert f"odd.h5: the spectrum of {name} has NaN or infinite values" in capsys.readouterr().err
    assert {p.name for p in tmp_path.iterdir()} == {"odd.h5"}


def test_the_command_broadens_predictions(predicted, tmp_path, capsys):
    words = ["broaden", predicted, "-o", tmp_path / "b.h5", "--recipe", "gaussian", "--gaussian", 1.5]
    assert run(*words) == 0
    assert "synthetic → synthetic+gaussian" in capsys.readouterr().out
    assert run(*words, "--overwrite", "--keep") == 2
    assert "--keep applies to structure stores; " in capsys.readouterr().err
    assert run("broaden", tmp_path / "b.h5", "-o", tmp_path / "c.h5", "--normalise", "area") == 0
    with PredictionStore(tmp_path / "c.h5") as found:
        assert found.attribute("unit") == "normalised"


def test_equivalent_sites_of_a_crystal_are_predicted_once_and_averaged_with_their_number(model, tmp_path):
    """Two kinds of iron in one cell: one site alone, and two that a mirror makes equivalent."""
    cell = 'Lattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3 pbc="T T T"'
    atoms = ["Fe 0 0 0", "Fe 3 0 0", "Fe 6 0 0", "O 1.5 1 0", "O 7.5 1 0", "O 4.5 2 0"]
    path = tmp_path / "crystal.xyz"
    path.write_text("\n".join([str(len(atoms)), cell, *atoms]) + "\n")
    words = ("predict", path, "--model", model, "--absorber", "Fe", "--keep-draws", "--draws", 4)
    assert run(*words, "-o", tmp_path / "all.h5") == 0
    assert run(*words, "--unique", "-o", tmp_path / "unique.h5") == 0
    for name in ("all", "unique"):
        assert run("average", tmp_path / f"{name}.h5", "-o", tmp_path / f"{name}.average.h5") == 0
    with PredictionStore(tmp_path / "unique.h5") as store:
        assert sorted(store.sites.weight.tolist()) == [1.0, 2.0]
    with PredictionStore(tmp_path / "all.average.h5") as every, PredictionStore(tmp_path / "unique.average.h5") as one:
        np.testing.assert_allclose(one.read("mean", 0), every.read("mean", 0), rtol=2e-3)
    assert run("predict", tmp_path / "all.h5", "--model", model, "--unique", "-o", tmp_path / "x.h5") == 2
