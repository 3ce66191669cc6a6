"""Some sites of a prediction store as a store of their own."""

import numpy as np
import pytest

from xanes_hpc.prediction.average import average
from xanes_hpc.stores import chosen_predictions
from xanes_hpc.stores.chosen_predictions import ChosenPredictions
from xanes_hpc.stores.predictions import PredictionStore


@pytest.mark.parametrize("rows", [[5], [0, 1, 2, 3], [2, 60, 119], list(range(0, 120, 3))])
@pytest.mark.parametrize("at_once", [2, 512])
def test_every_reading_is_that_of_the_rows(predicted, monkeypatch, rows, at_once):
    monkeypatch.setattr(chosen_predictions, "ROWS_AT_ONCE", at_once)
    with PredictionStore(predicted) as store:
        chosen = ChosenPredictions(store, np.array(rows))
        assert (chosen.n_sites, chosen.path) == (len(rows), predicted)
        for name in ("mean", "std", "reference", "draws", "sites/e0", "sites/nearest"):
            every = store.read(name)
            np.testing.assert_array_equal(chosen.read(name), every[rows])
            np.testing.assert_array_equal(chosen.read(name, len(rows) - 1), every[rows[-1]])
            np.testing.assert_array_equal(chosen.read(name, slice(1, 3)), every[rows][1:3])
            np.testing.assert_array_equal(chosen.read(name, [0]), every[rows][:1])
        np.testing.assert_array_equal(chosen.energies, store.energies)
        assert chosen.sites.name == [store.sites.name[row] for row in rows]
        assert chosen.texts("part") == [store.texts("part")[row] for row in rows]
        assert chosen.distrust == [store.distrust[row] for row in rows]
        np.testing.assert_array_equal(chosen.calibrated_draws(0), store.calibrated_draws(rows[0]))
        assert chosen.n_averaged is None


def test_averages(predicted, tmp_path):
    with PredictionStore(predicted) as store:
        average(store, tmp_path / "a.h5", "all")
    with PredictionStore(tmp_path / "a.h5") as store:
        chosen = ChosenPredictions(store, np.array([1, 3]))
        assert chosen.n_averaged.tolist() == store.n_averaged[[1, 3]].tolist()
