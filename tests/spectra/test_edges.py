"""The energy scale of a spectrum: its e0 and origin, and errors with their advice."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.builders import EDGE, edge_step
from support.strategies import quick

from xanes_hpc.errors import SpectrumError
from xanes_hpc.spectra.edges import EDGE_IN_KEV, EDGES, check, check_absorber, edge_energy, place
from xanes_hpc.spectra.spectrum import Spectrum

HYDROGEN, SULPHUR, IRON = 1, 16, 26


def spectrum(points=None, **said):
    points = edge_step() if points is None else np.asarray(points, float)
    return Spectrum(points[:, 0], points[:, 1], source="a.txt", **said)


def relative():
    return edge_step() - [EDGE, 0]


def proposed_shift(error) -> float:
    return float(re.search(r"`shift` (-?[0-9.]+)", str(error.value))[1])


def test_given_e0_overrides_the_file():
    placed = place(spectrum(e_edge=7110.0, absolute=True), IRON, "K", e0=7115.0)
    assert (placed.e0, placed.e0_source) == (7115.0, "given")


def test_e0_of_the_file_overrides_the_table():
    placed = place(spectrum(e_edge=7110.0, absolute=True), IRON, "K")
    assert (placed.e0, placed.e0_source) == (7110.0, "file")


def test_e0_from_the_table():
    placed = place(spectrum(), IRON, "K")
    assert (placed.e0, placed.e0_source) == (7112.0, "xraydb")


def test_absolute_energies_become_relative_to_e0():
    placed = place(spectrum(), IRON, "K")
    assert (placed.energy_origin, placed.shift) == ("absolute", 0.0)
    np.testing.assert_allclose(placed.relative, edge_step()[:, 0] - EDGE, atol=1e-9)


def test_relative_energies_stay_as_they_are():
    placed = place(spectrum(relative()), IRON, "K")
    assert (placed.energy_origin, placed.e0) == ("e0", EDGE)
    np.testing.assert_array_equal(placed.relative, relative()[:, 0])


def test_the_file_decides_whether_energies_are_absolute():
    """Energies above half of the edge energy may be relative, if the file says so."""
    points = np.column_stack([np.linspace(-1, 60, 20), np.linspace(0, 1, 20)])
    assert place(spectrum(points, absolute=False, e_edge=13.6), HYDROGEN, "K").energy_origin == "e0"
    points[:, 0] += 8.0
    assert place(spectrum(points, absolute=True, e_edge=13.6), HYDROGEN, "K").energy_origin == "absolute"


def test_shift_is_added_and_the_file_s_numbers_are_kept():
    read = spectrum(edge_step() - [30.0, 0.0])
    placed = place(read, IRON, "K", shift=30.0)
    assert placed.spectrum is read
    assert (placed.e0, placed.shift) == (EDGE, 30.0)
    np.testing.assert_allclose(placed.relative, edge_step()[:, 0] - EDGE, atol=1e-9)


def test_e0_is_on_the_shifted_scale():
    placed = place(spectrum(edge_step() - [30.0, 0.0]), IRON, "K", e0=7120.0, shift=30.0)
    np.testing.assert_allclose(placed.relative, edge_step()[:, 0] - 7120.0, atol=1e-9)


def test_relative_energies_refuse_a_shift():
    with pytest.raises(SpectrumError, match=r"a\.txt: energies are relative to the edge .*-15 eV\).*`shift`"):
        place(spectrum(relative()), IRON, "K", shift=5.0)
    assert place(spectrum(relative()), IRON, "K", shift=0.0).shift == 0.0


@pytest.mark.parametrize("e0", [7112.0, 7150.0])
def test_e0_may_be_at_an_end(e0):
    points = np.column_stack([np.linspace(7112.0, 7150.0, 20), np.linspace(0, 1, 20)])
    assert place(spectrum(points), IRON, "K", e0=e0).e0 == e0


def test_suggested_shift_of_a_tddft_spectrum_works():
    """As in the sulphur set: 2395 to 2445 eV, with a tabulated edge at 2472 eV."""
    read = spectrum(edge_step(2395.0, 2445.0, 401))
    with pytest.raises(SpectrumError, match=r"e0 = 2472 eV \(xraydb\) lies outside .*, 2395 to 2445 eV; ") as error:
        place(read, SULPHUR, "K")
    placed = place(read, SULPHUR, "K", shift=proposed_shift(error))
    steepest = np.argmax(np.gradient(read.intensities, read.energies))
    assert abs(placed.relative[steepest]) < 0.2
    np.testing.assert_allclose(placed.relative, read.energies + proposed_shift(error) - 2472.0, atol=1e-9)


@settings(quick, max_examples=100)
@given(
    st.floats(6920, 6940) | st.floats(7260, 7280) | st.floats(7300, 14000) | st.floats(4200, 6000),
    st.lists(st.tuples(st.floats(1e-3, 20), st.floats(-10, 10)), min_size=5, max_size=30),
    st.none() | st.floats(7000, 7200),
    st.none() | st.floats(-5, 5),
)
def test_every_suggested_shift_works(end, points, e0, shift):
    """A shift is suggested up to 200 eV: half of the spectra end, or begin, within that of e0."""
    steps, intensities = np.array(points).T
    energies = end + np.cumsum(steps) if end > 7200.0 else end - np.cumsum(steps)[::-1]
    read = spectrum(np.column_stack([energies, intensities]))
    with pytest.raises(SpectrumError) as error:
        place(read, IRON, "K", e0, shift)
    if "`shift`" in str(error.value):
        placed = place(read, IRON, "K", e0, proposed_shift(error))
        assert placed.relative[0] <= 0 <= placed.relative[-1]
    else:
        said = ("repeated energies", "all intensities are zero", "falls from", "spans", "its steepest rise is at")
        assert any(words in str(error.value) for words in said)


@pytest.mark.parametrize("intensities", [[0, 0, 0, 0, 1], [-1, 0, 0, 0, 0], [0, 3, 2, 1, 0]])
def test_steepest_rise_at_an_end(intensities):
    read = spectrum(np.column_stack([7200.04 + np.arange(5), intensities]))
    with pytest.raises(SpectrumError) as error:
        place(read, IRON, "K")
    assert place(read, IRON, "K", shift=proposed_shift(error)).e0 == EDGE


def test_e0_out_of_range_for_energies_that_seem_relative():
    """A molybdenum L3 spectrum imported as a K edge: the error suggests what to check, not a shift."""
    with pytest.raises(SpectrumError, match=r"`absorber` and `edge` .* `e0`") as error:
        place(spectrum(edge_step(2500.0, 2560.0)), 42, "K")
    assert "shift" not in str(error.value)
    assert place(spectrum(edge_step(2500.0, 2560.0)), 42, "L3").energy_origin == "absolute"
    assert place(spectrum(edge_step(2500.0, 2560.0)), 42, "K", e0=2520.0).energy_origin == "absolute"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", [0, 1])
def test_non_finite_numbers(bad, column):
    points = edge_step()
    points[3, column] = bad
    with pytest.raises(SpectrumError, match=rf"a\.txt: expected finite numbers, received .*{bad:g}.* at point 3"):
        place(spectrum(points), IRON, "K")


def test_zero_everywhere():
    with pytest.raises(SpectrumError, match=r"a\.txt: all intensities are zero"):
        place(spectrum(edge_step() * [1, 0]), IRON, "K")


def test_unsorted_energies():
    with pytest.raises(SpectrumError, match=r"a\.txt: unsorted energies: .* received 7172 then 7171 eV"):
        place(spectrum(edge_step()[::-1]), IRON, "K")


def test_repeated_energies():
    points = edge_step()
    points[4, 0] = points[3, 0]
    with pytest.raises(SpectrumError, match=r"a\.txt: repeated energies: .* received 7100 then 7100 eV"):
        place(spectrum(points), IRON, "K")


@pytest.mark.parametrize("n_points", range(5))
def test_too_few_points(n_points):
    with pytest.raises(SpectrumError, match=rf"a\.txt: expected at least 5 points, received {n_points}"):
        place(spectrum(edge_step()[:n_points]), IRON, "K")


def test_five_points_are_enough():
    assert check(spectrum(edge_step(n_points=5))) is None


@pytest.mark.parametrize(
    ("element", "edge", "energy"),
    [(IRON, "K", 7112.0), (27, "K", 7709.0), (SULPHUR, "K", 2472.0), (26, "L3", 706.8), (23, "K", 5465.0)],
)
def test_tabulated_edges(element, edge, energy):
    assert edge_energy(element, edge) == pytest.approx(energy, abs=1.0)


@pytest.mark.parametrize(("pair", "lower"), [("L23", "L3"), ("M23", "M3"), ("M45", "M5")])
def test_a_pair_of_edges_begins_with_the_lower(pair, lower):
    assert edge_energy(78, pair) == edge_energy(78, lower) < edge_energy(78, f"{pair[0]}{pair[1]}")


def test_edge_that_an_element_does_not_have():
    with pytest.raises(SpectrumError, match=r"C has no N3 edge in XrayDB; it has K.*; give `e0`"):
        edge_energy(6, "N3")


def test_given_e0_needs_no_table():
    assert place(replace(spectrum(), source="b"), 6, "N3", e0=7112.0).e0_source == "given"


def test_every_edge_we_accept_is_in_the_table():
    assert all(edge_energy(92, edge) > 0 for edge in EDGES)


@pytest.mark.parametrize(
    ("named", "site"),
    [
        ("K", "K"),
        ("L", "L1"),
        ("L", "L23"),
        ("L3", "L3"),
        ("L3", "L23"),
        ("L2", "L23"),
        ("L23", "L3"),
        ("L23", "L23"),
        (None, "K"),
    ],
)
def test_a_spectrum_of_the_sites_own_edge_is_taken(named, site):
    check_absorber(replace(spectrum(), element=IRON, edge=named), IRON, site)
    check_absorber(replace(spectrum(), edge=named), IRON, site)


@pytest.mark.parametrize(
    ("element", "named", "site", "received"),
    [
        (29, "K", "K", "Cu K"),
        (IRON, "L3", "K", "Fe L3"),
        (None, "L2", "L3", "Fe L2"),
        (30, None, "K", "Zn"),
        (IRON, "L23", "L2", "Fe L23"),
    ],
)
def test_a_spectrum_of_another_absorber_is_refused(element, named, site, received):
    other = replace(spectrum(), element=element, edge=named)
    with pytest.raises(SpectrumError, match=rf"expected a spectrum of Fe {site}, the site's, received {received}$"):
        place(other, IRON, site, e0=7112.0)


def far(distance, start=6950.0, **values):
    """A spectrum whose edge is ``distance`` eV above 7112 eV."""
    energies = np.arange(start, start + 400.0, 0.5)
    return Spectrum(energies, 1.0 + np.tanh((energies - 7112.0 - distance) / 2.0), source="a.txt", **values)


@pytest.mark.parametrize("distance", [-82.0, 82.0])
def test_an_edge_far_from_e0_is_refused_with_a_shift_that_works(distance):
    side = "below" if distance < 0 else "above"
    with pytest.raises(SpectrumError, match=rf"a\.txt: it rises \d+ eV {side} e0 = 7112 eV .*`shift`") as error:
        place(far(distance), IRON, "K")
    shift = proposed_shift(error)
    assert shift == pytest.approx(-distance, abs=0.5)
    assert place(far(distance), IRON, "K", shift=shift).spectrum.choices == ()
    assert len(place(far(distance), IRON, "K", e0=7112.0).spectrum.choices) == 1  # given, so kept, and said


def test_an_edge_at_some_distance_from_e0_is_told():
    assert place(far(8.0), IRON, "K").spectrum.choices == ()
    ((what, detail),) = place(far(-30.0), IRON, "K").spectrum.choices
    assert what == "spectra rise more than 20 eV from e0"
    assert re.fullmatch(r"a\.txt: (29|30|31) eV below e0 = 7112 eV \(xraydb\)", detail)
    assert place(far(-30.0, kind="xes"), IRON, "K").spectrum.choices == ()


def on_background(slope, sign=1.0):
    """A spectrum with an edge at 7112 eV on a line, as measured."""
    energies = np.arange(6950.0, 7800.0, 1.0)
    mu = 0.5 + np.arctan((energies - EDGE) / 2.0) / np.pi + slope * (energies - EDGE)
    return Spectrum(energies, sign * mu, source="a.txt")


@pytest.mark.parametrize("slope", [-4e-3, 0.0, 4e-3])
def test_the_background_does_not_decide_whether_a_spectrum_rises(slope):
    """A long scan may be lower at its end than before its edge."""
    assert place(on_background(slope), IRON, "K").spectrum.choices == ()
    with pytest.raises(SpectrumError, match=r"a\.txt: falls from .* at 711\d eV"):
        place(on_background(slope, -1.0), IRON, "K")


@pytest.mark.parametrize(("own", "kind"), [(9659.0, "of another"), (7.112, "in keV"), (7100.0, "its own")])
def test_the_edge_energy_of_a_file_is_that_of_its_site(own, kind):
    read = spectrum(e_edge=own, absolute=True)
    if kind == "of another":
        with pytest.raises(SpectrumError, match=r"a\.txt: its edge energy, 9659 eV, is not that of Fe K, 7112 eV"):
            place(read, IRON, "K")
        assert place(read, IRON, "K", e0=EDGE).e0 == EDGE
    else:
        placed = place(read, IRON, "K")
        assert placed.e0 == (EDGE if kind == "in keV" else own)
        assert [what for what, _ in placed.spectrum.choices] == [EDGE_IN_KEV] * (kind == "in keV")


def test_energies_in_keV_though_the_file_counts_them_as_absolute():
    points = edge_step() / [1000.0, 1.0]
    placed = place(spectrum(points, e_edge=7.112, absolute=True), IRON, "K")
    np.testing.assert_allclose(placed.spectrum.energies, edge_step()[:, 0])
    assert placed.e0 == EDGE


def test_a_given_edge_energy_in_keV_is_refused():
    with pytest.raises(SpectrumError, match=r"`e0` 7\.112: expected an energy in eV"):
        place(spectrum(), IRON, "K", e0=7.112)


def test_an_edge_of_another_element_is_not_shifted():
    with pytest.raises(SpectrumError, match=r"its steepest rise is at 7\d\d\d eV; check `absorber`") as error:
        place(far(597.0, start=7400.0), IRON, "K")
    assert "shift" not in str(error.value)


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_a_spectrum_of_less_than_an_edge_is_refused(scale):
    points = edge_step(7111.0, 7113.0) if scale == 1.0 else relative() * [scale, 1.0]
    with pytest.raises(SpectrumError, match=r"a\.txt: spans .* eV or more \(are these keV\?\)"):
        place(spectrum(points), IRON, "K")


@pytest.mark.parametrize("start", [7000.0, 7097.0])
def test_a_falling_spectrum_is_refused(start):
    """Raw counts behind the sample fall at the edge, and exchanged channels turn a spectrum upside down."""
    points = edge_step(start, start + 75.0)
    points[:, 1] = 2.0 - points[:, 1]
    with pytest.raises(SpectrumError, match=r"a\.txt: falls from .* expected a rise at the edge"):
        place(spectrum(points), IRON, "K")
    assert place(replace(spectrum(points), kind="xes"), IRON, "K", e0=start + 40.0).spectrum.kind == "xes"


@pytest.mark.parametrize(
    "intensities", [np.ones(60), np.tile([0.4, 0.6], 30), np.linspace(1.0, 1.4, 60), 1.0 + 1e-16 * np.arange(60)]
)
def test_a_spectrum_without_a_clear_rise_is_noted(intensities):
    placed = place(spectrum(np.column_stack([7090.0 + np.arange(60), intensities])), IRON, "K")
    assert "spectra have no clear rise" in dict(placed.spectrum.choices)


def test_a_spectrum_that_ends_before_the_edge_is_refused():
    with pytest.raises(SpectrumError, match="lies outside the spectrum's range"):
        place(spectrum(np.column_stack([7040.0 + np.arange(60), np.arange(60) ** 3])), IRON, "K")


def test_a_damaged_energy_far_away_takes_no_memory():
    energies = np.append(np.linspace(7000.0, 7200.0, 100), 1e15)
    read = spectrum(np.column_stack([energies, np.random.default_rng(0).random(101)]))
    assert place(read, IRON, "K").e0 == EDGE
