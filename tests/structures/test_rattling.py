"""Rattled structures: displacements depend only on seed and structure, and stores record them."""

import json
import re
from dataclasses import replace

import h5py
import numpy as np
import pytest
from support import stored
from support.builders import refused, run

from xanes_hpc import descriptors
from xanes_hpc.analysis.inspect import flat, inform
from xanes_hpc.analysis.verify import verify
from xanes_hpc.errors import ConfigError, FormatError, StoreError
from xanes_hpc.features import featurise
from xanes_hpc.runtime import threads
from xanes_hpc.stores import features as feature_stores
from xanes_hpc.stores import part_files
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.part_files import parts_folder
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.rattling import Rattling
from xanes_hpc.structures.sites import SiteBatch
from xanes_hpc_schema import load

DESCRIPTOR = descriptors.load("wacsf", "xanesnet-49")
ROW_BYTES = 49 * 8
RATTLING = Rattling(0.05, 1)


def expected(rattling, row, positions):
    """Return the displaced positions of a structure, as documented."""
    generator = np.random.Generator(np.random.Philox(key=[rattling.seed, row]))
    return positions + rattling.std * generator.standard_normal(positions.shape)


@pytest.fixture
def source(tmp_path):
    """Open a store of 50 structures with one to four sites each, most of them crystals."""
    cell = np.diag([6.0, 7.0, 8.0])
    crystal = {"cell": cell, "pbc": np.array([True, True, False])}
    entries = [
        (stored.structure(f"s{i}", 3 + i % 4, i, **(crystal if i % 3 else {})), range(1 + i % 4), "K", [[]] * 4)
        for i in range(50)
    ]
    stored.write_structures(tmp_path / "s.h5", [(s, list(a), e, sp[: len(a)]) for s, a, e, sp in entries])
    with StructureStore(tmp_path / "s.h5") as store:
        assert store.n_sites == 123
        yield store


def make(source, path, rattling=RATTLING, **options):
    featurise.featurise(source, DESCRIPTOR, path, rattling=rattling, **options)
    with FeatureStore(path) as store:
        return store.read(0, store.n_sites)


def test_displacements_are_normal_and_independent():
    n = 40_000
    batch = SiteBatch(
        np.full(2 * n, 8, np.uint8), np.zeros((2 * n, 3)), np.array([0, n, 2 * n]), np.zeros((2, 3, 3)),
        np.zeros((2, 3), np.bool_), np.zeros(1, np.int64), np.zeros(1, np.int64),
    )  # fmt: skip
    moved = Rattling(0.3, 5).displaced(batch).positions.reshape(2, n, 3) / 0.3
    columns = moved.transpose(0, 2, 1).reshape(6, n)  # structure and axis
    np.testing.assert_allclose(columns.mean(axis=1), 0.0, atol=4 / np.sqrt(n))
    np.testing.assert_allclose(columns.std(axis=1), 1.0, atol=4 / np.sqrt(2 * n))
    np.testing.assert_allclose((columns**4).mean(axis=1), 3.0, atol=4 * np.sqrt(96 / n))
    np.testing.assert_allclose(np.corrcoef(columns), np.eye(6), atol=4 / np.sqrt(n))
    along = (columns[:, 1:] * columns[:, :-1]).mean(axis=1)  # from atom to atom
    np.testing.assert_allclose(along, 0.0, atol=4 / np.sqrt(n))


def test_displacements_depend_on_seed_and_row(source):
    batch = source.batch(0, source.n_sites)
    moved = RATTLING.displaced(batch).positions
    for row in range(source.n_structures):
        atoms = slice(*batch.offsets[row : row + 2])
        np.testing.assert_array_equal(moved[atoms], expected(RATTLING, row, batch.positions[atoms]))


def test_only_positions_change_and_only_in_a_copy(source):
    batch, again = source.batch(20, 40), source.batch(20, 40)
    moved = RATTLING.displaced(batch)
    for name in ("numbers", "offsets", "cells", "pbc", "site_structures", "site_atoms"):
        np.testing.assert_array_equal(getattr(moved, name), getattr(batch, name))
    assert moved.first_structure == batch.first_structure > 0
    np.testing.assert_array_equal(batch.positions, again.positions)
    assert (moved.positions != batch.positions).all()


def test_features_are_those_of_the_displaced_structures(tmp_path, source):
    """All sites of a structure see the same displacements."""
    made, structures = make(source, tmp_path / "f.h5"), source.sites.structure
    for row in range(source.n_structures):
        sites = np.flatnonzero(structures == row)
        batch = source.batch(sites[0], sites[-1] + 1)
        moved = replace(batch, positions=expected(RATTLING, row, batch.positions))
        np.testing.assert_array_equal(made[sites], DESCRIPTOR.compute(moved))


@pytest.mark.parametrize("size", [1, 2, 7, 50])
def test_displacements_do_not_depend_on_batches(source, size):
    """The sites of a structure may be in several batches."""
    whole = DESCRIPTOR.compute(RATTLING.displaced(source.batch(0, source.n_sites)))
    for start in range(0, source.n_sites, size):
        piece = source.batch(start, min(start + size, source.n_sites))
        np.testing.assert_array_equal(DESCRIPTOR.compute(RATTLING.displaced(piece)), whole[start : start + size])


def test_a_batch_knows_its_first_structure(source):
    structures = source.sites.structure
    for start in range(source.n_sites):
        batch = source.batch(start, start + 1)
        assert batch.first_structure + batch.site_structures[0] == structures[start]
        assert batch.sites(0, 1).first_structure == batch.first_structure


def test_sites_may_be_in_any_order(tmp_path, source):
    """Rows of sites need not be sorted by structure."""
    order = np.random.default_rng(0).permutation(source.n_sites)
    changed = stored.changed(source.path, tmp_path / "shuffled.h5", lambda file: shuffle(file, order))
    with StructureStore(changed) as other:
        shuffled = make(other, tmp_path / "shuffled.features.h5")
    np.testing.assert_array_equal(shuffled, make(source, tmp_path / "f.h5")[order])


def shuffle(file, order):
    for name in ("structure", "atom"):
        file[f"sites/{name}"][:] = file[f"sites/{name}"][:][order]


def test_stores_do_not_depend_on_parts_batches_or_threads(tmp_path, source, monkeypatch):
    whole = make(source, tmp_path / "whole.h5")
    monkeypatch.setattr(feature_stores, "CHUNK_BYTES", 16 * ROW_BYTES)
    monkeypatch.setattr(part_files, "PART_BYTES", 16 * ROW_BYTES)
    monkeypatch.setattr(featurise, "ATOMS_AT_ONCE", 9)
    for n in (1, min(2, threads.MOST)):
        with threads.limited_to(n):
            np.testing.assert_array_equal(make(source, tmp_path / f"{n}.h5"), whole)


class Stop(Exception):
    """The exception that stops a run."""


def stopped(source, output, monkeypatch, rattling):
    """Stop a run in its fourth part."""
    monkeypatch.setattr(feature_stores, "CHUNK_BYTES", 16 * ROW_BYTES)
    monkeypatch.setattr(part_files, "PART_BYTES", 16 * ROW_BYTES)
    compute = featurise.describe_batch

    def failing(descriptor, store, start, batch):
        if start >= 48:
            raise Stop
        return compute(descriptor, store, start, batch)

    with monkeypatch.context() as patched:
        patched.setattr(featurise, "describe_batch", failing)
        with pytest.raises(Stop):
            make(source, output, rattling)
    assert list(parts_folder(output).glob("part-*"))


def test_resumed_run_gives_the_same_store(tmp_path, source, monkeypatch):
    whole = make(source, tmp_path / "whole.h5")
    stopped(source, tmp_path / "f.h5", monkeypatch, RATTLING)
    np.testing.assert_array_equal(make(source, tmp_path / "f.h5"), whole)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (None, RATTLING),
        (RATTLING, None),
        (RATTLING, Rattling(0.05, 2)),
        (RATTLING, Rattling(0.06, 1)),
    ],
)
def test_parts_with_another_rattling_are_refused(tmp_path, source, monkeypatch, first, second):
    stopped(source, tmp_path / "f.h5", monkeypatch, first)
    begun, wanted = (r.text if r else "none" for r in (first, second))
    message = f"parts of an unfinished run with rattle {begun}; this run has rattle {wanted}; "
    with pytest.raises(StoreError, match=re.escape(message)):
        make(source, tmp_path / "f.h5", second)
    make(source, tmp_path / "f.h5", second, restart=True)
    with FeatureStore(tmp_path / "f.h5") as store:
        assert store.rattled == (second is not None)


def test_seeds_and_plain_features_differ(tmp_path, source):
    made = [make(source, tmp_path / f"{i}.h5", r) for i, r in enumerate((None, RATTLING, Rattling(0.05, 2)))]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert (made[a] != made[b]).any(axis=1).all()  # for every site


def test_tiny_displacements_change_little(tmp_path, source):
    plain = make(source, tmp_path / "plain.h5", None)
    np.testing.assert_allclose(make(source, tmp_path / "f.h5", Rattling(1e-9, 3)), plain, rtol=1e-6, atol=1e-7)


def test_store_records_the_rattling(tmp_path, source):
    make(source, tmp_path / "plain.h5", None)
    make(source, tmp_path / "f.h5")
    with FeatureStore(tmp_path / "plain.h5") as plain, FeatureStore(tmp_path / "f.h5") as store:
        assert (plain.rattled, plain.rattle) == (False, {})
        assert (store.rattled, store.rattle) == (True, {"std": 0.05, "seed": 1})
        assert set(store.file.attrs) - set(plain.file.attrs) == {"rattle"}
        assert set(store.file.attrs) <= set(load("features")["attributes"])
        assert json.loads(store.attribute("rattle")) == {"std": 0.05, "seed": 1}
        for name in ("descriptor_hash", "source_digest", "source_path"):
            assert store.attribute(name) == plain.attribute(name)
        assert store.sites.name == plain.sites.name
    assert "rattle" not in inform(tmp_path / "plain.h5")
    assert inform(tmp_path / "f.h5")["rattle"] == {"std": 0.05, "seed": 1}
    assert flat(inform(tmp_path / "f.h5"))["rattle: std"] == "0.05"
    assert verify(tmp_path / "f.h5").damage == []


def test_invalid_record_is_an_error(tmp_path, source):
    make(source, tmp_path / "f.h5")
    with h5py.File(tmp_path / "f.h5", "r+") as file:
        file.attrs["rattle"] = "much"
    with FeatureStore(tmp_path / "f.h5") as store:
        assert store.rattled
        with pytest.raises(StoreError, match=r"f\.h5: attribute rattle: expected a JSON object"):
            _ = store.rattle
    assert verify(tmp_path / "f.h5").damage


@pytest.mark.parametrize(
    ("std", "seed", "message"),
    [
        (0.0, 0, "`rattle`: expected a standard deviation above 0 Å, received 0.0"),
        (-0.1, 0, "`rattle`: expected a standard deviation above 0 Å, received -0.1"),
        (np.nan, 0, "`rattle`: expected a standard deviation above 0 Å, received nan"),
        (np.inf, 0, "`rattle`: expected a standard deviation above 0 Å, received inf"),
        (0.1, -1, "`seed`: expected 0 to 2147483647, received -1"),
        (0.1, 2**31, "`seed`: expected 0 to 2147483647, received 2147483648"),
    ],
)
def test_invalid_rattling(std, seed, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        Rattling(std, seed)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rattle", 0], "Invalid value for '--rattle': 0.0 is not in the range x>0"),
        (["--rattle=-1"], "Invalid value for '--rattle': -1.0 is not in the range x>0"),
        (["--rattle", "far"], "Invalid value for '--rattle': 'far' is not a valid float"),
        (["--rattle", "nan"], "--rattle: expected a standard deviation above 0 Å, received nan"),
        (["--rattle", 0.1, "--seed=-1"], "Invalid value for '--seed': -1 is not in the range x>=0"),
        (["--rattle", 0.1, "--seed", 2**31], "--seed: expected 0 to 2147483647, received 2147483648"),
        (["--seed", 1], "--seed: expected only with --rattle (see xanes-hpc featurise --help)"),
        (["--seed", 0], "--seed: expected only with --rattle (see xanes-hpc featurise --help)"),
    ],
)
def test_invalid_options(tmp_path, capsys, source, words, message):
    assert refused(capsys, tmp_path, "featurise", source.path, *words).startswith(message)


def test_rattling_an_atom_onto_a_site_is_an_error(tmp_path):
    record = stored.structure("dense", 30)
    record.positions[1:] *= 0.101 / np.linalg.norm(record.positions[1:], axis=1)[:, None]
    stored.write_structures(tmp_path / "s.h5", [(record, [0], "K", [[]])])
    with StructureStore(tmp_path / "s.h5") as source:
        make(source, tmp_path / "plain.h5", None)
        with pytest.raises(FormatError) as caught:
            make(source, tmp_path / "f.h5", Rattling(0.01, 1))
    assert re.search(r"s\.h5: sites 0 to 0: an atom is 0\.\d+ Å from the absorber", str(caught.value))
    assert str(caught.value).endswith(" (atoms rattled by 0.01 Å; rattle less, or change the seed)")


@pytest.mark.parametrize(("words", "seed"), [(["--seed", 7], 7), ([], 0)])
def test_command_names_the_store_and_the_next_step(tmp_path, capsys, source, words, seed):
    arguments = ["featurise", source.path, "--preset", "xanesnet-49", "--rattle", 0.05, *words]
    assert run(*arguments) == 0
    made, plain = tmp_path / f"s.rattled-{seed}.features.h5", tmp_path / "s.features.h5"
    printed = capsys.readouterr()
    assert f"Next: xanes-hpc train {plain} --augment {made}\n" in printed.err
    assert f"by 0.05 Å along each axis, seed {seed}" in printed.out
    with FeatureStore(made) as store:
        assert store.rattle == {"std": 0.05, "seed": seed}
        np.testing.assert_array_equal(
            store.read(0, store.n_sites), make(source, tmp_path / "f.h5", Rattling(0.05, seed))
        )
