"""Opening something that is not a valid store gives a one-line error."""

import errno
import os
import re
import shutil
import subprocess
import sys

import h5py
import pytest
from support import stored
from support.stored import changed, refused

from xanes_hpc.errors import StoreError
from xanes_hpc.models.numbers import read_scalers
from xanes_hpc.stores.hdf5 import open_store


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A folder with ``s.h5`` and ``f.h5``. Read only."""
    return stored.write_features(tmp_path_factory.mktemp("stores")).parent


def test_file_that_is_not_hdf5(tmp_path):
    path = tmp_path / "x.h5"
    path.write_text("26\n\nFe 0 0 0\n")
    assert refused(path) == "not an HDF5 file"


def test_empty_file(tmp_path):
    (tmp_path / "x.h5").touch()
    assert refused(tmp_path / "x.h5") == "empty file, expected HDF5"


def test_folder(tmp_path):
    assert refused(tmp_path) == "expected an HDF5 file, received a folder"


def test_missing_file(tmp_path):
    assert refused(tmp_path / "none.h5") == "no such file"


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_truncated_file(stores, tmp_path, kept):
    whole = (stores / "s.h5").read_bytes()
    path = tmp_path / "s.h5"
    path.write_bytes(whole[: int(kept * len(whole))])
    assert refused(path) == "truncated HDF5 file; copy or create it again"


@pytest.mark.parametrize("start", range(8, 4096, 256))
def test_damage_to_the_first_pages_is_an_error_or_harmless(stores, tmp_path, start):
    """Overwriting any eight bytes of the first pages makes opening raise ``StoreError``, if anything."""
    path = tmp_path / "s.h5"
    shutil.copy(stores / "s.h5", path)
    with path.open("r+b") as stream:
        stream.seek(start)
        stream.write(b"\xff" * 8)
    try:
        open_store(path, "structures").close()
        message = "undamaged"
    except StoreError as error:
        message = str(error)
    assert message == "undamaged" or message.startswith(f"{path}: ")
    assert "\n" not in message


@pytest.mark.parametrize("options", [{"chunks": (1000,)}, {"chunks": (1000,), "compression": "gzip"}, {}])
def test_datasets_without_stored_data_are_refused(stores, tmp_path, options):
    """HDF5 would fill them with zeros, and allocate the memory."""
    name, n = "sites/weight", 10**12
    with h5py.File(stores / "f.h5") as file:
        n_sites = file[name].shape[0]

    def claim(file):
        del file[name]
        file.create_dataset(name, (n_sites if not options else n,), "f8", **options)

    message = refused(changed(stores / "f.h5", tmp_path / "c.h5", claim))
    assert re.fullmatch(r"sites/weight: claims [\d,]+ bytes, but the file stores 0 bytes of it", message)


def test_huge_chunks_are_refused(stores, tmp_path):
    def claim(file):
        del file["sites/weight"]
        own = file.create_dataset("sites/weight", (10**8,), "f8", chunks=(10**8,), compression="gzip")
        own[:1] = 0.0

    message = refused(changed(stores / "f.h5", tmp_path / "c.h5", claim))
    assert message == "sites/weight: expected chunks of 268,435,456 bytes or fewer, received 800,000,000"


def test_an_external_link_is_not_followed(stores, tmp_path):
    shutil.copy(stores / "f.h5", tmp_path / "other.h5")

    def link(file):
        del file["sites/weight"]
        file["sites/weight"] = h5py.ExternalLink("other.h5", "/sites/weight")

    assert refused(changed(stores / "f.h5", tmp_path / "c.h5", link)) == (
        "sites/weight: expected data in this file, received data in another one"
    )


WITHOUT_LOCKS = """
#include <errno.h>
#include <stdlib.h>
int flock(int descriptor, int operation) { errno = atoi(getenv("FLOCK_ERRNO")); return -1; }
"""
OPENED = """
import sys
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.structures import StructureStore
with StructureStore(sys.argv[1]) as store, FeatureStore(sys.argv[2]) as features:
    with StructureStore(sys.argv[1]) as again:
        print(again.n_sites, features.read(0, 1).shape[0])
"""


@pytest.fixture(scope="module")
def without_locks(tmp_path_factory):
    """A library that makes every lock of a file fail, as on network file systems without a lock service."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("locks")
    (folder / "nolock.c").write_text(WITHOUT_LOCKS)
    library = folder / "nolock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, folder / "nolock.c"], check=True)
    return library


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, 524], ids=["ENOLCK", "EOPNOTSUPP", "524"])
def test_stores_open_on_file_systems_without_locks(stores, without_locks, number):
    environment = os.environ | {"LD_PRELOAD": str(without_locks), "FLOCK_ERRNO": str(number)}
    command = [sys.executable, "-c", OPENED, stores / "s.h5", stores / "f.h5"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[1] == "1"


def test_an_error_of_the_system_is_not_called_damage(stores, monkeypatch):
    def open_hdf5(path):
        raise OSError(errno.ENOLCK, "Unable to synchronously open file (unable to lock file)")

    monkeypatch.setattr("xanes_hpc.stores.hdf5.open_hdf5", open_hdf5)
    assert refused(stores / "s.h5") == "cannot be opened: no locks available"


@pytest.mark.parametrize("locking", [True, False, "best-effort"])
def test_a_store_opens_that_this_process_has_open_with_another_way_of_locking(stores, locking):
    with h5py.File(stores / "s.h5", "r", locking=locking), open_store(stores / "s.h5", "structures") as store:
        assert store["sites/weight"].shape[0]


def test_an_error_of_the_system_is_not_called_damage_in_any_file(tmp_path, monkeypatch):
    def locked(path, *args, **options):
        raise OSError(errno.EIO, "file read failed")

    monkeypatch.setattr("h5py.File", locked)
    (tmp_path / "scalers.h5").write_bytes(b"")
    with pytest.raises(StoreError, match=r"scalers\.h5: cannot be read: input/output error"):
        read_scalers(tmp_path / "scalers.h5", 1, 1, 1)
