"""``manifest.json``, the first member of a packed model, which lists the files that follow, their sizes and hashes.

{"format": "xanes-hpc/packed-model", "schema_version": 1, "creator": "xanes-hpc 0.1.0",
 "files": [{"path": "history.csv", "size": 220, "sha256": "…"}, …]}
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from xanes_hpc import __version__
from xanes_hpc.errors import StoreError
from xanes_hpc.models.folder import CONTENTS

FORMAT = "xanes-hpc/packed-model"
SCHEMA = 1
SUFFIX = ".xanes-model"
MANIFEST = "manifest.json"
MEMBERS = "members"
MEMBER_FILE = re.compile(r"members/[0-9]{2}/[a-z][a-z0-9_.]{0,60}\.h5")
MOST_BYTES = 1 << 34
"""Largest total size of a model's files."""
MOST_TEXT_BYTES = 1 << 25
"""Largest size of a file that is not HDF5; such files are read whole."""
MOST_MANIFEST_BYTES = 1 << 20
AGAIN = "copy the file again, or have the model packed again"


@dataclass(frozen=True)
class PackedFile:
    """A file of a packed model: path relative to the model folder with ``/``, size in bytes, SHA-256 (hexadecimal)."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The manifest of a packed model: the program that packed it, and its files sorted by path."""

    creator: str
    files: tuple[PackedFile, ...]
    schema_version: int = SCHEMA

    @property
    def text(self) -> bytes:
        """The bytes of ``manifest.json``."""
        values = {"format": FORMAT, "schema_version": self.schema_version, "creator": self.creator}
        files = [asdict(file) for file in self.files]
        return (json.dumps({**values, "files": files}, indent=1) + "\n").encode()


def new_manifest(files: Sequence[PackedFile], where: str) -> Manifest:
    """Return the manifest of files to pack.

    Raises
    ------
    StoreError
        If the files are too large to be unpacked again; the message begins with ``where``.
    """
    _check_sizes(files, where)
    return Manifest(f"xanes-hpc {__version__}", tuple(files))


def read_manifest(text: bytes, where: str) -> Manifest:
    """Return the manifest in a text, after checking every value.

    Raises
    ------
    StoreError
        If the text is not a manifest, has a newer schema, or lists files that a model cannot have; the message begins
        with ``where``.
    """
    try:
        values = json.loads(text)
        kind, schema, creator, listed = (values[key] for key in ("format", "schema_version", "creator", "files"))
    except (ValueError, LookupError, TypeError, RecursionError):
        raise StoreError(f"{where}: damaged: not the manifest of a packed model; {AGAIN}") from None
    if kind != FORMAT:
        raise StoreError(f"{where}: expected {FORMAT}, received {shown(kind)}")
    if not _is_count(schema):
        raise StoreError(f"{where}: damaged: schema_version: expected a positive integer, received {shown(schema)}")
    if schema > SCHEMA:
        raise StoreError(
            f"{where}: packed model of schema {shown(schema)}; this program reads up to schema {SCHEMA}: upgrade it"
        )
    if not isinstance(creator, str) or not creator.isprintable():
        raise StoreError(f"{where}: damaged: creator: expected a line of text, received {shown(creator)}")
    if not isinstance(listed, list):
        raise StoreError(f"{where}: damaged: files: expected a list, received {shown(listed)}")
    files = tuple(_packed_file(item, where) for item in listed)
    paths = [file.path for file in files]
    if paths != sorted(set(paths)):
        raise StoreError(f"{where}: damaged: files: expected sorted paths without duplicates; {AGAIN}")
    _check_sizes(files, where)
    return Manifest(creator, files, schema)


def may_be_packed(path: str) -> bool:
    """Return whether a path, relative to the model folder and with ``/``, is that of a model's file."""
    return (path in CONTENTS and path != MEMBERS) or MEMBER_FILE.fullmatch(path) is not None


def shown(value: Any) -> str:
    """Return an untrusted value as short text for a message: one line, without control characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _packed_file(item: Any, where: str) -> PackedFile:
    checks = {
        "path": (_is_path, "the path of a model's file"),
        "size": (_is_size, "a number of bytes"),
        "sha256": (_is_sha256, "64 hexadecimal digits"),
    }
    if not isinstance(item, dict) or item.keys() != checks.keys():
        raise StoreError(f"{where}: damaged: files: expected path, size and sha256 of each, received {shown(item)}")
    for key, (fits, expected) in checks.items():
        if not fits(item[key]):
            raise StoreError(f"{where}: damaged: {key}: expected {expected}, received {shown(item[key])}")
    return PackedFile(**item)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and may_be_packed(value)


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


def _is_sha256(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _check_sizes(files: Sequence[PackedFile], where: str) -> None:
    for file in files:
        if not file.path.endswith(".h5") and file.size > MOST_TEXT_BYTES:
            raise StoreError(
                f"{where}: {file.path}: expected at most {MOST_TEXT_BYTES:,} bytes, received {file.size:,}"
            )
    total = sum(file.size for file in files)
    if total > MOST_BYTES:
        raise StoreError(f"{where}: expected at most {MOST_BYTES:,} bytes in all files, received {total:,}")
