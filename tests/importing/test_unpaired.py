"""What an import says when no structure has a spectrum."""

import pytest
from support.builders import TWO_IRONS, refused, run, write_spectrum, write_xyz

from xanes_hpc.importing.unpaired import explain


def explained(tmp_path, sites, files):
    (tmp_path / "mu").mkdir()
    for name in files:
        (tmp_path / "mu" / name).touch()
    return explain(sites, [tmp_path / "mu"])


@pytest.mark.parametrize(
    ("file", "named"),
    [
        ("WELROW_xas.txt", "`spectra_suffix` _xas.txt"),
        ("WELROW.spec", "`spectra_suffix` .spec"),
        ("WELROW.md.gz", "`spectra_suffix` .md.gz"),
        ("welrow_conv.txt", "capitals"),
        ("xas_WELROW.txt", "begin with xas_"),
        ("WELROW#7.txt", "`absorber`"),
        ("WEL.txt", ""),
        ("WELROV.txt", ""),
        ("WELROW", "ending"),
    ],
)
def test_names_of_both_sides_that_nearly_match(tmp_path, file, named):
    line = explained(tmp_path, ["WELROW"], [file, "zzz.txt"])
    assert "WELROW" in line
    assert file in line
    assert named in line
    assert "\n" not in line


def test_names_in_full(tmp_path):
    line = explained(tmp_path, ["WELROW_C40H36LaN2(1+)"], ["ABEMAX.txt", "WELROW.txt"])
    assert "WELROW_C40H36LaN2(1+): WELROW.txt" in line
    assert "beginnings" in line


def test_the_commonest_difference_is_told_with_three_pairs(tmp_path):
    sites = [f"A{k}" for k in range(1, 13)]
    line = explained(tmp_path, sites, [*(f"{site}_xas.txt" for site in sites[1:]), "a1.txt"])
    assert "A2: A2_xas.txt, A3: A3_xas.txt, A4: A4_xas.txt, …" in line
    assert "`spectra_suffix` _xas.txt" in line
    assert "A1: " not in line


@pytest.mark.parametrize("files", [[], [".hidden.txt"]])
def test_an_empty_folder(tmp_path, files):
    assert explained(tmp_path, ["A"], files) == f"{tmp_path}/mu is empty"


def test_nothing_alike(tmp_path):
    line = explained(tmp_path, ["WELROW"], ["1.dat", "2.dat", "3.dat", "4.dat"])
    assert "WELROW" in line
    assert "1.dat, 2.dat, 3.dat, …" in line


def test_an_import_without_pairs(tmp_path, capsys):
    for name in ("A", "B"):
        write_xyz(tmp_path / "xyz" / f"{name}.xyz")
        write_spectrum(tmp_path / "mu" / f"{name}_xas.txt")
    line = refused(
        capsys, tmp_path, "import", tmp_path / "xyz", "--spectra", tmp_path / "mu", "-o", tmp_path / "out.h5"
    )
    assert "A: A_xas.txt, B: B_xas.txt" in line
    assert "--spectra-suffix _xas.txt" in line
    assert not (tmp_path / "out.h5").exists()


def test_a_note_where_structures_without_a_spectrum_are_kept(tmp_path, capsys):
    write_xyz(tmp_path / "A.xyz")
    write_spectrum(tmp_path / "mu" / "A_xas.txt")
    arguments = ["import", tmp_path / "A.xyz", "--spectra", tmp_path / "mu", "-o", tmp_path / "out.h5"]
    assert run(*arguments, "--keep-unpaired") == 0
    assert "A: A_xas.txt" in capsys.readouterr().err
    assert run(*arguments, "--spectra-suffix", "_xas.txt", "--overwrite") == 0
    assert "nearly" not in capsys.readouterr().err


def test_several_sites(tmp_path, capsys):
    write_xyz(tmp_path / "A.xyz", TWO_IRONS)
    write_spectrum(tmp_path / "mu" / "A.txt")
    arguments = ["import", tmp_path / "A.xyz", "--absorber", "Fe", "--spectra", tmp_path / "mu"]
    line = refused(capsys, tmp_path, *arguments, "-o", tmp_path / "out.h5")
    assert "A#0: A.txt" in line
    assert line.count("after its site") == 1


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("A .dat", b"1 2", "`spectra_suffix` ' .dat' would take them"),
        ("A.h5", b"\x89HDF\r\n\x1a\n\0", "`spectra_suffix` .h5 would take them"),
        ("A.xlsx", b"PK\3\4\0\0", "A.xlsx is neither text nor NeXus"),
    ],
)
def test_only_a_suffix_that_can_be_read_is_offered(tmp_path, file, content, words):
    (tmp_path / file).write_bytes(content)
    assert words in explain(["A"], [tmp_path])


def test_folders_in_place_of_files(tmp_path):
    (tmp_path / "run7").mkdir()
    line = explain(["A"], [tmp_path])
    assert "the sites are called A" in line
    assert "run7" in line
