"""Pack a model folder into one file: a ZIP whose first member, ``manifest.json``, has the hashes of all others.

Equal folders give equal files: members carry no times, owners or other traces of the machine.
"""

import hashlib
import stat
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from xanes_hpc.errors import StoreError
from xanes_hpc.models.folder import CONTENTS, DESCRIPTION, ModelFolder
from xanes_hpc.models.manifest import MANIFEST, SUFFIX, PackedFile, may_be_packed, new_manifest, shown
from xanes_hpc.runtime.outputs import whole_output

RUN = "run.toml"
BLOCK_BYTES = 1 << 20
UNIX = 3
NO_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a ZIP can store."""


@dataclass(frozen=True)
class Packed:
    """What was packed, and what it discloses.

    Attributes
    ----------
    files
        The packed files, sorted by path.
    left_out
        Paths of other files in the folder.
    n_sites
        Number of sites whose names and formulas are in ``sites.h5``.
    paths
        Paths in the model's text files, relative to the model folder.
    """

    files: tuple[PackedFile, ...]
    left_out: list[str]
    n_sites: int
    paths: list[str]


def default_packed(folder: Path) -> Path:
    """Return the default output for a model folder: ``tmqm.xanes-model`` beside ``tmqm.model``."""
    named = folder if folder.name not in ("", "..") else folder.resolve()
    return named.with_name(named.name.removesuffix(".model") + SUFFIX)


def pack(folder: Path, output: Path, overwrite: bool = False) -> Packed:
    """Pack a model folder, after checking that all of it can be read.

    Raises
    ------
    StoreError
        If the model is incomplete, contains a symbolic link or an absolute path, or changes while being packed; or if
        the output exists or cannot be written.
    ModelError
        If the weights do not fit the architecture.
    """
    model = ModelFolder(folder)
    names, left_out = _files_in(folder)
    paths = _paths(model.description, folder / DESCRIPTION) | _paths(_read_run(folder / RUN), folder / RUN)
    with whole_output(output, overwrite, sources=[folder / name for name in names]) as temporary:
        manifest = new_manifest([_measured(folder, name) for name in names], str(folder))
        _, n_sites = model.members, len(model.training_sites.names)
        with zipfile.ZipFile(temporary, "x") as archive:
            archive.writestr(_member(MANIFEST, len(manifest.text)), manifest.text)
            for file in manifest.files:
                _add(archive, folder, file)
    return Packed(manifest.files, left_out, n_sites, sorted(paths))


def _files_in(folder: Path) -> tuple[list[str], list[str]]:
    """Return the sorted paths of the files in a model folder that are packed, and of all others."""
    packed: list[str] = []
    left_out: list[str] = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() and name.partition("/")[0] in CONTENTS:
            raise StoreError(f"{path}: expected a file or folder, received a symbolic link; put a copy in its place")
        if not path.is_dir():
            (packed if may_be_packed(name) and path.is_file() else left_out).append(name)
    return sorted(packed), sorted(left_out)


def _read_run(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError:
        raise StoreError(f"{path}: damaged: not valid TOML; restore the file from a copy of the model") from None


def _paths(values: dict[str, Any], path: Path) -> set[str]:
    """Return the paths among the values of a file; training writes them relative to the model folder."""
    paths = set()
    for key, text in _texts(values):
        if PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute():
            raise StoreError(
                f"{path}: {key}: expected a relative path, received {shown(text)}, which would disclose your folders; "
                "write only the file's name"
            )
        if text.startswith(".."):
            paths.add(text)
    return paths


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text in a JSON or TOML value, with its key."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, key)


def _measured(folder: Path, name: str) -> PackedFile:
    with (folder / name).open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return PackedFile(name, stream.tell(), digest)


def _member(name: str, size: int) -> zipfile.ZipInfo:
    """Return the header of a member, without times or other traces of the machine."""
    info = zipfile.ZipInfo(name, NO_TIME)
    info.compress_type, info.create_system, info.file_size = zipfile.ZIP_DEFLATED, UNIX, size
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    return info


def _add(archive: zipfile.ZipFile, folder: Path, file: PackedFile) -> None:
    source, digest = folder / file.path, hashlib.sha256()
    with source.open("rb") as stream, archive.open(_member(file.path, file.size), "w") as member:
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
            member.write(block)
    if digest.hexdigest() != file.sha256:
        raise StoreError(f"{source}: changed while being packed; pack the model again once nothing writes to it")
