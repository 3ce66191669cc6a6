"""One file or folder that cannot be used never costs the others, and each is named with its reason."""

import json
import os

import pytest
from support.builders import IRON_OXIDE, refused, run, write, write_spectrum, write_xyz

from xanes_hpc.stores.structures import StructureStore


@pytest.fixture
def source(tmp_path):
    """A folder with two good structures."""
    for name in ("a", "sub/b"):
        write_xyz(tmp_path / "in" / f"{name}.xyz")
    return tmp_path / "in"


@pytest.fixture
def imported(tmp_path, capsys):
    """Return a function that imports, and returns the names of sites and the reasons for what was skipped."""

    def import_(*arguments):
        capsys.readouterr()
        assert run("import", *arguments, "-o", tmp_path / "s.h5", "--json", "--overwrite") == 0
        reasons = [item["reason"] for item in json.loads(capsys.readouterr().out)["skipped"]]
        with StructureStore(tmp_path / "s.h5") as store:
            return store.sites.name, reasons

    return import_


@pytest.fixture
def forbidden(monkeypatch):
    """Return a function that makes a folder unreadable, also for root, who runs tests in containers."""

    def forbid(folder):
        scan, access = os.scandir, os.access

        def scandir(path="."):
            if os.fspath(path) == str(folder):
                raise PermissionError(13, "Permission denied", str(path))
            return scan(path)

        monkeypatch.setattr(os, "scandir", scandir)
        monkeypatch.setattr(os, "access", lambda path, mode: os.fspath(path) != str(folder) and access(path, mode))

    return forbid


def test_what_is_not_a_readable_file(tmp_path, source, imported):
    os.mkfifo(source / "c.xyz")
    (source / "d.xyz").symlink_to("nowhere")
    (source / "e.xyz").symlink_to("e.xyz")
    (source / "f.xyz").mkdir()
    (source / "g.xyz").write_bytes(bytes(range(256)))
    names, reasons = imported(source)
    assert names == ["a", "b"]
    assert reasons[:3] == [
        f"{source}/c.xyz: expected a file, received a pipe or device",
        f"{source}/d.xyz: cannot be read: no such file or directory",
        f"{source}/e.xyz: cannot be read: too many levels of symbolic links",
    ]
    assert reasons[3].startswith(f"{source}/g.xyz: line 1: expected an atom count")


def test_a_name_that_breaks_lines_gives_one_line(source, imported):
    write_xyz(source / "two\nlines.xyz")
    names, (reason,) = imported(source)
    assert names == ["a", "b"]
    assert reason.startswith(f"{source}/two\\nlines.xyz: expected a name without control characters")


def test_reasons_name_flags_in_json_too(source, imported):
    write_xyz(source / "z.xyz", IRON_OXIDE[1:])
    _, (reason,) = imported(source)
    assert "choose with --absorber" in reason
    assert "`" not in reason


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path, source, imported):
    write_xyz(tmp_path / "other" / "c.xyz")
    (tmp_path / "other" / "again").symlink_to(tmp_path / "other")
    for name, target in (("other", tmp_path / "other"), ("up", ".."), ("self", "."), ("down", "sub")):
        (source / name).symlink_to(target)
    assert imported(source) == (["a", "c", "b"], [])


def test_a_folder_that_cannot_be_read(tmp_path, source, imported, forbidden, capsys):
    forbidden(source / "sub")
    names, reasons = imported(source)
    assert (names, reasons) == (["a"], [f"{source}/sub: cannot be read: permission denied"])
    line = refused(capsys, tmp_path, "import", source, "--strict", "-o", tmp_path / "t.h5")
    assert line == f"{source}/sub: cannot be read: permission denied"


def test_a_folder_of_spectra_that_cannot_be_read(tmp_path, source, forbidden, capsys):
    write_spectrum(tmp_path / "mu" / "a.txt")
    forbidden(tmp_path / "mu")
    line = refused(capsys, tmp_path, "import", source, "--spectra", tmp_path / "mu", "-o", tmp_path / "t.h5")
    assert line == f"{tmp_path}/mu: cannot be read: permission denied"


def test_spectra_that_are_not_readable_files(tmp_path, imported):
    for name in "abcd":
        write_xyz(tmp_path / "in" / f"{name}.xyz")
    write_spectrum(tmp_path / "mu" / "a.txt")
    (tmp_path / "mu" / "b.txt").mkdir()
    (tmp_path / "mu" / "c.txt").symlink_to("nowhere")
    (tmp_path / "mu" / "d.txt").write_bytes(bytes(range(256)))
    names, reasons = imported(tmp_path / "in", "--spectra", tmp_path / "mu")
    assert names == ["a"]
    assert [reason.partition(": ")[0][-5:] for reason in reasons] == ["b.xyz", "c.xyz", "d.xyz"]


def test_files_deleted_while_the_command_runs(source, imported, monkeypatch):
    from xanes_hpc.importing import from_files

    chosen = from_files.is_structure_file
    write(source / "gone.xyz", "")

    def then_deleted(path):
        if path.name == "gone.xyz":
            path.unlink()
        return chosen(path)

    monkeypatch.setattr(from_files, "is_structure_file", then_deleted)
    names, reasons = imported(source)
    assert (names, reasons) == (["a", "b"], [f"{source}/gone.xyz: cannot be read: no such file or directory"])
