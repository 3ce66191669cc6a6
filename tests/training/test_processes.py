"""Several processes that train together: finding them, what each reads, and that they train as one would."""

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from support.builders import run
from support.trainings import gathered, run_of

from xanes_hpc import descriptors
from xanes_hpc.config.files import load_run
from xanes_hpc.data.datasets import statistics
from xanes_hpc.data.sharded_feed import ShardedFeed, shards_of
from xanes_hpc.errors import ConfigError
from xanes_hpc.features import featurise
from xanes_hpc.models.model import Model
from xanes_hpc.stores import features as feature_stores
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.training.checkpoints import checkpoint_path
from xanes_hpc.training.processes import Machines, expand, find_machines

CONFIG = """
[model]
name = "mlp"
hidden = [16]
[training]
epochs = {epochs}
batch_size = 16
shards = 2
learning_rate = 0.003
feature_noise = 0.05
checkpoint_minutes = 0
gpus = 0
[uncertainty]
members = 2
"""


@pytest.fixture(scope="module")
def features(small, tmp_path_factory):
    """Return the small set's feature store, in chunks of sixteen sites."""
    folder = tmp_path_factory.mktemp("machines")
    shutil.copy(small / "small.h5", folder)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(feature_stores, "CHUNK_BYTES", 16 * 49 * 8)
        with StructureStore(folder / "small.h5") as source:
            featurise.featurise(source, descriptors.load("wacsf", "xanesnet-49"), folder / "small.features.h5")
    return folder / "small.features.h5"


@pytest.fixture(scope="module")
def data(features, tmp_path_factory):
    with gathered([features], run_of(tmp_path_factory.mktemp("run"))) as data:
        yield data


@pytest.mark.parametrize("n_shards", [1, 2, 3, 7])
def test_every_site_is_in_exactly_one_shard_of_whole_chunks(data, n_shards):
    part = data.sites_in("train")
    shards = shards_of(part, n_shards)
    assert (sum(shard.chosen.astype(int) for shard in shards) == part.chosen).all()
    owners = [{(chunk.start, chunk.stop) for chunk in shard.chunks} for shard in shards]
    assert sum(map(len, owners)) == len(part.chunks)
    sizes = [shard.n_sites for shard in shards]
    assert min(sizes) > 0
    assert max(sizes) - min(sizes) <= 32


def test_chunks_of_very_different_sizes_are_shared_out(data):
    """Each shard has at least one, and they stay in order."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        sizes = rng.choice([1, 2, 5, 200], rng.integers(3, 9))
        n_shards = int(rng.integers(1, sizes.size + 1))
        ends = np.cumsum(sizes)
        chunks = [SimpleNamespace(rows=slice(int(b - n), int(b))) for n, b in zip(sizes, ends, strict=True)]
        part = _Part(chunks, np.ones(int(ends[-1]), bool))
        found = [shard.chosen for shard in shards_of(part, n_shards)]
        assert all(chosen.any() for chosen in found)
        owner = np.array([int(np.argmax([chosen[chunk.rows.start] for chosen in found])) for chunk in chunks])
        assert (np.diff(owner) >= 0).all()


@dataclass(frozen=True)
class _Part:
    chunks: list
    chosen: np.ndarray


def test_more_shards_than_chunks_are_refused(data):
    with pytest.raises(ConfigError, match=r"9 shards: the training sites are in only 8 chunks .*; use at most 8"):
        shards_of(data.sites_in("train"), 9)


def test_processes_together_read_what_one_reads(data):
    part = data.sites_in("train")
    scalers = statistics(part, "sqrt").scalers("global")
    words = (part, scalers, 24, 3, 2, True, 4)
    whole = ShardedFeed(*words, range(4))
    each = [ShardedFeed(*words, range(2 * k, 2 * k + 2)) for k in range(2)]
    assert {feed.n_batches for feed in (whole, *each)} == {whole.n_batches}
    assert [feed.own_size for feed in each] == [12, 12]
    for epoch in (0, 1):
        blocks = list(whole.blocks(epoch))
        assert len(blocks) == whole.n_batches
        for block, *own in zip(blocks, *(feed.blocks(epoch) for feed in each), strict=True):
            for array, *shares in zip(block, *own, strict=True):
                np.testing.assert_array_equal(array, np.concatenate(shares, axis=1))
    first = [next(whole.blocks(epoch))[0] for epoch in (0, 1)]
    assert not np.array_equal(*first)  # another order in every epoch


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("login", ["login"]),
        ("a,b", ["a", "b"]),
        ("node[1-3,7]", ["node1", "node2", "node3", "node7"]),
        ("node[008-011]x,gpu", ["node008x", "node009x", "node010x", "node011x", "gpu"]),
    ],
)
def test_node_lists_are_expanded(text, expected):
    assert expand(text) == expected


@pytest.mark.parametrize("text", ["", "node[", "node[1-", ",", "a[b]", "a,,b"])
def test_malformed_node_lists_are_refused(text):
    with pytest.raises(ValueError):
        expand(text)


SLURM = {
    "SLURM_PROCID": "3", "SLURM_JOB_ID": "4711", "SLURM_STEP_NODELIST": "n[1-2]", "SLURM_STEP_TASKS_PER_NODE": "2(x2)"
}  # fmt: skip


def test_processes_of_a_slurm_step():
    found = find_machines(SLURM)
    assert found == Machines(("n1:16711", "n1:16712", "n2:16711", "n2:16712"), 3)
    assert json.loads(found.tf_config)["task"] == {"type": "worker", "index": 3}
    assert find_machines({"TF_CONFIG": found.tf_config}) == found


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "`distributed`: no other processes found; start with srun, or set TF_CONFIG"),
        ({"TF_CONFIG": "{"}, "TF_CONFIG: expected a cluster of workers"),
        ({"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}'}, "the index of"),
        ({"TF_CONFIG": '{"cluster": {"worker": [1]}, "task": {"type": "worker", "index": 0}}'}, "as host:port"),
        ({"TF_CONFIG": '{"cluster": {"worker": ["a:99999"]}, "task": {"type": "worker", "index": 0}}'}, "a:99999"),
        ({"TF_CONFIG": '{"cluster": {"chief": ["a:1"]}, "task": {"type": "chief", "index": 0}}'}, "TF_CONFIG: "),
        (SLURM | {"SLURM_PROCID": "4"}, "as srun sets them"),
        (SLURM | {"SLURM_NODEID": "0", "SLURM_LOCALID": "1"}, "srun --distribution=block"),
        (SLURM | {"SLURM_STEP_TASKS_PER_NODE": "two"}, "as srun sets them"),
        ({"SLURM_PROCID": "0"}, "as srun sets them"),
    ],
)
def test_environments_that_do_not_describe_processes_are_refused(environment, message):
    with pytest.raises(ConfigError, match=message):
        find_machines(environment)


def test_the_command_refuses_missing_processes_and_uneven_shards(features, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert run("train", features, "-o", tmp_path / "m", "--distributed") == 2
    assert "--distributed: no other processes found" in capsys.readouterr().err
    (tmp_path / "run.toml").write_text("[training]\nshards = 3\nbatch_size = 16\n")
    assert run("train", features, "-o", tmp_path / "m", "--config", tmp_path / "run.toml") == 2
    assert "training.batch_size: expected a multiple of the 3 shards, received 16" in capsys.readouterr().err


# ---- processes


def free_ports(n):
    opened = [socket.socket() for _ in range(n)]
    for one in opened:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in opened]
    for one in opened:
        one.close()
    return ports


CODE = "import sys; from xanes_hpc.cli.main import run; run(sys.argv[1:])"


def started(n, *words):
    """Start processes that train together."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(n)]
    found = []
    for k in range(n):
        environment = dict(os.environ)
        if n > 1:
            environment["TF_CONFIG"] = Machines(tuple(addresses), k).tf_config
        command = [sys.executable, "-c", CODE, *map(str, words), *(["--distributed"] if n > 1 else [])]
        found.append(
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
    return found


def ended(processes, seconds=180):
    """Wait for the processes, and return their exit codes and what they printed on standard error."""
    printed = [process.communicate(timeout=seconds) for process in processes]
    return [process.returncode for process in processes], [error for _, error in printed]


def history(model):
    with (model / "history.csv").open() as stream:
        return [
            (row["stage"], float(row["loss"]), float(row["validation_error_percent"])) for row in csv.DictReader(stream)
        ]


def config(folder, epochs=6):
    path = folder / "run.toml"
    path.write_text(CONFIG.format(epochs=epochs))
    return path


@pytest.mark.slow
def test_two_processes_train_the_model_of_one(features, tmp_path):
    words = ["train", features, "--config", config(tmp_path), "-o"]
    for n, name in ((1, "one"), (2, "two")):
        codes, errors = ended(started(n, *words, tmp_path / name))
        assert codes == [0] * n, errors
    one, two = history(tmp_path / "one"), history(tmp_path / "two")
    assert [row[0] for row in one] == [row[0] for row in two]
    np.testing.assert_allclose([r[1:] for r in one], [r[1:] for r in two], rtol=2e-3, equal_nan=True)
    weights = []
    for name in ("one", "two"):
        (path, *_) = sorted((tmp_path / name / "members" / "00").glob("*.h5"))
        with h5py.File(path) as file:
            own = []
            file.visititems(lambda _, node, own=own: own.append(node[()]) if isinstance(node, h5py.Dataset) else None)
            weights.append(np.concatenate([np.ravel(w) for w in own if w.dtype.kind == "f"]))
    np.testing.assert_allclose(*weights, atol=2e-3)
    assert not checkpoint_path(tmp_path / "two").exists()
    provenance = [Model.open(tmp_path / name).description["provenance"]["plan"] for name in ("one", "two")]
    assert provenance[0] == provenance[1]


@pytest.mark.slow
def test_a_run_resumes_after_one_of_its_processes_was_killed(features, tmp_path):
    words = ["train", features, "--config", config(tmp_path, 40), "-o"]
    codes, errors = ended(started(1, *words, tmp_path / "whole"))
    assert codes == [0], errors
    processes = started(2, *words, tmp_path / "m")
    deadline = time.monotonic() + 120
    while not checkpoint_path(tmp_path / "m").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    processes[1].send_signal(signal.SIGKILL)
    time.sleep(2.0)
    processes[0].kill()  # as a scheduler kills the rest of a step
    ended(processes)
    assert not (tmp_path / "m").exists()
    codes, errors = ended(started(2, *words, tmp_path / "m", "--resume"))
    assert codes == [0, 0], errors
    whole, resumed = history(tmp_path / "whole"), history(tmp_path / "m")
    assert [row[0] for row in whole] == [row[0] for row in resumed]
    np.testing.assert_allclose([r[1:] for r in whole], [r[1:] for r in resumed], rtol=2e-2, equal_nan=True)


def test_shards_can_be_configured(tmp_path):
    assert load_run(config(tmp_path), tmp_path, {}).training.shards == 2
