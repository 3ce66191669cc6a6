"""What files of the wrong kind are, as ``info`` says it."""

import gzip
import io
import tarfile
import zipfile

import numpy as np
import pytest
from support.builders import run

from xanes_hpc.runtime.file_kinds import what_it_is


def _zip(name):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, "x")
    return stream.getvalue()


def _tar():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    return stream.getvalue()


def _npz():
    stream = io.BytesIO()
    np.savez(stream, x=np.zeros(3))
    return stream.getvalue()


TABLE = b"# energy mu\n7100 0.1\n7101, 2e-1\n7102\t0.4\n"
FILES = [
    ("a.docx", _zip("word/document.xml"), "Word document"),
    ("a.xlsx", _zip("xl/workbook.xml"), "Excel workbook"),
    ("a.zip", _zip("other.txt"), "archive"),
    ("a.tar", _tar(), "archive"),
    ("a.npz", _npz(), "import reads features"),
    ("a.pdf", b"%PDF-1.7", "PDF"),
    ("a.png", b"\x89PNG\r\n\x1a\n", "picture"),
    ("a.svg", b"<?xml version='1.0'?><svg/>", "picture"),
    ("a.h5", b"", "empty file"),
    ("notes.txt", "Die Messung gelang: 3 Å.\n".encode(), "text file"),
    ("a.dat", TABLE, "spectrum"),
    ("a.xyz", b"1\n\nFe 0 0 0\n", "structure file"),
    ("a.xyz.gz", gzip.compress(b"1\n\nFe 0 0 0\n"), "structure file"),
    ("POSCAR", b"Fe\n1.0\n", "structure file"),
    ("a.dat.gz", gzip.compress(TABLE), "compressed file"),
]


@pytest.mark.parametrize(("name", "content", "words"), FILES, ids=[name for name, *_ in FILES])
@pytest.mark.parametrize("more", [[], ["--verify"]])
def test_info_says_what_a_file_is(tmp_path, capsys, name, content, words, more):
    path = tmp_path / name
    path.write_bytes(content)
    assert run("info", path, *more) == 2
    error = capsys.readouterr().err
    assert f"{name}: " in error
    assert words in error
    assert "packed models" in error
    assert error.count("\n") == 1


def test_folders(tmp_path):
    assert what_it_is(tmp_path) == "an empty folder"
    (tmp_path / "notes.txt").write_text("x")
    assert what_it_is(tmp_path) == "a folder"
    (tmp_path / "a.cif").write_text("x")
    assert "import reads it" in what_it_is(tmp_path)


@pytest.mark.parametrize(
    "content", [b"\x89HDF\r\n\x1a\n" + bytes(9), _zip("manifest.json"), bytes(range(256)), b"PK\x03\x04 cut"]
)
def test_other_bytes_are_left_to_their_readers(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    assert what_it_is(tmp_path / "a") == ""
