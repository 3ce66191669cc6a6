"""Unpack a packed model into a model folder.

The file may come from anyone. Everything in it is checked before use, a name becomes a path only if a model has such a
file, and no more data are inflated than the manifest announces.
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
from xanes_hpc.stores.opening import bytes_in_memory

SIGNATURE = b"PK\x03\x04"
BLOCK_BYTES = 1 << 20
MOST_INFLATION = 100
"""Largest ratio of the size of an HDF5 file's numbers to the size of the file."""
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, LookupError, OverflowError, RuntimeError, ValueError,
)  # fmt: skip
"""What ``zipfile`` raises for damaged or malicious files; ``NotImplementedError`` is a ``RuntimeError``."""


def default_folder(file: Path) -> Path:
    """Return the default output for a packed model: ``tmqm.model`` beside ``tmqm.xanes-model``."""
    return file.with_name(file.name.removesuffix(SUFFIX) + ".model")


def unpack(file: Path, output: Path, overwrite: bool = False) -> Manifest:
    """Unpack a model folder, which appears only once every file matches the manifest and the model can be opened.

    Raises
    ------
    StoreError
        If the file is not a packed model, has a newer schema, is damaged, or contains a file that a model cannot have;
        or if the output exists or cannot be written.
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
    """Return the manifest of a packed model, compared with the ZIP's directory; the files' data are not read.

    Raises
    ------
    StoreError
        If the file is not a packed model, has a newer schema, is damaged, or contains a file that a model cannot have.
    """
    with _opened(file) as archive:
        manifest = _manifest(archive, file)
        _members(archive, manifest, file)
        return manifest


def is_packed(path: Path) -> bool:
    """Return whether a file appears to be a packed model, by its name or its first bytes."""
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
    """Open a packed model and read the ZIP's directory."""
    if not file.exists():
        raise StoreError(f"{file}: no such file")
    if file.is_dir():
        raise StoreError(f"{file}: expected a packed model, received a folder")
    if (start := _start(file)) != SIGNATURE:
        received = "another kind of file" if start else "an empty file"
        raise StoreError(f"{file}: expected a packed model (a ZIP file), received {received}")
    with _reading(str(file)):
        archive = zipfile.ZipFile(file)
    with archive:
        yield archive


@contextmanager
def _reading(where: str) -> Iterator[None]:
    """Turn any error of ``zipfile`` on a damaged file into a ``StoreError``."""
    try:
        yield
    except DAMAGE:
        raise StoreError(f"{where}: truncated or damaged; {AGAIN}") from None
    except OSError as error:
        if error.errno == errno.EINVAL:  # an offset before the start of the file
            raise StoreError(f"{where}: truncated or damaged; {AGAIN}") from None
        raise StoreError(f"{where}: cannot be read: {explain(error)}") from None


def _blocks(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> Iterator[bytes]:
    """Yield a member's data in blocks to its end, where ``zipfile`` checks the CRC."""
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
    """Return the members by path, after checking that they are the files of the manifest, with the sizes in it."""
    sizes = {packed.path: packed.size for packed in manifest.files}
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist()[1:]:
        name, size = info.orig_filename, info.file_size
        if not may_be_packed(name):
            raise StoreError(f"{file}: {shown(name)}: not a file that a model can have; nothing was unpacked")
        if name in members:
            raise StoreError(f"{file}: {name}: expected once, received twice; {AGAIN}")
        if name not in sizes:
            raise StoreError(f"{file}: {name}: not in the manifest; {AGAIN}")
        if size != sizes[name]:
            raise StoreError(
                f"{file}: {name}: expected {sizes[name]:,} bytes as in the manifest, received {size:,}; {AGAIN}"
            )
        _check_plain(info, file)
        members[name] = info
    if missing := sizes.keys() - members.keys():
        raise StoreError(f"{file}: {min(missing)}: listed in the manifest but missing; {AGAIN}")
    return members


def _check_plain(info: zipfile.ZipInfo, file: Path) -> None:
    """Refuse a member that is not a plain file, is encrypted, or uses another compression method."""
    where = f"{file}: {info.orig_filename}"
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        raise StoreError(f"{where}: expected a plain file, received a link, folder or device; nothing was unpacked")
    if info.flag_bits & 1:
        raise StoreError(f"{where}: encrypted; ask for a model packed without a password")
    if info.compress_type not in METHODS:
        raise StoreError(
            f"{where}: expected stored or deflated data, received ZIP method {info.compress_type}; {AGAIN}"
        )


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, packed: PackedFile, folder: Path, file: Path) -> None:
    """Write a member to the folder; refuse it if its size or SHA-256 differs from the manifest."""
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
        raise StoreError(f"{where}: damaged: its size or SHA-256 differs from the manifest; {AGAIN}")


def _check_model(folder: Path, file: Path) -> None:
    """Open the unpacked model; errors name the packed model and its member, not the temporary folder."""
    try:
        for path in sorted(folder.rglob("*.h5")):
            _check_numbers(path)
        model = Model.open(folder)
        _ = model.members, model.training_sites
    except MemoryError:
        raise
    except Exception as error:  # a malicious model may cause any exception
        text = str(error).replace(f"{folder}/", "").replace(f"{folder}: ", "")
        what = text if isinstance(error, StoreError) else f"damaged: {text or type(error).__name__}"
        raise StoreError(f"{file}: {what}") from None


def _check_numbers(path: Path) -> None:
    """Refuse an HDF5 file that refers to other files, or whose numbers take far more memory than the file is long."""
    n_bytes, size = bytes_in_memory(path), path.stat().st_size
    if n_bytes > MOST_INFLATION * size:
        raise StoreError(
            f"{path}: expected at most {MOST_INFLATION * size:,} bytes of numbers in a file of {size:,} bytes, "
            f"received {n_bytes:,}"
        )
