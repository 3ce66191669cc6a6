"""Headers of beamlines' programs that hold rows of numbers, or one title a line."""

import numpy as np
import pytest
from support.builders import write
from support.scans import ENERGY, MU, N

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import read_spectrum
from xanes_hpc.formats.read_options import ReadOptions
from xanes_hpc.formats.scan_headers import OFFSETS

D = 3.13551
ANGLE = np.degrees(np.arcsin(12398.419843320026 / (2 * D * ENERGY)))
HEAD_9809 = """  9809     KEK-PF BL12C
Fe foil  2023.05.01
Ring :   2.5 GeV
Mono :   SI(111)       D= 3.13551 A    Initial angle= 12.83510 deg
Param file : x   energy axis(2)     Block =  2

  Block      Init-Eng final-Eng     Step/eV     Time/s       Num
      1    7090.00    7110.00        2.00        1.00        10
      2    7110.00    7168.00        2.00        1.00        30
  Ortec(-1)     NDCH = {}
     Angle(c)  Angle(o)   time/s         2         3{}
      Mode         0         0         1         2{}
    Offset         0         0    {}
"""


def rows(*columns):
    return "".join(" ".join(f"{value:.9f}" for value in row) + "\n" for row in np.column_stack(columns))


def test_9809(tmp_path):
    data = rows(ANGLE + 0.01, ANGLE, np.ones(N), 0 * MU + 2e5, 2e5 * np.exp(-MU))
    path = write(tmp_path / "a.dat", HEAD_9809.format(2, "", "", "0 0") + data)
    found = read_spectrum(path)
    np.testing.assert_allclose(found.energies, ENERGY, rtol=1e-8)
    np.testing.assert_allclose(found.intensities, MU, rtol=1e-8)
    assert OFFSETS not in dict(found.choices)
    chosen = read_spectrum(path, ReadOptions(("Angle(o)", "i0", "itrans"), "transmission", d_spacing=D))
    np.testing.assert_allclose(chosen.energies, ENERGY, rtol=1e-8)
    by_number = read_spectrum(path, ReadOptions(("2", "4", "5"), "transmission", d_spacing=D))
    np.testing.assert_allclose(by_number.intensities, MU, rtol=1e-8)


def test_9809_with_elements_of_fluorescence(tmp_path):
    data = rows(ANGLE, ANGLE, np.ones(N), 0 * MU + 2e5, 0 * MU + 1e5, 1e4 * MU, 3e4 * MU)
    head = HEAD_9809.format(4, "         4         5", "         3         3", "10.000 20.000 0 0")
    found = read_spectrum(write(tmp_path / "a.dat", head + data))
    np.testing.assert_allclose(found.intensities, 0.2 * MU, rtol=1e-6)
    assert dict(found.choices)[OFFSETS] == "a.dat: 0, 0, 10.000, 20.000, 0, 0"


@pytest.mark.parametrize("first", ["SSRL - EXAFS Data Collector 1.3", "SSRL   EXAFS Data Collector 1.1"])
def test_ssrl(tmp_path, first):
    head = f"{first}\nMon\nPTS: 40 COLS: 5\nOffsets:\n 0.0 0.0 0.0 0.0 0.0\nWeights:\n 1.0 1.0 1.0 1.0 1.0\nData:\n"
    titles = "Real time clock\nRequested Energy\nAchieved Energy\nI0\nI1\n\n"
    data = rows(np.ones(N), ENERGY + 0.5, ENERGY, 0 * MU + 2e5, 2e5 * np.exp(-MU))
    found = read_spectrum(write(tmp_path / "a.dat", head + titles + data))
    np.testing.assert_allclose(found.energies, ENERGY)
    np.testing.assert_allclose(found.intensities, MU, rtol=1e-7)


def test_spock(tmp_path):
    columns = " Col 1 ENERGY DOUBLE\n Col 2 IC0 FLOAT\n Col 3 IC1 FLOAT\n"
    head = "!\n! Comments\n%c\nXAFS scan\n!\n%p\n  ENERGY = 7090\n!\n%d\n" + columns
    found = read_spectrum(write(tmp_path / "a.fio", head + rows(ENERGY, 0 * MU + 2e5, 2e5 * np.exp(-MU))))
    np.testing.assert_allclose(found.intensities, MU, rtol=1e-7)


def test_another_header_with_rows_of_numbers_is_refused(tmp_path):
    with pytest.raises(FormatError, match=r"a\.dat: line 3: expected numbers, received 'Weights:'"):
        read_spectrum(write(tmp_path / "a.dat", "Offsets:\n0.0 0.0\nWeights:\n1.0 1.0\n" + rows(ENERGY, MU)))
