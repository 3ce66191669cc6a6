"""Virtual stores, whose rows stay in the parts: they read their own parts only, and check them."""

import shutil

import h5py
import numpy as np
import pytest
from support import small_parts, stored
from support.builders import run, write
from support.partitioned import DESCRIPTOR, all_made, finalise, planned, write_source
from support.stored import everything

from xanes_hpc import descriptors
from xanes_hpc.errors import StoreError
from xanes_hpc.features import featurise
from xanes_hpc.jobs import run as execution
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.part_files import parts_folder
from xanes_hpc.stores.structures import StructureStore

N_SITES = 200


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A store of 200 sites, in parts of 32."""
    small_parts.use(monkeypatch.setattr)
    write_source(tmp_path / "s.h5", N_SITES)
    with StructureStore(tmp_path / "s.h5") as store:
        yield store


@pytest.fixture
def whole(source, tmp_path):
    """The contents of the store that an ordinary run makes."""
    featurise.featurise(source, DESCRIPTOR, tmp_path / "whole.h5")
    return everything(tmp_path / "whole.h5")


def test_a_virtual_store_has_the_same_contents(source, tmp_path, whole):
    output = tmp_path / "f.h5"
    all_made(source, output)
    finalise(source, output, virtual=True)
    found = everything(output)
    different = {name for name in whole if found[name] != whole[name]}
    assert different == {"@digest_attributes", "features"}  # it records that it is virtual, and has no chunks
    with FeatureStore(output) as store, FeatureStore(tmp_path / "whole.h5") as plain:
        np.testing.assert_array_equal(store.read(0, N_SITES), plain.read(0, N_SITES))
        assert store.chunk_rows == plain.chunk_rows
    finalise(source, output, overwrite=True)
    assert everything(output) == whole
    assert not parts_folder(output).exists()


def _another_part(folder):
    with h5py.File(folder / "part-000002.h5", "r+") as file:
        file.attrs["plan"] = "0" * 64


def _a_link(folder):
    (folder / "part-000002.h5").rename(folder.parent / "elsewhere.h5")
    (folder / "part-000002.h5").symlink_to(folder.parent / "elsewhere.h5")


def _a_virtual_part(folder):
    with h5py.File(folder / "part-000002.h5", "r+") as file:
        shape, dtype = file["features"].shape, file["features"].dtype
        del file["features"]
        layout = h5py.VirtualLayout(shape, dtype)
        layout[:] = h5py.VirtualSource("/etc/secret.h5", "features", shape)
        file.create_virtual_dataset("features", layout)


def _an_external_link(folder):
    with h5py.File(folder / "part-000002.h5", "r+") as file:
        del file["features"]
        file["features"] = h5py.ExternalLink("part-000001.h5", "/features")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda folder: (folder / "part-000002.h5").unlink(),
            "no such file; the virtual store beside its folder needs it",
        ),
        (_another_part, "is not the part that the virtual store was made from"),
        (lambda folder: shutil.copy(folder / "part-000001.h5", folder / "part-000002.h5"), "is not the part that the"),
        (_a_link, "is a symbolic link"),
        (_a_virtual_part, "is not the part"),
        (_an_external_link, "is not the part"),
        (lambda folder: write(folder / "part-000002.h5", "no HDF5"), "damaged part"),
    ],
)
def test_a_virtual_store_is_refused_without_its_own_parts(source, tmp_path, damage, message):
    output = tmp_path / "f.h5"
    all_made(source, output)
    finalise(source, output, virtual=True)
    damage(parts_folder(output))
    with pytest.raises(StoreError, match=message) as caught:
        FeatureStore(output)
    assert str(caught.value).startswith(str(parts_folder(output) / "part-000002.h5"))


def test_a_virtual_store_refers_only_to_its_own_parts(source, tmp_path):
    output = tmp_path / "f.h5"
    all_made(source, output)
    finalise(source, output, virtual=True)
    output.rename(tmp_path / "g.h5")
    with pytest.raises(StoreError, match=r"expected rows from g\.h5\.parts/part-000000\.h5, received f\.h5\.parts/"):
        FeatureStore(tmp_path / "g.h5")
    with h5py.File(tmp_path / "g.h5", "r+") as file:
        shape, dtype = file["features"].shape, file["features"].dtype
        del file["features"]
        layout = h5py.VirtualLayout(shape, dtype)
        layout[:] = h5py.VirtualSource("../whatever.h5", "features", shape)
        file.create_virtual_dataset("features", layout)
    with pytest.raises(StoreError, match=r"received \.\./whatever\.h5"):
        FeatureStore(tmp_path / "g.h5")


def test_parts_of_a_virtual_store_are_not_deleted(source, tmp_path):
    output = tmp_path / "f.h5"
    all_made(source, output)
    finalise(source, output, virtual=True)
    before = {path.name: path.read_bytes() for path in parts_folder(output).glob("part-*.h5")}
    other = descriptors.load("rdc")
    for attempt in (
        lambda: planned(source, output, restart=True),
        lambda: planned(source, output, restart=True, overwrite=True),
        lambda: featurise.featurise(source, DESCRIPTOR, output, overwrite=True, restart=True),
        lambda: featurise.featurise(source, other, output, overwrite=True),
    ):
        with pytest.raises(StoreError, match=r"already exists|these parts hold the rows of the virtual store f\.h5"):
            attempt()
    assert {path.name: path.read_bytes() for path in parts_folder(output).glob("part-*.h5")} == before
    with FeatureStore(output) as store:
        store.check_unchanged()
        (parts_folder(output) / "part-000002.h5").touch()
        with pytest.raises(StoreError, match=r"part-000002\.h5: changed or was replaced while it was being read"):
            store.check_unchanged()


def test_a_part_of_another_plan_is_not_copied(source, tmp_path, monkeypatch):
    """A worker of an abandoned run may put one there late."""
    output = tmp_path / "f.h5"
    all_made(source, output)
    monkeypatch.setattr(execution, "check_whole", lambda *words: None)
    _another_part(parts_folder(output))
    with pytest.raises(StoreError, match=r"part-000002\.h5: was replaced by a part of another output"):
        finalise(source, output)
    assert not output.exists()


def _strided(path):
    with h5py.File(path, "r+") as file:
        shape, dtype, plan = file["features"].shape, file["features"].dtype, file["features"].attrs["plan"]
        del file["features"]
        layout = h5py.VirtualLayout(shape, dtype)
        layout[0:32:31] = h5py.VirtualSource("f.h5.parts/part-000000.h5", "features", (2, *shape[1:]))
        for k in range(1, 7):
            rows = slice(32 * k, min(32 * k + 32, shape[0]))
            size = (rows.stop - rows.start, *shape[1:])
            layout[rows] = h5py.VirtualSource(f"f.h5.parts/part-{k:06d}.h5", "features", size)
        file.create_virtual_dataset("features", layout).attrs["plan"] = plan


def test_gaps_between_parts_are_refused(source, tmp_path):
    """HDF5 would return the fill value for the missing rows."""
    output = tmp_path / "f.h5"
    all_made(source, output)
    finalise(source, output, virtual=True)
    _strided(output)
    with pytest.raises(StoreError, match="expected the rows of its parts in order, without gaps"):
        FeatureStore(output)


def test_damage_in_parts_of_a_virtual_store_is_found(source, tmp_path, capsys):
    output = tmp_path / "f.h5"
    all_made(source, output)
    finalise(source, output, virtual=True)
    assert run("info", "--verify", output) == 0
    assert run("info", output) == 0
    assert "parts" in capsys.readouterr().out
    stored.flip_a_byte(parts_folder(output) / "part-000002.h5", "features", 1)
    assert run("info", "--verify", output) == 2
    assert "part-000002.h5: features, rows 16 to 31" in capsys.readouterr().err
    with FeatureStore(output) as store, pytest.raises(StoreError, match="damaged data"):
        store.read(0, N_SITES)
