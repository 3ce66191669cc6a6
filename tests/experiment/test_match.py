"""Searching predictions for a measured spectrum: ranks match a slow reference, mixtures an exhaustive search."""

import csv
import json
import shutil
from dataclasses import replace
from itertools import combinations

import h5py
import numpy as np
import pytest
from scipy.optimize import nnls
from support.builders import run, table, write, write_xyz

from xanes_hpc.errors import ConfigError, SpectrumError
from xanes_hpc.experiment import compare, noise
from xanes_hpc.experiment.compare import MatchOptions
from xanes_hpc.experiment.library import open_library
from xanes_hpc.experiment.match import match
from xanes_hpc.spectra.edges import IN_KEV
from xanes_hpc.spectra.spectrum import Spectrum
from xanes_hpc.stores.predictions import PredictionStore

GRID = np.linspace(-15.0, 60.0, 76)
E0 = 7112.0


class Shelf(compare.Library):
    """A library of synthetic spectra: an edge, and peaks at different energies for each site."""

    def __init__(self, n_sites=50, with_std=True, origin="e0", seed=1):
        rng = np.random.default_rng(seed)
        self.energies, self.origin = GRID if origin == "e0" else GRID + E0, origin
        self.names = [f"S{k}" for k in range(n_sites)]
        self.e0 = np.full(n_sites, E0)
        self.e0[::5] += 0.75
        places, heights = rng.uniform(0, 50, (n_sites, 5)), rng.uniform(0.1, 0.8, (n_sites, 5))
        self.places, self.heights = places, heights
        self.mean = np.array([self.curve(k, GRID) for k in range(n_sites)])
        self.std = rng.uniform(0.01, 0.1, (n_sites, 1)) * (0.2 + self.mean) if with_std else None
        self.reads = 0

    def curve(self, k, relative):
        step = 0.5 + np.arctan(relative / 2.0) / np.pi
        peaks = np.exp(-0.5 * ((relative[:, None] - self.places[k]) / 3.0) ** 2)
        return step + peaks @ self.heights[k]

    def read(self, rows):
        self.reads += 1
        assert (np.diff(rows) > 0).all()
        return self.mean[rows], None if self.std is None else self.std[rows]

    def measured(self, k, factor=1.0, shift=0.0):
        """Return site k as measured, at energies finer than the grid's and beyond its ends."""
        fine = np.linspace(-25.0, 70.0, 1901)
        return Spectrum(self.e0[k] + fine + shift, self.curve(k, fine) / factor, absolute=True, source="measured")


def slow(shelf, experiment, options):
    """Return chi2 per energy, factor, shift and mean log variance of every site, one by one."""
    shifts = np.arange(-round(options.max_shift), round(options.max_shift) + 1)  # the grid's step is 1 eV
    found = []
    for k in range(len(shelf.names)):
        mean = shelf.mean[k]
        std = np.zeros_like(mean) if shelf.std is None else shelf.std[k]
        every = []
        for shift in shifts:
            y = np.interp(GRID + shift, experiment.energies - shelf.e0[k], experiment.intensities)
            if options.scale == "area":
                y, p, s = y / y.mean(), mean / mean.mean(), std / mean.mean()
            elif options.scale == "min-max":
                y, p, s = (
                    (v - w.min()) / (w.max() - w.min()) for v, w in ((y, y), (mean, mean), (std + mean.min(), mean))
                )
            elif options.scale == "line":
                y, p, s = (
                    y - np.polyval(np.polyfit(GRID, y, 1), GRID),
                    mean - np.polyval(np.polyfit(GRID, mean, 1), GRID),
                    std,
                )
            else:
                p, s = mean, std
            variance = s**2 + (noise.ASSUMED * np.abs(p).max()) ** 2
            factor = (
                max(0.0, (y * p / variance).sum() / (y * y / variance).sum())
                if options.scale in compare.WITH_FACTOR
                else 1.0
            )
            every.append((((factor * y - p) ** 2 / variance).mean(), factor, float(shift), np.log(variance).mean()))
        found.append(min(every))
    return np.array(found)


@pytest.mark.parametrize("with_std", [True, False])
@pytest.mark.parametrize("scale", compare.SCALES)
@pytest.mark.parametrize("rows_at_once", [7, 8192])
def test_ranks_agree_with_the_slow_reference(monkeypatch, scale, with_std, rows_at_once):
    monkeypatch.setattr(compare, "ROWS_AT_ONCE", rows_at_once)
    shelf = Shelf(with_std=with_std)
    options = MatchOptions(scale=scale, by="chi2", max_shift=3.0, keep=50)
    experiment = shelf.measured(13, factor=2.5, shift=1.0)
    found = match(experiment, shelf, options)
    expected = slow(shelf, experiment, options)
    assert [m.row for m in found.ranked] == np.argsort(expected[:, 0], kind="stable").tolist()
    for one in found.ranked:
        chi2, factor, shift, _ = expected[one.row]
        assert one.chi2 == pytest.approx(chi2, rel=1e-9, abs=1e-9)
        assert (one.factor, one.shift) == (pytest.approx(factor), pytest.approx(shift))
        assert one.error_percent == pytest.approx(
            100 * np.abs(one.experiment - one.mean).sum() / np.abs(one.experiment).sum()
        )
    if scale != "none":
        assert found.ranked[0].row == 13
        assert found.ranked[0].shift == 1.0
    if scale == "factor":
        assert found.ranked[0].factor == pytest.approx(2.5, rel=1e-3)


@pytest.mark.parametrize("with_std", [True, False])
@pytest.mark.parametrize("scale", compare.SCALES)
def test_standard_deviations_of_the_measured_spectrum_replace_the_assumed_noise(scale, with_std):
    shelf, rng = Shelf(with_std=with_std), np.random.default_rng(4)
    own = shelf.measured(13, factor=2.5 if scale in compare.WITH_FACTOR else 1.0)
    sigma = np.where(own.energies - E0 > 35.0, 0.3, 0.004) * own.intensities.max()
    noisy = replace(own, intensities=own.intensities + sigma * rng.standard_normal(sigma.size), sigma=sigma)
    options = MatchOptions(scale=scale, start=-10.0)
    found = match(noisy, shelf, options)
    assert found.ranked[0].row == 13
    assert found.noise.startswith("σ from the file")
    best = found.ranked[0]
    at = E0 + found.energies + shelf.e0[13] - E0
    size = np.ptp(np.interp(at, own.energies, noisy.intensities)) if scale == "min-max" else 1.0
    size = np.interp(at, own.energies, noisy.intensities).mean() if scale == "area" else size
    if scale in compare.WITH_FACTOR:
        y = np.interp(at, own.energies, noisy.intensities)
        y -= np.polyval(np.polyfit(at, y, 1), at) if scale == "line" else 0.0
        size = np.linalg.norm(y) / np.linalg.norm(best.mean)
    variance = (np.interp(at, own.energies, sigma) / size) ** 2 + (noise.ROUNDING * np.abs(best.mean).max()) ** 2
    variance += 0.0 if best.std is None else best.std**2
    assert best.chi2 == pytest.approx(np.mean((best.experiment - best.mean) ** 2 / variance), rel=1e-3)
    more = match(noisy, shelf, replace(options, noise=0.05)).ranked[0]
    assert more.chi2 < best.chi2
    assert match(replace(noisy, sigma=None), shelf, options).noise.endswith("assumed")


def test_likelihood_does_not_reward_a_wide_sigma():
    shelf = Shelf()
    shelf.std[20] *= 40.0
    experiment = shelf.measured(13)
    options = MatchOptions(keep=50)
    found = match(experiment, shelf, options)
    expected = slow(shelf, experiment, options)
    scores = expected[:, 0] + expected[:, 3] - 2 * np.log(expected[:, 1])
    assert [m.row for m in found.ranked] == np.argsort(scores, kind="stable").tolist()
    places = {by: [m.row for m in match(experiment, shelf, MatchOptions(by=by, keep=50)).ranked].index(20)
              for by in compare.CRITERIA}  # fmt: skip
    assert places["chi2"] < 3
    assert places["likelihood"] > 10


def test_absolute_grids_and_relative_experiments_give_the_same_match():
    shelf, other = Shelf(), Shelf(origin="absolute")
    shelf.e0[:] = other.e0[:] = E0
    experiment = shelf.measured(4)
    relative = Spectrum(experiment.energies - E0, experiment.intensities, absolute=False, source="measured")
    found = [match(e, s) for e, s in ((experiment, shelf), (experiment, other), (relative, shelf))]
    assert found[1].energies == pytest.approx(found[0].energies + E0)
    for one in found[1:]:
        assert [m.row for m in one.ranked] == [m.row for m in found[0].ranked]
        assert [m.chi2 for m in one.ranked] == pytest.approx([m.chi2 for m in found[0].ranked], abs=1e-9)


def mixed(shelf, shares):
    rows = [(shelf.curve(k, np.linspace(-25.0, 70.0, 1901)), share) for k, share in shares.items()]
    y = sum(share * curve for curve, share in rows)
    return Spectrum(E0 + np.linspace(-25.0, 70.0, 1901), 3.0 * y, absolute=True, source="measured")


@pytest.mark.parametrize("shares", [{3: 0.7, 8: 0.3}, {3: 0.5, 8: 0.3, 21: 0.2}])
def test_a_mixture_is_found(shares):
    shelf = Shelf()
    shelf.e0[:] = E0
    found = match(mixed(shelf, shares), shelf, MatchOptions(by="chi2", mixture=3))
    best = found.mixtures[0]
    assert dict(zip(best.rows, best.fractions, strict=True)) == pytest.approx(shares, abs=0.01)
    assert best.chi2 < 1e-3
    assert best.factor == pytest.approx(1 / 3, rel=1e-3)
    assert all(f >= 0.01 for m in found.mixtures for f in m.fractions)
    assert [m.chi2 for m in found.mixtures] == sorted(m.chi2 for m in found.mixtures)


@pytest.mark.parametrize("by", compare.CRITERIA)
def test_a_shifted_mixture_is_found_at_its_shift(by):
    """A mixture is found at a shift where neither of its sites fits best alone."""
    shelf = Shelf()
    shelf.e0[:] = E0
    shelf.std = np.full_like(shelf.mean, 0.02)
    experiment = mixed(shelf, {0: 0.6, 12: 0.4})
    for shift in (0.0, 2.0):
        moved = Spectrum(experiment.energies + shift, experiment.intensities, absolute=True, source="measured")
        found = match(moved, shelf, MatchOptions(by=by, max_shift=3.0, keep=50, mixture=2))
        assert (sorted(found.mixtures[0].rows), found.mixtures[0].shift) == ([0, 12], shift)
        assert found.mixtures[0].fractions == pytest.approx((0.6, 0.4), abs=1e-3)
    assert {m.shift for m in found.ranked if m.row in (0, 12)} == {1.0, 3.0}


@pytest.mark.parametrize("scale", compare.SCALES)
@pytest.mark.parametrize("by", compare.CRITERIA)
def test_mixtures_are_ranked_as_sites_are(by, scale):
    shelf = Shelf()
    rng = np.random.default_rng(2)
    experiment = mixed(shelf, {3: 0.6, 8: 0.4})
    noisy = experiment.intensities / 3.0 + rng.normal(0, 0.02, experiment.energies.size)
    options = MatchOptions(by=by, scale=scale, max_shift=1.0, mixture=2)
    experiment = Spectrum(experiment.energies, noisy, absolute=True, source="measured")
    found = match(experiment, shelf, options)
    assert len(found.mixtures) == options.keep
    alone = {
        m.row: m.score
        for m in match(experiment, shelf, MatchOptions(by=by, scale=scale, max_shift=1.0, keep=50)).ranked
    }
    for one in found.mixtures:
        assert sum(one.fractions) == pytest.approx(1.0)
        assert one.score < min(alone[row] for row in one.rows)
        variance = one.std**2 + (noise.ASSUMED * one.mean.max()) ** 2
        chi2 = np.sum((one.experiment - one.mean) ** 2 / variance)
        assert one.chi2 == pytest.approx(chi2 / one.mean.size)
        width = np.sum(np.log(variance / one.factor**2)) + np.log(one.mean.size)
        assert one.score == pytest.approx(chi2 + (width if by == "likelihood" else 0.0))
        assert one.factor == 1.0 or scale in compare.WITH_FACTOR
    scores = [m.score for m in found.mixtures]
    assert scores == sorted(scores)


def test_inverted_offset_and_flat_spectra_resemble_nothing():
    shelf = Shelf()
    own = shelf.measured(13)
    for values in (2.0 - own.intensities, np.full(own.energies.size, 0.7)):
        odd = Spectrum(own.energies, values, absolute=True, source="odd.txt")
        with pytest.raises(SpectrumError, match=r"odd\.txt: none of 50 spectra resembles it"):
            match(odd, shelf)
    with pytest.raises(ConfigError, match=r"`max_shift`: .* at least the grid's step of 1 eV, received 0\.5"):
        match(own, shelf, MatchOptions(max_shift=0.5))


def test_sites_with_different_edge_energies_are_summed_on_one_axis():
    shelf = Shelf(with_std=False)
    shelf.e0[:] = E0
    y = mixed(shelf, {3: 0.6, 8: 0.4})
    shelf.e0[8] -= 2.0
    shelf.mean[8] = shelf.curve(8, GRID - 2.0)
    best = match(y, shelf, MatchOptions(by="chi2", mixture=2, start=-10.0)).mixtures[0]
    assert dict(zip(best.rows, best.fractions, strict=True)) == pytest.approx({3: 0.6, 8: 0.4}, abs=1e-3)


def test_no_mixture_if_one_site_is_enough():
    shelf = Shelf()
    found = match(shelf.measured(13), shelf, MatchOptions(mixture=2))
    assert all(m.score < found.ranked[0].score for m in found.mixtures if 13 in m.rows)
    shelf = Shelf(n_sites=1)
    assert match(shelf.measured(0), shelf, MatchOptions(mixture=2)).mixtures == []


def test_spectra_that_cannot_be_ranked_are_left_out():
    shelf = Shelf()
    shelf.mean[7, 3] = np.nan
    shelf.std[9, 5] = np.inf
    found = match(shelf.measured(13), shelf, MatchOptions(keep=50))
    assert {7, 9}.isdisjoint(m.row for m in found.ranked)
    assert (found.n_left_out, len(found.ranked)) == (2, 48)
    down = shelf.measured(13)
    down = Spectrum(down.energies, -down.intensities, absolute=True, source="down.txt")
    with pytest.raises(SpectrumError, match=r"down\.txt: none of 50 spectra fits with a positive factor"):
        match(down, shelf)


def test_the_best_pair_agrees_with_an_exhaustive_search():
    """Without standard deviations the weights of pairs differ only by their noise."""
    shelf = Shelf(n_sites=30, with_std=False)
    shelf.e0[:] = E0
    rng = np.random.default_rng(5)
    fine = np.linspace(-25.0, 70.0, 96)
    y = 0.6 * shelf.curve(2, fine) + 0.4 * shelf.curve(17, fine) + rng.normal(0, 0.02, fine.size)
    experiment = Spectrum(E0 + fine, y, absolute=True, source="measured")
    target = np.interp(GRID, fine, y)
    best = min(combinations(range(30), 2), key=lambda pair: nnls(shelf.mean[list(pair)].T, target)[1])
    found = match(experiment, shelf, MatchOptions(mixture=2)).mixtures[0]
    assert sorted(found.rows) == list(best) == [2, 17]
    expected = nnls(shelf.mean[list(found.rows)].T, target)[0]
    assert found.fractions == pytest.approx(expected / expected.sum(), abs=1e-6)


def test_a_range_and_some_rows():
    shelf = Shelf()
    rows = np.arange(10, 30)
    found = match(shelf.measured(13), shelf, MatchOptions(start=-5.0, stop=20.0), rows)
    assert (found.energies[0], found.energies[-1], found.n_compared) == (-5.0, 20.0, 20)
    assert {m.row for m in found.ranked} <= set(rows.tolist())
    assert found.ranked[0].row == 13


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (MatchOptions(scale="area2"), ConfigError, "`scale` 'area2': expected factor, line, none, area, min-max"),
        (MatchOptions(by="r2"), ConfigError, "`by` 'r2': expected chi2, likelihood"),
        (MatchOptions(mixture=4), ConfigError, "`mixture`: expected 1 to 3 sites, received 4"),
        (MatchOptions(max_shift=1e9), ConfigError, r"`max_shift`: .* 75 eV.* received 1e\+09"),
        (MatchOptions(noise=0.0), ConfigError, "`noise`: .* above 0, received 0"),
        (MatchOptions(start=55.0), SpectrumError, "measured: overlaps 6 of the grid's energies"),
    ],
)
def test_invalid_matches(options, error, message):
    shelf = Shelf()
    with pytest.raises(error, match=message):
        match(shelf.measured(1), shelf, options)


def measured_file(folder, store, row):
    with PredictionStore(store) as predictions:
        energies = predictions.energies + predictions.read("sites/e0", row)
        name, values = predictions.sites.name[row], predictions.read("mean", row)
        element = predictions.sites.take(np.array([row])).element[0]
    write(folder / "e.txt", "".join(f"{e:.4f} {3 * y:.8f}\n" for e, y in zip(energies, values, strict=True)))
    return name, int(element)


def test_match_command(predicted, small, tmp_path, capsys):
    from ase.data import chemical_symbols

    name, element = measured_file(tmp_path, predicted, 17)
    words = ["match", tmp_path / "e.txt", predicted, "--absorber", chemical_symbols[element]]
    words += ["--by", "chi2"]
    assert run(*words, "--keep", 4, "--mixture", 2, "-o", tmp_path / "m.csv", "--plot", tmp_path / "m.png") == 0
    printed = capsys.readouterr().out
    assert f"1 {name}" in " ".join(printed.split())
    assert "score: chi-square over all energies, lowest first" in printed
    rows = list(csv.DictReader((tmp_path / "m.csv").read_text().splitlines()))
    assert (rows[0]["kind"], rows[0]["rank"], rows[0]["site"], float(rows[0]["factor"])) == ("site", "1", name, 0.3333)
    assert len([row for row in rows if row["kind"] == "site"]) == 4
    assert (tmp_path / "m.png").stat().st_size > 10_000
    assert run(*words, "-o", tmp_path / "m.csv") == 2
    assert "m.csv: already exists" in capsys.readouterr().err
    assert run("match", tmp_path / "e.txt", small / "small.h5", "--absorber", chemical_symbols[element], "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["not_compared"] == {"without_spectrum": 0, "short": 0}
    assert found["ranked"][0]["chi2"] <= found["ranked"][1]["chi2"]
    assert 0 < found["compared"] < 120


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "received Cr K, Mn K, Fe K, Co K, Ni K, Cu K; choose with --absorber and --edge"),
        (["--absorber", "Fe", "--kind", "xes"], "--kind applies to structure stores; "),
        (["--absorber", "Fe", "--order", "4"], "4 is not in the range 0<=x<=3"),
        (["--absorber", "Fe", "--pre", "5:20"], "--pre: expected a window below the edge, received 5 to 20 eV"),
        (["--absorber", "Zn"], "no Zn sites: expected one of Cr K, Mn K"),
        (["--absorber", "Fe", "--edge", "L3"], "no Fe L3 sites: expected one of Cr K, Mn K"),
        (["--absorber", "Fe", "--range", "500:600"], "e.txt: overlaps 0 of the grid's energies in the range compared"),
        (["--absorber", "Fe", "--range", "5"], "--range: expected START:STOP in eV"),
        (["--absorber", "Fe", "--range", "60:-15"], "--range: expected START below STOP, received '60:-15'"),
        (["--absorber", "Fe", "--max-shift", "nan"], "--max-shift: expected 0 eV or more, received nan"),
        (["--absorber", "Fe", "--noise", "inf"], "--noise: expected a fraction above 0, received inf"),
        (["--absorber", "Fe", "--plot", "m.jpg"], "m.jpg: expected a file ending in .png"),
        (["--absorber", "Fe", "--mixture", "5"], "5 is not in the range 1<=x<=3"),
    ],
)
def test_invalid_commands(predicted, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    with PredictionStore(predicted) as store:
        iron = store.sites.element.tolist().index(26)
    measured_file(tmp_path, predicted, iron)
    assert run("match", "e.txt", predicted, *words) == 2
    assert message in capsys.readouterr().err


def test_unsuitable_experiments_and_other_files(predicted, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "far.txt", "".join(f"{e} 1.{e}\n" for e in range(100, 120)))
    assert run("match", "far.txt", predicted, "--absorber", "Fe") == 2
    assert "far.txt: overlaps 0 of the grid's energies" in capsys.readouterr().err
    write(tmp_path / "kev.txt", "".join(f"{7.1 + 0.002 * k:.4f} {1 + np.tanh((k - 6) / 3)}\n" for k in range(40)))
    assert run("match", "kev.txt", predicted, "--absorber", "Fe") == 0
    assert f"Note: {IN_KEV}: kev.txt: from 7.1 to 7.178 keV" in capsys.readouterr().err
    write(tmp_path / "short.txt", "1 2\n2 3\n")
    assert run("match", "short.txt", predicted, "--absorber", "Fe") == 2
    assert "short.txt" in capsys.readouterr().err
    assert run("match", predicted, predicted, "--absorber", "Fe") == 2
    assert "p.h5: expected a spectrum, received a store of predictions" in capsys.readouterr().err
    write(tmp_path / "no.h5", "no store")
    assert run("match", "far.txt", "no.h5") == 2
    assert "no.h5" in capsys.readouterr().err


def test_a_raw_spectrum_is_normalised_first(predicted, tmp_path, capsys):
    """A falling background hides the site, unless a straight line is subtracted; windows remove it too."""
    with PredictionStore(predicted) as predictions:
        row = predictions.sites.element.tolist().index(26)
        energies, e0 = predictions.energies, float(predictions.read("sites/e0", row))
        name, values = predictions.sites.name[row], predictions.read("mean", row)
    slope = 5.0 * values.max() * (1.0 - 0.02 * energies)
    rows = zip(energies + e0, 7.0 * (values + slope), strict=True)
    path = write(tmp_path / "e.txt", "".join(f"{e:.4f} {y:.8f}\n" for e, y in rows))
    words = ["match", path, predicted, "--absorber", "Fe", "--by", "chi2", "--json"]
    assert run(*words, "--scale", "factor") == 2
    assert "or remove its background with --pre and --post" in capsys.readouterr().err
    assert run(*words) == 0
    best = json.loads(capsys.readouterr().out)["ranked"][0]
    assert (best["site"], best["error_percent"] < 0.1) == (name, True)
    words += ["--edge-at", e0]
    assert run(*words, "--pre=-20:-8", "--post", "30:60") == 0
    normalised = {one["site"]: one for one in json.loads(capsys.readouterr().out)["ranked"]}
    assert normalised[name]["error_percent"] < 20.0
    assert run(*words, "--pre=-20:-8") == 2
    assert "leave no room to choose a window; give --post too" in capsys.readouterr().err
    assert run(*words, "--pre=-200:-80", "--post", "30:60") == 2
    assert "the pre-edge window, -200 to -80 eV from the edge, reaches beyond the spectrum" in capsys.readouterr().err


def test_a_spectrum_that_rises_far_from_the_edge(predicted, tmp_path, capsys):
    """Told beyond 20 eV and refused beyond 50, as by ``import``."""
    energies = np.arange(6950.0, 7350.0, 1.0)
    for move, code, told in (
        (30.0, 0, "rise more than 20 eV from e0"),
        (-60.0, 2, "it rises 60 eV below the Fe K edge"),
    ):
        mu = 1.0 + np.arctan((energies - 7112.0 - move) / 2.0) / np.pi
        path = write(tmp_path / "e.txt", table(np.column_stack([energies, mu])))
        assert run("match", path, predicted, "--absorber", "Fe") == code
        assert told in capsys.readouterr().err


def test_sites_that_a_structure_store_cannot_compare_are_counted(small, tmp_path):
    shutil.copy(small / "small.h5", tmp_path / "s.h5")
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        file["spectra/kind"][5] = "xes"
        file["spectra/energies"][: 3 * 201] += 5.0
    with open_library(tmp_path / "s.h5", "xanes", None) as library:
        assert library.not_compared == {"without_spectrum": 1, "short": 3}
        assert library.rows.tolist() == [3, 4, *range(6, 120)]


def test_a_shift_as_large_as_allowed_is_marked(predicted, tmp_path, capsys):
    with PredictionStore(predicted) as predictions:
        iron = predictions.sites.element.tolist().index(26)
        energies = predictions.energies + predictions.read("sites/e0", iron) + 5.0
        values = predictions.read("mean", iron)
    path = write(tmp_path / "e.txt", "".join(f"{e:.4f} {y:.8f}\n" for e, y in zip(energies, values, strict=True)))
    assert run("match", path, predicted, "--absorber", "Fe", "--max-shift", 2, "--keep", 1) == 0
    out, err = capsys.readouterr()
    assert "2.00*" in out
    assert "Note: the best shift is as large as --max-shift allows" in err
    assert run("match", path, predicted, "--absorber", "Fe", "--max-shift", 8, "--keep", 1) == 0
    out, err = capsys.readouterr()
    assert "*" not in out.partition("score:")[0]
    assert "as large as --max-shift" not in err


class HeldShelf(Shelf):
    """A library with held-out references: its own curves with another peak."""

    def references(self, rows, most):
        rng = np.random.default_rng(5)
        kept = rows[:: max(1, rows.size // most)][:most]
        peaks = [np.exp(-0.5 * ((GRID - place) / 3.0) ** 2) for place in rng.uniform(5, 45, kept.size)]
        return kept, self.mean[kept] + rng.uniform(0.0, 0.2, (kept.size, 1)) * np.array(peaks)


@pytest.mark.parametrize("scale", ["factor", "line", "none", "min-max"])
@pytest.mark.parametrize("by", ["likelihood", "chi2"])
def test_held_out_spectra_are_matched_as_a_measured_one_is(scale, by):
    shelf = HeldShelf()
    options = MatchOptions(scale=scale, by=by, keep=1)
    found = match(shelf.measured(3), shelf, options).held_out
    each = [
        match(Spectrum(GRID, reference, absolute=False, source="r"), shelf, options).ranked[0].error_percent
        for reference in shelf.references(np.arange(50), 100)[1]
    ]
    np.testing.assert_allclose(found.errors, np.sort(each), rtol=1e-6)


def test_a_spectrum_that_no_site_explains_is_told():
    shelf = HeldShelf()
    own = match(shelf.measured(3), shelf).held_out
    assert own.verdict(match(shelf.measured(3), shelf).ranked[0].error_percent) == ""
    assert own.verdict(float(own.errors[-1]) + 1.0).startswith("no site explains this spectrum: the best error is ")
    assert own.verdict(float(np.quantile(own.errors, 0.85))).startswith("a poor match: ")
    assert match(shelf.measured(3), shelf, MatchOptions(max_shift=3.0)).held_out.errors.sum() < own.errors.sum()


def test_a_library_without_held_out_references_makes_no_claim():
    assert match(Shelf().measured(3), Shelf()).held_out is None
    assert match(HeldShelf(8).measured(3), HeldShelf(8)).held_out is None


def test_measured_spectra_of_a_store_are_normalised_as_the_measured_one(tmp_path, capsys):
    """Each finds itself, whatever its step and background."""
    energies, kinds = np.arange(6980.0, 7400.0, 0.5), {"one": (2.0, 0.4), "two": (3.0, 0.9), "three": (4.0, 0.0)}
    folders = tmp_path / "in", tmp_path / "mu"
    for k, (name, (width, line)) in enumerate(kinds.items()):
        x = energies - 7112.0
        edge = 0.5 + np.arctan(x / width) / np.pi + line * np.exp(-(((x - 6.0) / 5.0) ** 2))
        mu = (k + 1.0) * edge + 3.0 * k - (k - 1.0) * 4e-3 * x
        write_xyz(folders[0] / f"{name}.xyz")
        write(folders[1] / f"{name}.txt", table(np.column_stack([energies, mu])))
    store = tmp_path / "s.h5"
    assert run("import", folders[0], "--spectra", folders[1], "--absorber", "Fe", "-o", store) == 0
    for name in kinds:
        capsys.readouterr()
        assert run("match", folders[1] / f"{name}.txt", store, "--json") == 0
        found = json.loads(capsys.readouterr().out)
        assert "3 of 3 spectra" in found["library"]
        best, second = found["ranked"][:2]
        assert best["site"] == name
        assert best["error_percent"] < 1e-3 < 1.0 < second["error_percent"]
