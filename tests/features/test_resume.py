"""A stopped run continues with the same command and gives the same store; parts of other runs are refused."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from support import stored
from support.builders import contents, run
from support.stored import everything

from xanes_hpc import descriptors
from xanes_hpc.errors import FormatError, StoreError
from xanes_hpc.features import featurise
from xanes_hpc.stores import features as feature_stores
from xanes_hpc.stores import part_files
from xanes_hpc.stores.part_files import parts_folder
from xanes_hpc.stores.structures import StructureStore

DESCRIPTOR = descriptors.load("wacsf", "xanesnet-49")
ROW_BYTES = 49 * 8
N_SITES = 200


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A store of 200 sites, in parts of 32 and batches of up to 16."""
    monkeypatch.setattr(feature_stores, "CHUNK_BYTES", 16 * ROW_BYTES)
    monkeypatch.setattr(part_files, "PART_BYTES", 2 * 16 * ROW_BYTES)
    monkeypatch.setattr(featurise, "ATOMS_AT_ONCE", 40)
    entries = [(stored.structure(f"s{i}", 3, i), [0], "K", [[]]) for i in range(N_SITES)]
    stored.write_structures(tmp_path / "s.h5", entries)
    with StructureStore(tmp_path / "s.h5") as store:
        yield store


class Stop(Exception):
    """Any exception that ends a run."""


def stop_after(monkeypatch, n_batches):
    """Make every batch after ``n_batches`` fail; returns a list of the first sites of computed batches."""
    computed, compute = [], featurise.describe_batch

    def failing(descriptor, source, start, batch):
        if len(computed) == n_batches:
            raise Stop
        computed.append(start)
        return compute(descriptor, source, start, batch)

    monkeypatch.setattr(featurise, "describe_batch", failing)
    return computed


def make(source, output, **options):
    featurise.featurise(source, options.pop("descriptor", DESCRIPTOR), output, **options)


def stopped(source, output, monkeypatch, n_batches=9, **options):
    with monkeypatch.context() as patched:
        computed = stop_after(patched, n_batches)
        with pytest.raises(Stop):
            make(source, output, **options)
    return computed


def parts_of(output):
    return sorted(p.name for p in parts_folder(output).glob("part-*"))


def test_run_continues_with_the_first_missing_part(tmp_path, source, monkeypatch):
    make(source, tmp_path / "whole.h5")
    output = tmp_path / "f.h5"
    stopped(source, output, monkeypatch)
    assert not output.exists()
    there = parts_of(output)
    assert there
    assert there[0] == "part-000000.h5"
    with monkeypatch.context() as patched:
        computed = stop_after(patched, 1000)
        make(source, output)
    assert min(computed) == 32 * len(there)
    assert everything(output) == everything(tmp_path / "whole.h5")
    assert not parts_folder(output).exists()


def test_run_stopped_many_times_gives_the_same_store(tmp_path, source, monkeypatch):
    make(source, tmp_path / "whole.h5")
    output = tmp_path / "f.h5"
    for _ in range(4):
        stopped(source, output, monkeypatch, 5)
    make(source, output)
    assert everything(output) == everything(tmp_path / "whole.h5")


def test_run_stopped_in_its_first_part_leaves_nothing(tmp_path, source, monkeypatch):
    stopped(source, tmp_path / "f.h5", monkeypatch, 1)
    assert not parts_folder(tmp_path / "f.h5").exists()


def test_old_output_stays_until_the_new_one_is_complete(tmp_path, source, monkeypatch):
    output = tmp_path / "f.h5"
    make(source, output)
    before = output.read_bytes()
    stopped(source, output, monkeypatch, descriptor=descriptors.load("rdc"), overwrite=True)
    assert output.read_bytes() == before


def test_parts_of_another_descriptor_are_refused_naming_both_hashes(tmp_path, source, monkeypatch):
    output, other = tmp_path / "f.h5", descriptors.load("wacsf", "xanesnet-49", dtype="float32")
    stopped(source, output, monkeypatch)
    before = contents(tmp_path)
    with pytest.raises(StoreError) as caught:
        make(source, output, descriptor=other)
    message = str(caught.value)
    assert DESCRIPTOR.hash in message
    assert other.hash in message
    assert "`restart`" in message
    assert contents(tmp_path) == before


def test_parts_of_other_structures_are_refused_naming_both_hashes(tmp_path, source, monkeypatch):
    output = tmp_path / "f.h5"
    stopped(source, output, monkeypatch)
    entries = [(stored.structure(f"s{i}", 3, i + 1), [0], "K", [[]]) for i in range(N_SITES)]
    stored.write_structures(tmp_path / "other.h5", entries)
    with StructureStore(tmp_path / "other.h5") as other:
        with pytest.raises(StoreError) as caught:
            make(other, output)
        assert source.attribute("digest_structures") in str(caught.value)
        assert other.attribute("digest_structures") in str(caught.value)


def test_parts_with_another_compression_are_refused(tmp_path, source, monkeypatch):
    stopped(source, tmp_path / "f.h5", monkeypatch)
    with pytest.raises(StoreError, match="run with compression none; this run has compression gzip"):
        make(source, tmp_path / "f.h5", compression="gzip")


def test_restart_discards_parts(tmp_path, source, monkeypatch):
    output, other = tmp_path / "f.h5", descriptors.load("wacsf", "xanesnet-49", dtype="float32")
    stopped(source, output, monkeypatch)
    make(source, output, descriptor=other, restart=True)
    make(source, tmp_path / "whole.h5", descriptor=other)
    assert everything(output) == everything(tmp_path / "whole.h5")


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "other"])
def test_damaged_part_is_made_again(tmp_path, source, monkeypatch, damage):
    make(source, tmp_path / "whole.h5")
    output = tmp_path / "f.h5"
    stopped(source, output, monkeypatch)
    part = parts_folder(output) / "part-000000.h5"
    data = part.read_bytes()
    if damage == "flip":
        stored.flip_a_byte(part, "features", 1)
    elif damage == "other":
        with h5py.File(part, "w") as file:
            file["rows"] = np.zeros((3, 49))
    else:
        part.write_bytes(data[: len(data) // 2] if damage == "truncate" else b"")
    make(source, output)
    assert everything(output) == everything(tmp_path / "whole.h5")


def test_folder_with_foreign_files_is_refused(tmp_path, source):
    folder = parts_folder(tmp_path / "f.h5")
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match=r"f\.h5\.parts: contains thesis\.tex, which is not ours"):
        make(source, tmp_path / "f.h5", restart=True)
    assert contents(tmp_path / "f.h5.parts") == {str(folder / "thesis.tex"): b"years of work"}


def test_second_run_is_refused_naming_the_first(tmp_path, source, monkeypatch):
    output = tmp_path / "f.h5"

    def meanwhile(done, total):
        with pytest.raises(StoreError, match=rf"another run is making this output \(process {os.getpid()} on "):
            make(source, output)

    make(source, output, progress=meanwhile)
    assert output.exists()


def test_error_in_a_structure_keeps_the_parts_before_it(tmp_path, source, monkeypatch):
    entries = [(stored.structure(f"s{i}", 3, i), [0], "K", [[]]) for i in range(N_SITES)]
    entries[150][0].positions[1] = entries[150][0].positions[0]
    stored.write_structures(tmp_path / "bad.h5", entries)
    with (
        StructureStore(tmp_path / "bad.h5") as bad,
        pytest.raises(FormatError, match=r"bad\.h5: sites 1\d\d to 1\d\d: "),
    ):
        make(bad, tmp_path / "f.h5")
    assert parts_of(tmp_path / "f.h5")


def test_plan_records_what_the_parts_depend_on(tmp_path, source, monkeypatch):
    stopped(source, tmp_path / "f.h5", monkeypatch)
    plan = json.loads((parts_folder(tmp_path / "f.h5") / "plan.json").read_text())
    assert plan["descriptor_hash"] == DESCRIPTOR.hash
    assert plan["source_digest"] == source.attribute("digest_structures")
    assert (plan["n_sites"], plan["chunk_rows"], plan["bounds"]) == (N_SITES, 16, [0, 32])


@pytest.mark.parametrize("compression", ["gzip", "lzf"])
def test_compressed_features_are_the_same(tmp_path, source, compression):
    make(source, tmp_path / "plain.h5")
    make(source, tmp_path / "small.h5", compression=compression)
    with h5py.File(tmp_path / "plain.h5") as plain, h5py.File(tmp_path / "small.h5") as small:
        assert small["features"].compression == compression
        assert small["features"].fletcher32
        np.testing.assert_array_equal(small["features"], plain["features"])


KILLED = """
import sys
from xanes_hpc.stores import features, part_files
features.CHUNK_BYTES, part_files.PART_BYTES = 16 * 49 * 8, 2 * 16 * 49 * 8
from xanes_hpc.cli.main import run
run(sys.argv[1:])
"""


@pytest.mark.parametrize("seed", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in (1, 2))])
def test_run_killed_at_random_moments_gives_the_same_store(tmp_path, seed):
    """Send SIGKILL again and again until the command succeeds."""
    entries = [(stored.structure(f"s{i}", 60, i), [0], "K", [[]]) for i in range(3000)]
    stored.write_structures(tmp_path / "s.h5", entries)
    assert run("featurise", tmp_path / "s.h5", "--preset", "xanesnet-49", "-o", tmp_path / "whole.h5") == 0
    output = tmp_path / "f.h5"
    arguments = ["featurise", tmp_path / "s.h5", "--preset", "xanesnet-49", "-o", output, "--threads", "1"]
    moments, kills = random.Random(seed), 0
    while not output.exists():
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        begin = time.monotonic()
        while process.poll() is None and not parts_folder(output).exists() and time.monotonic() < begin + 60:
            time.sleep(0.005)
        try:
            process.wait(moments.uniform(0.0, 0.3) * (1 + kills))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            kills += 1
        _, error = process.communicate(timeout=60)
        assert process.returncode in (0, -signal.SIGKILL), error.decode()
    assert kills >= 1
    made, whole = everything(output), everything(tmp_path / "whole.h5")
    for name in made:
        assert made[name] == whole[name] or name == "features", name
    with h5py.File(output) as a, h5py.File(tmp_path / "whole.h5") as b:
        np.testing.assert_array_equal(a["features"], b["features"])
    if process.returncode == 0:  # a run killed after its output was renamed may leave parts
        assert [p.name for p in tmp_path.iterdir() if p.name.startswith((".", "f.h5."))] == []
