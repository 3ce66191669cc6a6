"""Tables of beamlines: the columns of the spectrum, absorption from detector channels, and points in any order."""

import bz2
import gzip
import lzma

import numpy as np
import pytest
from support.builders import edge_step, run, write, write_xyz

from xanes_hpc.errors import FormatError
from xanes_hpc.experiment.calculated import read_calculated
from xanes_hpc.formats import read_spectrum
from xanes_hpc.formats.read_options import ReadOptions
from xanes_hpc.spectra.edges import IN_KEV

N = 40
ENERGY = 7090.0 + 2.0 * np.arange(N)
I0 = 1e5 + 100.0 * np.arange(N)
MU = 0.3 + 1.0 / (1.0 + np.exp(-(ENERGY - 7115.0)))
ITRANS, IFLUOR = I0 * np.exp(-MU), 0.2 * MU * I0
IREFER = ITRANS * np.exp(-2 * MU)
SCAN = np.stack([ENERGY, I0, ITRANS, IFLUOR, IREFER], axis=1)
TITLES = ("energy", "i0", "itrans", "ifluor", "irefer")
D = 3.1356
EXPECTED = {"transmission": MU, "fluorescence": 0.2 * MU, "reference": 2 * MU}


def scan(path, titles=TITLES, rows=SCAN, separator="  "):
    lines = [separator.join(f"{value:.12g}" for value in row) for row in np.asarray(rows)]
    return write(path, f"# {separator.join(titles)}\n" + "\n".join(lines) + "\n")


def holds(found, mu=MU, energies=ENERGY):
    np.testing.assert_allclose(found.energies, energies, rtol=1e-9)
    np.testing.assert_allclose(found.intensities, mu, rtol=1e-8)
    return True


def told(found):
    return dict(found.choices)


@pytest.mark.parametrize("mode", EXPECTED)
def test_absorption_from_channels(tmp_path, mode):
    found = read_spectrum(scan(tmp_path / "a.dat"), ReadOptions(mu=mode))
    assert holds(found, EXPECTED[mode])
    assert "spectra were computed from detector channels" in told(found)


SIGMA = 0.01 + 1e-4 * np.arange(N)


@pytest.mark.parametrize(
    ("titles", "others"),
    [
        (("energy", "mu", "sigma"), ()),
        (("energy", "mu_std", "mu"), ()),
        (("energy", "xmu", "stddev"), ()),
        (("energy", "norm", "standard error"), ()),
        (("energy", "mu", "mu_err", "sigma"), (np.ones(N),)),
    ],
)
def test_standard_deviations_in_a_column_are_read_and_told(tmp_path, titles, others):
    own = {"mu_std": SIGMA, "mu_err": SIGMA, "mu": MU, "xmu": MU, "norm": MU, "energy": ENERGY}
    rows = [own.get(title, SIGMA) for title in titles[: len(titles) - len(others)]] + list(others)
    found = read_spectrum(scan(tmp_path / "a.csv", titles, np.array(rows).T, ","))
    assert holds(found)
    np.testing.assert_allclose(found.sigma, SIGMA)
    assert told(found)["standard deviations were read from a column"].startswith("a.csv: ")


@pytest.mark.parametrize(
    ("title", "values"), [("dmu", SIGMA), ("sigma", -SIGMA), ("sigma", 0 * SIGMA), ("err", 99 * MU)]
)
def test_a_column_that_cannot_be_standard_deviations_is_none(tmp_path, title, values):
    found = read_spectrum(scan(tmp_path / "a.csv", ("energy", "mu", title), np.array([ENERGY, MU, values]).T, ","))
    assert holds(found)
    assert found.sigma is None


def test_a_cross_section_sigma_is_not_its_own_standard_deviation(tmp_path):
    found = read_spectrum(scan(tmp_path / "a.dat", ("energy", "sigma"), np.array([ENERGY, MU]).T))
    assert holds(found)
    assert found.sigma is None


def test_standard_deviations_follow_the_order_and_averages_of_points(tmp_path):
    rows = np.array([ENERGY, MU, SIGMA]).T[::-1]
    rows = np.insert(rows, 5, rows[5], axis=0)
    found = read_spectrum(scan(tmp_path / "a.csv", ("energy", "mu", "sigma"), rows, ","))
    assert holds(found)
    expected = SIGMA.copy()
    expected[N - 6] /= np.sqrt(2)
    np.testing.assert_allclose(found.sigma, expected)


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


@pytest.mark.parametrize(("unit", "title"), [(1.0, "angle"), (1.0, "Bragg_angle(deg)"), (np.pi / 180, "angle(rad)")])
def test_angles_become_energies(tmp_path, unit, title):
    rows = SCAN.copy()
    rows[:, 0] = unit * np.degrees(np.arcsin(12398.419843320026 / (2 * D * ENERGY)))
    path = scan(tmp_path / "a.dat", (title, *TITLES[1:]), rows)
    with pytest.raises(FormatError, match=r"a\.dat: expected energies, received the column .*`d_spacing`"):
        read_spectrum(path)
    found = read_spectrum(path, ReadOptions(d_spacing=D))
    assert holds(found)  # angles descend
    assert "energies were computed from the angle of the monochromator" in told(found)


def test_angles_of_xdi_with_its_own_spacing(tmp_path):
    rows = SCAN[:, :3].copy()
    rows[:, 0] = np.degrees(np.arcsin(12398.419843320026 / (2 * D * ENERGY)))
    items = "".join(f"# Column.{k}: {name}\n" for k, name in enumerate(("angle degrees", "i0", "itrans"), 1))
    text = f"# XDI/1.0\n{items}# Mono.d_spacing: {D} Å\n#---\n" + "".join(
        f"{a:.12g} {b:.12g} {c:.12g}\n" for a, b, c in rows
    )
    assert holds(read_spectrum(write(tmp_path / "a.xdi", text)))
    with pytest.raises(FormatError, match="expected angles between 0 and 90 degrees"):
        read_spectrum(write(tmp_path / "b.xdi", text.replace("angle degrees", "angle radians")))


def test_keV_in_the_title_and_without_a_unit(tmp_path):
    rows = SCAN / [1000.0, 1, 1, 1, 1]
    assert holds(read_spectrum(scan(tmp_path / "a.dat", ("energy_keV", *TITLES[1:]), rows)))
    placed = read_calculated(scan(tmp_path / "b.dat", rows=rows), absorber="Fe").placed
    np.testing.assert_allclose(placed.spectrum.energies, ENERGY)
    assert told(placed.spectrum)[IN_KEV] == "b.dat: from 7.09 to 7.168 keV"


@pytest.mark.parametrize("separator", [";", "\t", "  "])
def test_decimal_commas(tmp_path, separator):
    path = scan(tmp_path / "a.txt", rows=SCAN + 0.5, separator=separator)
    path.write_text(path.read_text().replace(".", ","))
    found = read_spectrum(path, ReadOptions(("energy", "i0")))
    assert holds(found, I0 + 0.5, ENERGY + 0.5)
    assert told(found)["numbers have decimal commas"].startswith("a.txt: line ")


def test_numbers_with_commas_and_points_are_refused(tmp_path):
    with pytest.raises(FormatError, match=r"a\.txt: line 3: expected numbers, received '7\.112,5;0,3'"):
        read_spectrum(write(tmp_path / "a.txt", "7111,5;0,1\n7112,0;0,2\n7.112,5;0,3\n"))


@pytest.mark.parametrize(("ending", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".XZ", lzma.compress)])
def test_compressed_files_and_capital_endings(tmp_path, ending, pack):
    path = tmp_path / f"a.DAT{ending}"
    path.write_bytes(pack(scan(tmp_path / "a.dat").read_bytes()))
    assert holds(read_spectrum(path))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(FormatError, match=r"a\.DAT.*: cannot be read"):
        read_spectrum(path)


def test_points_are_sorted_and_those_at_one_energy_averaged(tmp_path):
    order = np.arange(N)
    order[10:13] = [12, 10, 11]
    found = read_spectrum(scan(tmp_path / "jitter.dat", rows=SCAN[order]))
    assert holds(found)
    assert (
        told(found)["spectra were brought into the order of their energies"] == "jitter.dat: they go back by up to 4 eV"
    )
    rows = np.concatenate([SCAN, SCAN[5:8] * [1, 1, np.exp(-0.2), 1, 1]])
    found = read_spectrum(scan(tmp_path / "twice.dat", rows=rows[np.argsort(rows[:, 0], kind="stable")]))
    assert holds(found, MU + 0.1 * np.isin(np.arange(N), [5, 6, 7]))
    assert told(found)["points at the same energy were averaged"] == "twice.dat: 3 of 43 points"
    found = read_spectrum(scan(tmp_path / "down.dat", rows=SCAN[::-1]))
    assert holds(found)
    assert told(found)["spectra were scanned from high to low energy"] == "down.dat: from 7168 to 7090 eV"


def test_several_scans_in_one_file(tmp_path):
    with pytest.raises(FormatError, match=r"a\.dat: energies go back from 7168 to 7090 eV; expected a single scan"):
        read_spectrum(scan(tmp_path / "a.dat", rows=np.concatenate([SCAN, SCAN])))


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
    ("titles", "unit"),
    [
        ("Energy(Ry) mu", 13.605693),
        ("E (Hartree) xanes", 27.211386),
        ("energy_Ry mu", 13.605693),
        ("E/keV mu", 1000.0),
        ("Energy Ry mu", 13.605693),
    ],
)
def test_units_in_titles(tmp_path, titles, unit):
    rows = np.column_stack([(ENERGY - 7112.0) / unit, MU])
    found = read_spectrum(scan(tmp_path / "a.dat", (titles,), rows))
    assert holds(found, MU, ENERGY - 7112.0)
    assert ("energies were converted from Ry or hartree" in told(found)) == (unit != 1000.0)


@pytest.mark.parametrize(
    "title", ["energy (cm-1)", "energy_nm", "Energy(J)", "E (Å)", "energy (a.u.)", "E/a.u.", "E (mRy)"]
)
def test_other_units_are_refused(tmp_path, title):
    with pytest.raises(FormatError, match=r"a\.csv: expected energies in eV, keV, Ry or hartree, received"):
        read_spectrum(scan(tmp_path / "a.csv", (title, "mu"), SCAN[:, :2], ","))


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


@pytest.mark.parametrize(
    "header", ["# k chi\n#---------\n", "# k(A^-1)   mu\n#\n", "# point mu\n", "# index mu\n", "# row mu\n"]
)
def test_what_is_no_energy_above_rules(tmp_path, header):
    text = scan(tmp_path / "a.dat", rows=SCAN[:, :2]).read_text().partition("\n")[2]
    with pytest.raises(FormatError, match=r"a\.dat: expected energies and a spectrum"):
        read_spectrum(write(tmp_path / "a.dat", header + text))


@pytest.mark.parametrize(
    "header",
    [
        "#L energy  Seconds  I0  I1\n",
        "# energy seconds i0 it\n# eV s counts counts\n#---\n",
        "# Mono Energy  Count Time  I0  It\n",
        "energy seconds i0 it\nkeV s counts counts\n",
        "# Energy (eV)  Seconds  Beam I0 (A)  It (A)\n".replace("Beam ", ""),
        "# energy seconds i0 it\n40 4\n",
    ],
)
def test_headers_of_beamlines(tmp_path, header):
    rows = SCAN[:, [0, 0, 1, 2]] * [0.001 if "keV" in header else 1.0, 1, 1, 1]
    text = scan(tmp_path / "a.dat", rows=rows).read_text().partition("\n")[2]
    assert holds(read_spectrum(write(tmp_path / "a.dat", header + text)))


def test_a_count_of_rows_above_two_columns(tmp_path):
    text = scan(tmp_path / "a.dat", ("energy", "mu"), np.column_stack([ENERGY, MU])).read_text()
    found = read_spectrum(write(tmp_path / "a.dat", text.replace("mu\n", f"mu\n{N} 2\n")))
    assert holds(found)
    assert told(found)["a first line with the number of rows was skipped"] == "a.dat: line 2"


@pytest.mark.parametrize(("separator", "decimal"), [(",", "."), (";", ","), (",", ","), (";", ".")])
def test_quoted_fields(tmp_path, separator, decimal):
    rows = "\n".join(separator.join(f'"{value:.9f}"'.replace(".", decimal) for value in row) for row in SCAN[:, :3])
    path = write(tmp_path / "a.csv", separator.join(f'"{title}"' for title in TITLES[:3]) + f"\n{rows}\n")
    found = read_spectrum(path)
    np.testing.assert_allclose(found.intensities, MU, rtol=1e-8)
    assert ("numbers have decimal commas" in told(found)) == (decimal == ",")


def test_only_angles_are_taken_as_angles(tmp_path):
    rows = "".join(f"{e:.12g} {a:.12g} {b:.12g}\n" for e, a, b in SCAN[:, :3])
    text = "# XDI/1.0\n# Column.1: {}\n# Column.2: i0\n# Column.3: itrans\n# Mono.d_spacing: 3.1356\n#---\n" + rows
    path = write(tmp_path / "a.xdi", text.format("energy_readback eV"))
    assert holds(read_spectrum(path, ReadOptions(("energy_readback", "i0", "itrans"))))
    assert holds(read_spectrum(path, ReadOptions(("1", "2", "3"))))
    assert holds(read_spectrum(write(tmp_path / "b.xdi", text.format("mono eV"))))
    assert holds(read_spectrum(write(tmp_path / "c.xdi", text.format("energy (eV)"))))
    bare = scan(
        tmp_path / "d.dat",
        ("mono", "mu"),
        np.column_stack([np.degrees(np.arcsin(0.5 * 12398.41984332 / D / ENERGY)), MU]),
    )
    assert holds(read_spectrum(bare, ReadOptions(d_spacing=D)))


@pytest.mark.parametrize("header", ["# time 12:30\n", "# scan foil\n# Fe foil, 3 scans\n", "# k chi\n# energy mu\n"])
def test_comments_are_no_titles(tmp_path, header):
    text = scan(tmp_path / "a.dat", rows=np.column_stack([ENERGY, MU])).read_text().partition("\n")[2]
    assert holds(read_spectrum(write(tmp_path / "a.dat", header + text)))


@pytest.mark.parametrize(
    ("rows", "line", "words"),
    [
        ("7110 0,5\n7111 0,6\n7112 0,7\n7113,8\n", 4, "decimal"),
        ("7110,0.5\n7111,0.6\n7112 0,7\n", 3, "separate columns"),
    ],
)
def test_commas_of_two_kinds_are_refused(tmp_path, rows, line, words):
    """A row that is cut off after its first number would be read as two."""
    with pytest.raises(FormatError, match=rf"a\.txt: line {line}: expected commas as on line 1, where they .*{words}"):
        read_spectrum(write(tmp_path / "a.txt", rows))
