"""Stores are written atomically: after a failure, the old file is unchanged."""

import errno
from pathlib import Path

import h5py
import numpy as np
import pytest
from support import stored
from support.builders import OLD

from xanes_hpc.errors import StoreError
from xanes_hpc.runtime.outputs import whole_output
from xanes_hpc.stores.columns import Column, Columns
from xanes_hpc.stores.hdf5 import create_store
from xanes_hpc.stores.structure_writer import create_structures
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc_schema import SchemaError


class Interrupted(Exception):
    pass


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def fail_while_writing(path, error):
    with create_structures(path, overwrite=True) as writer:
        writer.append(stored.structure("a"), np.array([0]), "K", [[]])
        raise error


@pytest.mark.parametrize("error", [Interrupted, KeyboardInterrupt, SystemExit, MemoryError, ValueError])
def test_failure_in_the_block_leaves_nothing_behind(tmp_path, error):
    with pytest.raises(error):
        fail_while_writing(tmp_path / "s.h5", error)
    assert names(tmp_path) == []


@pytest.mark.parametrize("error", [Interrupted, KeyboardInterrupt, SystemExit])
def test_failure_in_the_block_leaves_the_old_file_unchanged(tmp_path, error):
    path = tmp_path / "s.h5"
    path.write_bytes(OLD)
    with pytest.raises(error):
        fail_while_writing(path, error)
    assert path.read_bytes() == OLD
    assert names(tmp_path) == ["s.h5"]


def test_old_file_stays_until_the_block_ends(tmp_path):
    path = tmp_path / "s.h5"
    path.write_bytes(OLD)
    with create_structures(path, overwrite=True) as writer:
        writer.append(stored.structure("a"), np.array([0]), "K", [[]])
        assert path.read_bytes() == OLD
    with StructureStore(path) as store:
        assert store.n_structures == 1
    assert names(tmp_path) == ["s.h5"]


def test_new_file_is_renamed_when_the_block_ends(tmp_path):
    with create_structures(tmp_path / "s.h5") as writer:
        writer.append(stored.structure("a"), np.array([0]), "K", [[]])
        assert not (tmp_path / "s.h5").exists()
    assert names(tmp_path) == ["s.h5"]


def test_file_that_violates_its_schema_is_not_kept(tmp_path):
    with (
        pytest.raises((SchemaError, StoreError), match="digest_structures"),
        create_store(tmp_path / "s.h5", "structures"),
    ):
        pass
    assert names(tmp_path) == []


def test_existing_output_is_refused_and_unchanged(tmp_path):
    path = tmp_path / "s.h5"
    path.write_bytes(OLD)
    with pytest.raises(StoreError, match=r"s\.h5: already exists.*`overwrite`"):
        stored.write_structures(path)
    assert path.read_bytes() == OLD
    assert names(tmp_path) == ["s.h5"]


def test_overwrite_replaces_the_output(tmp_path):
    path = stored.write_structures(tmp_path / "s.h5")
    stored.write_structures(path, stored.rows()[:1], overwrite=True)
    with StructureStore(path) as store:
        assert store.n_structures == 1


@pytest.mark.parametrize("overwrite", [False, True])
def test_folder_in_place_of_the_output_is_never_touched(tmp_path, overwrite):
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "thesis.tex").write_bytes(OLD)
    with pytest.raises(StoreError, match=f"{folder}: "):
        stored.write_structures(folder, overwrite=overwrite)
    assert (folder / "thesis.tex").read_bytes() == OLD
    assert names(tmp_path) == ["results"]


def write_folder(path):
    with whole_output(path, overwrite=True, contents=["marker", "*"]) as temporary:
        temporary.mkdir()
        (temporary / "marker").write_text("new")


def test_folder_of_ours_is_replaced_completely(tmp_path):
    write_folder(tmp_path / "m")
    (tmp_path / "m" / "left over").write_bytes(OLD)
    write_folder(tmp_path / "m")
    assert names(tmp_path) == ["m"]
    assert names(tmp_path / "m") == ["marker"]


@pytest.mark.parametrize("links", [True, False])
def test_file_that_another_run_finished_in_the_meantime_stays(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr("os.link", no_links)
    path = tmp_path / "s.h5"
    stored.write_structures(tmp_path / "alone.h5")
    with pytest.raises(StoreError, match="another run made it in the meantime"):
        write_file_while_another_does(path)
    assert path.read_bytes() == OLD
    assert names(tmp_path) == ["alone.h5", "s.h5"]


def write_file_while_another_does(path):
    with whole_output(path, overwrite=False) as temporary:
        temporary.write_bytes(b"new")
        path.write_bytes(OLD)


def write_folder_while_another_does(path):
    with whole_output(path, overwrite=False, contents=["marker", "*"]) as temporary:
        temporary.mkdir()
        write_folder(path)


def no_links(*_):
    raise OSError(errno.EPERM, "Operation not permitted")


def test_folder_that_another_run_finished_in_the_meantime_stays(tmp_path):
    with pytest.raises(StoreError, match="another run made it in the meantime"):
        write_folder_while_another_does(tmp_path / "m")
    assert names(tmp_path) == ["m"]
    assert (tmp_path / "m" / "marker").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.EIO, "Input/output error")])
def test_old_folder_is_restored_if_the_new_one_cannot_be_renamed(tmp_path, monkeypatch, error):
    write_folder(tmp_path / "m")
    (tmp_path / "m" / "marker").write_bytes(OLD)
    rename = Path.rename

    def fail(source, target):
        if source.suffix == ".partial":
            raise error
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises((KeyboardInterrupt, StoreError)):
        write_folder(tmp_path / "m")
    assert names(tmp_path) == ["m"]
    assert (tmp_path / "m" / "marker").read_bytes() == OLD


def test_link_to_a_folder_of_ours_is_replaced_but_not_its_target(tmp_path):
    write_folder(tmp_path / "real")
    (tmp_path / "real" / "marker").write_bytes(OLD)
    (tmp_path / "m").symlink_to(tmp_path / "real")
    write_folder(tmp_path / "m")
    assert (tmp_path / "m" / "marker").read_text() == "new"
    assert (tmp_path / "real" / "marker").read_bytes() == OLD
    assert names(tmp_path) == ["m", "real"]


def test_output_in_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(StoreError, match=r"none: no such folder for the output s\.h5"):
        stored.write_structures(tmp_path / "none" / "s.h5")
    assert names(tmp_path) == []


def test_features_do_not_replace_their_structure_store(tmp_path):
    from xanes_hpc import descriptors
    from xanes_hpc.features.featurise import featurise

    path = stored.write_structures(tmp_path / "s.h5")
    before = path.read_bytes()
    with StructureStore(path) as source, pytest.raises(StoreError, match="is one of the inputs"):
        featurise(source, descriptors.load("wacsf", "xanesnet-49"), path, overwrite=True)
    assert path.read_bytes() == before


def test_replaced_store_stays_readable_while_open(tmp_path):
    path = stored.write_structures(tmp_path / "s.h5")
    with StructureStore(path) as old:
        stored.write_structures(path, stored.rows()[:1], overwrite=True)
        assert old.n_structures == 3
        assert old.batch(0, 4).n_sites == 4


@pytest.mark.parametrize("chunks", [[0], [3], [1, 1, 1], [4095, 2], [4096], [5000, 1, 4096]])
def test_column_grows_by_any_number_of_rows(tmp_path, chunks):
    values = np.arange(3.0 * sum(chunks)).reshape(-1, 3)
    with h5py.File(tmp_path / "c.h5", "w") as file:
        column, start = Column(file, "rows", np.float64, (3,)), 0
        for n in chunks:
            column.extend(values[start : start + n])
            start += n
        assert column.n_rows == len(values)
        column.finish()
        np.testing.assert_array_equal(file["rows"][:], values)


def test_columns_are_finished_together(tmp_path):
    with h5py.File(tmp_path / "c.h5", "w") as file:
        columns = Columns()
        for name in ("a", "b"):
            columns.add(name, Column(file, name, np.int64))
            columns[name].extend([1, 2])
        assert "a" in columns
        assert "c" not in columns
        columns.finish()
        assert [file[n][:].tolist() for n in ("a", "b")] == [[1, 2], [1, 2]]
