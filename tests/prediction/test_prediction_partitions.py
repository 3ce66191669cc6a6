"""Predictions made in parts by one run, by several, or by one that was stopped: the output is the same."""

import json

import h5py
import numpy as np
import pytest
from ase import Atoms
from support import stored
from support.builders import run
from support.stored import everything

from xanes_hpc.errors import StoreError
from xanes_hpc.jobs import run as execution
from xanes_hpc.models.model import Model
from xanes_hpc.prediction import predict as prediction
from xanes_hpc.prediction.plan import opened_plan
from xanes_hpc.prediction.predict import PredictionJob, PredictOptions, planned_job, predict
from xanes_hpc.stores import part_files
from xanes_hpc.stores import predictions as prediction_stores
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.part_files import parts_folder
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structures import StructureStore

OPTIONS = PredictOptions(draws=6, keep_draws=True, seed=3)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Make chunks of 8 rows and parts of 16."""
    monkeypatch.setattr(prediction_stores, "CHUNK_BYTES", 8 * 201 * 4)
    monkeypatch.setattr(part_files, "PART_BYTES", 1)
    monkeypatch.setattr(part_files, "MOST_PARTS", 10)
    monkeypatch.setattr(prediction, "ROWS_AT_ONCE", 5)


@pytest.fixture(params=["structures", "features"])
def source(request, small):
    path = small / ("small.h5" if request.param == "structures" else "small.features.h5")
    with StructureStore(path) if request.param == "structures" else FeatureStore(path) as store:
        yield store


@pytest.fixture
def folder(model):
    return Model.open(model)


@pytest.fixture
def whole(folder, source, tmp_path):
    """Return the contents of the store that one run writes."""
    predict(folder, source, tmp_path / "whole.h5", OPTIONS)
    return everything(tmp_path / "whole.h5")


def planned(folder, source, output, n_partitions=3, options=OPTIONS):
    with opened_plan(folder, source, options) as plan:
        execution.plan(PredictionJob(plan, output), n_partitions, ["xanes-hpc"])


def make_partition(folder, source, output, partition):
    with planned_job(folder, source, output) as (job, n_partitions):
        return execution.make_partition(job, partition, n_partitions)


def finalise(folder, source, output, **options):
    with planned_job(folder, source, output) as (job, n_partitions):
        execution.finalise(job, n_partitions, **options)


def test_partitions_in_any_order_write_what_one_run_writes(folder, source, tmp_path, whole):
    output = tmp_path / "p.h5"
    planned(folder, source, output)
    numbers = [make_partition(folder, source, output, k) for k in (2, 0, 1)]
    assert sum(map(len, numbers)) >= 8
    finalise(folder, source, output, virtual=True)
    with PredictionStore(output) as store, PredictionStore(tmp_path / "whole.h5") as plain:
        for name in ("mean", "std", "reference", "draws", "sites/nearest"):
            assert (store.read(name) == plain.read(name)).all()
        assert store.distrust == plain.distrust
    finalise(folder, source, output, overwrite=True)
    assert everything(output) == whole
    assert not parts_folder(output).exists()


def test_a_stopped_run_is_resumed(folder, source, tmp_path, whole, monkeypatch):
    output = tmp_path / "p.h5"
    fill = prediction._Rows.fill

    def failing(self, part, start, stop, progress):
        if start >= 50:
            raise KeyboardInterrupt
        fill(self, part, start, stop, progress)

    with monkeypatch.context() as patched:
        patched.setattr(prediction._Rows, "fill", failing)
        with pytest.raises(KeyboardInterrupt):
            predict(folder, source, output, OPTIONS)
    assert not output.exists()
    there = len(list(parts_folder(output).glob("part-*.h5")))
    assert there >= 2
    with pytest.raises(StoreError, match=r"parts of an unfinished run with options .*`restart`"):
        predict(folder, source, output, PredictOptions(draws=7))
    stored.flip_a_byte(parts_folder(output) / "part-000001.h5", "std", 0)
    predict(folder, source, output, OPTIONS)
    assert everything(output) == whole
    assert not parts_folder(output).exists()


def test_one_set_of_the_split_in_partitions(folder, source, tmp_path):
    options = PredictOptions(draws=6, split="train")
    predict(folder, source, tmp_path / "whole.h5", options)
    planned(folder, source, tmp_path / "p.h5", 2, options)
    for k in (0, 1):
        make_partition(folder, source, tmp_path / "p.h5", k)
    finalise(folder, source, tmp_path / "p.h5")
    assert everything(tmp_path / "p.h5") == everything(tmp_path / "whole.h5")


def test_a_plan_that_does_not_match_is_refused(folder, source, tmp_path, model):
    output = tmp_path / "p.h5"
    planned(folder, source, output)
    plan = parts_folder(output) / "plan.json"
    values = json.loads(plan.read_text())
    plan.write_text(json.dumps(values | {"model_digest": "0" * 64}))
    with pytest.raises(StoreError, match="parts of an unfinished run with model 000"):
        make_partition(folder, source, output, 0)
    plan.write_text(json.dumps(values | {"kind": "features"}))
    with pytest.raises(StoreError, match="expected parts of predictions, received parts of features"):
        make_partition(folder, source, output, 0)
    plan.write_text(json.dumps(values | {"options": {"draws": 3}}))
    with pytest.raises(StoreError, match="its plan cannot be read"):
        make_partition(folder, source, output, 0)


def test_the_command_predicts_in_partitions(small, model, tmp_path, capsys):
    source, output = small / "small.features.h5", tmp_path / "p.h5"
    words = ["predict", source, "--model", model, "-o", output]
    assert run(*words, "--plan", 2, "--draws", 4, "--split", "train") == 0
    assert run(*words, "--finalise") == 2
    assert "parts are missing or unusable: part-000000.h5 (missing)" in capsys.readouterr().err
    assert run(*words, "--partition", 1) == 0
    assert run(*words, "--partition", 0) == 0
    assert run(*words, "--finalise") == 0
    assert run("predict", source, "--model", model, "-o", tmp_path / "w.h5", "--draws", 4, "--split", "train") == 0
    assert everything(output) == everything(tmp_path / "w.h5")
    with h5py.File(output) as file:
        assert file["mean"].chunks == (8, 201)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--partition", "0", "--draws", "3"], "--draws belongs to --plan"),
        (["--plan", "2", "--finalise"], "expected one of --plan, --partition and --finalise"),
        (["--finalise"], "plan p.h5 first with --plan"),
        (["--plan", "5000"], "--plan 5000: expected at most "),
    ],
)
def test_options_that_do_not_go_together_are_refused(small, model, tmp_path, capsys, words, message):
    assert run("predict", small / "small.h5", "--model", model, "-o", tmp_path / "p.h5", *words) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_structure_files_cannot_be_predicted_in_partitions(model, tmp_path, capsys, small):
    with StructureStore(small / "small.h5") as source:
        structure, _ = next(iter(source.structures_at(np.array([0]))))
    Atoms(structure.numbers, structure.positions).write(tmp_path / "a.xyz")
    assert run("predict", tmp_path / "a.xyz", "--model", model, "-o", tmp_path / "p.h5", "--plan", 1) == 2
    assert "--plan: expected a store" in capsys.readouterr().err
