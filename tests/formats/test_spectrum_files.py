"""Spectrum files: headers of any length are found, and all that a file says about its spectrum is kept."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.builders import EDGE, edge_step, fdmnes_header, table, write, write_spectrum
from support.strategies import quick

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import read_spectrum
from xanes_hpc.formats.text_table import LARGEST, read_table
from xanes_hpc.spectra.spectrum import NO_TREATMENT, UNSTATED, treatment_name

POINTS = np.array([[7100.0, 0.1], [7110.0, 0.2], [7120.0, 0.9], [7130.0, 1.0], [7140.0, 1.05]])
PLAIN = table(POINTS)


def holds_points(spectrum, points=POINTS):
    np.testing.assert_array_equal(spectrum.energies, points[:, 0])
    np.testing.assert_array_equal(spectrum.intensities, points[:, 1])
    return True


def test_fdmnes_unbroadened(tmp_path):
    s = read_spectrum(write_spectrum(tmp_path / "a.txt", POINTS, fdmnes_header()))
    assert holds_points(s)
    assert (s.e_edge, s.absolute) == (EDGE, True)
    assert (s.kind, s.treatment, s.unit, s.source) == ("xanes", NO_TREATMENT, "Mbarn", "a.txt")


def test_fdmnes_energies_from_the_edge(tmp_path):
    relative = POINTS - [EDGE, 0]
    s = read_spectrum(write_spectrum(tmp_path / "a.txt", relative, fdmnes_header()))
    assert holds_points(s, relative)
    assert (s.e_edge, s.absolute) == (EDGE, False)


def test_fdmnes_with_two_epsii(tmp_path):
    """An L23 calculation prints one number more in its first line."""
    header = fdmnes_header().replace("7.8E+03", "7.8E+03 7.9E+03")
    assert read_spectrum(write_spectrum(tmp_path / "a.txt", POINTS, header)).e_edge == EDGE


def test_energies_with_varying_decimals(tmp_path):
    rows = "  -15.000  1.0E-05\n   -5.00  2.0E-05\n  9.9999  3.0E-02\n   100.0  4.0E-02\n  1000.  5.0E-02\n"
    s = read_spectrum(write(tmp_path / "a.txt", fdmnes_header() + rows))
    np.testing.assert_array_equal(s.energies, [-15, -5, 9.9999, 100, 1000])
    assert s.absolute is False


def test_fdmnes_broadened_has_one_title_line(tmp_path):
    s = read_spectrum(write_spectrum(tmp_path / "a_conv.txt", POINTS, "    Energy    <xanes>\n"))
    assert holds_points(s)
    assert treatment_name(s.treatment) == "fdmnes-conv"
    assert (s.kind, s.e_edge, s.absolute, s.unit) == ("xanes", None, None, "arbitrary")


def test_fdmnes_emission(tmp_path):
    s = read_spectrum(write_spectrum(tmp_path / "a_xes_conv.txt", POINTS, "    Energy    <xes>\n"))
    assert holds_points(s)
    assert s.kind == "xes"
    assert treatment_name(s.treatment) == "fdmnes-conv"


def test_emission_by_its_title(tmp_path):
    assert read_spectrum(write_spectrum(tmp_path / "a.txt", POINTS, "    Energy    <xes>\n")).kind == "xes"


@pytest.mark.parametrize("code", ["FDMNES", "ORCA"])
def test_repacked_files_do_not_say_how_they_were_treated(tmp_path, code):
    s = read_spectrum(write_spectrum(tmp_path / "a.txt", POINTS, f"    {code}\n    energy     <xanes>\n"))
    assert holds_points(s)
    assert s.treatment == UNSTATED
    assert json.loads(s.treatment) == {"name": "unstated"}
    assert s.e_edge is None


@pytest.mark.parametrize("n_lines", range(5))
def test_header_lines_are_not_counted(tmp_path, n_lines):
    header = "".join(f"line {k} of a header\n" for k in range(n_lines))
    assert holds_points(read_spectrum(write_spectrum(tmp_path / "a.txt", POINTS, header)))


@pytest.mark.parametrize("header", ["", "energy,xanes\n", "energy,mu\n", '"Energy (eV)","I"\n', "# made\nE,I\n"])
def test_csv(tmp_path, header):
    assert holds_points(read_spectrum(write(tmp_path / "a.csv", header + table(POINTS, ","))))


@pytest.mark.parametrize("separator", [",", ";", "\t", " ", ", ", "   "])
def test_separators(tmp_path, separator):
    assert holds_points(read_spectrum(write(tmp_path / "a.dat", table(POINTS, separator))))


def test_trailing_separator(tmp_path):
    assert holds_points(read_spectrum(write(tmp_path / "a.csv", table(POINTS, ",").replace("\n", ",\n"))))


@pytest.mark.parametrize("title", ["mu", "norm", "<xanes>", "XES", "intensity", "absorption"])
def test_several_columns_with_one_named(tmp_path, title):
    rows = table(np.column_stack([POINTS[:, 0], -POINTS[:, 1], POINTS[:, 1]]), ",")
    assert holds_points(read_spectrum(write(tmp_path / "a.csv", f"energy,error,{title}\n{rows}")))


def test_several_unnamed_columns(tmp_path):
    rows = table(np.column_stack([POINTS, POINTS[:, 1]]))
    with pytest.raises(FormatError, match=r"expected two columns, energy and intensity, received 3 \(Energy, p, q\)"):
        read_spectrum(write(tmp_path / "a.csv", "Energy p q\n" + rows))


def test_both_edges_of_fdmnes_are_summed_at_the_distance_of_their_levels(tmp_path):
    header = fdmnes_header(titles="Energy <xanes>_L2 <xanes>_L3")
    both = header.replace("1  1  7.8E+03", "2  1  7.22E+02  7.12E+02")
    rows = table(np.column_stack([POINTS, 2 * POINTS[:, 1]]))
    s = read_spectrum(write(tmp_path / "a.txt", both + rows))
    moved = np.append(POINTS[0, 1], POINTS[:-1, 1])
    np.testing.assert_allclose(s.intensities, 2 * POINTS[:, 1] + moved, rtol=1e-12)
    assert (s.treatment, s.unit) == (NO_TREATMENT, "Mbarn")
    with pytest.raises(FormatError, match=r"b\.txt: line 1: expected two core levels"):
        read_spectrum(write(tmp_path / "b.txt", header + rows))


@pytest.mark.parametrize(
    "titles", ["index,energy,intensity", ",energy,mu", "#,Energy (eV),xanes", '"","energy_ev","mu"', "\te\tmu"]
)
def test_index_column_is_not_the_energy(tmp_path, titles):
    rows = table(np.column_stack([np.arange(len(POINTS)), POINTS]), "\t" if "\t" in titles else ",")
    assert holds_points(read_spectrum(write(tmp_path / "a.csv", f"{titles}\n{rows}")))


@pytest.mark.parametrize("titles", ["index,x,mu", "energy,e,mu", "energy,x,y"])
def test_more_columns_need_one_energy_and_an_intensity(tmp_path, titles):
    rows = table(np.column_stack([POINTS, POINTS[:, 1]]), ",")
    with pytest.raises(FormatError, match="expected two columns, energy and intensity, received 3"):
        read_spectrum(write(tmp_path / "a.csv", f"{titles}\n{rows}"))


@pytest.mark.parametrize(("titles", "read", "first"), [("energy,norm,mu", 1, "norm"), ("mu,energy,norm", 0, "mu")])
def test_of_several_spectra_the_first_is_read_and_named(tmp_path, titles, read, first):
    columns = {"energy": POINTS[:, 0], first: POINTS[:, 1], "norm": 2 + POINTS[:, 1], "mu": 2 + POINTS[:, 1]}
    columns[first] = POINTS[:, 1]
    rows = table(np.column_stack([columns[title] for title in titles.split(",")]), ",")
    found = read_spectrum(write(tmp_path / "a.csv", f"{titles}\n{rows}"))
    assert holds_points(found)
    assert [detail for _, detail in found.choices] == [f"a.csv: norm, mu; read {first}, the first"] or first == "mu"
    assert f"read {first}, the first" in found.choices[0][1]


def test_columns_in_another_order_are_known_by_their_titles(tmp_path):
    rows = table(POINTS[:, ::-1], ",")
    assert holds_points(read_spectrum(write(tmp_path / "a.csv", f"mu,energy\n{rows}")))


@pytest.mark.parametrize("titles", ["k chi", "k (1/A)  chi(k)", "theta mu", "energy chi"])
def test_other_quantities_are_no_spectrum(tmp_path, titles):
    with pytest.raises(FormatError, match=r"a\.dat: expected .* received the columns? "):
        read_spectrum(write(tmp_path / "a.dat", f"# {titles}\n{table(POINTS)}"))


@pytest.mark.parametrize("wrong", ["7099.0 ********", "7099.0 1.2.3"])
def test_a_first_row_that_cannot_be_read_is_not_part_of_the_header(tmp_path, wrong):
    assert POINTS[0, 0] == 7100.0
    with pytest.raises(FormatError, match=r"line 2: expected numbers, received '7099\.0"):
        read_spectrum(write(tmp_path / "a.dat", f"energy mu\n{wrong}\n{table(POINTS)}"))


def test_fortran_exponents(tmp_path):
    text = PLAIN.replace("7100 ", "7.1D+03 ").replace(" 0.2", " 2.d-1")
    assert "D+03" in text
    assert holds_points(read_spectrum(write(tmp_path / "a.txt", "Energy <xanes>\n" + text)))


def test_bare_number_above_the_data(tmp_path):
    assert holds_points(read_spectrum(write(tmp_path / "a.txt", "    052\n    energy     <xanes>\n" + PLAIN)))


def test_comments_and_blank_lines_anywhere(tmp_path):
    first, *rest = PLAIN.splitlines(keepends=True)
    text = f"# anything\n% other\n! third\n\n{first}# between\n\n{''.join(rest)}# end\n"
    assert holds_points(read_spectrum(write(tmp_path / "a.xmu", text)))


def test_numbers_in_comments_are_not_data(tmp_path):
    assert holds_points(read_spectrum(write(tmp_path / "a.dat", "# 1 2\n# 3 4\n" + PLAIN)))


def test_byte_order_mark_does_not_lose_a_row(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(("\ufeff" + table(POINTS, ",").replace("\n", "\r\n")).encode())
    assert holds_points(read_spectrum(path))


def test_header_that_is_not_utf8(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("Énergie Intensité\n".encode("latin-1") + PLAIN.encode())
    assert holds_points(read_spectrum(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty file"),
        ("no\nnumbers here\n", "no row of two or more numbers"),
        ("# 1 2\n", "no row of two or more numbers"),
        ("energy xanes\n1 2\n3 4 5\n", "line 3: expected 2 columns, received 3"),
        ("1 2\n3\n", "line 2: expected 2 columns, received 1"),
        ("1 2\n3 4\nwords between\n5 6\n", "line 3: expected numbers, received 'words between'"),
        ("1 2\n3 four\n", "line 2: expected numbers, received '3 four'"),
        ("1\n2\n", "no row of two or more numbers"),
        (fdmnes_header().replace("7112.000", "nan") + PLAIN, "line 1: expected FDMNES's edge energy, received 'nan"),
        (fdmnes_header().replace("7112.000", "-5.0") + PLAIN, "line 1: expected FDMNES's edge energy, received '-5.0"),
    ],
)
def test_invalid_files(tmp_path, text, message):
    path = write(tmp_path / "a.txt", text)
    with pytest.raises(FormatError) as error:
        read_spectrum(path)
    assert str(error.value).startswith(f"{path}: {message}")


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FormatError, match=r"none\.txt: cannot be read: no such file or directory"):
        read_spectrum(tmp_path / "none.txt")
    with pytest.raises(FormatError, match="cannot be read: is a directory"):
        read_spectrum(tmp_path)


def test_large_files_are_not_read(tmp_path):
    path = tmp_path / "a.txt"
    with path.open("wb") as stream:
        stream.truncate(LARGEST + 1)
    with pytest.raises(FormatError, match="64 MiB, too large for a spectrum"):
        read_spectrum(path)


@settings(quick, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.floats(-1e5, 1e5), st.floats(-1e3, 1e3)), min_size=1, max_size=20),
    st.sampled_from([",", ";", "\t", "  "]),
    st.lists(st.sampled_from(["FDMNES", "Energy <xanes>", "# 1 2", "", "a,b", "x;y;z", "12 wise monkeys"]), max_size=4),
)
def test_written_files_read_back_equal(tmp_path, points, separator, header):
    path = tmp_path / "a.txt"
    rows = [separator.join(map(repr, row)) for row in points]
    path.write_text("\n".join([*header, *rows]) + "\n")
    np.testing.assert_array_equal(read_table(path).values, points)


def test_published_sets_are_told_apart(published: Path, tmp_path):
    import tarfile

    with tarfile.open(published / "co_k_edge" / "co_k_edge.tar.xz") as archive:
        names = [f"{part}/ALBTCI_C12H9CoN3O3.txt" for part in ("xanes_raw", "xanes_convolved")]
        archive.extractall(tmp_path, [archive.getmember(name) for name in names], filter="data")
    raw, broadened = (read_spectrum(tmp_path / name) for name in names)
    assert (raw.e_edge, raw.absolute, raw.treatment) == (7709.0, True, NO_TREATMENT)
    assert (raw.energies.size, broadened.energies.size) == (376, 226)
    assert broadened.treatment == UNSTATED


def test_the_builder_makes_a_valid_spectrum():
    points = edge_step()
    assert (np.diff(points[:, 0]) > 0).all()
    assert points[0, 0] < EDGE < points[-1, 0]


@pytest.mark.parametrize("wrong", ["7099", "7099.0.1", "7099`0.1", "7099,0,1 5", "7099 points"])
def test_a_broken_row_directly_above_the_data_is_refused(tmp_path, wrong):
    with pytest.raises(FormatError, match=r"line 2: expected numbers, received '7099"):
        read_spectrum(write(tmp_path / "a.dat", f"energy mu\n{wrong}\n{table(POINTS)}"))


@pytest.mark.parametrize("line", ["052", "12 monkeys", "2021-05-03 10:22", "-----------", "7099 points of one scan"])
def test_other_lines_above_the_data_are_its_header(tmp_path, line):
    assert holds_points(read_spectrum(write(tmp_path / "a.dat", f"energy mu\n{line}\n{PLAIN}")))


@pytest.mark.parametrize("energy", [2.9, 711.2, 71120.0])
def test_an_edge_energy_that_the_element_does_not_have(tmp_path, energy):
    with pytest.raises(FormatError, match=r"a\.txt: line 1: expected an edge energy near that of Fe K, 7112 eV"):
        read_spectrum(write_spectrum(tmp_path / "a.txt", POINTS, fdmnes_header(energy)))


def test_fdmnes_names_in_capitals(tmp_path):
    s = read_spectrum(write_spectrum(tmp_path / "A_CONV.TXT", POINTS, "    Energy    <xanes>\n"))
    assert treatment_name(s.treatment) == "fdmnes-conv"
