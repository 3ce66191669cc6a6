"""Feature stores: round trips, their structure store, and damage."""

import json
import os
import shutil
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
from support import stored

from xanes_hpc import descriptors
from xanes_hpc.errors import FormatError, StoreError
from xanes_hpc.features.featurise import _PartWriter, describe_sites, featurise, plan
from xanes_hpc.runtime import threads
from xanes_hpc.stores import features as feature_stores
from xanes_hpc.stores import part_files
from xanes_hpc.stores.features import FeatureStore, chunk_rows
from xanes_hpc.stores.structures import StructureStore

DESCRIPTOR = descriptors.load("wacsf", "xanesnet-49")


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A folder with ``s.h5`` and ``f.h5``. Read only."""
    return stored.write_features(tmp_path_factory.mktemp("stores")).parent


def test_features_match_the_descriptor(stores):
    with FeatureStore(stores / "f.h5") as features, StructureStore(stores / "s.h5") as source:
        expected = DESCRIPTOR.compute(source.batch(0, source.n_sites))
        assert (features.n_sites, features.n_features) == expected.shape == (4, 49)
        np.testing.assert_array_equal(features.read(0, 4), expected)
        np.testing.assert_array_equal(features.read(1, 3), expected[1:3])


def test_sites_are_copied_from_the_structures(stores):
    with FeatureStore(stores / "f.h5") as features, StructureStore(stores / "s.h5") as source:
        mine, other = features.sites, source.sites
    assert (mine.name, mine.edge) == (other.name, other.edge)
    for column in ("structure", "atom", "element", "weight"):
        np.testing.assert_array_equal(getattr(mine, column), getattr(other, column))


def test_store_has_the_full_description_of_the_descriptor(stores):
    with FeatureStore(stores / "f.h5") as features:
        again = descriptors.from_description(features.description)
        assert again.hash == DESCRIPTOR.hash == features.attribute("descriptor_hash")
        assert features.file["labels"].asstr()[:].tolist() == DESCRIPTOR.labels
        assert not features.has_spectra


def everything(path):
    """Return every attribute and the bytes of every dataset, which are equal in bit-identical stores."""
    with h5py.File(path) as file:
        found = {f"@{name}": str(value) for name, value in file.attrs.items()}
        names = []
        file.visit(names.append)
        for name in names:
            if isinstance(file[name], h5py.Dataset):
                found[name] = (
                    str(file[name].dtype),
                    file[name].shape,
                    file[name].chunks,
                    np.asarray(file[name][()]).tobytes(),
                )
            found |= {f"{name}@{key}": str(value) for key, value in file[name].attrs.items()}
    return found


def test_stores_are_identical_whatever_the_number_of_threads(tmp_path, stores):
    contents = []
    for n in (1, min(2, threads.MOST)):
        with threads.limited_to(n), StructureStore(stores / "s.h5") as source:
            featurise(source, DESCRIPTOR, tmp_path / "f.h5", overwrite=True)
        contents.append(everything(tmp_path / "f.h5"))
    assert contents[0] == contents[1]
    assert {"@descriptor_hash", "features", "sites/name"} <= set(contents[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_of_the_store_is_the_descriptors(tmp_path, stores, dtype):
    with StructureStore(stores / "s.h5") as source:
        featurise(source, descriptors.load("wacsf", "xanesnet-49", dtype=dtype), tmp_path / "f.h5")
    with FeatureStore(tmp_path / "f.h5") as features:
        assert features.read(0, 4).dtype == np.dtype(dtype)


def test_parts_are_whole_chunks_and_cover_all_sites(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_stores, "CHUNK_BYTES", 16 * 49 * 8)
    monkeypatch.setattr(part_files, "PART_BYTES", 2 * 16 * 49 * 8)
    entries = [(stored.structure(f"s{i}", 3, i), [0], "K", [[]]) for i in range(77)]
    path = stored.write_features(tmp_path, entries=entries)
    with FeatureStore(path) as features, StructureStore(tmp_path / "s.h5") as source:
        assert features.chunk_rows == 16
        whole = plan(source, DESCRIPTOR)
        assert whole.bounds == (0, 32, 64, 77)
        parts = [describe_sites(DESCRIPTOR, source, a, b) for a, b in pairwise(whole.bounds)]
        np.testing.assert_array_equal(features.read(0, 77), np.concatenate(parts))


@pytest.mark.parametrize(
    ("n_features", "item_bytes", "rows"), [(97, 8, 1024), (49, 4, 4096), (10**6, 8, 16), (1, 1, 1 << 20)]
)
def test_chunks_have_about_1_mib_and_a_power_of_two_of_rows(n_features, item_bytes, rows):
    assert chunk_rows(n_features, item_bytes) == rows


@pytest.mark.parametrize("chunk", [0, 2])
def test_flipped_bit_in_the_features_is_noticed(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(feature_stores, "CHUNK_BYTES", 16 * 49 * 8)
    entries = [(stored.structure(f"s{i}", 3, i), [0], "K", [[]]) for i in range(37)]
    path = stored.write_features(tmp_path, entries=entries)
    stored.flip_a_byte(path, "features", chunk)
    with FeatureStore(path) as features:
        with pytest.raises(StoreError, match=r"damaged data \(.*\); create the file again") as caught:
            features.read(0, 37)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)
        assert features.read(16, 32).shape == (16, 49)  # the chunk without damage


def test_source_is_found_by_its_relative_path(tmp_path, stores):
    shutil.copytree(stores, tmp_path / "moved")
    with FeatureStore(tmp_path / "moved" / "f.h5") as features:
        assert features.attribute("source_path") == "s.h5"
        with features.open_source() as source:
            assert source.path == tmp_path / "moved" / "s.h5"


def test_source_in_another_folder_is_found_from_any_working_folder(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b" / "c").mkdir(parents=True)
    stored.write_structures(tmp_path / "a" / "s.h5")
    monkeypatch.chdir(tmp_path / "b")
    with StructureStore(tmp_path / "a" / "s.h5") as source:
        featurise(source, DESCRIPTOR, Path("c/f.h5"))
    monkeypatch.chdir(tmp_path)
    with FeatureStore(tmp_path / "b" / "c" / "f.h5") as features:
        assert features.attribute("source_path") == os.path.join("..", "..", "a", "s.h5")
        with features.open_source() as source:
            assert source.n_sites == 4


@pytest.mark.parametrize("what", ["folder", "file"])
def test_source_is_found_through_a_symbolic_link(tmp_path, what):
    (tmp_path / "real" / "deep").mkdir(parents=True)
    stored.write_structures(tmp_path / "real" / "s.h5")
    with StructureStore(tmp_path / "real" / "s.h5") as source:
        featurise(source, DESCRIPTOR, tmp_path / "real" / "deep" / "f.h5")
    if what == "folder":
        (tmp_path / "link").symlink_to(tmp_path / "real" / "deep")
        path = tmp_path / "link" / "f.h5"
    else:
        path = tmp_path / "linked.h5"
        path.symlink_to(tmp_path / "real" / "deep" / "f.h5")
    with FeatureStore(path) as features, features.open_source() as source:
        assert source.n_sites == 4


def test_missing_source_is_an_error_that_says_what_to_do(tmp_path, stores):
    shutil.copy(stores / "f.h5", tmp_path / "f.h5")
    with FeatureStore(tmp_path / "f.h5") as features, pytest.raises(StoreError) as caught:
        features.open_source()
    assert "s.h5: no such file; it is the structure store of" in str(caught.value)
    assert "name it with `spectra`" in str(caught.value)


def test_source_with_other_structures_is_refused(tmp_path, stores):
    shutil.copy(stores / "f.h5", tmp_path / "f.h5")
    stored.write_structures(tmp_path / "s.h5", stored.rows()[:2])
    with FeatureStore(tmp_path / "f.h5") as features, pytest.raises(StoreError) as caught:
        features.open_source()
    assert "its structures (digest " in str(caught.value)
    assert "featurise it again" in str(caught.value)


def test_source_with_more_spectra_is_accepted(tmp_path, stores):
    shutil.copy(stores / "f.h5", tmp_path / "f.h5")
    more = [(r, a, e, [[*site, stored.spectrum()] for site in s]) for r, a, e, s in stored.rows()]
    stored.write_structures(tmp_path / "more.h5", more)
    with FeatureStore(tmp_path / "f.h5") as features, features.open_source(tmp_path / "more.h5") as source:
        assert source.n_spectra == 7


def test_store_without_sites_is_refused(tmp_path):
    stored.write_structures(tmp_path / "s.h5", [])
    with StructureStore(tmp_path / "s.h5") as source, pytest.raises(StoreError, match=r"s\.h5: has no sites"):
        featurise(source, DESCRIPTOR, tmp_path / "f.h5")
    assert [p.name for p in tmp_path.iterdir()] == ["s.h5"]


def test_invalid_structure_is_named_with_store_and_sites_and_leaves_nothing(tmp_path):
    record = stored.structure("bad", 3)
    record.positions[2] = [0.0, 0.0, 0.01]
    stored.write_structures(tmp_path / "s.h5", [*stored.rows(), (record, [0], "K", [[]])])
    with StructureStore(tmp_path / "s.h5") as source, pytest.raises(FormatError) as caught:
        featurise(source, DESCRIPTOR, tmp_path / "f.h5")
    expected = f"{tmp_path / 's.h5'}: sites 0 to 4: an atom is 0.010 Å from the absorber of site 4 of the batch"
    assert str(caught.value) == expected
    assert [p.name for p in tmp_path.iterdir()] == ["s.h5"]


def test_structure_with_an_unknown_element_is_refused(tmp_path, stores):
    stored.changed(
        stores / "s.h5", tmp_path / "s.h5", lambda file: file["atoms/numbers"].write_direct(np.array([200] * 9, "u1"))
    )
    with (
        StructureStore(tmp_path / "s.h5") as source,
        pytest.raises(FormatError, match="atomic number 200: expected at most 118"),
    ):
        featurise(source, DESCRIPTOR, tmp_path / "f.h5")


@pytest.mark.parametrize("text", ["not JSON", "[1]", "null"])
def test_description_that_is_not_an_object_is_refused(tmp_path, stores, text):
    path = stored.changed(stores / "f.h5", tmp_path / "f.h5", stored.replaced("descriptor", text))
    with (
        FeatureStore(path) as features,
        pytest.raises(StoreError, match="dataset descriptor: expected a JSON object"),
    ):
        assert features.description


def test_plain_h5py_reads_a_feature_store(stores):
    with h5py.File(stores / "f.h5") as file, h5py.File(stores / "s.h5") as source:
        assert json.loads(file["descriptor"][()])["name"] == "wacsf"
        assert file["features"].shape == (file["sites/name"].size, file["labels"].size)
        assert file.attrs["source_digest"] == source.attrs["digest_structures"]


def test_failed_write_leaves_no_part_that_looks_complete(tmp_path, stores, monkeypatch):
    monkeypatch.setattr("xanes_hpc.features.featurise.ATOMS_AT_ONCE", 1)  # one structure per batch
    monkeypatch.setattr("xanes_hpc.runtime.overlap.AHEAD", 100)
    written, write = [], _PartWriter.write

    def fails_once(self, span, features):
        written.append(span.start)
        if len(written) == 2:
            raise MemoryError("once")
        write(self, span, features)

    monkeypatch.setattr(_PartWriter, "write", fails_once)
    with StructureStore(stores / "s.h5") as source:
        with pytest.raises(MemoryError):
            featurise(source, DESCRIPTOR, tmp_path / "f.h5")
        assert len(written) == 2
        assert not list(tmp_path.glob("f.h5.parts/part-*"))
        featurise(source, DESCRIPTOR, tmp_path / "f.h5")
        expected = np.concatenate([DESCRIPTOR.compute(source.batch(i, i + 1)) for i in range(source.n_sites)])
    with FeatureStore(tmp_path / "f.h5") as store:
        np.testing.assert_array_equal(store.read(0, store.n_sites), expected)
