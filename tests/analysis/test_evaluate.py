"""Figures of merit compared with worked examples and slow definitions."""

import json
import shutil

import h5py
import numpy as np
import pytest
from scipy.stats import t
from support.builders import run

from xanes_hpc.analysis import evaluate as ev
from xanes_hpc.analysis.inspect import inform
from xanes_hpc.analysis.totals import CoverageByEnergy, DerivativeTotals, UncertaintyTotals, crps_draws
from xanes_hpc.errors import SpectrumError
from xanes_hpc.plotting.spectra import predicted_against_reference
from xanes_hpc.spectra.distribution import GAUSSIAN, LEVELS, Distribution
from xanes_hpc.stores.predictions import PredictionStore

ENERGIES = np.linspace(-15.0, 60.0, 226)


def uncertainty(reference, mean, std, distribution, conformal, draws=None):
    totals = UncertaintyTotals(distribution, conformal, draws is not None)
    totals.add(reference, mean, std, draws)
    return totals.figures()


def test_error_percent_divides_by_the_reference():
    reference = np.array([[1.0, 3.0], [2.0, 2.0]])
    predicted = np.array([[2.0, 3.0], [1.0, 1.0]])
    np.testing.assert_allclose(ev.error_percent(reference, predicted), [25.0, 50.0])


def test_error_percent_leaves_nan_out():
    reference = np.array([[1.0, np.nan, 3.0]])
    np.testing.assert_allclose(ev.error_percent(reference, np.array([[2.0, 99.0, 3.0]])), [25.0])


def test_the_error_curve_averages_to_the_error():
    generator = np.random.default_rng(0)
    reference, predicted = generator.uniform(0.1, 1, (7, 226)), generator.uniform(0.1, 1, (7, 226))
    curve = ev.error_by_energy(reference, predicted, ENERGIES)
    assert np.mean(curve["mean"]) == pytest.approx(ev.error_percent(reference, predicted).mean(), rel=1e-12)


def test_derivative_errors_of_a_slope_and_a_parabola():
    reference = np.zeros((1, 226))
    predicted = (0.5 * ENERGIES**2)[None]
    totals = DerivativeTotals(ENERGIES)
    totals.add(reference, predicted)
    figures = totals.figures()
    assert figures["second_mae"] == pytest.approx(1.0, abs=0.02)
    assert figures["first_mae"] == pytest.approx(np.abs(ENERGIES).mean(), rel=0.01)


def test_crps_of_draws_agrees_with_the_double_sum_and_approaches_the_gaussian():
    generator = np.random.default_rng(1)
    few = generator.normal(0.3, 0.7, (9, 3))
    y = np.array([1.1, 0.0, -2.0])
    pairs = np.abs(few[:, None] - few[None]).sum(axis=(0, 1)) / (9 * 8)
    np.testing.assert_allclose(crps_draws(y, few), np.abs(few - y).mean(axis=0) - 0.5 * pairs, rtol=1e-12)
    many = generator.normal(0.3, 0.7, (20000, 1))
    assert crps_draws(y[:1], many)[0] == pytest.approx(0.7 * float(GAUSSIAN.crps((y[0] - 0.3) / 0.7)), abs=0.02)


def test_a_true_sigma_has_its_nominal_coverage():
    generator = np.random.default_rng(2)
    mean, std = generator.normal(size=(400, 50)), generator.uniform(0.5, 2.0, (400, 50))
    reference = mean + std * generator.normal(size=mean.shape)
    figures = uncertainty(reference, mean, std, GAUSSIAN, [{"level": 0.9, "score": 1.6449}])
    assert figures["coverage"]["1sigma"] == pytest.approx(0.6827, abs=0.01)
    assert figures["coverage"]["2sigma"] == pytest.approx(0.9545, abs=0.01)
    assert figures["coverage"]["3sigma"] == pytest.approx(0.9973, abs=0.003)
    assert figures["conformal"][0]["coverage"] == pytest.approx(0.9, abs=0.01)
    assert figures["calibration_error"] < 0.01
    narrow = uncertainty(reference, mean, 0.5 * std, GAUSSIAN, [])
    assert narrow["coverage"]["1sigma"] < 0.4
    assert narrow["calibration_error"] > 0.05
    assert narrow["crps"] > figures["crps"]


def test_stored_draws_replace_the_gaussian():
    generator = np.random.default_rng(3)
    draws = generator.normal(size=(30, 500, 20))
    reference = generator.normal(size=(30, 20))
    figures = uncertainty(reference, draws.mean(axis=1), draws.std(axis=1), GAUSSIAN, [], iter(draws))
    assert figures["distribution"] == "draws"
    assert figures["calibration_error"] < 0.05


def test_intervals_are_those_of_the_distribution():
    generator = np.random.default_rng(6)
    mean, std = np.zeros((400, 50)), generator.uniform(0.5, 2.0, (400, 50))
    reference = std * generator.standard_t(5, mean.shape) * np.sqrt(3 / 5)
    figures = uncertainty(reference, mean, std, Distribution(5.0), [])
    assert [interval["level"] for interval in figures["intervals"]] == list(LEVELS)
    for interval in figures["intervals"]:
        half = t.ppf(0.5 + interval["level"] / 2, 5) * np.sqrt(3 / 5)
        assert interval["mean_width"] == pytest.approx(2 * half * std.mean())
        assert interval["coverage"] == pytest.approx(interval["level"], abs=0.01)
    assert (figures["distribution"], figures["degrees"]) == ("student-t", 5.0)
    assert figures["calibration_error"] < 0.005
    gaussian = uncertainty(reference, mean, std, GAUSSIAN, [])
    assert gaussian["calibration_error"] > 2 * figures["calibration_error"]
    assert gaussian["crps"] > figures["crps"]


def test_rejection_drops_the_most_uncertain_first():
    errors, sigma = np.arange(1.0, 11.0), np.arange(10.0)
    curve = ev.rejection(errors, sigma)
    assert curve["error_percent_mean"][0] == pytest.approx(5.5)
    assert curve["error_percent_mean"][-1] == pytest.approx(1.0)
    assert np.all(np.diff(curve["error_percent_mean"]) < 0)
    assert curve["best_possible"] == curve["error_percent_mean"]  # sigma goes as the error


def test_rejection_by_an_uninformative_sigma_is_worse_than_by_the_error():
    errors, sigma = np.arange(1.0, 11.0), np.tile([0.0, 1.0], 5)
    curve = ev.rejection(errors, sigma)
    assert curve["best_possible"][5] == pytest.approx(3.0)
    assert curve["error_percent_mean"][5] == pytest.approx(5.0)


def test_sites_out_of_domain_are_evaluated_separately():
    figures = ev.by_trust(np.array([1.0, 2.0, 3.0, 30.0]), ["", "", "", "unlike the training set"])
    assert figures["trusted"] == {"mean": 2.0, "median": 2.0, "n_sites": 3}
    assert figures["not_trusted"] == {"mean": 30.0, "median": 30.0, "n_sites": 1}
    assert ev.by_trust(np.array([1.0]), [""])["not_trusted"] == {"mean": None, "median": None, "n_sites": 0}


def test_coverage_by_energy_agrees_with_that_of_each_column():
    generator = np.random.default_rng(4)
    mean, std = generator.normal(size=(30, 226)), generator.uniform(0.5, 2.0, (30, 226))
    reference = mean + std * generator.normal(size=mean.shape)
    reference[generator.random(reference.shape) < 0.2] = np.nan
    reference[:, 7] = np.nan
    distribution = Distribution(5.0)
    totals = CoverageByEnergy(distribution, ENERGIES)
    for rows in (slice(0, 11), slice(11, 30)):
        totals.add(reference[rows], mean[rows], std[rows])
    figures = totals.figures()
    assert figures["energy_ev"] == ENERGIES.tolist()
    for level in (0.6827, 0.9545, 0.9973):
        k = distribution.half_width(level)
        for i, found in enumerate(figures[f"{level:g}"]):
            there = np.isfinite(reference[:, i])
            errors = np.abs(reference[there, i] - mean[there, i])
            expected = np.mean(errors <= k * std[there, i]) if there.any() else None
            assert found == (expected if expected is None else pytest.approx(expected, abs=1e-12))
    assert figures["0.6827"][7] is None


def test_energies_without_a_reference_have_no_error():
    reference = np.ones((3, 226))
    reference[:, :5] = np.nan
    curve = ev.error_by_energy(reference, 1.5 * np.ones((3, 226)), ENERGIES)
    for name in ("q25", "median", "q75", "mean"):
        assert curve[name] == [None] * 5 + [50.0] * 221


def test_leakage_counts_near_duplicates_among_held_out_sites_only():
    errors = np.array([1.0, 2.0, 3.0, 4.0, 50.0])
    parts = ["test", "test", "none", "test", "train"]
    twins = ["code", "formula", "", "", "code+formula"]
    nearest = np.array([1.0, 1.0, 1.0, 0.001, 0.0])
    audit = ev.leakage(errors, parts, twins, nearest)
    assert (audit["n_held_out"], audit["same_code"], audit["same_formula"], audit["near_features"]) == (4, 1, 1, 1)
    assert audit["error_percent_without_twins"] == {"mean": 3.0, "median": 3.0, "n_sites": 1}
    assert ev.leakage(errors[4:], parts[4:], twins[4:], nearest[4:]) is None


@pytest.fixture(scope="module")
def predicted(model, small, tmp_path_factory):
    path = tmp_path_factory.mktemp("predicted") / "p.h5"
    assert run("predict", small / "small.h5", "--model", model, "-o", path, "--draws", 4) == 0
    return path


@pytest.fixture
def changed(predicted, tmp_path):
    """Return a prediction store, and a function that sets rows of one of its datasets."""
    path = tmp_path / "p.h5"
    shutil.copy(predicted, path)

    def change(name, row, value):
        with h5py.File(path, "r+") as file:
            file[name][row] = value

    return path, change


def leaves(values):
    """Yield all plain values in nested ones."""
    for value in values.values() if isinstance(values, dict) else values:
        if isinstance(value, dict | list):
            yield from leaves(value)
        else:
            yield value


@pytest.mark.parametrize("keep_draws", [False, True])
def test_figures_do_not_depend_on_how_many_sites_are_read_at_a_time(model, small, tmp_path, monkeypatch, keep_draws):
    path, more = tmp_path / "p.h5", ("--keep-draws",) if keep_draws else ()
    assert run("predict", small / "small.h5", "--model", model, "-o", path, "--draws", 4, *more) == 0
    with h5py.File(path, "r+") as file:
        file["reference"][5:9, :30] = np.nan
        file["reference"][20] = 0.0
    with PredictionStore(path) as store:
        whole, rows = ev.evaluate(store), ev.errors_of(store)
        monkeypatch.setattr(ev, "SITES_AT_ONCE", 7)
        monkeypatch.setattr(ev, "POINTS_AT_ONCE", 120 * 9)
        parts, again = ev.evaluate(store), ev.errors_of(store)
    assert whole.keys() == parts.keys()
    for ours, theirs in zip(leaves(parts), leaves(whole), strict=True):
        assert ours == (pytest.approx(theirs, rel=1e-9) if isinstance(theirs, float) else theirs)
    for ours, theirs in zip(again, rows, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_sites_that_are_zero_everywhere_are_left_out_and_counted(changed, tmp_path):
    path, change = changed
    change("reference", 3, 0.0)
    change("reference", 5, np.nan)
    with PredictionStore(path) as store:
        figures = ev.evaluate(store)
        predicted_against_reference(store, tmp_path / "p.png")
    assert (figures["n_sites"], figures["n_zero_reference"], figures["n_without_reference"]) == (118, 1, 1)
    assert inform(path)["references"] == 119


def test_a_store_of_zero_references_only_is_refused(changed):
    path, change = changed
    change("reference", slice(None), 0.0)
    message = r"none of the 120 sites .*120 are zero everywhere"
    with PredictionStore(path) as store, pytest.raises(SpectrumError, match=message):
        ev.evaluate(store)


@pytest.mark.parametrize(("name", "value"), [("mean", np.nan), ("std", np.inf), ("reference", np.inf)])
def test_non_finite_numbers_are_refused_naming_the_site(changed, name, value):
    path, change = changed
    change(name, (7, 4), value)
    with (
        PredictionStore(path) as store,
        pytest.raises(SpectrumError, match=f"{name} of site {store.sites.name[7]}: expected"),
    ):
        ev.evaluate(store)


def test_short_references_are_evaluated_where_they_exist(changed, capsys):
    path, change = changed
    with h5py.File(path) as file:
        reference = file["reference"][:]
    reference[:, :9] = np.nan
    change("reference", slice(None), reference)
    assert run("evaluate", path, "--json", "-") == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["n_points"] == reference.size - 9 * len(reference)
    assert figures["coverage_by_energy"]["0.9545"][8] is None
    assert 0.0 <= figures["coverage_by_energy"]["0.9545"][9] <= 1.0


def test_flagged_sites_are_in_the_table_and_in_the_figures(changed, capsys):
    path, _ = changed
    with h5py.File(path, "r+") as file:
        reasons = [b"unlike the training set" if i < 4 else b"" for i in range(120)]
        del file["sites/distrust"]
        file["sites/distrust"] = np.array(reasons)
    with PredictionStore(path) as store:
        figures = ev.evaluate(store)
        errors = ev.error_percent(store.read("reference"), store.read("mean"))
    assert figures["by_trust"]["not_trusted"]["n_sites"] == 4
    assert figures["by_trust"]["not_trusted"]["mean"] == pytest.approx(errors[:4].mean())
    assert figures["by_trust"]["trusted"]["median"] == pytest.approx(np.median(errors[4:]))
    assert run("evaluate", path) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("out of domain")]
    assert f"4 of 120 sites: error % mean {errors[:4].mean():.2f}" in row
    assert f"of the 116 others mean {errors[4:].mean():.2f}" in row


def test_an_older_store_does_not_record_sites_out_of_domain(changed, capsys):
    path, _ = changed
    with h5py.File(path, "r+") as file:
        del file["sites/distrust"]
    with PredictionStore(path) as store:
        assert ev.evaluate(store)["by_trust"] is None
    assert run("evaluate", path) == 0
    assert "out of domain" not in capsys.readouterr().out


def test_figures_record_what_was_evaluated(predicted):
    with PredictionStore(predicted) as store:
        figures = ev.evaluate(store)
        assert figures["model_digest"] == store.attribute("model_digest")
        assert figures["source_digest"] == store.attribute("source_digest")
    assert figures["spectrum"] == {
        "kind": "xanes", "treatment": '{"name":"synthetic"}', "unit": "arbitrary", "reference_unit": "arbitrary",
    }  # fmt: skip
