"""FEFF's spectra: absorption in Å², energies of photons, and what the header knows."""

import json

import numpy as np
import pytest
from support.builders import table, write

from xanes_hpc.errors import FormatError, SpectrumError
from xanes_hpc.experiment.calculated import read_calculated
from xanes_hpc.formats import read_spectrum
from xanes_hpc.formats.read_options import ReadOptions
from xanes_hpc.spectra.edges import place

ENERGIES = np.arange(8984.0, 9120.0, 0.5)
MU = np.round(0.5 + np.arctan((ENERGIES - 8994.0) / 2.0) / np.pi, 4)  # as many digits as are written
NORM = 2.3515e-4
FERMI = 8987.067
HEADER = """# # comment:                                                     FEFF 9.9.1
# # POT  SCF 100  7.0000   0, screened core-hole, AFOLP (folp(0)= 1.150)
# # Abs   Z=29 Rmt= 1.168 Rnm= 1.296 K  shell
# # Pot 1 Z=29 Rmt= 1.168 Rnm= 1.296
# # Gam_ch=1.729E+00 H-L exch Vi= 0.000E+00 Vr= 0.000E+00
# # Mu=-7.233E+00eV kf=1.738E+00 Vint=-9.876E+00eV Rs_int= 2.086
FMS rfms= 9.0000
#     0/   0 paths used
#  xsedge+ 50, used to normalize mu           2.3515E-04
#  -----------------------------------------------------------------------
#  omega    e    k    mu    mu0     chi     @#
"""


def xmu(path, header=HEADER):
    zeros, above = np.zeros_like(MU), ENERGIES - FERMI
    k = np.round(np.sign(above) * np.sqrt(np.abs(above) / 3.81), 3)
    return write(path, header + table(np.column_stack([ENERGIES, above - 7.233, k, MU, zeros, zeros])))


def test_the_absorption_of_a_site(tmp_path):
    found = read_spectrum(xmu(tmp_path / "xmu.dat"))
    np.testing.assert_array_equal(found.energies, ENERGIES)
    np.testing.assert_allclose(found.intensities, MU * NORM * 0.529177210903**2, rtol=1e-8)
    assert (found.element, found.edge, found.absolute, found.e_edge) == (29, "K", True, None)
    assert found.unit == "angstrom²"
    assert json.loads(found.treatment) == {"name": "feff", "program": "FEFF 9.9.1"}


def test_the_fermi_level_is_kept(tmp_path):
    """It differs between sites, so that e0 is the tabulated edge for all of them."""
    placed = place(read_spectrum(xmu(tmp_path / "xmu.dat")), 29, "K")
    assert (placed.e0_source, placed.e0) == ("xraydb", 8979.0)
    assert placed.e_cut == pytest.approx(FERMI - 8979.0, abs=1e-3)


def test_the_spectrum_as_feff_normalised_it(tmp_path):
    found = read_spectrum(xmu(tmp_path / "xmu.dat"), ReadOptions(feff_mu="normalised"))
    np.testing.assert_array_equal(found.intensities, MU)
    assert found.unit == "normalised"
    assert json.loads(found.treatment)["normalised"] == "feff"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("omega    e    k    mu    mu0     chi     @#", "energy a b c d e", "expected FEFF's columns"),
        ("2.3515E-04", "0.0", "the number that normalised mu in the header, received 0.0"),
        ("used to normalize", "used for", "the number that normalised mu in the header, received none"),
    ],
)
def test_what_is_not_feffs(tmp_path, old, new, words):
    with pytest.raises(FormatError, match=words):
        read_spectrum(xmu(tmp_path / "xmu.dat", HEADER.replace(old, new)))


def test_a_number_in_the_header_with_fortrans_exponent(tmp_path):
    plain = read_spectrum(xmu(tmp_path / "a" / "xmu.dat"))
    fortran = read_spectrum(xmu(tmp_path / "b" / "xmu.dat", HEADER.replace("2.3515E-04", "2.3515D-04")))
    np.testing.assert_array_equal(fortran.intensities, plain.intensities)


def test_feffs_columns_under_another_name(tmp_path):
    plain = read_spectrum(xmu(tmp_path / "xmu.dat"))
    other = read_spectrum(xmu(tmp_path / "NAME.dat"))
    np.testing.assert_array_equal(other.intensities, plain.intensities)
    assert (other.element, other.unit) == (29, "angstrom²")


def test_a_failed_run_is_refused_and_one_that_did_not_converge_noted(tmp_path):
    path = xmu(tmp_path / "xmu.dat")
    write(tmp_path / "log", "SCF 100\nConvergence reached\n")
    assert read_spectrum(path).choices == ()
    write(tmp_path / "log", "SCF did not converge\n")
    assert dict(read_spectrum(path).choices)["FEFF's potentials did not converge"].endswith("/log")
    write(tmp_path / "log", "SCF 100\n Fatal Error: too many atoms\n")
    with pytest.raises(FormatError, match=r"xmu\.dat: FEFF's run failed, says log: Fatal Error: too many atoms"):
        read_spectrum(path)


@pytest.mark.parametrize(
    ("name", "options"), [("mu", ReadOptions(mu="transmission")), ("d_spacing", ReadOptions(d_spacing=3.1356))]
)
@pytest.mark.parametrize("file", ["xmu.dat", "a.prj"])
def test_options_of_tables_do_not_apply(tmp_path, name, options, file):
    with pytest.raises(FormatError, match=f"{file}: `{name}` does not apply to"):
        read_spectrum(xmu(tmp_path / file), options)


def test_another_programs_xmu_dat(tmp_path):
    """FEFF's spectra are known by their columns, and `columns` comes first."""
    header = (
        "# XDI/1.0 Demeter/0.9.26\n# Element.symbol: Cu\n# Column.1: energy eV\n# Column.2: xmu\n# Column.3: k\n#---\n"
    )
    path = write(tmp_path / "foil_xmu.dat", header + table(np.column_stack([ENERGIES, MU, MU])))
    found = read_spectrum(path)
    np.testing.assert_array_equal(found.intensities, MU)
    assert (found.element, found.unit) == (29, "arbitrary")
    plain = read_spectrum(xmu(tmp_path / "xmu.dat"))
    other = read_spectrum(xmu(tmp_path / "site_xmu.dat"))
    np.testing.assert_array_equal(other.intensities, plain.intensities)
    found = read_spectrum(tmp_path / "xmu.dat", ReadOptions(columns=("1", "4")))
    np.testing.assert_array_equal(found.intensities, MU)


def test_the_absorber_of_a_calculated_spectrum(tmp_path):
    found = read_calculated(xmu(tmp_path / "xmu.dat"))
    assert (found.element, found.edge) == (29, "K")
    with pytest.raises(SpectrumError, match="expected a spectrum of Zn K, the site's, received Cu K"):
        read_calculated(tmp_path / "xmu.dat", absorber="Zn")
    with pytest.raises(SpectrumError, match="expected a spectrum of Cu L3, the site's, received Cu K"):
        read_calculated(tmp_path / "xmu.dat", edge="L3")
    with pytest.raises(SpectrumError, match=r"NAME\.txt: does not name its element; set `absorber`"):
        read_calculated(write(tmp_path / "NAME.txt", table(np.column_stack([ENERGIES, MU]))))
