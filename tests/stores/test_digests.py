"""What the digests of a structure store depend on."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from support import stored

from xanes_hpc.stores import columns, hdf5, spectra
from xanes_hpc.stores.structure_writer import STRUCTURE_NAMES
from xanes_hpc.stores.structures import StructureStore


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A folder with ``s.h5`` and ``f.h5``. Read only."""
    return stored.write_features(tmp_path_factory.mktemp("stores")).parent


def digests(path):
    with StructureStore(path) as store:
        return store.attribute("digest_structures"), store.attribute("digest_spectra")


def test_stored_digests_match_the_datasets(stores):
    with StructureStore(stores / "s.h5") as store:
        assert store.attribute("digest_structures") == hdf5.digest(store.file, STRUCTURE_NAMES)
        assert store.attribute("digest_spectra") == hdf5.digest(store.file, spectra.spectrum_names(store.file))


def test_digests_do_not_depend_on_chunks(stores, tmp_path, monkeypatch):
    monkeypatch.setattr(columns, "ROWS_PER_CHUNK", 2)
    monkeypatch.setattr(hdf5, "SLAB_BYTES", 64)
    again = stored.write_structures(tmp_path / "s.h5")
    with h5py.File(again) as file, h5py.File(stores / "s.h5") as other:
        assert file["sites/name"].chunks == (2,)
        assert other["sites/name"].chunks == other["sites/name"].shape  # a single chunk
    assert digests(again) == digests(stores / "s.h5")


def test_digest_does_not_depend_on_the_width_of_strings(stores, tmp_path):
    def widen(file):
        for name in ("sites/name", "structures/name", "sites/edge"):
            strings = hdf5.encoded(hdf5.read_strings(file, name))
            wide = h5py.string_dtype("utf-8", 123)
            del file[name]
            file.create_dataset(name, data=strings.astype(wide))

    wide = stored.changed(stores / "s.h5", tmp_path / "w.h5", widen)
    with h5py.File(wide) as file:
        assert hdf5.digest(file, STRUCTURE_NAMES) == digests(stores / "s.h5")[0]


def test_spectra_do_not_change_the_digest_of_structures(stores, tmp_path):
    bare = [(record, atoms, edge, [[] for _ in atoms]) for record, atoms, edge, _ in stored.rows()]
    structures, of_spectra = digests(stored.write_structures(tmp_path / "s.h5", bare))
    assert structures == digests(stores / "s.h5")[0]
    assert of_spectra != digests(stores / "s.h5")[1]


def moved(record):
    positions = record.positions.copy()
    positions[-1, 2] = np.nextafter(positions[-1, 2], 9.0)
    return replace(record, positions=positions)


def other_element(record):
    return replace(record, numbers=np.array([*record.numbers[:-1], 16], np.uint8))


@pytest.mark.parametrize(
    "change",
    [
        moved,
        other_element,
        lambda r: replace(r, name="other"),
        lambda r: replace(r, cell=r.cell + np.eye(3)),
        lambda r: replace(r, pbc=~r.pbc),
    ],
    ids=["position", "element", "name", "cell", "pbc"],
)
@pytest.mark.parametrize("row", [0, 2])
def test_any_change_to_a_structure_changes_the_digest(stores, tmp_path, change, row):
    entries = stored.rows()
    entries[row] = (change(entries[row][0]), *entries[row][1:])
    assert digests(stored.write_structures(tmp_path / "s.h5", entries))[0] != digests(stores / "s.h5")[0]


@pytest.mark.parametrize(("atoms", "edge"), [([1], "K"), ([0], "L3")])
def test_other_site_or_edge_changes_the_digest(stores, tmp_path, atoms, edge):
    entries = stored.rows()
    entries[0] = (entries[0][0], atoms, edge, entries[0][3])
    assert digests(stored.write_structures(tmp_path / "s.h5", entries))[0] != digests(stores / "s.h5")[0]


def digest_of(values):
    with h5py.File("d.h5", "w", driver="core", backing_store=False) as file:
        file["values"] = values
        return hdf5.digest(file, ["values"])


def test_digest_depends_on_shape_type_and_values():
    zeros = np.zeros((2, 6))
    others = [
        zeros.reshape(6, 2),
        zeros.reshape(12),
        zeros.view(np.int64),
        zeros[:, :5],
        zeros + np.array([0, 0, 0, 0, 0, 1e-300]),
    ]
    assert len({digest_of(values) for values in [zeros, *others]}) == 6


def test_digest_does_not_depend_on_the_byte_order():
    values = np.arange(6.0).reshape(2, 3)
    assert digest_of(values.astype(">f8")) == digest_of(values.astype("<f8"))


def test_digest_depends_on_where_strings_end():
    texts = []
    for strings in (["ab", "c"], ["a", "bc"]):
        with h5py.File("d.h5", "w", driver="core", backing_store=False) as file:
            hdf5.write_strings(file, "names", strings)
            texts.append(hdf5.digest(file, ["names"]))
    assert texts[0] != texts[1]
