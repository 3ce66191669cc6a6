"""A packed model as a model folder again.

The file may come from anyone: nothing in it is believed before it is checked, no name in it becomes a path unless it is
one that a model has, and no more is inflated than the manifest says.
"""

import errno
import hashlib
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xanes_hpc.errors import StoreError
from xanes_hpc.models.folder import CONTENTS
from xanes_hpc.models.manifest import (
    AGAIN,
    MANIFEST,
    MOST_MANIFEST_BYTES,
    SUFFIX,
    Manifest,
    PackedFile,
    may_be_packed,
    read_manifest,
    shown,
)
from xanes_hpc.models.model import Model
from xanes_hpc.runtime.outputs import explain, whole_output
from xanes_hpc.stores.opening import bytes_of_numbers

SIGNATURE = b"PK\x03\x04"
BLOCK_BYTES = 1 << 20
MOST_INFLATION = 100
"""How much larger than its file the numbers of an HDF5 file may be."""
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, LookupError, OverflowError, RuntimeError, ValueError,
)  # fmt: skip
"""What ``zipfile`` raises on a file that is damaged or made to harm; ``NotImplementedError`` is a ``RuntimeError``."""


def default_folder(file: Path) -> Path:
    """The model folder's name where none is given: ``tmqm.xanes-model`` gives ``tmqm.model`` beside it."""
    return file.with_name(file.name.removesuffix(SUFFIX) + ".model")


def unpack(file: Path, output: Path, overwrite: bool = False) -> Manifest:
    """Make a model folder of a packed model; it has its name only when all of it is as packed and the model opens.

    Raises
    ------
    StoreError
        If the file is no packed model, or is newer, damaged, or holds anything that a model does not; if the output
        stands in the way.
    """
    with whole_output(output, overwrite, CONTENTS, sources=[file]) as folder, _opened(file) as archive:
        manifest = _manifest(archive, file)
        members = _members(archive, manifest, file)
        folder.mkdir()
        for packed in manifest.files:
            _extract(archive, members[packed.path], packed, folder, file)
        _check_model(folder, file)
    return manifest


def inspect(file: Path) -> Manifest:
    """The manifest of a packed model, held to the directory of the ZIP; the files' data are not read.

    Raises
    ------
    StoreError
        As ``unpack``.
    """
    with _opened(file) as archive:
        manifest = _manifest(archive, file)
        _members(archive, manifest, file)
        return manifest


def is_packed(path: Path) -> bool:
    """Whether a file is meant to be a packed model, by its name or its first bytes."""
    if not path.is_file() or path.suffix == SUFFIX:
        return path.is_file()
    try:
        return _start(path) == SIGNATURE
    except StoreError:
        return False


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(len(SIGNATURE))
    except OSError as error:
        raise StoreError(f"{path}: {explain(error)}") from None


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    """A packed model open for reading, its directory read."""
    if not file.exists():
        raise StoreError(f"{file}: no such file")
    if file.is_dir():
        raise StoreError(f"{file}: expected a packed model, received a folder")
    if (start := _start(file)) != SIGNATURE:
        received = "another file" if start else "an empty one"
        raise StoreError(f"{file}: expected a packed model (a ZIP file), received {received}")
    with _reading(str(file)):
        archive = zipfile.ZipFile(file)
    with archive:
        yield archive


@contextmanager
def _reading(where: str) -> Iterator[None]:
    """Turn whatever ``zipfile`` makes of a damaged file into one line."""
    try:
        yield
    except DAMAGE:
        raise StoreError(f"{where}: cut short or damaged; {AGAIN}") from None
    except OSError as error:
        if error.errno == errno.EINVAL:  # a place before the beginning
            raise StoreError(f"{where}: cut short or damaged; {AGAIN}") from None
        raise StoreError(f"{where}: cannot be read: {explain(error)}") from None


def _blocks(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> Iterator[bytes]:
    """A member's data, a bounded number of bytes at a time, to the end, where ``zipfile`` compares its checksum."""
    with _reading(where), archive.open(info) as stream:
        while block := stream.read(BLOCK_BYTES):
            yield block


def _manifest(archive: zipfile.ZipFile, file: Path) -> Manifest:
    first = archive.infolist()[:1]
    if not first or first[0].orig_filename != MANIFEST:
        received = shown(first[0].orig_filename) if first else "an empty ZIP file"
        raise StoreError(f"{file}: not a packed model: expected {MANIFEST} first, received {received}")
    _check_plain(first[0], file)
    where, size = f"{file}: {MANIFEST}", first[0].file_size
    if size > MOST_MANIFEST_BYTES:
        raise StoreError(f"{where}: expected at most {MOST_MANIFEST_BYTES:,} bytes, received {size:,}; {AGAIN}")
    return read_manifest(b"".join(_blocks(archive, first[0], where)), where)


def _members(archive: zipfile.ZipFile, manifest: Manifest, file: Path) -> dict[str, zipfile.ZipInfo]:
    """The members by path, when they are the manifest's files, each once, plain, and as large as it says."""
    sizes = {packed.path: packed.size for packed in manifest.files}
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist()[1:]:
        name, size = info.orig_filename, info.file_size
        if not may_be_packed(name):
            raise StoreError(f"{file}: {shown(name)}: expected files of a model only; nothing was unpacked")
        if name in members:
            raise StoreError(f"{file}: {name}: expected once, received twice; {AGAIN}")
        if name not in sizes:
            raise StoreError(f"{file}: {name}: not in the manifest; {AGAIN}")
        if size != sizes[name]:
            raise StoreError(
                f"{file}: {name}: expected {sizes[name]:,} bytes by the manifest, received {size:,}; {AGAIN}"
            )
        _check_plain(info, file)
        members[name] = info
    if missing := sizes.keys() - members.keys():
        raise StoreError(f"{file}: {min(missing)}: in the manifest but missing; {AGAIN}")
    return members


def _check_plain(info: zipfile.ZipInfo, file: Path) -> None:
    """Refuse a member that is a link or device, encrypted, or compressed as ours are not."""
    where = f"{file}: {info.orig_filename}"
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        raise StoreError(f"{where}: expected a plain file, received a link, folder or device; nothing was unpacked")
    if info.flag_bits & 1:
        raise StoreError(f"{where}: is encrypted; have the model packed without a password")
    if info.compress_type not in METHODS:
        raise StoreError(f"{where}: expected to be deflated, received ZIP method {info.compress_type}; {AGAIN}")


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, packed: PackedFile, folder: Path, file: Path) -> None:
    """Write a member, as far as it is what the manifest says."""
    path, where = folder / packed.path, f"{file}: {packed.path}"
    digest, left = hashlib.sha256(), packed.size
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as stream:
        for block in _blocks(archive, info, where):
            left -= len(block)
            if left < 0:
                break
            digest.update(block)
            stream.write(block)
    if left or digest.hexdigest() != packed.sha256:
        raise StoreError(f"{where}: damaged: its size or SHA-256 is not the manifest's; {AGAIN}")


def _check_model(folder: Path, file: Path) -> None:
    """Open what was unpacked; where that fails, name the packed model and its member, not the temporary folder."""
    try:
        for path in sorted(folder.rglob("*.h5")):
            _check_numbers(path)
        model = Model.open(folder)
        _ = model.members, model.training_sites
    except MemoryError:
        raise
    except Exception as error:  # a model made to harm may bring its readers to any
        text = str(error).replace(f"{folder}/", "").replace(f"{folder}: ", "")
        what = text if isinstance(error, StoreError) else f"damaged: {text or type(error).__name__}"
        raise StoreError(f"{file}: {what}") from None


def _check_numbers(path: Path) -> None:
    """Refuse an HDF5 file with numbers that stand elsewhere, or that take far more memory than the file is long."""
    n_bytes = bytes_of_numbers(path)
    most = MOST_INFLATION * path.stat().st_size
    if n_bytes > most:
        raise StoreError(f"{path}: expected at most {most:,} bytes of numbers in a file so long, received {n_bytes:,}")
