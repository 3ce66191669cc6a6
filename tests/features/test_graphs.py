"""Graphs in feature stores: they are made, resumed, divided, copied and verified as features are."""

import json

import h5py
import numpy as np
import pytest
from support import small_parts, stored
from support.builders import run
from support.partitioned import DESCRIPTOR
from support.stored import everything

from xanes_hpc.analysis.verify import verify
from xanes_hpc.errors import StoreError
from xanes_hpc.features import featurise
from xanes_hpc.features.plan import plan
from xanes_hpc.jobs import run as jobs
from xanes_hpc.stores import columns, ragged
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.part_files import parts_folder
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.graph_search import find_graphs
from xanes_hpc.structures.graphs import GraphSettings
from xanes_hpc.structures.rattling import Rattling

SETTINGS = GraphSettings()
N_SITES = 100
DATASETS = {
    "graph/atoms/offsets", "graph/atoms/numbers", "graph/atoms/distances",
    "graph/edges/offsets", "graph/edges/ends", "graph/edges/lengths",
}  # fmt: skip


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A store of 100 sites, in parts of 16, and with several chunks in every column."""
    small_parts.use(monkeypatch.setattr)
    monkeypatch.setattr(columns, "ROWS_PER_CHUNK", 64)
    monkeypatch.setattr(ragged, "ATOMS_PER_CHUNK", 64)
    entries = [(stored.structure(f"s{i}", 3 + i % 4, i), [0], "K", [[]]) for i in range(N_SITES)]
    stored.write_structures(tmp_path / "s.h5", entries)
    with StructureStore(tmp_path / "s.h5") as store:
        yield store


def make(source, output, **options):
    featurise.featurise(source, DESCRIPTOR, output, graph=SETTINGS, **options)
    return output


def assert_same(found, expected):
    for name in ("offsets", "numbers", "distances", "edge_offsets", "ends", "lengths"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), name)


def test_a_store_has_the_graphs_of_its_sites_beside_their_features(source, tmp_path):
    expected = find_graphs(source.batch(0, N_SITES), SETTINGS)
    assert len(expected.ends) > N_SITES
    with FeatureStore(make(source, tmp_path / "f.h5")) as store:
        assert store.graph == SETTINGS
        assert "graphs" in repr(store)
        assert_same(store.read_graphs(0, N_SITES), expected)
        assert_same(store.read_graphs(37, 58), expected[37:58])
        np.testing.assert_array_equal(store.read(0, N_SITES), DESCRIPTOR.compute(source.batch(0, N_SITES)))
    in_memory = featurise.featurise_in_memory(source, DESCRIPTOR, graph=SETTINGS)
    assert_same(in_memory.read_graphs(0, N_SITES), expected)


def test_features_are_the_same_without_graphs(source, tmp_path):
    make(source, tmp_path / "f.h5")
    featurise.featurise(source, DESCRIPTOR, tmp_path / "plain.h5")
    found, plain = everything(tmp_path / "f.h5"), everything(tmp_path / "plain.h5")
    assert set(found) - set(plain) == {"@graph", "@graph_hash", *DATASETS}
    assert {name for name in plain if found[name] != plain[name]} == {"@digest_attributes"}
    with FeatureStore(tmp_path / "plain.h5") as store:
        assert store.graph is None
        with pytest.raises(StoreError, match=r"plain\.h5: has no graphs; featurise"):
            store.read_graphs(0, 1)


def test_partitions_and_a_virtual_store_have_the_same_graphs(source, tmp_path):
    whole, output = make(source, tmp_path / "whole.h5"), tmp_path / "f.h5"
    job = featurise.FeatureJob(source, plan(source, DESCRIPTOR, graph=SETTINGS), output)
    assert len(job.plan.bounds) > 4
    jobs.plan(job, 2, ["xanes-hpc"])
    for k in (1, 0):
        again, n_partitions = featurise.planned_job(source, output)
        assert again.plan.graph == SETTINGS
        jobs.make_partition(again, k, n_partitions)
    jobs.finalise(job, 2, virtual=True)
    found, expected = everything(output), everything(whole)
    assert {name for name in expected if found[name] != expected[name]} == {"@digest_attributes", "features"}
    jobs.finalise(job, 2, overwrite=True)
    assert everything(output) == expected


def test_a_stopped_run_continues(source, tmp_path, monkeypatch):
    whole, output = make(source, tmp_path / "whole.h5"), tmp_path / "f.h5"
    calls, find = [], featurise.find_graphs

    def failing(batch, settings):
        calls.append(batch)
        if len(calls) == 30:
            raise KeyboardInterrupt
        return find(batch, settings)

    with monkeypatch.context() as patched:
        patched.setattr(featurise, "find_graphs", failing)
        with pytest.raises(KeyboardInterrupt):
            make(source, output)
    assert any(parts_folder(output).glob("part-*"))
    with pytest.raises(StoreError, match="graph"):
        featurise.featurise(source, DESCRIPTOR, output)
    make(source, output)
    assert everything(output) == everything(whole)


def test_rattled_stores_have_graphs_of_the_displaced_atoms(source, tmp_path):
    make(source, tmp_path / "r.h5", rattling=Rattling(0.1, 3))
    make(source, tmp_path / "f.h5")
    with FeatureStore(tmp_path / "r.h5") as rattled, FeatureStore(tmp_path / "f.h5") as plain:
        moved = rattled.read_graphs(0, 1).distances - plain.read_graphs(0, 1).distances
    assert (np.abs(moved) > 1e-3).all()


def test_compression_makes_graphs_smaller(source, tmp_path):
    with h5py.File(make(source, tmp_path / "f.h5", compression="gzip")) as file:
        assert file["graph/edges/ends"].compression == "gzip"
    with FeatureStore(tmp_path / "f.h5") as store:
        assert_same(store.read_graphs(0, N_SITES), find_graphs(source.batch(0, N_SITES), SETTINGS))


def test_a_damaged_part_is_made_again(source, tmp_path):
    whole, output = make(source, tmp_path / "whole.h5"), tmp_path / "f.h5"
    job = featurise.FeatureJob(source, plan(source, DESCRIPTOR, graph=SETTINGS), output)
    jobs.plan(job, 1, ["xanes-hpc"])
    jobs.make_partition(job, 0, 1)
    stored.flip_a_byte(parts_folder(output) / "part-000001.h5", "graph/edges/lengths")
    with h5py.File(parts_folder(output) / "part-000002.h5", "a") as file:
        file["graph/atoms/offsets"][-1] += 1
    with pytest.raises(StoreError, match="2 of 7 parts"):
        jobs.finalise(job, 1)
    jobs.make_partition(job, 0, 1)
    jobs.finalise(job, 1)
    assert everything(output) == everything(whole)


def _another_atom(file):
    file["graph/edges/ends"][3, 1] = 9


def _backwards(file):
    file["graph/edges/offsets"][4] = 10_000


def _another_setting(file):
    text = json.dumps(SETTINGS.describe() | {"bond": 3.2}, sort_keys=True)
    file.attrs["graph"] = text
    del file.attrs["digest_attributes"]


@pytest.mark.parametrize(
    ("change", "damage"),
    [
        (_another_atom, "graph/edges/ends: expected two ascending numbers of atoms"),
        (_backwards, "graph/edges/offsets: expected ascending numbers"),
        (_another_setting, "attribute graph_hash: does not match the settings of the graphs"),
    ],
)
def test_verify_finds_damaged_graphs(source, tmp_path, change, damage):
    whole = make(source, tmp_path / "f.h5")
    assert verify(whole).damage == []
    changed = stored.changed(whole, tmp_path / "changed.h5", change)
    assert [line for line in verify(changed).damage if damage in line]


def test_the_command_writes_graphs_and_proposes_to_train_on_them(tmp_path, capsys):
    stored.write_structures(tmp_path / "s.h5")
    assert run("featurise", tmp_path / "s.h5", "--preset", "xanesnet-49", "--graph") == 0
    printed = capsys.readouterr()
    assert "atoms within 6 Å" in printed.out
    assert printed.err.endswith("s.features.h5 --model graph\n")
    assert run("info", tmp_path / "s.features.h5", "--json") == 0
    with FeatureStore(tmp_path / "s.features.h5") as store:
        graphs = store.read_graphs(0, store.n_sites)
    counts = {"atoms": graphs.numbers.size, "edges": len(graphs.ends)}
    assert json.loads(capsys.readouterr().out)["graphs"] == SETTINGS.describe() | counts
