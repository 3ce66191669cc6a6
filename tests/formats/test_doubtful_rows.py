"""Rows of tables that are damaged, cut off or no points: read right, left out and told, or refused."""

import numpy as np
import pytest
from support.builders import fdmnes_header, write
from support.scans import ENERGY, MU, N

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import read_spectrum
from xanes_hpc.formats.doubtful_rows import CUT

ROWS = [f"{e:.1f} {m:.8f}" for e, m in zip(ENERGY, MU, strict=True)]
WRITTEN = np.round(MU, 8)


def text(rows=ROWS, header="# energy mu"):
    return "\n".join([header, *rows]) + "\n"


@pytest.mark.parametrize(
    "field",
    ["N/A", "#N/A", "n.a.", "NULL", "None", "BAD", "OVERFLOW", "#VALUE!", "-", "?", "anything", "1.2.3", "NaN(1)"],
)
@pytest.mark.parametrize("separator", [" ", ","])
def test_a_first_row_without_a_number_is_refused_like_any_other(tmp_path, field, separator):
    for lost in (1, 5):
        rows = [row if k >= lost else f"{row.split()[0]} {field}" for k, row in enumerate(ROWS)]
        path = write(tmp_path / "a.dat", text([row.replace(" ", separator) for row in rows]))
        with pytest.raises(FormatError, match=r"a\.dat: line 2: expected numbers, received '7090\.0"):
            read_spectrum(path)


def test_lost_rows_at_another_step_than_those_below(tmp_path):
    rows = [*(f"{e:.1f} BAD" for e in (7040.0, 7060.0)), *ROWS]
    with pytest.raises(FormatError, match=r"line 2: expected numbers, received '7040\.0 BAD'"):
        read_spectrum(write(tmp_path / "a.dat", text(rows)))


@pytest.mark.parametrize("energy", ["N/A", "******", "70x88.0", "7088.0.1"])
def test_a_row_whose_energy_is_missing(tmp_path, energy):
    with pytest.raises(FormatError, match="line 2: expected numbers, received "):
        read_spectrum(write(tmp_path / "a.dat", text([f"{energy} 0.3", *ROWS])))


def test_the_end_of_file_of_dos(tmp_path):
    np.testing.assert_array_equal(read_spectrum(write(tmp_path / "a.dat", text() + "\x1a")).intensities, WRITTEN)


def test_the_minus_of_typesetting_is_a_minus(tmp_path):
    rows = [f"{e - 7130:.1f} {m:.8f}".replace("-", "\u2212") for e, m in zip(ENERGY, MU, strict=True)]
    found = read_spectrum(write(tmp_path / "a.dat", text(rows)))
    np.testing.assert_allclose(found.energies, ENERGY - 7130)


@pytest.mark.parametrize("last", ["7168.0 1.", "7168.0 1.29", "7168.0", "7168", "7168.0 1.3e-"])
def test_a_row_that_is_cut_off_is_left_out_and_told(tmp_path, last):
    found = read_spectrum(write(tmp_path / "a.dat", text()[:-1].rpartition("\n")[0] + "\n" + last))
    np.testing.assert_array_equal(found.energies, ENERGY[:-1])
    np.testing.assert_array_equal(found.intensities, WRITTEN[:-1])
    assert dict(found.choices)[CUT] == f"a.dat: line 41, {last!r}"


def test_a_last_row_like_the_others_is_whole(tmp_path):
    found = read_spectrum(write(tmp_path / "a.dat", text()[:-1]))
    np.testing.assert_array_equal(found.intensities, WRITTEN)
    assert found.choices == ()
    counts = "".join(f"{e:g} {n}\n" for e, n in zip(ENERGY, range(1037, 997, -1), strict=True))
    assert read_spectrum(write(tmp_path / "b.dat", counts[:-1])).intensities[-1] == 998
    cut = read_spectrum(write(tmp_path / "c.dat", counts[:-2]))  # 99 of 998
    assert (cut.energies.size, cut.intensities[-1]) == (N - 1, 999)


@pytest.mark.parametrize("cut", [4, 3, 1])
def test_an_exponent_that_is_cut_off(tmp_path, cut):
    rows = "".join(f"{e - 7112:10.3f} {m / 30:.7E}\n" for e, m in zip(ENERGY, MU, strict=True))
    found = read_spectrum(write(tmp_path / "a.txt", fdmnes_header() + rows[: -1 - cut]))
    assert found.energies.size == N - 1
    assert CUT in dict(found.choices)


def test_a_cut_number_among_those_without_their_last_zeros(tmp_path):
    rows = [f"{e:g} {m:.{2 + k % 4}f}" for k, (e, m) in enumerate(zip(ENERGY, MU, strict=True))]
    assert rows[-1].endswith("1.30000")
    assert CUT not in dict(read_spectrum(write(tmp_path / "a.dat", text(rows)[:-2])).choices)
    assert CUT in dict(read_spectrum(write(tmp_path / "b.dat", text(rows)[:-6])).choices)
    commas = "".join(f"{n:d};{n % 7:d},\n" for n in range(N)) + "40;3"
    assert read_spectrum(write(tmp_path / "c.csv", commas)).energies.size == N + 1


def test_a_short_row_before_a_newline_is_refused(tmp_path):
    with pytest.raises(FormatError, match="line 41: expected 2 columns, received 1"):
        read_spectrum(write(tmp_path / "a.dat", text([*ROWS[:-1], "7168.0"])))


@pytest.mark.parametrize("row", ["7130.0 1.0", "1 2", "0 0", "7089 99", "70900 5"])
def test_a_row_of_numbers_above_the_data_is_no_point(tmp_path, row):
    with pytest.raises(FormatError, match=r"a\.dat: the first row, .* does not continue the others"):
        read_spectrum(write(tmp_path / "a.dat", text([row, *ROWS])))


@pytest.mark.parametrize("last", [["0 0"], ["0 0", "0 0"], ["7129.0 0.8"]])
def test_a_row_of_numbers_below_the_data_is_no_point(tmp_path, last):
    with pytest.raises(FormatError, match=r"a\.dat: the last row, .* does not continue the others"):
        read_spectrum(write(tmp_path / "a.dat", text([*ROWS, *last])))


def test_a_first_point_off_by_a_step_or_glitch_is_one(tmp_path):
    assert read_spectrum(write(tmp_path / "a.dat", text(["7091.0 0.3", *ROWS]))).energies.size == N + 1
    assert read_spectrum(write(tmp_path / "b.dat", text(["7088.0 0", *ROWS]))).intensities[0] == 0.0


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("8900;0.3;;8900;0.4", "field 3 is empty"),
        ("2023-05-01 8900 0.3", "'2023-05-01' is no number"),
        ("12:00:01 8900 0.3", "'12:00:01' is no number"),
        ("[8900, 0.3]", "'[8900' is no number"),
        ("8900.0;201,580;146,006", "'201,580' has a thousands separator"),
        ("8900.0\t201,580", "'201,580' has a thousands separator"),
        ("8 900,5;0,3", "'8 900,5' has a thousands separator"),
        ("7.070;0,32254", "'0,32254' has a decimal comma, '7.070' a point"),
        ("7070,0;200.000;150", "'7070,0' has a decimal comma, '200.000' a point"),
        ("8900", "it has a single number"),
    ],
)
def test_a_file_without_rows_says_why_the_first_is_none(tmp_path, row, why):
    with pytest.raises(FormatError) as error:
        read_spectrum(write(tmp_path / "a.txt", f"titles\n{row}\n{row}\n"))
    assert str(error.value).endswith(f"no row of two or more numbers; line 2, {row!r}: {why}")


def test_a_comment_behind_every_row(tmp_path):
    found = read_spectrum(write(tmp_path / "a.dat", text([f"{row} # pt" for row in ROWS])))
    np.testing.assert_array_equal(found.intensities, WRITTEN)


@pytest.mark.parametrize(
    "rows",
    [
        [f'{e:.1f},"{n:,}","278"' for e, n in zip(ENERGY, range(201580, 201540, -1), strict=True)],
        [f'"{e:,.0f}",{m:.5f}' for e, m in zip(ENERGY, MU, strict=True)],
        [f'"{e:,.1f}",{m:.5f}' for e, m in zip(ENERGY, MU, strict=True)],
        [f'{e:.0f},200000,"{n:,}"' for e, n in zip(ENERGY, range(980, 1020), strict=True)],
        [f"{e:.0f};{n:,}" for e, n in zip(ENERGY, range(980, 1020), strict=True)],
        [f"{e:.0f}\t{n:,}" for e, n in zip(ENERGY, range(980, 1020), strict=True)],
    ],
)
def test_commas_that_separate_thousands_are_refused(tmp_path, rows):
    with pytest.raises(FormatError, match=r"a\.csv: line \d+: expected numbers without thousands separators"):
        read_spectrum(write(tmp_path / "a.csv", "\n".join(rows) + "\n"))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_utf_16_is_known_by_its_mark(tmp_path, encoding):
    path = tmp_path / "a.txt"
    mark = "" if encoding in ("utf-16", "utf-32") else "\ufeff"
    path.write_bytes((mark + text(header="Energy (eV)\tmu").replace(" ", "\t")).encode(encoding))
    np.testing.assert_array_equal(read_spectrum(path).intensities, WRITTEN)
