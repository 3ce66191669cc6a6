"""Selecting sites to calculate next, against a slow reference, and writing their FDMNES runs."""

import csv

import numpy as np
import pytest
from support.builders import refused, run, write
from support.stored import structure, write_structures

from xanes_hpc.errors import ConfigError, ModelError, StoreError
from xanes_hpc.models.distances import mean_differences
from xanes_hpc.models.model import Model
from xanes_hpc.prediction.predict import PredictOptions, predict
from xanes_hpc.prediction.select import cover, judged, select
from xanes_hpc.prediction.select_first import select_first
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structures import StructureStore

RNG = np.random.default_rng(4)
X = np.concatenate([RNG.normal(0, 0.1, (20, 6)), RNG.normal(5, 0.1, (20, 6)), RNG.normal(0, 3, (20, 6))]).astype("f4")
DISTANCE = RNG.uniform(0.5, 3.0, 60).astype("f4")
EVERY = np.arange(60)


def covered(distance, targets, n):
    return cover(lambda some: mean_differences(X[targets], X[some]), distance[targets], 60, n)


def slow(targets, n):
    """Select greedily, computing the whole sum for every site at each step."""

    def total(chosen):
        return sum(np.sqrt(min([DISTANCE[t], *(np.abs(X[t] - X[i]).mean() for i in chosen)])) for t in targets)

    chosen, sums = [], [total([])]
    for _ in range(n):
        tried = [np.inf if i in chosen else total([*chosen, i]) for i in range(60)]
        chosen.append(int(np.argmin(tried)))
        sums.append(min(tried))
    return chosen, -np.diff(sums) / sums[0]


@pytest.mark.parametrize("targets", [EVERY, RNG.permutation(60)[:25]], ids=["all", "some"])
def test_the_selection_is_that_of_the_slow_reference(targets, monkeypatch):
    monkeypatch.setattr("xanes_hpc.prediction.select.BOUNDS_AT_ONCE", 3)
    monkeypatch.setattr("xanes_hpc.prediction.select.ROWS_AT_ONCE", 7)
    order, gains = covered(DISTANCE, targets, 12)
    expected, falls = slow(targets, 12)
    assert order.tolist() == expected
    np.testing.assert_allclose(gains, falls, rtol=1e-4)


def test_all_sites_can_be_selected_each_once():
    order, gains = covered(DISTANCE, EVERY, 60)
    assert sorted(order) == EVERY.tolist()
    assert gains.sum() == pytest.approx(1.0)


def test_sites_that_are_all_known_are_selected_too():
    order, gains = covered(np.zeros(60, "f4"), EVERY, 5)
    assert len(set(order.tolist())) == 5
    assert not gains.any()


def test_a_selection_does_not_repeat_a_kind_of_site_and_begins_with_the_crowded_ones():
    order = covered(np.full(60, 10.0, "f4"), EVERY, 12)[0]
    assert sum(order < 20) <= 2
    assert sum((order >= 20) & (order < 40)) <= 2
    assert min(order[:2]) < 20
    assert 20 <= max(order[:2]) < 40


def test_chance_depends_only_on_the_seed(model, small):
    with FeatureStore(small / "small.features.h5") as source:
        rows, folder = np.arange(60), Model.open(model)
        first, again, other = ([s.row for s in select(folder, source, 10, "chance", seed, rows)] for seed in (1, 1, 2))
        assert all(s.gain_percent is None for s in select(folder, source, 2, "chance"))
    assert first == again != other
    assert len(set(first)) == 10


def test_a_large_store_is_sampled(model, small, monkeypatch):
    with FeatureStore(small / "small.features.h5") as source:
        rows, folder = np.arange(0, 80, 2), Model.open(model)
        whole = select(folder, source, 5, rows=rows)
        assert whole == select(folder, source, 5, seed=0, rows=rows)
        monkeypatch.setattr("xanes_hpc.prediction.select.SAMPLED", 12)
        first, again, other = (select(folder, source, 5, seed=seed, rows=rows) for seed in (1, 1, 2))
        assert [s.row for s in first] == [s.row for s in again] != [s.row for s in other]
        assert all(s.row in rows for s in first)
        many = select(folder, source, 20, rows=rows)
    assert len({s.row for s in many}) == 20


def test_uncertainty_and_distance_agree_with_predictions(model, small, tmp_path):
    folder, rows = Model.open(model), np.arange(3, 90, 2)
    with FeatureStore(small / "small.features.h5") as features:
        uncertainty, distance = judged(folder, features, rows, 0)
        found = select(folder, features, 6, rows=rows)
        predict(folder, features, tmp_path / "p.h5", PredictOptions(draws=30))
    with PredictionStore(tmp_path / "p.h5") as store:
        sigma, mean = (store.read(name)[rows].mean(axis=1) for name in ("std", "mean"))
        np.testing.assert_allclose(uncertainty, sigma / mean, rtol=1e-4)
        np.testing.assert_allclose(distance, store.read("sites/nearest")[rows], rtol=1e-5)
        nearest, names = store.read("sites/nearest"), store.sites.name
        assert [s.distance for s in found] == pytest.approx([nearest[s.row] for s in found])
        assert [s.site for s in found] == [names[s.row] for s in found]


def test_sites_that_the_model_was_made_with_are_not_selected(model, small):
    folder = Model.open(model)
    parts = dict(zip(folder.training_sites.names, folder.training_sites.sets, strict=True))
    with StructureStore(small / "small.h5") as source:
        found = select(folder, source, 4)
        assert all(parts[s.site] == 3 for s in found)
        assert [s.site for s in found] == [source.sites.name[s.row] for s in found]
        with pytest.raises(ModelError, match=r"expected at least 500 sites that .* was not made with, received 6"):
            select(folder, source, 500)
        with pytest.raises(ConfigError, match="`strategy` 'best': expected coverage, chance"):
            select(folder, source, 2, "best")
        assert len(select(folder, source, 30, rows=np.arange(50))) == 30


def test_without_a_model_the_first_site_is_the_most_central_and_the_others_cover_the_pool(small):
    with FeatureStore(small / "small.features.h5") as source:
        rows = np.arange(4, 64)
        found = select_first(source, 8, rows=rows)
        root = np.sqrt(np.abs(source.read(4, 64).astype(np.float64)))
    z = ((root - root.mean(axis=0)) / np.where(root.std(axis=0) > 0, root.std(axis=0), 1.0)).clip(-10, 10)
    apart = np.sqrt(np.abs(z[:, None] - z).mean(axis=2))
    chosen = [int(np.argmin(apart.sum(axis=0)))]
    nearest = apart[chosen[0]]
    expected = []
    for _ in range(7):
        sums = np.minimum(nearest, apart).sum(axis=1)
        expected.append(100.0 * (nearest.sum() - sums.min()) / apart[chosen[0]].sum())
        chosen.append(int(np.argmin(sums)))
        nearest = np.minimum(nearest, apart[chosen[-1]])
    assert [s.row - 4 for s in found] == chosen
    assert found[0].gain_percent is None
    assert [s.gain_percent for s in found[1:]] == pytest.approx(expected, rel=1e-3)
    assert {(s.uncertainty_percent, s.distance) for s in found} == {(None, None)}


def test_without_a_model_identical_sites_chance_and_one_site_are_selected_too(small, tmp_path):
    with FeatureStore(small / "small.features.h5") as source:
        assert len(select_first(source, 1)) == 1
        first, again, other = ([s.row for s in select_first(source, 9, "chance", seed)] for seed in (1, 1, 2))
        assert first == again != other
        with pytest.raises(ModelError, match=r"expected at least 500 sites to select from, received 120"):
            select_first(source, 500)
        with pytest.raises(ConfigError, match="`strategy` 'best': expected coverage, chance"):
            select_first(source, 2, "best")
    entries = [(structure(f"s{k}", 5, 1), [0], "K", [[]]) for k in range(6)]
    with StructureStore(write_structures(tmp_path / "same.h5", entries)) as store:
        with pytest.raises(StoreError, match="expected a feature store"):
            select_first(store, 2)
    assert run("featurise", tmp_path / "same.h5") == 0
    with FeatureStore(tmp_path / "same.features.h5") as source:
        assert len({s.row for s in select_first(source, 4)}) == 4


def test_the_command_needs_no_model(small, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("select", small / "small.features.h5", "-n", 3) == 0
    rows = list(csv.DictReader((tmp_path / "selected.csv").read_text().splitlines()))
    assert [row["gain %"] == "" for row in rows] == [True, False, False]
    assert {(row["uncertainty %"], row["distance"]) for row in rows} == {("", "")}
    assert "Next: xanes-hpc fdmnes write" in capsys.readouterr().err
    said = refused(capsys, tmp_path, "select", small / "small.h5", "-n", 3, "-o", "b.csv")
    assert "expected a feature store, as there is no model, received structures; featurise them first" in said


def test_the_command_writes_a_table_and_fdmnes_runs(model, small, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["select", small / "small.h5", "--model", model, "-n", 3]
    assert run(*words, "--fdmnes", "runs") == 0
    assert "Next: sbatch run.sh in runs" in capsys.readouterr().err
    rows = list(csv.DictReader((tmp_path / "selected.csv").read_text().splitlines()))
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    names = {row["site"] for row in rows}
    runs = list(csv.DictReader((tmp_path / "runs" / "runs.csv").read_text().splitlines()))
    assert {row["site"] for row in runs} == names
    assert run(*words) == 2
    assert "selected.csv: already exists" in capsys.readouterr().err
    assert run("fdmnes", "write", small / "small.h5", "--sites", "selected.csv", "-o", "again") == 0
    assert len(list((tmp_path / "again").glob("*/*_in.txt"))) == 3
    assert run(*words, "-o", "b.csv", "--strategy", "chance", "--fdmnes", "runs") == 2
    assert "runs: already exists" in capsys.readouterr().err
    assert not (tmp_path / "b.csv").exists()
    assert run(*words, "--strategy", "chance", "--fdmnes", "runs", "--overwrite") == 0
    rows = csv.DictReader((tmp_path / "selected.csv").read_text().splitlines())
    runs = csv.DictReader((tmp_path / "runs" / "runs.csv").read_text().splitlines())
    assert {row["site"] for row in rows} == {row["site"] for row in runs}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\na\n", "t.csv: line 1: expected a column site, or columns structure and atom (from 0), received name"),
        ("", "t.csv: line 1: expected a column site, or columns structure and atom (from 0), received nothing"),
        ("site\nnobody\n", "t.csv: line 2: "),
        (None, "t.csv: cannot be read: No such file or directory"),
    ],
)
def test_malformed_tables_of_sites_are_refused(small, tmp_path, capsys, text, message):
    if text is not None:
        write(tmp_path / "t.csv", text)
    assert run("fdmnes", "write", small / "small.h5", "--sites", tmp_path / "t.csv", "-o", tmp_path / "r") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
