"""Which columns of a table are its spectrum, and absorption from detector channels."""

import numpy as np
import pytest
from support.builders import edge_step, run, write, write_xyz
from support.scans import ENERGY, I0, IFLUOR, ITRANS, MU, SCAN, TITLES, holds, scan, told

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import read_spectrum
from xanes_hpc.formats.read_options import ReadOptions

EXPECTED = {"transmission": MU, "fluorescence": 0.2 * MU, "reference": 2 * MU}


@pytest.mark.parametrize("mode", EXPECTED)
def test_absorption_from_channels(tmp_path, mode):
    found = read_spectrum(scan(tmp_path / "a.dat"), ReadOptions(mu=mode))
    assert holds(found, EXPECTED[mode])
    assert "spectra were computed from detector channels" in told(found)


def test_the_reference_channel_comes_along(tmp_path):
    found = read_spectrum(scan(tmp_path / "a.dat"))
    assert found.mode == "transmission"
    np.testing.assert_allclose(found.reference, 2 * MU, rtol=1e-8)
    assert read_spectrum(tmp_path / "a.dat", ReadOptions(mu="reference")).reference is None
    dead = SCAN.copy()
    dead[:, 4] = 0.0
    assert read_spectrum(scan(tmp_path / "b.dat", rows=dead)).reference is None
    own = read_spectrum(scan(tmp_path / "c.dat", ("energy", "mutrans", "murefer"), SCAN[:, :3]))
    np.testing.assert_allclose(own.reference, ITRANS)


def test_without_a_choice_transmission_is_read_and_said(tmp_path):
    found = read_spectrum(scan(tmp_path / "a.dat"))
    assert holds(found)
    assert told(found)["spectra were computed from detector channels"] == "a.dat: ln(i0 / itrans)"
    assert told(found)["files have several columns that may be the spectrum"].endswith("read transmission")


@pytest.mark.parametrize(
    "titles",
    [
        ("Energy (eV)", "I0", "IT", "IF", "IR"),
        ("E", "I_0", "I1", "If", "I2"),
        ("energy", "io", "itr", "fluor", "iref"),
        ("PhotonEnergy", "monitor", "i1", "pips", "ir"),
    ],
)
def test_titles_of_beamlines(tmp_path, titles):
    assert holds(read_spectrum(scan(tmp_path / "a.csv", titles, separator=",")))


@pytest.mark.parametrize(
    "columns", [("energy", "i0", "itrans"), ("1", "2", "3"), ("ENERGY", "2", "itrans"), ("Energy", "I0", "ITrans")]
)
def test_columns_by_title_or_number(tmp_path, columns):
    assert holds(read_spectrum(scan(tmp_path / "a.dat"), ReadOptions(columns)))


def test_columns_without_known_titles(tmp_path):
    path = scan(tmp_path / "a.dat", ("Mono", "A", "B", "C", "D"))
    with pytest.raises(FormatError, match=r"a\.dat: columns 1,A,B: give `mu`, one of transmission"):
        read_spectrum(path, ReadOptions(("1", "A", "B")))
    path = scan(tmp_path / "b.dat", ("x", "A", "B", "C", "D"))
    assert holds(read_spectrum(path, ReadOptions(("x", "A", "B"), "transmission")))
    assert holds(read_spectrum(path, ReadOptions(("x", "A", "C"), "fluorescence")), 0.2 * MU)
    assert holds(read_spectrum(path, ReadOptions(("x", "C"))), IFLUOR)
    bare = write(tmp_path / "c.dat", scan(tmp_path / "named.dat").read_text().partition("\n")[2])
    assert holds(read_spectrum(bare, ReadOptions(("1", "2", "3"), "transmission")))


def test_the_elements_of_a_detector_are_added_up(tmp_path):
    rows = np.column_stack([SCAN[:, :2], IFLUOR, 2 * IFLUOR])
    path = scan(tmp_path / "a.dat", ("energy", "i0", "if1", "if2"), rows)
    found = read_spectrum(path, ReadOptions(("energy", "i0", "if1", "if2"), "fluorescence"))
    assert holds(found, 0.6 * MU)
    assert told(found)["spectra were computed from detector channels"] == "a.dat: (if1 + if2) / i0"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ReadOptions(("energy", "i0", "nothing")), r"a\.dat: expected a column nothing, received 5 columns \(energy, "),
        (ReadOptions(("energy", "i0", "9")), r"a\.dat: expected a column 9"),
        (ReadOptions(("energy", "i0", "2")), r"a\.dat: columns energy,i0,2: expected different columns"),
    ],
)
def test_columns_that_are_not_there(tmp_path, options, message):
    with pytest.raises(FormatError, match=message):
        read_spectrum(scan(tmp_path / "a.dat"), options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ReadOptions(mu="absorption"), "`mu` 'absorption': expected one of transmission, fluorescence, reference"),
        (ReadOptions(("energy",)), "`columns` 'energy'"),
        (ReadOptions(("energy", "")), "`columns` 'energy,'"),
        (ReadOptions(("e", "i0", "it", "ir"), "transmission"), "`columns` 'e,i0,it,ir': .* energy,i0,itrans"),
        (ReadOptions(d_spacing=-1.0), "`d_spacing`"),
        (ReadOptions(d_spacing=float("nan")), "`d_spacing`"),
        (ReadOptions(feff_mu="some"), "`feff_mu`"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(FormatError, match=message):
        options.check()


def test_a_single_detector_is_no_spectrum(tmp_path):
    with pytest.raises(FormatError, match=r"a\.dat: expected a spectrum, received the counts of itrans alone"):
        read_spectrum(scan(tmp_path / "a.dat", ("energy", "itrans"), SCAN[:, [0, 2]]))
    with pytest.raises(FormatError, match=r"b\.dat: expected columns itrans and irefer for reference"):
        read_spectrum(scan(tmp_path / "b.dat", TITLES[:3], SCAN[:, :3]), ReadOptions(mu="reference"))


def test_dead_and_saturated_channels(tmp_path):
    rows = SCAN[:, :3].copy()
    rows[:, 2] = 0.0
    with pytest.raises(FormatError, match=r"dead\.dat: column itrans: 0 at every point"):
        read_spectrum(scan(tmp_path / "dead.dat", TITLES[:3], rows))
    rows = SCAN[:, :3].copy()
    rows[20:, 2] = -1.0
    with pytest.raises(FormatError, match=r"dies\.dat: ln\(i0 / itrans\) does not exist at 20 of 40 points"):
        read_spectrum(scan(tmp_path / "dies.dat", TITLES[:3], rows))
    rows = SCAN.copy()
    rows[7, 1] = 0.0
    found = read_spectrum(scan(tmp_path / "lost.dat", rows=rows))
    assert holds(found, np.delete(MU, 7), np.delete(ENERGY, 7))
    assert told(found)["points without counts were left out"].startswith("lost.dat: 1 of 40")
    rows = SCAN.copy()
    rows[:, 2] = np.minimum(rows[:, 2], 7e4)
    found = read_spectrum(scan(tmp_path / "top.dat", rows=rows))
    assert told(found)["detector channels seem saturated"] == "top.dat: itrans is 70000 at 12 neighbouring points"
    rows = SCAN.copy()
    rows[:, 1] = 1e5
    found = read_spectrum(scan(tmp_path / "same.dat", rows=rows))
    assert told(found)["detector channels are constant"] == "same.dat: i0 is 100000 at every point"


def test_the_commands_read_channels_alike(tmp_path, capsys):
    write_xyz(tmp_path / "in" / "a.xyz")
    rows = np.column_stack([edge_step()[:, 0], np.full(len(edge_step()), 2.0), 2.0 * np.exp(-edge_step()[:, 1])])
    scan(tmp_path / "mu" / "a.dat", ("E", "A", "B"), rows)
    words = ("import", tmp_path / "in", "--spectra", tmp_path / "mu", "-o", tmp_path / "s.h5")
    assert run(*words, "--columns", "E,A,B", "--mu", "transmission") == 0
    assert "Note: spectra were computed from detector channels: a.dat: ln(A / B)" in capsys.readouterr().err
    assert run(*words, "--overwrite", "--columns", "E,A,B") == 2
    assert "a.dat: columns E,A,B: give --mu" in capsys.readouterr().err
    assert run("match", tmp_path / "mu" / "a.dat", tmp_path / "s.h5", "--columns", "E,A,B", "--mu", "transmission") == 0
    assert "ln(A / B)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "title",
    [
        *("counts", "i_trans_cps", "It_A", "ionchamber2", "if", "if1", "I0_amp", "temperature"),
        *("dmu/dE", "norm_der", "bkg", "pre", "error"),
    ],
)
def test_what_is_no_spectrum_is_read_only_when_asked_for(tmp_path, title):
    path = scan(tmp_path / "a.dat", ("energy", title), SCAN[:, :2])
    with pytest.raises(FormatError, match=rf"a\.dat: expected a spectrum, .*{title}.*`columns` energy,{title}"):
        read_spectrum(path)
    assert holds(read_spectrum(path, ReadOptions(("energy", title))), I0)


def test_an_unknown_title_is_told(tmp_path):
    found = read_spectrum(scan(tmp_path / "a.dat", ("energy", "sample"), SCAN[:, :2]))
    assert told(found)["columns with unknown titles were taken as spectra"] == "a.dat: sample"


@pytest.mark.parametrize(
    "titles", [("energy", "i0_amp", "i_trans_cps"), ("energy(eV)", "I0 (A)", "It_A"), ("energy_readback", "i0", "it")]
)
def test_titles_of_channels_with_their_electronics(tmp_path, titles):
    assert holds(read_spectrum(scan(tmp_path / "a.csv", titles, SCAN[:, :3], ",")))


def test_numbered_elements_are_added_up_unless_their_sum_is_there(tmp_path):
    rows = np.column_stack([SCAN[:, :2], IFLUOR, 2 * IFLUOR, 3 * IFLUOR])
    found = read_spectrum(scan(tmp_path / "a.dat", ("energy", "i0", "if1", "if2", "if3"), rows))
    assert holds(found, 1.2 * MU)
    assert told(found)["spectra were computed from detector channels"] == "a.dat: (if1 + if2 + if3) / i0"
    found = read_spectrum(scan(tmp_path / "b.dat", ("energy", "i0", "if1", "if2", "if"), rows))
    assert holds(found, 0.6 * MU)


def test_exchanged_channels_are_told(tmp_path):
    found = read_spectrum(scan(tmp_path / "a.dat", ("energy", "it", "i0"), SCAN[:, :3]))
    assert "the absorption falls through the edge: i0 and itrans may be exchanged" in told(found)
    assert len(told(read_spectrum(scan(tmp_path / "b.dat", TITLES[:3], SCAN[:, :3])))) == 1
