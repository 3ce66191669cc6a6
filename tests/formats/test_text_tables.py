"""Tables in text: decimal commas, quoted fields, compressed files, headers, and points in any order."""

import bz2
import gzip
import lzma

import numpy as np
import pytest
from support.builders import write
from support.scans import ENERGY, I0, MU, SCAN, TITLES, N, holds, scan, told

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import read_spectrum
from xanes_hpc.formats.read_options import ReadOptions


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


@pytest.mark.parametrize(
    "header",
    [
        "#L energy  Seconds  I0  I1\n",
        "# energy seconds i0 it\n# eV s counts counts\n#---\n",
        "# Mono Energy  Count Time  I0  It\n",
        "energy seconds i0 it\nkeV s counts counts\n",
        "# Energy (eV)  Seconds  I0 (A)  It (A)\n",
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
