"""Detectors in tables of beamlines: which column is which, what is wrong with one, and which way of measuring rises."""

import numpy as np
import pytest
from support.builders import write

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import read_spectrum
from xanes_hpc.formats.channels import NO_COUNTS, SATURATED
from xanes_hpc.formats.read_options import ReadOptions
from xanes_hpc.formats.spectrum_columns import SEVERAL_COLUMNS, SEVERAL_DETECTORS

N = 80
ENERGY = 7070.0 + 1.5 * np.arange(N)
I0 = 2e5 + 100.0 * np.arange(N)
MU = 0.3 + 1.0 / (1.0 + np.exp(-(ENERGY - 7115.0)))
IT, IF = I0 * np.exp(-MU), 0.05 * MU * I0


def scan(path, **columns):
    """Write a table; channels are titled in the order given."""
    rows = np.column_stack([ENERGY, *columns.values()])
    lines = [",".join(f"{value:.12g}" for value in row) for row in rows]
    return write(path, ",".join(["energy", *columns]) + "\n" + "\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("columns", "rivals"),
    [
        ({"Monitor": 3 * I0, "i0": I0, "it": IT}, "i0 may be Monitor, i0; read i0"),
        ({"io": 3 * I0, "i0": I0, "it": IT}, "i0 may be io, i0; read i0"),
        ({"i0_amp": 2 * I0, "i0": I0, "it": IT}, "i0 may be i0_amp, i0; read i0"),
        ({"i0": I0, "i1": I0, "itrans": IT}, "itrans may be i1, itrans; read itrans"),
        ({"i0": I0, "i1": I0, "it": IT, "iref": IT}, "itrans may be i1, it; read it"),
    ],
)
def test_the_most_exact_title_names_the_detector(tmp_path, columns, rivals):
    found = read_spectrum(scan(tmp_path / "a.csv", **columns))
    np.testing.assert_allclose(found.intensities, MU, rtol=1e-8)
    assert dict(found.choices)[SEVERAL_DETECTORS] == f"a.csv: {rivals}"


@pytest.mark.parametrize(
    "columns",
    [
        {"i0": I0, "if": IF, "pips": 3 * IF},
        {"i0": I0, "if_raw": 0.9 * IF, "if_corr": IF},
        {"i0": I0, "vortex1": IF / 2, "vortex2": IF / 2, "tey": IF},
    ],
)
def test_different_detectors_are_not_added_up(tmp_path, columns):
    found = read_spectrum(scan(tmp_path / "a.csv", **columns))
    np.testing.assert_allclose(found.intensities, IF / I0, rtol=1e-8)
    assert SEVERAL_DETECTORS in dict(found.choices)


@pytest.mark.parametrize("title", ["tey", "vortex_sum", "fluo_1", "FLUO_total", "sdd"])
def test_titles_of_fluorescence_and_yield(tmp_path, title):
    found = read_spectrum(scan(tmp_path / "a.csv", i0=I0, **{title: IF}))
    np.testing.assert_allclose(found.intensities, IF / I0, rtol=1e-8)
    assert SEVERAL_DETECTORS not in dict(found.choices)


@pytest.mark.parametrize("titles", [("arr_I0", "arr_I1"), ("a_i0_1", "a_i1_1"), ("i0_1", "i1_1"), ("IC0", "IC1")])
def test_titles_with_the_words_of_a_beamline(tmp_path, titles):
    found = read_spectrum(scan(tmp_path / "a.csv", **dict(zip(titles, (I0, IT), strict=True))))
    np.testing.assert_allclose(found.intensities, MU, rtol=1e-8)


def test_an_intensity_beside_i0_may_be_counts(tmp_path):
    with pytest.raises(FormatError, match=r"a\.csv: expected two columns, .*\(energy, intensity, i0\); `columns`"):
        read_spectrum(scan(tmp_path / "a.csv", intensity=IF, i0=I0))


def flat():
    return I0 * np.exp(-0.3)


@pytest.mark.parametrize("useless", [0 * I0, flat(), 0 * I0 + 7.0, I0 * np.exp(MU - 2)])
def test_the_way_of_measuring_that_rises_is_read(tmp_path, useless):
    path = scan(tmp_path / "a.csv", i0=I0, itrans=useless, ifluor=IF)
    found = read_spectrum(path)
    np.testing.assert_allclose(found.intensities, IF / I0, rtol=1e-8)
    assert found.mode == "fluorescence"
    assert dict(found.choices)[SEVERAL_COLUMNS].endswith("read fluorescence")
    if useless.any():
        assert read_spectrum(path, ReadOptions(mu="transmission")).mode == "transmission"


def test_of_own_columns_the_one_that_rises_is_read(tmp_path):
    found = read_spectrum(scan(tmp_path / "a.csv", mutrans=3.0 - 1e-3 * np.arange(N), mufluor=MU))
    np.testing.assert_allclose(found.intensities, MU)
    assert found.mode == "fluorescence"
    found = read_spectrum(scan(tmp_path / "b.csv", mutrans=3.0 - 1e-3 * np.arange(N), i0=I0, ifluor=IF))
    np.testing.assert_allclose(found.intensities, IF / I0, rtol=1e-8)


def test_where_none_or_both_rise_it_is_said(tmp_path):
    found = read_spectrum(scan(tmp_path / "a.csv", i0=I0, it=IT, ifluor=IF))
    assert "both rise (`mu` chooses); read transmission" in dict(found.choices)[SEVERAL_COLUMNS]
    found = read_spectrum(scan(tmp_path / "b.csv", i0=I0, it=flat(), ifluor=0.1 * I0))
    assert "none rises (`mu` chooses); read transmission" in dict(found.choices)[SEVERAL_COLUMNS]


@pytest.mark.parametrize("other", ["it", "ifluor"])
def test_points_where_the_beam_was_lost(tmp_path, other):
    counts = {"i0": I0.copy(), other: (IT if other == "it" else IF).copy()}
    counts["i0"][40:43], counts[other][40:43] = 0.3, 0.2
    found = read_spectrum(scan(tmp_path / "a.csv", **counts))
    np.testing.assert_allclose(found.energies, np.delete(ENERGY, [40, 41, 42]))
    assert dict(found.choices)[NO_COUNTS] == "a.csv: 3 of 80, where counts are below 1% of their median"
    counts["i0"][40:60], counts[other][40:60] = 0.3, 0.2
    with pytest.raises(FormatError, match=r"b\.csv: .* at 20 of 80, .*the beam seems to have been lost"):
        read_spectrum(scan(tmp_path / "b.csv", **counts))


def test_little_fluorescence_below_the_edge_is_no_lost_beam(tmp_path):
    found = read_spectrum(scan(tmp_path / "a.csv", i0=I0, ifluor=(MU - 0.2999) * I0))
    assert found.energies.size == N


def test_saturation_with_noise_of_a_count(tmp_path):
    counts = np.minimum(IF + 20.0 * (-1) ** np.arange(N), 10000.0)
    counts[counts == 10000.0] += np.arange((counts == 10000.0).sum()) % 2
    found = read_spectrum(scan(tmp_path / "a.csv", i0=I0, ifluor=counts))
    assert dict(found.choices)[SATURATED].startswith("a.csv: ifluor is 10001 at ")
    slow = 2e5 - 0.5 * np.arange(N)
    assert SATURATED not in dict(read_spectrum(scan(tmp_path / "b.csv", i0=slow, it=slow * np.exp(-MU))).choices)


def test_a_reference_that_is_an_absorption_is_taken_as_it_is(tmp_path):
    found = read_spectrum(scan(tmp_path / "a.csv", xmu=MU, REF=2 * MU, I0=I0, I1=IT))
    np.testing.assert_allclose(found.reference, 2 * MU)
    found = read_spectrum(scan(tmp_path / "b.csv", i0=I0, it=IT, ref=IT * np.exp(-2 * MU)))
    np.testing.assert_allclose(found.reference, 2 * MU)
