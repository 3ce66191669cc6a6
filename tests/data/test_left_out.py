"""Sites that a grid leaves out: counted by reason, padded on request, refused if they are most."""

import h5py
import numpy as np
import pytest
from support.builders import run as call
from support.trainings import TINY, copied, gathered, run_of, train_on

from xanes_hpc.analysis.evaluate import evaluate
from xanes_hpc.data.left_out import End, LeftOut, left_out
from xanes_hpc.errors import ConfigError, SpectrumError
from xanes_hpc.prediction.predict import PredictOptions, predict
from xanes_hpc.prediction.sources import open_sources
from xanes_hpc.spectra.grid import Grid
from xanes_hpc.stores.predictions import PredictionStore

WIDE = "[target]\nstart = -20.0\nstop = 60.0\nstep = 0.4\n"
N_POINTS = 201


def short_set(small, folder, later=(), without=()):
    """Copy the small set, whose spectra reach from -20 to 60 eV; some begin and end 5 eV later, some have none."""
    path = copied(small, folder)
    with h5py.File(folder / "small.h5", "r+") as file:
        for row in later:
            file["spectra/energies"][row * N_POINTS : (row + 1) * N_POINTS] += 5.0
        for row in without:
            file["spectra/kind"][row] = "xes"
    return path


def counts_of(path, folder, toml):
    with gathered([path], run_of(folder, toml)) as data:
        assert (data.sets > 3).sum() == data.left_out.n
        return data.left_out


def test_sites_without_a_spectrum_are_told_from_short_spectra(small, tmp_path):
    path = short_set(small, tmp_path, later=range(30), without=range(100, 107))
    found = counts_of(path, tmp_path, WIDE)
    assert (found.n_sites, found.n_without, found.n_short, found.n_not_finite, found.n) == (120, 7, 30, 0, 37)
    assert (found.below, found.above) == (End(30, 5.0), End())
    assert (found.better_start_ev, found.better_stop_ev, found.n_better) == (-15.0, None, 113)


def test_short_spectra_are_padded_on_request(small, tmp_path):
    path = short_set(small, tmp_path, later=range(30))
    toml = WIDE + 'below = "first value"\n'
    with gathered([path], run_of(tmp_path, toml)) as data:
        assert (data.left_out.n, data.left_out.below) == (0, End(30, 5.0, padded=True))
        targets = data.first.targets.read(0, 31)
        energies = data.first.targets.grid.energies
    assert (targets[:30, energies < -15.1] == targets[:30, [0]]).all()
    assert np.ptp(targets[:30, energies > -15], axis=1).min() > 0
    with gathered([path], run_of(tmp_path, WIDE)) as data:  # the cache of padded targets is not used
        assert data.left_out.n == 30


def test_padding_alone_extends_the_default_grid(small, tmp_path):
    path = short_set(small, tmp_path, later=range(60))
    with gathered([path], run_of(tmp_path)) as data:
        assert data.first.targets.grid.energies[[0, -1]].tolist() == [-15.0, 60.0]
    with gathered([path], run_of(tmp_path, '[target]\nbelow = "first value"\nabove = "last value"\n')) as data:
        assert data.first.targets.grid.energies[[0, -1]].tolist() == [-20.0, 65.0]
        assert (data.left_out.n, data.left_out.below.n_spectra, data.left_out.above.n_spectra) == (0, 60, 60)


def test_a_grid_that_leaves_out_most_spectra_is_refused_and_nothing_written(small, tmp_path, capsys):
    path = short_set(small, tmp_path, later=range(70))
    before = {p.name for p in tmp_path.iterdir()}
    config = tmp_path / "run.toml"
    config.write_text(TINY + WIDE)
    assert call("train", path, "--config", config, "-o", tmp_path / "m") == 2
    (line,) = capsys.readouterr().err.splitlines()
    for words in ("70 of 120", "start = -15 ", 'below = "first value"', "most_left_out = 1"):
        assert words in line
    assert {p.name for p in tmp_path.iterdir()} == before | {"run.toml"}


def test_training_goes_on_if_told_to_or_with_the_range_that_is_named(small, tmp_path):
    path = short_set(small, tmp_path, later=range(70))
    assert counts_of(path, tmp_path, WIDE + "most_left_out = 1.0\n").n_short == 70
    assert counts_of(path, tmp_path, WIDE.replace("-20.0", "-15.0")).n == 0


def test_no_spectrum_at_all_is_refused_even_if_told_to_go_on(small, tmp_path):
    path = short_set(small, tmp_path, later=range(120))
    with pytest.raises(SpectrumError, match="no spectrum covers"):
        counts_of(path, tmp_path, WIDE + "most_left_out = 1.0\n")


def test_the_model_records_what_was_left_out_and_references_are_not_padded(small, tmp_path):
    path = short_set(small, tmp_path, later=range(30), without=range(100, 107))
    model = train_on(path, tmp_path / "m", WIDE + 'below = "first value"\n')
    assert (model.description["target"]["below"], model.description["target"]["above"]) == ("first value", None)
    recorded = LeftOut.from_values(model.description["provenance"]["left_out"])
    assert (recorded.n_without, recorded.n_short, recorded.below) == (7, 0, End(30, 5.0, padded=True))
    with open_sources([tmp_path / "small.h5"]) as source:
        predict(model, source, tmp_path / "p.h5", PredictOptions(draws=2))
    with PredictionStore(tmp_path / "p.h5") as store:
        reference, energies = store.read("reference"), store.energies
        assert evaluate(store)["n_points"] == np.isfinite(reference).sum() < 113 * energies.size
    assert np.isnan(reference[:30, energies < -15.3]).all()
    assert np.isfinite(reference[:30, energies > -15]).all()


def test_edges_that_a_recipe_moves_are_counted_where_they_come_to_lie(small, tmp_path):
    path = short_set(small, tmp_path)
    with h5py.File(tmp_path / "small.h5") as file:
        first = file["spectra/energies"][::N_POINTS]
    toml = '[target]\nstart = -20.0\nstop = 40.0\nstep = 0.4\nmost_left_out = 1.0\n[normalisation]\ne0 = "steepest"\n'
    with gathered([path], run_of(tmp_path, toml)) as data:
        found, starts = data.left_out, first - data.e0
    assert found.below.n_spectra == (starts > -20.0 + 0.51 * 0.4).sum()
    assert found.below.most_ev == pytest.approx(max(0.0, starts.max() + 20.0), abs=1e-3)


def test_counts_survive_json():
    found = left_out(
        Grid(np.linspace(-10.0, 10.0, 21)), 9, np.array([-10.0, -9.0, -8.0]), np.array([10.0, 9.0, 8.0]),
        np.full(3, 21),
    )  # fmt: skip
    assert LeftOut.from_values(found.as_values()) == found
    assert (found.n_without, found.n_short, found.n_better) == (6, 2, 3)


@pytest.mark.parametrize(
    ("toml", "key"),
    [
        ('below = "last value"', "target.below"),
        ('above = "zero"', "target.above"),
        ("most_left_out = 1.5", "most_left_out"),
    ],
)
def test_values_that_are_not_known_are_refused(tmp_path, toml, key):
    with pytest.raises(ConfigError, match=key):
        run_of(tmp_path, f"[target]\n{toml}\n")
