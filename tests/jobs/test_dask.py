"""Work on a Dask cluster gives the same results as an ordinary run, even if workers die."""

import gc
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from support import small_parts, stored
from support.builders import run
from support.partitioned import DESCRIPTOR, job_of, write_source
from support.stored import everything

pytest.importorskip("distributed")
from distributed import Client, LocalCluster

from xanes_hpc.calculations.xtb import Relaxed
from xanes_hpc.errors import ConfigError, FormatError, StoreError
from xanes_hpc.features import featurise
from xanes_hpc.jobs import dask
from xanes_hpc.jobs import run as execution
from xanes_hpc.jobs.dask_workers import Workers, connected, parse_option, queue_cluster
from xanes_hpc.jobs.tasks import results
from xanes_hpc.models.model import Model
from xanes_hpc.prediction.plan import opened_plan
from xanes_hpc.prediction.predict import PredictionJob, PredictOptions
from xanes_hpc.stores.part_files import parts_folder
from xanes_hpc.stores.structures import StructureStore

N_SITES, N_PARTS = 640, 20


@pytest.fixture(scope="module")
def client():
    """Two worker processes, each with a nanny that replaces it if it dies."""
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "XANES_HPC_TEST_REST": "0.1"}
    cluster = LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", preload=[small_parts.__file__],
        env=environment, silence_logs=50,
    )  # fmt: skip
    with cluster, Client(cluster) as client:
        yield client


@pytest.fixture(autouse=True)
def sizes(monkeypatch):
    small_parts.use(monkeypatch.setattr)


@pytest.fixture
def source(tmp_path):
    """A store whose features have twenty parts."""
    write_source(tmp_path / "s.h5", N_SITES)
    with StructureStore(tmp_path / "s.h5") as store:
        yield store


@pytest.fixture
def whole(source, tmp_path):
    """The contents of the store that an ordinary run makes."""
    featurise.featurise(source, DESCRIPTOR, tmp_path / "whole.h5")
    return everything(tmp_path / "whole.h5")


def test_features_equal_those_of_an_ordinary_run(client, source, tmp_path, whole):
    seen = []
    job = job_of(source, tmp_path / "f.h5")
    assert len(job.plan.bounds) == N_PARTS + 1
    dask.run(client, job, progress=lambda done, total: seen.append((done, total)))
    assert everything(tmp_path / "f.h5") == whole
    assert not parts_folder(tmp_path / "f.h5").exists()
    assert seen[0] == (0, N_SITES)
    assert seen[-1] == (N_SITES, N_SITES)
    assert seen == sorted(seen)


def test_killing_a_worker_does_not_change_the_features(client, source, tmp_path, whole):
    victims = client.run(os.getpid)
    job = job_of(source, tmp_path / "f.h5")
    killed = []

    def kill(done, total):
        if done >= total // 4 and not killed:
            pid = next(iter(victims.values()))
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    dask.run(client, job, progress=kill)
    assert killed
    assert everything(tmp_path / "f.h5") == whole
    deadline = time.monotonic() + 30
    while len(client.nthreads()) < 2:  # the nanny has started another one
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_workers_continue_a_stopped_run(client, source, tmp_path, whole, monkeypatch):
    job = job_of(source, tmp_path / "f.h5")

    def stop(done, total):
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execution.run(job, progress=stop)
    there = {path.name: path.stat().st_mtime_ns for path in parts_folder(tmp_path / "f.h5").glob("part-*.h5")}
    assert there

    def kept(done, total):
        now = {path.name: path.stat().st_mtime_ns for path in parts_folder(tmp_path / "f.h5").glob("part-*.h5")}
        assert there.items() <= now.items()

    dask.run(client, job, progress=kept)
    assert everything(tmp_path / "f.h5") == whole


def test_predictions_equal_those_of_an_ordinary_run(client, small, model, tmp_path):
    with StructureStore(small / "small.h5") as source:
        with opened_plan(Model.open(model), source, PredictOptions(draws=4, keep_draws=True)) as opened:
            execution.run(PredictionJob(opened, tmp_path / "whole.h5"))
            dask.run(client, PredictionJob(opened, tmp_path / "p.h5"))
    assert everything(tmp_path / "p.h5") == everything(tmp_path / "whole.h5")


def test_bad_input_is_reported_as_by_an_ordinary_run(client, tmp_path):
    entries = [(stored.structure(f"s{i}", 3, i), [0], "K", [[]]) for i in range(N_SITES)]
    entries[500][0].positions[1] = entries[500][0].positions[0]
    stored.write_structures(tmp_path / "bad.h5", entries)
    with StructureStore(tmp_path / "bad.h5") as source:
        with pytest.raises(StoreError, match=r"bad\.h5: sites \d+ to \d+: ") as by_workers:
            dask.run(client, job_of(source, tmp_path / "f.h5"))
        with pytest.raises(FormatError):
            execution.run(job_of(source, tmp_path / "g.h5"))
    assert "an atom is 0.000 Å from the absorber" in str(by_workers.value)
    assert not (tmp_path / "f.h5").exists()


def test_a_worker_with_another_plan_is_refused(client, source, tmp_path, monkeypatch):
    monkeypatch.setattr("xanes_hpc.features.plan.__version__", "0.0.1")
    expected = r"a worker would make different parts: the plan has creator xanes-hpc 0\.0\.1; the worker has creator"
    with pytest.raises(StoreError, match=expected):
        dask.run(client, job_of(source, tmp_path / "f.h5"))


def _die(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return Relaxed(steps=number)


@pytest.mark.slow
def test_tasks_that_kill_their_workers_are_reported(client):
    found = dict(results(dask.cluster_team(client), iter(enumerate(range(8))), _die, lambda: Relaxed(failed="ended")))
    assert {row: relaxed.failed for row, relaxed in found.items() if relaxed.failed} == {3: "ended"}
    assert sorted(relaxed.steps for relaxed in found.values() if not relaxed.failed) == [0, 1, 2, 4, 5, 6, 7]


def test_structures_relaxed_and_sampled_by_workers(client, tmp_path):
    pytest.importorskip("tblite")
    from ase import Atoms

    from xanes_hpc.calculations.relax import relax
    from xanes_hpc.calculations.sample import SampleOptions, sample

    waters = [Atoms("OH2", [(0, 0, 0), (0.8 + 0.02 * k, 0.6, 0), (-0.8, 0.6, 0.0)]) for k in range(3)]
    (tmp_path / "xyz").mkdir()
    for k, atoms in enumerate(waters):
        atoms.write(tmp_path / "xyz" / f"w{k}.xyz")
    assert run("import", tmp_path / "xyz", "--absorber", "O", "-o", tmp_path / "w.h5") == 0
    with StructureStore(tmp_path / "w.h5") as store:
        relax(store, tmp_path / "one.h5", workers=1)
        relax(store, tmp_path / "many.h5", workers=client)
        few = SampleOptions(frames=2, equilibration=10, interval=2)
        frames, others = sample(store, None, few, workers=1), sample(store, None, few, workers=client)
    with StructureStore(tmp_path / "one.h5") as one, StructureStore(tmp_path / "many.h5") as many:
        for pair in ((one, many), (frames, others)):
            for (first, _), (second, _) in zip(*(store.structures() for store in pair), strict=True):
                np.testing.assert_allclose(first.positions, second.positions, atol=1e-8)


def test_a_scheduler_given_by_address(client, source, tmp_path, whole, capsys):
    address = client.scheduler.address
    words = ["featurise", tmp_path / "s.h5", "--preset", "xanesnet-49", "-o", tmp_path / "f.h5"]
    assert run(*words, "--scheduler", address) == 0
    assert "dashboard: http" in capsys.readouterr().err
    assert everything(tmp_path / "f.h5") == whole


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scheduler", "tcp://127.0.0.1:1"], "--scheduler tcp://127.0.0.1:1: cannot be reached"),
        (["--scheduler", "nowhere"], "--scheduler nowhere: cannot be reached"),
        (["--cluster", "slurm"], "--cluster slurm: sbatch"),
        (["--cluster", "pbs"], "--cluster pbs: qsub"),
        (["--cluster", "cloud"], "--cluster 'cloud': expected local, slurm, pbs"),
        (["--cluster", "local", "--scheduler", "tcp://a:1"], "expected one of --scheduler and --cluster"),
        (["--cluster-option", "cores=1"], "--cluster-option: expected with --cluster slurm or pbs"),
        (["--cluster", "slurm", "--cluster-option", "cores"], "--cluster-option 'cores': expected NAME=VALUE"),
        (["--cluster", "local", "--plan", "2"], "--plan, --partition and --finalise cannot be combined with Dask"),
    ],
)
def test_refused(source, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.setattr("xanes_hpc.jobs.dask_workers.SECONDS_TO_CONNECT", 1.0)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert run("featurise", tmp_path / "s.h5", "--preset", "xanesnet-49", *words) == 2
    assert message in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"s.h5"}


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("slurm", ["#SBATCH --cpus-per-task=8", "#SBATCH --mem=30G", "#SBATCH -t 02:00:00", "#SBATCH -p main"]),
        ("pbs", ["#PBS -l select=1:ncpus=8:mem=30GB", "#PBS -l walltime=02:00:00", "#PBS -q main"]),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # coroutines left by dask-jobqueue
def test_job_scripts_of_queues(kind, lines, monkeypatch):
    """No queue is needed: the test reads the script of its jobs."""
    pytest.importorskip("dask_jobqueue")
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    options = dict(map(parse_option, ["cores=8", "memory=32GB", "walltime=02:00:00", "queue=main"]))
    with queue_cluster(Workers(kind=kind, options=options)) as cluster:
        script = cluster.job_script()
    for line in lines:
        assert line in script
    assert "distributed.cli.dask_worker" in script
    with pytest.raises(ConfigError, match="`job_options`: "):
        queue_cluster(Workers(kind=kind, options={"no_such_option": 1}))
    gc.collect()


def test_dask_is_an_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with (
        pytest.raises(ConfigError, match=r"needs distributed.*pip install 'xanes-hpc\[dask\]'"),
        connected(Workers(kind="local")),
    ):
        pass


def test_workers_on_this_machine(tmp_path, capsys):
    """From the command line, with parts of the normal size."""
    entries = [(stored.structure(f"s{i}", 3, i), [0], "K", [[]]) for i in range(300)]
    stored.write_structures(tmp_path / "s.h5", entries)
    code = "import sys; from xanes_hpc.cli.main import run; run(sys.argv[1:])"
    words = ["featurise", tmp_path / "s.h5", "--preset", "xanesnet-49", "-o", tmp_path / "f.h5", "--cluster", "local"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words), "--workers", "1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "dashboard: http" in done.stderr
    assert "Traceback" not in done.stderr
    assert run("info", tmp_path / "f.h5") == 0
