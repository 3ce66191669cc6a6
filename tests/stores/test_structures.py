"""Structure stores: round trips, and errors for damaged ones."""

import shutil
import subprocess
from dataclasses import replace
from itertools import chain

import h5py
import numpy as np
import pytest
from ase import Atoms
from hypothesis import given
from hypothesis import strategies as st
from support import stored, strategies
from support.builders import refused

from xanes_hpc import descriptors
from xanes_hpc.analysis.inspect import inform
from xanes_hpc.errors import StoreError
from xanes_hpc.stores import columns, hdf5, spectra
from xanes_hpc.stores.structure_writer import site_names
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.stores.texts import read_text


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A folder with ``s.h5`` and ``f.h5``. Read only."""
    return stored.write_features(tmp_path_factory.mktemp("stores")).parent


def read(store):
    """Read everything that ``stored.rows`` writes."""
    file, found = store.file, []
    table = store.sites
    by_site = spectra.SpectrumTable.read(file).site
    for s in range(store.n_structures):
        here = np.flatnonzero(table.structure == s)
        start, stop = file["structures/offsets"][s : s + 2]
        found.append(
            (
                hdf5.read_strings(file, "structures/name")[s],
                file["atoms/numbers"][start:stop].tolist(),
                file["atoms/positions"][start:stop].tolist(),
                file["structures/cell"][s].tolist(),
                file["structures/pbc"][s].tolist(),
                table.atom[here].tolist(),
                [table.edge[i] for i in here],
                [list(spectra.read_spectra(file, np.flatnonzero(by_site == i).tolist())) for i in here],
            )
        )
    return found


def corrupt(path, name):
    """Overwrite the first stored chunk of a dataset, so that its checksum fails."""
    with h5py.File(path) as file:
        chunk = file[name].id.get_chunk_info(0)
    with path.open("r+b") as stream:
        stream.seek(chunk.byte_offset)
        stream.write(b"\xff" * min(8, chunk.size))


@pytest.mark.parametrize("name", ["spectra/kind", "structures/pbc", "sites/element"])
def test_info_on_damaged_data_names_the_file(tmp_path, small, capsys, name):
    path = tmp_path / "s.h5"
    shutil.copy(small / "small.h5", path)
    corrupt(path, name)
    assert refused(capsys, tmp_path, "info", path).startswith(f"{path}: damaged data (")


def test_info_is_the_same_read_in_slabs(small, monkeypatch):
    whole = inform(small / "small.h5")
    monkeypatch.setattr(hdf5, "SLAB_BYTES", 64)
    assert inform(small / "small.h5") == whole
    assert whole["spectra"]["treatments"] == {"synthetic": 120}


def test_structures_are_read_as_written(stores):
    with StructureStore(stores / "s.h5") as store:
        found = read(store)
    assert len(found) == 3
    for (record, atoms, edge, _), row in zip(stored.rows(), found, strict=True):
        assert row[:5] == (
            record.name, record.numbers.tolist(), record.positions.tolist(), record.cell.tolist(), record.pbc.tolist(),
        )  # fmt: skip
        assert row[5:7] == (atoms, [edge] * len(atoms))


def test_spectra_are_read_as_written(stores):
    with StructureStore(stores / "s.h5") as store:
        found = [site for row in read(store) for site in row[7]]
        assert store.n_spectra == 3
    written = [site for row in stored.rows() for site in row[3]]
    assert [len(site) for site in found] == [len(site) for site in written] == [2, 1, 0, 0]
    for mine, other in zip(chain(*found), chain(*written), strict=True):
        np.testing.assert_array_equal(mine.spectrum.energies, other.spectrum.energies)
        np.testing.assert_array_equal(mine.spectrum.intensities, other.spectrum.intensities)
        for name in ("kind", "treatment", "unit", "source"):
            assert getattr(mine.spectrum, name) == getattr(other.spectrum, name)
        for name in ("e0", "e0_source", "energy_origin", "shift"):
            assert getattr(mine, name) == getattr(other, name)


def test_sites_have_names_elements_and_weights(stores):
    with StructureStore(stores / "s.h5") as store:
        table = store.sites
        assert len(table) == store.n_sites == 4
        assert store.site_formulas(rows_at_once=2) == ["FeO2", "FeO3", "FeO3", "FeO"]
    assert table.name == ["molecule", "crystal#0", "crystal#2", "bare"]
    assert table.structure.tolist() == [0, 1, 1, 2]
    assert table.element.tolist() == [26, 26, 8, 8]
    assert table.weight.tolist() == [1.0] * 4
    assert site_names("a", [5]) == ["a"]


def test_properties_are_numbers_or_text_and_may_be_missing(stores):
    with StructureStore(stores / "s.h5") as store:
        group = store.file["structures/properties"]
        assert set(group) == {"charge", "code"}
        np.testing.assert_array_equal(group["charge"][:], [-1.0, 0.0, np.nan])
        assert hdf5.read_strings(store.file, "structures/properties/code") == ["ABC", "", ""]


def test_property_of_a_late_structure_is_missing_in_earlier_ones(tmp_path):
    n = columns.ROWS_PER_CHUNK + 3
    atom = stored.structure("x", 2)
    entries = [(replace(atom, name=f"x{i}"), [0], "K", [[]]) for i in range(n)]
    entries[-1] = (replace(atom, name="last", properties={"spin": 2.0, "note": "é"}), [0], "K", [[]])
    with StructureStore(stored.write_structures(tmp_path / "s.h5", entries)) as store:
        spin = store.file["structures/properties/spin"][:]
        notes = hdf5.read_strings(store.file, "structures/properties/note")
    assert np.isnan(spin[:-1]).all()
    assert (spin.size, spin[-1]) == (n, 2.0)
    assert (len(notes), notes[0], notes[-1]) == (n, "", "é")


def test_a_number_among_strings_becomes_a_string(tmp_path):
    entries = [(stored.structure(n, properties={"q": q}), [0], "K", [[]]) for n, q in (("a", "one"), ("b", 2.5))]
    with StructureStore(stored.write_structures(tmp_path / "s.h5", entries)) as store:
        assert hdf5.read_strings(store.file, "structures/properties/q") == ["one", "2.5"]


@pytest.mark.parametrize("name", ["", "a/b", "/a", ".", "..", ".hidden"])
def test_a_property_whose_name_cannot_be_stored_is_left_out(tmp_path, name):
    entries = [(stored.structure("a", properties={name: 1.0, "charge": 1.0}), [0], "K", [[]])]
    with StructureStore(stored.write_structures(tmp_path / "s.h5", entries)) as store:
        assert list(store.file["structures/properties"]) == ["charge"]


LONG = "Ферроцен-二茂铁-" + "x" * 300 + "-é"


def test_long_and_non_ascii_names_widen_the_column(tmp_path):
    names = ["short", LONG, "ü", "end" * 20]
    entries = [(stored.structure(name, 2, i), [0, 1], "K", [[], []]) for i, name in enumerate(names)]
    with StructureStore(stored.write_structures(tmp_path / "s.h5", entries)) as store:
        assert hdf5.read_strings(store.file, "structures/name") == names
        assert store.sites.name == [f"{name}#{a}" for name in names for a in (0, 1)]
        assert store.file["structures/name"].dtype.kind == "S"
        assert store.file["structures/name"].dtype.itemsize >= len(LONG.encode())


def test_long_name_after_a_full_chunk_widens_the_dataset(tmp_path):
    n = columns.ROWS_PER_CHUNK + 5
    names = [f"n{i}" for i in range(n)] + [LONG, "last"]
    with h5py.File(tmp_path / "c.h5", "w") as file:
        column = columns.StringColumn(file, "names")
        for name in names:
            column.extend([name])
        column.finish()
        assert hdf5.read_strings(file, "names") == names
        assert "names.wider" not in file


@strategies.quick
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40), max_size=6))
def test_any_text_is_read_as_written(strings):
    with h5py.File("strings.h5", "w", driver="core", backing_store=False) as file:
        column = columns.StringColumn(file, "growing")
        column.extend(strings)
        column.finish()
        assert hdf5.read_strings(file, "growing") == strings
        if strings:
            hdf5.write_strings(file, "whole", strings)
            assert hdf5.read_strings(file, "whole") == strings


def test_a_batch_gives_the_same_features_as_atoms(stores):
    descriptor = descriptors.load("wacsf", "xanesnet-49")
    structures = [Atoms(numbers=r.numbers, positions=r.positions, cell=r.cell, pbc=r.pbc) for r, *_ in stored.rows()]
    expected = descriptor.transform(structures, [atoms for _, atoms, _, _ in stored.rows()])
    with StructureStore(stores / "s.h5") as store:
        np.testing.assert_array_equal(descriptor.compute(store.batch(0, 4)), expected)
        np.testing.assert_array_equal(descriptor.compute(store.batch(2, 4)), expected[2:])
        assert store.batch(2, 2).n_sites == 0


def test_spectra_are_read_in_any_order(stores):
    with StructureStore(stores / "s.h5") as store:
        in_order = list(spectra.read_spectra(store.file, [0, 1, 2]))
        mixed = list(spectra.read_spectra(store.file, [2, 0, 2]))
    for mine, other in zip(mixed, (in_order[2], in_order[0], in_order[2]), strict=True):
        np.testing.assert_array_equal(mine.relative, other.relative)


def datasets(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, node: found.update({name: node}) if isinstance(node, h5py.Dataset) else None)
        return {name: (node.chunks, node.fletcher32) for name, node in found.items()}


@pytest.mark.parametrize("name", ["s.h5", "f.h5"])
def test_every_chunked_dataset_carries_a_checksum(stores, name):
    found = datasets(stores / name)
    assert [n for n, (chunks, fletcher32) in found.items() if chunks and not fletcher32] == []
    assert sum(1 for chunks, _ in found.values() if chunks) >= 4


def test_damaged_structures_raise_a_one_line_error(stores, tmp_path):
    copy = tmp_path / "s.h5"
    shutil.copy(stores / "s.h5", copy)
    stored.flip_a_byte(copy, "atoms/positions")
    with (
        StructureStore(copy) as store,
        pytest.raises(StoreError, match=r"damaged data \(.*\); create the file again") as caught,
    ):
        store.batch(0, 4)
    assert str(copy) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "row", "value"),
    [
        ("sites/atom", 0, 3),
        ("sites/atom", 3, -1),
        ("sites/atom", 1, 10**12),
        ("sites/structure", 0, -1),
        ("sites/structure", 3, 3),
        ("structures/offsets", 1, 8),
        ("structures/offsets", 3, 10),
        ("structures/offsets", 0, -5),
    ],
)
def test_site_or_structure_with_an_index_out_of_range_is_refused(stores, tmp_path, name, row, value):
    """Such a store has a valid schema, but a kernel would read beyond its arrays."""

    def change(file):
        file[name][row] = value

    path = stored.changed(stores / "s.h5", tmp_path / "s.h5", change)
    with (
        StructureStore(path) as store,
        pytest.raises(StoreError, match="refers to atoms or structures that do not exist") as caught,
    ):
        store.batch(0, 4)
    assert str(caught.value).startswith(f"{path}: ")


def test_plain_h5py_reads_a_store(stores):
    with h5py.File(stores / "s.h5") as file:
        assert read_text(file, "format") == "xanes-hpc/structures"
        assert file["sites/name"].asstr()[:].tolist() == ["molecule", "crystal#0", "crystal#2", "bare"]
        assert file["structures/pbc"][:].tolist() == [[False] * 3, [True, True, False], [False] * 3]
        first = file["spectra/energies"][: file["spectra/offsets"][1]]
    np.testing.assert_array_equal(first, stored.spectrum().spectrum.energies)


@pytest.mark.skipif(shutil.which("h5dump") is None, reason="h5dump is not installed")
@pytest.mark.parametrize("name", ["s.h5", "f.h5"])
def test_h5dump_reads_a_store(stores, name):
    done = subprocess.run(["h5dump", "-H", str(stores / name)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "xanes-hpc" in done.stdout or "sites" in done.stdout
