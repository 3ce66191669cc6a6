"""Say what a file or folder is by its first bytes and its name, for errors about files of the wrong kind."""

import re
import zipfile
from pathlib import Path

READ = 4096
"""Number of bytes that are looked at."""
TAR = 257, b"ustar"
"""Where a tar archive says that it is one."""
STARTS = (
    (b"%PDF", "a PDF"), (b"\x89PNG", "a picture"), (b"\xff\xd8\xff", "a picture"), (b"GIF8", "a picture"),
    (b"II*\x00", "a picture"), (b"MM\x00*", "a picture"), (b"RIFF", "a picture or sound"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"), (b"{\\rtf", "a text document (RTF)"),
    (b"7z\xbc\xaf", "an archive"), (b"Rar!", "an archive"), (b"SQLite format 3", "an SQLite database"),
    (b"\x93NUMPY", "a NumPy array"), (b"\x7fELF", "a program"), (b"\x80\x04", "a Python pickle"),
)  # fmt: skip
"""How files start, and what they are."""
ZIP = b"PK"
COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
DOCUMENTS = {"word/": "a Word document", "xl/": "an Excel workbook", "ppt/": "a PowerPoint document"}
"""Folders in a ZIP file by which documents are known."""
STRUCTURES = (".xyz", ".extxyz", ".cif", ".mmcif", ".pdb", ".ent", ".mol", ".mol2", ".sdf", ".vasp", ".traj", ".db")
STRUCTURE_NAMES = ("POSCAR", "CONTCAR", "XDATCAR")
NUMBERS = re.compile(r"^\s*[-+.\d][-+.\deE]*(?:[\s,;]+[-+.\d][-+.\deE]*)+\s*$")
"""A line of two or more numbers."""
MANIFEST = "manifest.json"
ENOUGH = 3
"""Number of such lines that make a table."""
STRUCTURE = "a structure file; import reads it"
SPECTRUM = "a table of numbers, such as a spectrum; import and match read those"


def what_it_is(path: Path) -> str:
    """Return what an existing file or folder is, such as ``a Word document``.

    The result is empty if that is not known, and for HDF5 files and ZIP files with a ``manifest.json``.

    Examples
    --------
    >>> from pathlib import Path
    >>> what_it_is(Path())
    'a folder'
    """
    if path.is_dir():
        return _folder(path)
    try:
        with path.open("rb") as stream:
            start = stream.read(READ)
    except OSError:
        return ""
    if not start:
        return "an empty file"
    if start.startswith(ZIP):
        return _zip(path) if zipfile.is_zipfile(path) else ""
    if known := next((what for begin, what in STARTS if start.startswith(begin)), ""):
        return STRUCTURE if path.suffix.lower() in STRUCTURES else known
    if start[TAR[0] :].startswith(TAR[1]):
        return "an archive"
    if _is_structure(path.name.removesuffix(path.suffix) if start.startswith(COMPRESSED) else path.name):
        return STRUCTURE
    if start.startswith(COMPRESSED):
        return "a compressed file"
    return _text(start)


def _folder(path: Path) -> str:
    try:
        names = [child.name for child in path.iterdir()]
    except OSError:
        return "a folder that cannot be read"
    if not names:
        return "an empty folder"
    return "a folder of structure files; import reads it" if any(map(_is_structure, names)) else "a folder"


def _zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return ""
    if MANIFEST in names:
        return ""
    for folder, what in DOCUMENTS.items():
        if any(name.startswith(folder) for name in names):
            return what
    if any(name.endswith(".npy") for name in names):
        return "a file of NumPy arrays; import reads features from those"
    return "a text document (OpenDocument)" if "content.xml" in names else "an archive"


def _is_structure(name: str) -> bool:
    return Path(name).suffix.lower() in STRUCTURES or name.split(".")[0] in STRUCTURE_NAMES


def _text(start: bytes) -> str:
    """Return what a text is; empty for other bytes."""
    text = start.decode("utf-8", "replace")
    if "\x00" in text or text.count("�") > len(text) // 20:
        return ""
    if text.lstrip()[:14].lower().startswith(("<!doctype html", "<html")):
        return "a web page"
    if "<svg" in text[:1000]:
        return "a picture"
    numbers = sum(NUMBERS.match(line) is not None for line in text.splitlines())
    return SPECTRUM if numbers >= ENOUGH else "a text file"
