"""Explaining predictions: feature meanings, importance, Shapley values and atoms, compared with slow references."""

import csv
import json
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from ase import Atoms
from support.builders import run

from xanes_hpc import descriptors
from xanes_hpc.analysis.contributions import _nearest_images, atom_fractions
from xanes_hpc.analysis.explain import ExplainOptions, explain
from xanes_hpc.analysis.feature_groups import FeatureGroup, feature_groups
from xanes_hpc.analysis.mean_model import MeanModel
from xanes_hpc.analysis.permutation import permutation_importance
from xanes_hpc.analysis.shapley import shapley_values
from xanes_hpc.analysis.shells import RadialHistogram, find_shells, radial_histogram
from xanes_hpc.analysis.switching import Switching
from xanes_hpc.errors import ConfigError, ModelError, StoreError
from xanes_hpc.models.model import Model
from xanes_hpc.prediction.site_features import features_of
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.sites import SiteBatch

PRESETS = ("default", "xanesnet-2022", "xanesnet-49")
WINDOWS = ((-3.0, 3.0), (40.0, 46.0))


@pytest.fixture(scope="module")
def at_sites(model, small):
    """Return the model at the small set's sites."""
    folder = Model.open(model)
    with StructureStore(small / "small.h5") as source:
        x = features_of(folder, source).read(np.arange(source.n_sites))
        sites = source.sites
    return folder, MeanModel(folder, x, folder.absorbers(sites.element, sites.edge))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_feature_has_a_meaning_and_one_group(preset):
    descriptor = descriptors.load("wacsf", preset)
    assert len(descriptor.meanings) == descriptor.n_features
    assert [m.kind for m in descriptor.meanings] == [label.split()[0] for label in descriptor.labels]
    groups = feature_groups(descriptor.meanings)
    assert sorted(np.concatenate([group.columns for group in groups]).tolist()) == list(range(descriptor.n_features))


def test_radial_functions_are_largest_at_their_distance():
    descriptor = descriptors.load("wacsf", "xanesnet-2022")
    distances = np.arange(0.5, 5.9, 0.01)
    pairs = [Atoms("FeO", [(0, 0, 0), (0, 0, d)]) for d in distances]
    x = descriptor.transform(pairs, ["Fe"] * len(pairs))
    for column, meaning in enumerate(descriptor.meanings):
        if (
            meaning.kind == "G2" and meaning.distance < 3.0
        ):  # farther out, the cutoff function moves the maximum inwards
            assert distances[x[:, column].argmax()] == pytest.approx(meaning.distance, abs=0.06)


def test_angular_functions_are_largest_and_half_at_their_angle():
    descriptor = descriptors.load("wacsf", "xanesnet-2022")
    angles = np.radians(np.arange(0.5, 180.0, 0.5))
    bent = [Atoms("FeO2", [(0, 0, 0), (0, 0, 2), (0, 2 * np.sin(a), 2 * np.cos(a))]) for a in angles]
    x = descriptor.transform(bent, ["Fe"] * len(bent))
    sides = np.linalg.norm([b.positions[1] - b.positions[2] for b in bent], axis=1)
    meanings = descriptor.meanings
    for column, meaning in enumerate(meanings):
        if meaning.kind == "G4" and meaning.distance == 1.0:
            eta = 0.5 / meaning.distance**2
            angular = x[:, column] / np.exp(-eta * sides**2) / _cutoff(sides)
            assert abs(np.degrees(angles[angular.argmax()]) - meaning.angle) <= 1.0
            half = np.degrees(angles[angular > 0.5 * angular.max()])
            assert np.abs(half - meaning.angle).max() == pytest.approx(meaning.half_width, abs=1.0)


def _cutoff(r):
    return 0.5 * (np.cos(np.pi * r / 6.0) + 1.0)


def test_other_descriptors_give_the_meanings_they_know():
    rdc = descriptors.load("rdc")
    assert {m.kind for m in rdc.meanings} == {"radial"}
    charged = descriptors.with_properties(rdc, ["charge=0"])
    groups = feature_groups(charged.meanings)
    assert (groups[-1].label, groups[-1].columns.tolist()) == ("property charge", [rdc.n_features])
    assert len(groups) == charged.n_features


def test_permutation_importance_agrees_with_a_plain_loop(at_sites):
    folder, mean = at_sites
    groups = feature_groups(descriptors.from_description(folder.description["descriptor"]["description"]).meanings)[::7]
    energies, _ = folder.grid
    windows = [(energies >= a) & (energies <= b) for a, b in WINDOWS]
    references = mean.spectra()[0] * 1.1
    references[5] = np.nan
    found = permutation_importance(mean, groups, windows, references, repeats=2, seed=3)
    regression = folder.regression
    assert regression is not None  # otherwise its contribution is not tested
    x, plain, known = mean.x, mean.spectra(), np.isfinite(references[:, 0])
    for k, group in enumerate(groups):
        change, increase = np.zeros((len(folder.members), 2)), np.zeros((len(folder.members), 2))
        for repeat in range(2):
            generator = np.random.default_rng([3, repeat])
            dealt = x.copy()
            order = np.arange(len(x))
            for absorber in np.unique(mean.absorbers):
                rows = np.flatnonzero(mean.absorbers == absorber)
                order[rows] = generator.permutation(rows)
            dealt[:, group.columns] = x[order][:, group.columns]
            krr = regression.spectra(dealt, mean.absorbers)
            for m, member in enumerate(folder.members):
                own = member.mean_network(dealt, mean.absorbers)
                own = (1 - regression.share) * own + regression.share * krr
                for w, window in enumerate(windows):
                    y, y0, r = own[:, window], plain[m][:, window], references[known][:, window]
                    change[m, w] += 50 * np.abs(y - y0).sum() / np.abs(y0).sum()
                    errors = [np.abs(v[known] - r).sum() / np.abs(r).sum() for v in (y, y0)]
                    increase[m, w] += 50 * (errors[0] - errors[1])
        np.testing.assert_allclose(found.change[:, :, k], change, rtol=2e-3, atol=1e-4)
        np.testing.assert_allclose(found.error_increase[:, :, k], increase, rtol=1e-2, atol=2e-3)


def test_features_that_do_not_differ_have_no_importance(at_sites):
    folder, mean = at_sites
    x = mean.x.copy()
    x[:, 4] = x[0, 4]
    same = MeanModel(folder, x, mean.absorbers)
    groups = [FeatureGroup("G2", np.array([4])), FeatureGroup("none", np.empty(0, np.int64))]
    every = np.ones(folder.grid[0].size, bool)
    found = permutation_importance(same, groups, [every])
    assert np.abs(found.change).max() < 1e-5
    assert np.isnan(found.error_increase).all()


def test_shapley_values_of_a_linear_function():
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(6, 2))
    values, without, whole = shapley_values(lambda present: 1.0 + present @ weights, 6)
    np.testing.assert_allclose(values, weights.T, atol=1e-12)
    np.testing.assert_allclose(without, 1.0)
    np.testing.assert_allclose(whole, 1.0 + weights.sum(axis=0))


def test_shapley_values_approach_the_mean_over_all_orders():
    table = np.random.default_rng(2).normal(size=(2,) * 4)

    def value(present):
        return table[tuple(present.astype(int).T)][:, None]

    exact = np.zeros(4)
    for order in permutations(range(4)):
        present = np.zeros((5, 4), bool)
        for k, player in enumerate(order):
            present[k + 1 :, player] = True
        exact[list(order)] += np.diff(value(present)[:, 0]) / 24
    few, many = (shapley_values(value, 4, rounds)[0][0] for rounds in (1, 4000))
    assert few.sum() == pytest.approx(exact.sum())
    np.testing.assert_allclose(many, exact, atol=0.05)


@pytest.mark.parametrize("regression", [True, False])
def test_switched_features_give_the_spectra_of_their_mixture(at_sites, monkeypatch, regression):
    folder, mean = at_sites
    groups = feature_groups(descriptors.from_description(folder.description["descriptor"]["description"]).meanings)
    if not regression:
        monkeypatch.setattr(Model, "regression", None)
    own = np.random.default_rng(0).random((7, len(groups))) < 0.5
    own[0], own[1] = True, False
    x, background = mean.x[2], mean.x[[5, 9, 11]]
    steps = []
    found = Switching(folder, groups).spectra(own, x, background, 0, steps.append)
    owner = np.empty(x.size, int)
    for k, group in enumerate(groups):
        owner[group.columns] = k
    absorbers = np.zeros(len(own), int)
    expected = [
        MeanModel(folder, np.where(own[:, owner], x, other), absorbers).spectra().mean(axis=0) for other in background
    ]
    np.testing.assert_allclose(found, np.mean(expected, axis=0), rtol=1e-3, atol=1e-4)
    assert sum(steps) == 3


def test_atoms_get_their_own_terms_of_sums_and_half_of_pairs():
    descriptor = descriptors.from_description({
        "name": "wacsf", "cutoff": 5.0, "g1": False,
        "weighting": [{"weights": "Z", "g2": {"mu": [2.0], "eta": [1.0]}, "g4": {
            "mu": [0.0], "eta": [0.1], "lambda": [1.0], "zeta": [1.0]}}],
    })  # fmt: skip
    atoms = Atoms("FeOSN", [(0, 0, 0), (0, 0, 1.7), (0, 2.1, 0), (2.0, 0.3, 0.1)])
    batch = SiteBatch.from_atoms([atoms], ["Fe"])
    found = atom_fractions(descriptor, batch)
    r, z = np.linalg.norm(atoms.positions, axis=1), atoms.numbers
    terms = z * np.exp(-((r - 2.0) ** 2)) * 0.5 * (np.cos(np.pi * r / 5.0) + 1.0)
    terms[0] = 0.0
    np.testing.assert_allclose(found[:, 0], terms / terms.sum(), rtol=1e-9)
    whole = descriptor.compute(batch)[0, 1]
    pairs = {}
    for left, kept in ((3, [0, 1, 2]), (2, [0, 1, 3]), (1, [0, 2, 3])):
        pairs[left] = descriptor.compute(SiteBatch.from_atoms([atoms[kept]], ["Fe"]))[0, 1]
    halves = np.array([0.0, *(0.5 * (whole - pairs[k]) for k in (1, 2, 3))])
    np.testing.assert_allclose(found[:, 1], halves / halves.sum(), rtol=1e-9)
    assert halves.sum() == pytest.approx(whole)


def test_atoms_of_a_crystal_are_drawn_where_they_are_nearest():
    positions, cell = np.array([(0.2, 0.0, 0.0), (4.8, 0.0, 0.0), (0.2, 2.0, 0.0)]), np.eye(3) * 5.0
    moved = _nearest_images(positions, 0, cell, np.ones(3, bool))
    np.testing.assert_allclose(moved, [(0.2, 0.0, 0.0), (-0.2, 0.0, 0.0), (0.2, 2.0, 0.0)], atol=1e-12)
    assert _nearest_images(positions, 0, cell, np.zeros(3, bool)) is positions


def test_a_lone_atom_has_no_shares():
    descriptor = descriptors.load("rdc")
    assert not atom_fractions(descriptor, SiteBatch.from_atoms([Atoms("Fe")], ["Fe"])).any()


def test_shells_end_at_the_minima():
    r = np.arange(0.025, 6.0, 0.05)
    density = sum(h * np.exp(-(((r - c) / 0.2) ** 2)) for c, h in ((2.0, 3.0), (3.1, 5.0), (4.4, 6.0)))
    shells = find_shells(RadialHistogram(r, density, density))
    assert [s.name for s in shells] == ["1st shell", "2nd shell", "beyond"]
    assert [s.stop for s in shells[:2]] == pytest.approx([2.5, 3.75], abs=0.1)
    given = find_shells(RadialHistogram(r, density, density), (2.2, 3.3))
    assert [(s.start, s.stop) for s in given[:2]] == [(0.0, 2.2), (2.2, 3.3)]
    (alone,) = find_shells(RadialHistogram(r, 0 * r, 0 * r))
    assert (alone.name, alone.stop) == ("all", pytest.approx(6.0))


def test_shells_of_few_sites_end_between_clumps():
    """For any sample from two clumps, the first shell ends between them."""
    rng = np.random.default_rng(0)
    edges = np.arange(0.0, 6.05, 0.05)
    for _ in range(50):
        r = np.concatenate([rng.normal(2.0, 0.2, 12), rng.normal(3.5, 0.15, 20)])
        counts = np.histogram(r, edges)[0] / (2 * 0.05)
        first, *_ = find_shells(RadialHistogram(0.5 * (edges[1:] + edges[:-1]), counts, counts, 2))
        assert 2.3 < first.stop < 3.2


def test_the_histogram_counts_neighbours(small):
    with StructureStore(small / "small.h5") as source:
        rows = np.array([3, 50, 110])
        found = radial_histogram(source, rows, 6.0)
        total = 0
        for structure, atom in source.structures_at(rows):
            r = np.linalg.norm(structure.positions - structure.positions[atom], axis=1)
            total += ((r > 0) & (r < 6.0)).sum()
    assert found.atoms.sum() * 0.05 * 3 == pytest.approx(total)


def test_explanation_of_a_model(model, small):
    folder = Model.open(model)
    name = "demo0003_Fe_octahedral"
    with StructureStore(small / "small.h5") as source:
        name = source.sites.name[3]
        options = ExplainOptions(WINDOWS, most_sites=40, repeats=1, shap_sites=2, background=5, atoms_of=(name,))
        found = explain([folder], source, options)
        again = explain([folder], source, replace(options, shap_sites=0, atoms_of=()))
        with pytest.raises(ModelError, match="model: model listed twice"):
            explain([folder, Model.open(model)], source, options)
    assert (found.n_sites, found.n_networks, len(found.windows)) == (40, len(folder.members), 3)
    np.testing.assert_array_equal(again.groups.importance.change, found.groups.importance.change)
    np.testing.assert_allclose(found.radial_fractions.sum(axis=-1), 1.0)
    assert found.distances.tolist() == sorted(found.distances)
    shapley = found.shapley
    assert shapley.sites[0] == name
    np.testing.assert_allclose(shapley.values.sum(axis=-1) + shapley.base, shapley.output, rtol=1e-4)
    (atoms,) = found.atoms
    np.testing.assert_allclose(atoms.values.sum(axis=1) + atoms.rest, shapley.values[0].sum(axis=1), rtol=1e-9)
    assert atoms.values[:, atoms.absorber].tolist() == [0.0] * 3


def test_without_structures(model, small, tmp_path):
    with FeatureStore(small / "small.features.h5") as source:
        found = explain([Model.open(model)], source, ExplainOptions(WINDOWS, most_sites=20, repeats=1))
    assert found.histogram is not None
    copy = tmp_path / "alone.features.h5"
    copy.write_bytes((small / "small.features.h5").read_bytes())
    with FeatureStore(copy) as source:
        alone = explain([Model.open(model)], source, ExplainOptions(WINDOWS, most_sites=20, repeats=1, shells=(2.5,)))
        assert alone.histogram is None
        assert [s.name for s in alone.shell_ends] == ["1st shell", "beyond"]
        np.testing.assert_array_equal(alone.groups.mean, found.groups.mean)
        with pytest.raises(ModelError, match=r"alone\.features\.h5: .*`atoms_of` needs structures"):
            explain([Model.open(model)], source, ExplainOptions(atoms_of=(source.sites.name[0],)))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"windows": ((90.0, 95.0),)},
            ConfigError,
            "window 90 to 95 eV holds no energy of the model",
        ),
        ({"shells": (3.0, 2.0)}, ConfigError, "`shells`: .* below 6 Å, received 3, 2"),
        ({"shells": (2.0, 100.0)}, ConfigError, "below 6 Å, received 2, 100"),
        ({"permuted": ("shell",)}, ConfigError, "`permuted`: .* received 'shell'"),
        ({"windows": ((-3.0, 3.0), (-3.0, 3.0))}, ConfigError, r"`windows`: .* received -3 to \+3 eV twice"),
        ({"atoms_of": ("nobody",)}, StoreError, r"small\.h5: no site 'nobody'"),
        (
            {"split": "none of them"},
            ModelError,
            "at least 2 sites .*received 0 in set 'none of them' of .*; the store has .*train",
        ),
    ],
)
def test_invalid_options(model, small, change, error, message):
    with StructureStore(small / "small.h5") as source, pytest.raises(error, match=message):
        explain([Model.open(model)], source, replace(ExplainOptions(WINDOWS), **change))


def test_explain_command(model, small, tmp_path, capsys):
    words = ["explain", model, small / "small.h5", "--window", "-3:3", "--window", "40:46", "--repeats", 1]
    with StructureStore(small / "small.h5") as source:
        words += ["--most-sites", 30, "--permute", "--site", source.sites.name[3]]
    assert run(*words, "--json", tmp_path / "explain.json", "-o", tmp_path / "figures") == 0
    printed = capsys.readouterr().out
    assert "1st shell" in printed
    assert "contribution at " in printed
    found = json.loads((tmp_path / "explain.json").read_text())
    assert [(w["start"], w["stop"]) for w in found["windows"]] == [(-3.0, 3.0), (40.0, 46.0)]
    for window in [*found["windows"], found["whole"]]:
        assert len(window["mu"]) == len(window["g2_importance"]) == len(window["g2_shap"])
        assert sum(window["g2_importance"]) == pytest.approx(1.0)
        assert [s["label"] for s in window["shells"]] == [s["shell"] for s in found["shells"]]
        assert all(row["change_percent"] >= 0 for row in window["groups"])
        for section in ("groups", "kinds"):  # both have every feature once
            assert sum(row["kernel_percent"] for row in window[section]) == pytest.approx(100.0)
        assert [(s["start"], s["stop"]) for s in window["shells"]] == [(s["start"], s["stop"]) for s in found["shells"]]
    assert found["columns"] == ["-3:3", "40:46", "-20:60"]
    assert len(found["atoms"][0]["numbers"]) == len(found["atoms"][0]["values"][0])
    names = {"importance", "windows", "difference", "shells", "angles", "kinds", "atoms-1"}
    figures = {path.stem: path for path in (tmp_path / "figures").glob("*.png")}
    assert figures.keys() == names
    assert min(path.stat().st_size for path in figures.values()) > 8_000
    rows = list(csv.DictReader((tmp_path / "figures" / "importance.csv").read_text().splitlines()))
    atoms = list(csv.DictReader((tmp_path / "figures" / "atoms.csv").read_text().splitlines()))
    assert [float(row["-3 to +3 eV"]) for row in atoms] == pytest.approx(found["atoms"][0]["values"][0])
    assert {row["section"] for row in rows} == {"kinds", "shells", "angles", "groups"}
    own = [float(row["g2_importance"]) for row in rows if row["window"] == "-3:3" and row["g2_importance"]]
    assert own == pytest.approx(found["windows"][0]["g2_importance"])
    assert {row["window"] for row in rows} == {"-3:3", "40:46", "-20:60"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--window", "3"], "--window: expected START:STOP in eV, such as -15:-8, received '3'"),
        (["--window", "3:-3"], "--window: expected START below STOP, received '3:-3'"),
        (["--window", "80:90"], "window 80 to 90 eV holds no energy of the model"),
        (["--shells", "a"], "--shells: expected distances in Å, such as 2.5,3.2,3.9, received 'a'"),
        (["--split", "mine"], "expected at least 2 sites to permute features among, received 0 in set 'mine' of "),
        (["-o", "here"], "here: is a folder with other files and will not be replaced"),
    ],
)
def test_invalid_commands(model, small, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "mine.txt").write_text("mine")
    assert run("explain", model, small / "small.h5", *words, "--overwrite") == 2
    assert message in capsys.readouterr().err
    assert (tmp_path / "here" / "mine.txt").read_text() == "mine"


def test_a_named_site_is_explained_without_permuting_anything(model, small, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("xanes_hpc.analysis.explain.permutation_importance", None)  # would fail if called
    with StructureStore(small / "small.h5") as source:
        name = source.sites.name[3]
    words = ["explain", model, small / "small.h5", "--site", name, "--background", 3]
    assert run(*words, "--json", tmp_path / "e.json", "-o", tmp_path / "figures") == 0
    printed = capsys.readouterr().out
    assert "predicted" in printed
    assert "1st shell" not in printed
    found = json.loads((tmp_path / "e.json").read_text())
    assert found["shapley"]["sites"] == [name]
    assert found["shells"] == []
    for window in [*found["windows"], found["whole"]]:
        assert all("shap" in row and "change_percent" not in row for row in window["groups"])
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"importance.csv", "atoms.csv", "atoms-1.png"}


def test_single_functions_are_permuted_only_for_a_file(model, small, monkeypatch, capsys):
    permuted = []

    def counted(mean, groups, *others):
        permuted.append(len(groups))
        return permutation_importance(mean, groups, *others)

    monkeypatch.setattr("xanes_hpc.analysis.explain.permutation_importance", counted)
    words = ["explain", model, small / "small.h5", "--repeats", 1, "--most-sites", 4]
    assert run(*words) == 0
    printed, permuted[:] = sum(permuted), []
    assert run(*words, "--json", "-") == 0
    assert printed < sum(permuted) / 2
