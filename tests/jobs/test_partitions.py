"""Partitions made by separate runs, in any order, give the same store as an ordinary run; anything else is refused."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from support import small_parts, stored
from support.builders import run, write
from support.partitioned import DESCRIPTOR, all_made, finalise, make_partition, planned, write_source
from support.places import WITH_TESTS
from support.stored import everything

from xanes_hpc.errors import ConfigError, StoreError
from xanes_hpc.features import featurise
from xanes_hpc.features.plan import plan
from xanes_hpc.jobs.partitions import parts_of
from xanes_hpc.jobs.parts import PartsFolder
from xanes_hpc.jobs.slurm import array_index
from xanes_hpc.stores.part_files import parts_folder
from xanes_hpc.stores.structures import StructureStore

N_SITES, N_PARTS = 200, 7


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


@pytest.mark.parametrize("n_partitions", range(1, N_PARTS + 1))
def test_every_part_belongs_to_exactly_one_partition(n_partitions):
    every = [number for k in range(n_partitions) for number in parts_of(k, n_partitions, N_PARTS)]
    assert every == list(range(N_PARTS))
    sizes = [len(parts_of(k, n_partitions, N_PARTS)) for k in range(n_partitions)]
    assert max(sizes) - min(sizes) <= 1
    with pytest.raises(ConfigError, match=rf"partition {n_partitions}: expected 0 to {n_partitions - 1}"):
        parts_of(n_partitions, n_partitions, N_PARTS)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 1, 2, 0)])
def test_partitions_in_any_order_equal_an_ordinary_run(source, tmp_path, whole, order):
    output = tmp_path / "f.h5"
    planned(source, output)
    for k in order:
        make_partition(source, output, k)
    finalise(source, output)
    assert everything(output) == whole
    assert not parts_folder(output).exists()


def test_a_finished_output_is_not_made_again(source, tmp_path):
    output = tmp_path / "f.h5"
    all_made(source, output)
    finalise(source, output)
    for step in (lambda: finalise(source, output), lambda: make_partition(source, output, 0)):
        with pytest.raises(StoreError, match=r"f\.h5: already exists.*`n_partitions`"):
            step()


def test_an_ordinary_run_uses_the_parts_of_partitions(source, tmp_path, whole, monkeypatch):
    output = tmp_path / "f.h5"
    planned(source, output)
    make_partition(source, output, 1)
    computed, compute = [], featurise.describe_batch
    monkeypatch.setattr(featurise, "describe_batch", lambda *words: computed.append(words[2]) or compute(*words))
    featurise.featurise(source, DESCRIPTOR, output)
    bounds = plan(source, DESCRIPTOR).bounds
    assert not any(bounds[2] <= start < bounds[4] for start in computed)
    assert everything(output) == whole


def test_another_number_of_partitions_keeps_the_parts(source, tmp_path, whole):
    output = tmp_path / "f.h5"
    planned(source, output, 3)
    make_partition(source, output, 0)
    before = {path.name: path.stat().st_mtime_ns for path in parts_folder(output).glob("part-*.h5")}
    assert before
    all_made(source, output, 5)
    after = {path.name: path.stat().st_mtime_ns for path in parts_folder(output).glob("part-*.h5")}
    assert before.items() <= after.items()
    finalise(source, output)
    assert everything(output) == whole


@pytest.mark.parametrize("damage", ["missing", "flip", "truncate", "another plan", "another part"])
def test_unusable_parts_are_named_and_made_again(source, tmp_path, whole, damage):
    output = tmp_path / "f.h5"
    all_made(source, output)
    part = parts_folder(output) / "part-000003.h5"
    if damage == "missing":
        part.unlink()
    elif damage == "flip":
        stored.flip_a_byte(part, "features", 1)
    elif damage == "truncate":
        part.write_bytes(part.read_bytes()[:3000])
    elif damage == "another part":
        shutil.copy(part.with_name("part-000002.h5"), part)
    else:
        with h5py.File(part, "r+") as file:
            file.attrs["plan"] = "0" * 64
    what = {
        "missing": "missing",
        "another plan": "belongs to another plan",
        "another part": r"has the rows of part-000002\.h5",
    }.get(damage, "damaged: ")
    with pytest.raises(
        StoreError, match=rf"1 of 7 parts are missing or unusable: part-000003\.h5 \({what}.*; run partition 1 "
    ):
        finalise(source, output)
    assert not output.exists()
    make_partition(source, output, 1)
    finalise(source, output)
    assert everything(output) == whole


def test_a_partition_is_locked_by_its_run(source, tmp_path, whole):
    output = tmp_path / "f.h5"
    planned(source, output)
    me = rf"process {os.getpid()} on "

    def meanwhile(done, total):
        if done:
            return
        with pytest.raises(StoreError, match=rf"another run is making partition 0 \(partition 0: {me}"):
            make_partition(source, output, 0)
        with pytest.raises(StoreError, match=rf"another run is making this output \(partition 0: {me}"):
            featurise.featurise(source, DESCRIPTOR, output)
        with pytest.raises(StoreError, match="another run is making this output"):
            finalise(source, output)
        make_partition(source, output, 2)

    make_partition(source, output, 0, meanwhile)
    make_partition(source, output, 1)
    finalise(source, output)
    assert everything(output) == whole


def test_a_partition_of_other_structures_is_refused(source, tmp_path):
    output = tmp_path / "f.h5"
    planned(source, output)
    entries = [(stored.structure(f"s{i}", 3, i + 1), [0], "K", [[]]) for i in range(N_SITES)]
    stored.write_structures(tmp_path / "other.h5", entries)
    with StructureStore(tmp_path / "other.h5") as other:
        for step in (lambda: make_partition(other, output, 0), lambda: finalise(other, output)):
            with pytest.raises(StoreError, match="parts of an unfinished run with structures"):
                step()
    assert not list(parts_folder(output).glob("part-*"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "features"}', '{"kind": "predictions"}'])
def test_an_invalid_plan_is_refused(source, tmp_path, text):
    output = tmp_path / "f.h5"
    planned(source, output)
    write(parts_folder(output) / "plan.json", text)
    with pytest.raises(
        StoreError, match=r"plan\.json: cannot be read|its plan cannot be read|received parts of predictions"
    ):
        make_partition(source, output, 0)


def test_too_many_partitions_or_invalid_directives_are_refused(source, tmp_path):
    with pytest.raises(ConfigError, match="`n_partitions` 8: expected at most 7"):
        planned(source, tmp_path / "f.h5", 8)
    with pytest.raises(ConfigError, match="received 'rm -rf'"):
        planned(source, tmp_path / "f.h5", directives=["rm -rf"])
    assert not parts_folder(tmp_path / "f.h5").exists()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"SLURM_ARRAY_TASK_ID": "3"}, 3),
        ({"PBS_ARRAY_INDEX": "0"}, 0),
        ({"SGE_TASK_ID": "undefined"}, None),
        ({"SGE_TASK_ID": "1"}, 0),
        ({"LSB_JOBINDEX": "0"}, None),
        ({}, None),
    ],
)
def test_the_index_of_an_array_task(environment, expected):
    if expected is None:
        with pytest.raises(ConfigError, match=r"`partition`: .*SLURM_ARRAY_TASK_ID"):
            array_index(environment)
    else:
        assert array_index(environment) == expected


def test_an_invalid_index_is_refused():
    with pytest.raises(ConfigError, match="SLURM_ARRAY_TASK_ID: expected the index of a task, 0 or more, received 'x'"):
        array_index({"SLURM_ARRAY_TASK_ID": "x"})


def test_damaged_sites_are_not_copied(source, tmp_path):
    """A run copies their chunks without decoding them."""
    source.file.close()
    stored.flip_a_byte(tmp_path / "s.h5", "sites/element")
    with StructureStore(tmp_path / "s.h5") as damaged, pytest.raises(StoreError, match=r"s\.h5: damaged data"):
        featurise.featurise(damaged, DESCRIPTOR, tmp_path / "f.h5")
    assert not (tmp_path / "f.h5").exists()


def test_partitions_made_by_the_slurm_script(tmp_path, capsys, monkeypatch):
    """Run the script as a scheduler does, with each task's number in its environment; parts are small everywhere."""
    small_parts.use(monkeypatch.setattr)
    write(tmp_path / "at start" / "sitecustomize.py", "from support import small_parts\nsmall_parts.use()\n")
    folder = tmp_path / "with spaces"
    folder.mkdir()
    write_source(folder / "s.h5", N_SITES)
    assert run("featurise", folder / "s.h5", "--preset", "xanesnet-49", "-o", tmp_path / "whole.h5") == 0
    words = ["featurise", folder / "s.h5", "--preset", "xanesnet-49"]
    assert run(*words, "--plan", 2, "--sbatch", "--time=01:00:00") == 0
    script = parts_folder(folder / "s.features.h5") / "partitions.slurm"
    text = script.read_text()
    assert "#SBATCH --array=0-1\n#SBATCH --time=01:00:00\n" in text
    assert str(script) in capsys.readouterr().err
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    modules = f"{tmp_path / 'at start'}{os.pathsep}{WITH_TESTS['PYTHONPATH']}"
    for k in ("1", "0"):
        environment = {**WITH_TESTS, "PYTHONPATH": modules, "PATH": path, "SLURM_ARRAY_TASK_ID": k}
        done = subprocess.run(["bash", script], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert len(list(parts_folder(folder / "s.features.h5").glob("part-*.h5"))) == N_PARTS
    assert run("featurise", folder / "s.h5", "--finalise") == 0
    with h5py.File(folder / "s.features.h5") as found, h5py.File(tmp_path / "whole.h5") as whole:
        np.testing.assert_array_equal(found["features"], whole["features"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--plan", 2, "--finalise"], "expected one of --plan, --partition and --finalise"),
        (["--virtual"], "--virtual: expected only with --finalise"),
        (["--sbatch", "--time=1"], "--sbatch: expected only with --plan"),
        (["--partition", "x"], "'--partition': expected the number of a partition, counted from 0, received 'x'"),
        (["--partition", "0", "--preset", "rdc"], "--preset belongs to --plan"),
        (["--partition", "0"], "plan s.features.h5 first with --plan"),
        (["--finalise"], "plan s.features.h5 first with --plan"),
        (["--partition"], "--partition: expected a number; it is optional only in a scheduler's job array"),
        (["--plan", 2], "--plan 2: the output is a single part"),
    ],
)
def test_refused(source, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.undo()
    before = {path.name for path in tmp_path.iterdir()}
    assert run("featurise", tmp_path / "s.h5", *words) == 2
    assert message in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == before


def test_a_file_in_place_of_the_folder_of_parts_is_refused(source, tmp_path):
    (tmp_path / "f.h5.parts").write_text("mine")
    with pytest.raises(StoreError, match=r"f\.h5: cannot be written"):
        PartsFolder(tmp_path / "f.h5", {})
