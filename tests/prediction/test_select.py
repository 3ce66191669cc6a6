"""Selecting sites to calculate next, against a slow reference, and writing their FDMNES runs."""

import csv

import numpy as np
import pytest
from support.builders import run, write

from xanes_hpc.errors import ConfigError, ModelError
from xanes_hpc.models.model import Model
from xanes_hpc.prediction.predict import PredictOptions, predict
from xanes_hpc.prediction.select import Candidates, judged, pick, select
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structures import StructureStore

RNG = np.random.default_rng(4)
X = np.concatenate([RNG.normal(0, 0.1, (20, 6)), RNG.normal(5, 0.1, (20, 6)), RNG.normal(0, 3, (20, 6))]).astype("f4")
KNOWN = Candidates(np.arange(60) * 2, RNG.uniform(0.01, 0.1, 60), RNG.uniform(0.5, 1.0, 60))


def rows_to_x(rows):
    assert (np.diff(rows) > 0).all()
    return X[rows // 2]


def slow(n, score):
    """Select greedily, computing every distance again at each step."""
    chosen = []
    for _ in range(n):
        scores = []
        for i in range(60):
            near = [KNOWN.distance[i], *(np.abs(X[i] - X[j]).mean() for j in chosen)]
            scores.append(-np.inf if i in chosen else score(KNOWN.uncertainty[i], min(near)))
        chosen.append(int(np.argmax(scores)))
    return chosen


@pytest.mark.parametrize(
    ("strategy", "score"),
    [("both", lambda u, d: u * d), ("diversity", lambda u, d: d), ("uncertainty", lambda u, d: u)],
)
def test_the_selection_is_that_of_the_slow_reference(strategy, score):
    found = pick(KNOWN, 15, strategy, 0, rows_to_x)
    assert [i for i, _ in found] == slow(15, score)


def test_a_selection_does_not_repeat_a_kind_of_site():
    """Of two clusters and scattered sites, it takes few from each cluster."""
    alike = Candidates(KNOWN.rows, np.full(60, 0.1), np.full(60, 10.0))
    chosen = [i for i, _ in pick(alike, 12, "both", 0, rows_to_x)]
    assert sum(i < 20 for i in chosen) <= 2
    assert sum(20 <= i < 40 for i in chosen) <= 2


def test_chance_depends_only_on_the_seed():
    first, again, other = (pick(KNOWN, 10, "chance", seed, rows_to_x) for seed in (1, 1, 2))
    assert first == again != other
    assert len({i for i, _ in first}) == 10


def test_candidates_have_the_largest_initial_scores(monkeypatch):
    monkeypatch.setattr("xanes_hpc.prediction.select.POOL", 5)
    best = np.argsort(-KNOWN.uncertainty * KNOWN.distance)[:25]
    assert {i for i, _ in pick(KNOWN, 1, "both", 0, rows_to_x)} <= set(best.tolist())


def test_uncertainty_and_distance_agree_with_predictions(model, small, tmp_path):
    folder = Model.open(model)
    with FeatureStore(small / "small.features.h5") as features:
        known = judged(folder, features, np.arange(3, 90, 2), 0)
        predict(folder, features, tmp_path / "p.h5", PredictOptions(draws=30))
    with PredictionStore(tmp_path / "p.h5") as store:
        sigma, mean = (store.read(name)[known.rows].mean(axis=1) for name in ("std", "mean"))
        np.testing.assert_allclose(known.uncertainty, sigma / mean, rtol=1e-4)
        np.testing.assert_allclose(known.distance, store.read("sites/nearest")[known.rows], rtol=1e-5)


def test_sites_that_the_model_was_made_with_are_not_selected(model, small):
    folder = Model.open(model)
    parts = dict(zip(folder.training_sites.names, folder.training_sites.sets, strict=True))
    with StructureStore(small / "small.h5") as source:
        found = select(folder, source, 4)
        assert all(parts[s.site] == 3 for s in found)
        assert [s.site for s in found] == [source.sites.name[s.row] for s in found]
        with pytest.raises(ModelError, match=r"expected at least 500 sites that .* was not made with, received 6"):
            select(folder, source, 500)
        with pytest.raises(ConfigError, match="`strategy` 'best': expected both, uncertainty, diversity, chance"):
            select(folder, source, 2, "best")
        assert len(select(folder, source, 30, rows=np.arange(50))) == 30


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
