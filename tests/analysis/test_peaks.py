"""Peaks of constructed spectra, and their matching compared with an exhaustive search."""

import itertools

import numpy as np
import pytest

from xanes_hpc.analysis.peaks import WITHIN, Mean, PeakTotals, find_spectrum_peaks, match_peaks

ENERGIES = np.linspace(-15.0, 60.0, 226)


def peaks(reference, predicted, energies):
    totals = PeakTotals(energies)
    totals.add(reference, predicted)
    return totals.figures()


def bumps(*centres: float, width: float = 1.5) -> np.ndarray:
    return sum(np.exp(-0.5 * ((ENERGIES - c) / width) ** 2) for c in centres)


def test_peaks_are_found_where_they_are():
    found, heights = find_spectrum_peaks(ENERGIES, bumps(0.0, 20.0))
    np.testing.assert_allclose(found, [0.0, 20.0], atol=0.2)
    np.testing.assert_allclose(heights, 1.0, atol=0.01)


def test_a_peak_below_two_percent_of_the_range_is_ignored():
    small, large = bumps(0.0) + 0.015 * bumps(30.0), bumps(0.0) + 0.025 * bumps(30.0)
    assert find_spectrum_peaks(ENERGIES, small)[0].size == 1
    assert find_spectrum_peaks(ENERGIES, large)[0].size == 2


def test_a_plateau_counts_at_its_middle_and_an_end_is_not_a_peak():
    energies = np.arange(8.0)
    found, _ = find_spectrum_peaks(energies, np.array([9.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 9.0]))
    assert found.tolist() == [3.5]


def brute_force_match(first, second):
    best = (0, 0.0)
    shorter, longer = (first, second) if len(first) <= len(second) else (second, first)
    for n in range(len(shorter), 0, -1):
        for chosen in itertools.combinations(range(len(shorter)), n):
            for others in itertools.permutations(range(len(longer)), n):
                distances = [abs(shorter[i] - longer[j]) for i, j in zip(chosen, others, strict=True)]
                if max(distances) <= WITHIN and (best[0] < n or sum(distances) < best[1]):
                    best = (n, sum(distances))
        if best[0]:
            return best
    return best


@pytest.mark.parametrize("seed", range(40))
def test_matching_takes_the_most_pairs_then_the_smallest_distance(seed):
    generator = np.random.default_rng(seed)
    first, second = (np.sort(generator.uniform(0, 8, generator.integers(0, 5))) for _ in range(2))
    i, j = match_peaks(first, second)
    n, distance = brute_force_match(first, second)
    assert len(i) == len(set(i)) == len(set(j)) == n
    assert np.abs(first[i] - second[j]).sum() == pytest.approx(distance, abs=1e-12)


def test_false_peaks_lower_precision_not_recall():
    figures = peaks(bumps(0.0)[None], bumps(0.0, 20.0, 40.0)[None], ENERGIES)
    assert figures["recall"] == 1.0
    assert figures["precision"] == pytest.approx(1 / 3)
    assert figures["f1"] == pytest.approx(0.5)


def test_peak_shift_and_height_are_measured():
    figures = peaks(bumps(0.0)[None], 1.1 * bumps(1.0)[None], ENERGIES)
    assert figures["delta_energy_ev"] == pytest.approx(1.0, abs=0.34)
    assert figures["delta_intensity_percent"] == pytest.approx(10.0, abs=0.5)


def test_no_peaks_gives_null_not_zero():
    flat = np.ones((2, 226))
    assert peaks(flat, flat, ENERGIES)["recall"] is None


def test_a_peak_of_zero_height_has_no_relative_error():
    spectrum = bumps(0.0) - 1.0
    energies, heights = find_spectrum_peaks(ENERGIES, spectrum)
    assert heights == pytest.approx(0.0, abs=0.02)
    figures = peaks((spectrum - heights[0])[None], spectrum[None], ENERGIES)
    assert (figures["n_matched"], figures["delta_energy_ev"]) == (energies.size, 0.0)
    assert figures["delta_intensity_percent"] is None


def test_points_without_a_reference_are_not_peaks():
    reference, predicted = bumps(0.0, 20.0), bumps(0.0, 20.0)
    reference[ENERGIES > 10.0] = np.nan
    figures = peaks(reference[None], predicted[None], ENERGIES)
    assert (figures["n_reference"], figures["n_predicted"], figures["n_matched"]) == (1, 1, 1)


def test_the_mean_of_nothing_is_none():
    mean = Mean()
    mean.add(np.array([np.nan, np.inf]))
    assert mean.value is None
    mean.add(np.array([1.0, np.nan, 3.0]))
    assert mean.value == 2.0
