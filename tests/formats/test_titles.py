"""Titles of tables: which line holds them, other tables below, and EXAFS."""

import numpy as np
import pytest
from support.builders import write
from support.scans import ENERGY, MU, N

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import read_spectrum
from xanes_hpc.formats.read_options import ReadOptions

ROWS = "".join(f"{e:g} {m:.8g}\n" for e, m in zip(ENERGY, MU, strict=True))
EXCHANGED = "".join(f"{m:.8g} {e:g}\n" for e, m in zip(ENERGY, MU, strict=True))
COUNTS = "".join(f"{e:g} 1e5 {1e5 * np.exp(-m):.9g}\n" for e, m in zip(ENERGY, MU, strict=True))
CHI = "".join(f"{0.05 * k:g} {np.sin(k):.5f}\n" for k in range(N))


@pytest.mark.parametrize(
    "header",
    [
        "# k chi\n# my sample\n",
        "# Columns: k chi\n",
        "# k: wavenumber\n# chi: EXAFS\n",
        "#EXAFS k chi\n",
        "# k  Chi  extra\n",
        "# columns = k, chi(k)\n",
        "# column labels: k k2chi\n",
        "# wavenumber: k\n# y: chi\n",
        "# k*chi data\n# x y\n",
        "# Fe foil\n# this is k^2 chi(k) over k\n",
    ],
)
def test_headers_that_name_k_and_chi(tmp_path, header):
    with pytest.raises(FormatError, match=r"a\.dat: expected energies and a spectrum, received .*chi"):
        read_spectrum(write(tmp_path / "a.dat", header + CHI))


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("# mu energy\n# my sample\n", EXCHANGED),
        ("# energy mu\n# good one\n", ROWS),
        ("# Columns: energy mu\n", ROWS),
        ("# k chi\n# energy mu\n", ROWS),
        ("# measured at I0\n# energy i0 it\n# good data set\n", COUNTS),
        ("# Mono Energy * I0 * I1\n", COUNTS),
    ],
)
def test_known_titles_hold_before_prose(tmp_path, header, rows):
    found = read_spectrum(write(tmp_path / "a.dat", header + rows))
    np.testing.assert_allclose(found.energies, ENERGY)
    np.testing.assert_allclose(found.intensities, MU, rtol=1e-7)


@pytest.mark.parametrize("titles", ["# energy it i0", "#L energy it i0", "# k chi phase"])
def test_another_table_below_is_refused(tmp_path, titles):
    lines = COUNTS.splitlines(keepends=True)
    text = "#S 1\n# energy i0 it\n" + "".join(lines[:20]) + "#S 2\n" + titles + "\n" + "".join(lines[20:])
    with pytest.raises(FormatError, match=r"a\.dat: line 24: expected the columns energy, i0, it as above, received"):
        read_spectrum(write(tmp_path / "a.dat", text))


def test_the_same_titles_and_comments_may_stand_below(tmp_path):
    lines = ROWS.splitlines(keepends=True)
    text = "# energy mu\n" + "".join(lines[:20]) + "# energy mu\n# beam lost\n" + "".join(lines[20:]) + "#C done\n"
    np.testing.assert_allclose(read_spectrum(write(tmp_path / "a.dat", text)).intensities, MU, rtol=1e-7)


@pytest.mark.parametrize("title", ["qexafs_energy", "ZapEnergy", "mono1_energy", "energy_actual", "Achieved Energy"])
def test_titles_of_energies(tmp_path, title):
    rows = "".join(f"{1.0};{row}" for row in ROWS.replace(" ", ";").splitlines(keepends=True))
    found = read_spectrum(write(tmp_path / "a.csv", f"x;{title};mu\n{rows}"))
    np.testing.assert_allclose(found.energies, ENERGY)


def test_a_measured_energy_holds_before_one_that_was_set(tmp_path):
    rows = "".join(f"{e + 0.5:g},{e:g},{m:.8g}\n" for e, m in zip(ENERGY, MU, strict=True))
    found = read_spectrum(write(tmp_path / "a.csv", f"energy_set,energy_actual,mu\n{rows}"))
    np.testing.assert_allclose(found.energies, ENERGY)
    assert (
        "files have several columns of energies",
        "a.csv: energy_set, energy_actual; read energy_actual",
    ) in found.choices


@pytest.mark.parametrize("title", ["lnI0It", "ln(I0/It)", "ln(i0/i1)", "ln_I0_Itrans"])
def test_a_logarithm_is_a_spectrum(tmp_path, title):
    rows = "".join(f"{row};{m:.8g}\n" for row, m in zip(COUNTS.replace(" ", ";").splitlines(), MU, strict=True))
    found = read_spectrum(write(tmp_path / "a.csv", f"energy;i0;it;{title}\n{rows}"))
    np.testing.assert_allclose(found.intensities, MU, rtol=1e-7)
    assert (found.mode, found.choices) == ("transmission", ())


@pytest.mark.parametrize("title", ["murefer", "muref", "mu_ref"])
def test_the_spectrum_of_the_reference_is_not_that_of_the_sample(tmp_path, title):
    path = write(tmp_path / "a.dat", f"# energy {title}\n{ROWS}")
    with pytest.raises(FormatError, match=r"a\.dat: expected a spectrum of the sample, .*`mu` reference"):
        read_spectrum(path)
    np.testing.assert_allclose(read_spectrum(path, ReadOptions(mu="reference")).intensities, MU, rtol=1e-7)


def test_xdi_whose_titles_contradict_its_items(tmp_path):
    items = "# XDI/1.0\n# Column.1: energy eV\n# Column.2: i0\n# Column.3: itrans\n#---\n"
    with pytest.raises(FormatError, match=r"a\.xdi: expected columns as in the items .* energy, itrans, i0"):
        read_spectrum(write(tmp_path / "a.xdi", f"{items}# energy itrans i0\n{COUNTS}"))
    found = read_spectrum(write(tmp_path / "b.xdi", f"{items}# energy a b\n{COUNTS}"))
    np.testing.assert_allclose(found.intensities, MU, rtol=1e-7)
