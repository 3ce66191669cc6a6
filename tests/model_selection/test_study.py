"""The journal of a search: drawing, pruning, and resuming after the process was killed; nothing is trained."""

import shutil
import sys
from contextlib import closing

import pytest
from support.builders import write

from xanes_hpc.config.sections import ModelConfig, RunConfig
from xanes_hpc.errors import StoreError
from xanes_hpc.model_selection.record import COMPLETE, FAILED, PRUNED, STOPPED, best_first, write_trials
from xanes_hpc.model_selection.space import Choices, Range, Space
from xanes_hpc.model_selection.study import DRAWN_AT_RANDOM, Journal, create_journal

SPACE = Space({
    "model.name": Choices(("residual", "mlp")),
    "model.width": Range(16, 64, 16),
    "model.hidden": Choices(([16], [32, 16])),
    "training.learning_rate": Range(1e-4, 1e-1, log=True),
})  # fmt: skip
RUN = RunConfig(model=ModelConfig("mlp", {"hidden": [16]}))
PLAN = {"space": SPACE.as_values(), "sites": 10}


@pytest.fixture
def path(tmp_path):
    create_journal(tmp_path / "study.journal", PLAN, None)
    return tmp_path / "study.journal"


def opened(path, plan=PLAN, seed=0, n_epochs=6):
    return closing(Journal(path, plan, SPACE, seed, n_epochs))


def one(journal, errors=None):
    """Run a trial with these errors, or with an error that depends on its values, and return its number."""
    trial = journal.ask(RUN)
    values = SPACE.ask(trial, RUN)
    error = abs(values["training.learning_rate"] - 0.01) * 100
    for epoch, value in enumerate(errors or [error], 1):
        if journal.report(trial, epoch, value):
            journal.finish(trial, PRUNED, epoch, 1.0)
            return trial.number
    journal.finish(trial, COMPLETE, len(errors or [error]), 1.0, min(errors or [error]))
    return trial.number


def drawn(journal):
    return [trial.values for trial in journal.trials]


def test_a_resumed_search_draws_the_same_values_as_an_unbroken_one(path, tmp_path):
    n = DRAWN_AT_RANDOM + 4
    with opened(path) as journal:
        for _ in range(n):
            one(journal)
        whole = drawn(journal)
    create_journal(tmp_path / "other.journal", PLAN, None)
    for first in (3, n - 1, n):  # stopped twice, the second time when the sampler uses errors
        with opened(tmp_path / "other.journal") as journal:
            while len(journal.trials) < first:
                one(journal)
            assert drawn(journal) == whole[:first]
    create_journal(tmp_path / "third.journal", PLAN, None)
    with opened(tmp_path / "third.journal", seed=1) as journal:
        assert one(journal) == 0
        assert drawn(journal) != whole[:1]


def test_no_values_are_tried_twice_while_there_are_others(path):
    space = Space({"model.blocks": Choices((1, 2, 3)), "model.width": Choices((8, 16))})
    with closing(Journal(path, PLAN, space, 0, 6)) as journal:
        for k in range(8):
            trial = journal.ask(RunConfig())
            space.ask(trial, RunConfig())
            journal.finish(trial, COMPLETE, 1, 1.0, float(k))
        tried = [tuple(trial.values.values()) for trial in journal.trials]
    assert len(set(tried[:6])) == 6
    assert len(tried) == 8


def test_trials_that_are_clearly_worse_are_pruned(path):
    with opened(path) as journal:
        for _ in range(5):
            one(journal, [9.0, 8.0, 7.0, 6.0, 5.0, 4.0])
        one(journal, [30.0, 29.0, 28.0, 27.0, 26.0, 25.0])
        one(journal, [8.0, 7.0, 6.0, 5.0, 4.0, 3.0])
        assert [t.state for t in journal.trials] == [COMPLETE] * 5 + [PRUNED, COMPLETE]
        pruned = journal.trials[5]
        assert (pruned.epochs, pruned.error) == (2, 29.0)  # not pruned in the first third of the epochs
        assert [t.number for t in best_first(journal.trials)] == [6, 0, 1, 2, 3, 4]


@pytest.mark.parametrize("orderly", [True, False])
def test_a_stopped_trial_is_repeated_with_its_number_and_values(path, orderly):
    with opened(path) as journal:
        one(journal)
        trial = journal.ask(RUN)
        values = SPACE.ask(trial, RUN)
        journal.report(trial, 1, 50.0)
        if orderly:
            journal.put_back(trial)
        assert [t.state for t in journal.trials] == [COMPLETE, STOPPED]
    with opened(path) as journal:
        again = journal.ask(RUN)
        assert again.number == 1
        assert SPACE.ask(again, RUN) == values
        assert not journal.report(again, 1, 60.0)  # epoch 1 has been recorded
        journal.finish(again, COMPLETE, 1, 1.0, 40.0)
        assert one(journal) == 2


def test_a_trial_that_kills_the_process_twice_has_failed(path):
    for _ in range(2):
        with opened(path) as journal:
            trial = journal.ask(RUN)
            assert trial.number == 0
            SPACE.ask(trial, RUN)
    with opened(path) as journal:
        assert [(t.state, t.reason) for t in journal.trials] == [(FAILED, "the process died 2 times in this trial")]
        assert one(journal) == 1


def test_a_trial_killed_while_its_values_were_written_keeps_them(path, tmp_path):
    n = DRAWN_AT_RANDOM + 2
    with opened(path) as journal:
        for _ in range(n):
            one(journal)
        whole = drawn(journal)
    before = path.read_bytes()
    lines = before.splitlines(keepends=True)
    first = max(i for i, line in enumerate(lines) if b"fixed_params" in line)  # first line of the last trial
    for end in range(first, len(lines), 2):
        path.write_bytes(b"".join(lines[:end]))
        with opened(path) as journal:
            while len(journal.trials) < n or journal.trials[-1].state == STOPPED:
                one(journal)
            assert drawn(journal) == whole


def test_half_a_line_and_a_lock_left_by_a_killed_process_are_removed(path):
    with opened(path) as journal:
        one(journal)
    before = path.read_bytes()
    path.write_bytes(before + b'{"op_code": 5, "trial')
    write(path.with_name("study.journal.lock"), "")
    with opened(path) as journal:
        assert one(journal) == 1
    assert path.read_bytes().startswith(before)
    with opened(path) as journal:
        assert len(journal.trials) == 2


def test_only_one_process_at_a_time_uses_a_journal(path):
    with opened(path):
        with pytest.raises(StoreError, match=r"study\.journal: in use by another process"):
            opened(path)
    with opened(path):
        pass


def test_another_search_is_refused_naming_the_differences(path):
    other = {"space": {**PLAN["space"], "model.width": {"low": 16, "high": 96, "step": 16}}, "sites": 11}
    with pytest.raises(StoreError) as error:
        opened(path, other)
    assert "sites was 10, now 11; space.model.width.high was 64, now 96; use that search's" in str(error.value)


@pytest.mark.parametrize("text", ["", "\n", "no journal\n", "{}\n", '{"op_code": 0}\n'])
def test_damaged_journals_are_refused(path, text):
    path.write_text(text)
    with pytest.raises(StoreError, match=r"study\.journal: damaged: .*`overwrite`"):
        opened(path)


def test_a_missing_journal_is_refused(tmp_path):
    with pytest.raises(StoreError, match=r"study\.journal: no such file; there is no search to resume.*`resume`"):
        opened(tmp_path / "study.journal")
    with pytest.raises(StoreError, match="is a directory; there is no search to resume"):
        opened(tmp_path)


def test_importance_is_known_once_enough_trials_are_complete(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)  # importance must not need it
    with opened(path) as journal:
        one(journal)
        assert journal.importance() == {}
        for _ in range(14):
            one(journal)
        shares = journal.importance()
    assert sum(shares.values()) == pytest.approx(1.0)
    assert max(shares, key=lambda key: shares[key]) == "training.learning_rate"


def test_trials_are_written_as_a_table(path, tmp_path):
    with opened(path) as journal:
        one(journal)
        trial = journal.ask(RUN)
        SPACE.ask(trial, RUN)
        journal.finish(trial, FAILED, 0, 0.5, reason="the loss is nan, alas")
        write_trials(journal.trials, list(SPACE.entries), tmp_path / "trials.csv")
        first, second = journal.trials
    lines = (tmp_path / "trials.csv").read_text().splitlines()
    assert lines[0] == "number,state,validation_error_percent,epochs,seconds," + ",".join(SPACE.entries) + ",reason"
    assert lines[1].startswith(f"0,complete,{first.error},1,1.000,{first.values['model.name']},")
    assert lines[2].startswith(f"1,failed,,0,0.500,{second.values['model.name']},")
    assert lines[2].endswith(',"the loss is nan, alas"')


def test_a_copied_search_can_be_resumed_elsewhere(path, tmp_path):
    with opened(path) as journal:
        one(journal)
    (tmp_path / "there").mkdir()
    shutil.copy(path, tmp_path / "there")
    with opened(tmp_path / "there" / "study.journal") as journal:
        assert one(journal) == 1
    with opened(path) as journal:
        assert len(journal.trials) == 1
