"""The index of folders of spectra."""

from pathlib import Path

import pytest

from xanes_hpc.errors import FormatError
from xanes_hpc.importing.spectrum_folders import SpectrumFolders


@pytest.fixture
def folder_of(tmp_path):
    """Return a function that makes a folder of empty files."""

    def make(*names, folder="mu"):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).write_text("")
        return tmp_path / folder

    return make


def names(paths):
    return [path.name for path in paths]


@pytest.mark.parametrize(
    "name",
    ["A.TXT", "A.Xdi", "A.Dat", "A_CONV.TXT", "A_xanes.CSV", "A.dat.gz", "A.txt.bz2", "A_conv.txt.xz", "A.DAT.GZ"],
)
def test_capital_and_compressed_endings(folder_of, name):
    index = SpectrumFolders([folder_of(name, "B.txt")])
    assert names(index.files_of("A")) == [name]
    assert index.n_files == 2


@pytest.mark.parametrize(
    "name", ["a.txt", "AB.txt", "A-1.txt", "A.nxs.gz", "A.prj.xz", "A.txt.zip", "A", "A.md", "A_X.txt"]
)
def test_other_names(folder_of, name):
    assert SpectrumFolders([folder_of(name)]).files_of("A") == []


def test_files_that_differ_in_the_case_of_their_endings_are_all_candidates(folder_of):
    assert names(SpectrumFolders([folder_of("A.txt", "A.TXT", "A.dat")]).files_of("A")) == ["A.TXT", "A.txt", "A.dat"]


def test_own_endings(folder_of):
    folder = folder_of("A_mine.foo", "A_Mine.FOO.gz", "A_other.foo", "A_x.dat", "B_x.dat")
    index = SpectrumFolders([folder], ["_mine.foo", "_x.dat", ".dat"])
    assert names(index.files_of("A")) == ["A_Mine.FOO.gz", "A_mine.foo", "A_x.dat"]
    assert names(index.files_of("A_x")) == ["A_x.dat"]
    assert index.n_files == 4


def test_folders_and_dangling_links_are_not_files(folder_of):
    folder = folder_of("B.txt")
    (folder / "A.txt").mkdir()
    (folder / "C.txt").symlink_to(folder / "missing")
    index = SpectrumFolders([folder])
    assert [index.files_of(name) for name in ("A", "C", "../mu/B")] == [[], [], []]


def test_folders_in_order(folder_of):
    one, two = folder_of("A.xdi", folder="one"), folder_of("A.txt", folder="two")
    assert SpectrumFolders([one, two]).files_of("A") == [one / "A.xdi", two / "A.txt"]
    assert SpectrumFolders([Path(one)]).n_files == 1


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["xmu.dat", "chi.dat", "log.dat", "list.dat"], ["xmu.dat"]),
        (["A_conv.txt", "A.txt", "A_bav.txt"], ["A.txt", "A_conv.txt"]),
        (["run_conv.txt", "run.txt", "run_bav.txt"], ["run.txt", "run_conv.txt"]),
        (["run_conv.txt.gz", "run.txt.gz", "notes.md"], ["run.txt.gz", "run_conv.txt.gz"]),
        (["scan.dat", "notes.md"], ["scan.dat"]),
        (["OUTCAR", "vasprun.xml"], ["OUTCAR"]),
        (["notes.md"], []),
    ],
)
def test_a_sites_own_folder(folder_of, tmp_path, files, found):
    folder_of()
    folder_of(*files, folder="mu/A")
    index = SpectrumFolders([tmp_path / "mu"])
    assert index.files_of("A") == []
    assert names(index.in_own_folder("A")) == found
    assert index.n_files == len(found)
    assert index.in_own_folder("B") == []


def test_a_sites_own_folder_with_several_spectra(folder_of, tmp_path):
    folder_of()
    folder_of("1.dat", "2.dat", folder="mu/A")
    with pytest.raises(FormatError, match=r"mu/A: expected one spectrum, of A, received 2 files: 1\.dat, 2\.dat"):
        SpectrumFolders([tmp_path / "mu"]).in_own_folder("A")
