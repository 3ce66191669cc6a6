"""The space of a search: reading its file, and drawing values of trials from it."""

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import write
from support.strategies import quick

from xanes_hpc.config.sections import ModelConfig, RunConfig, SplitConfig, TransferConfig
from xanes_hpc.errors import ConfigError
from xanes_hpc.model_selection.space import Choices, Range, Space, applied, default_space
from xanes_hpc.model_selection.space_file import check_space, read_space, to_toml

BOTH = """
"model.name" = ["residual", "mlp"]
"model.width" = {low = 256, high = 1024, step = 128}
"model.hidden" = [[64], [128, 64]]
"model.dropout" = {low = 0, high = 0.5}
"training.learning_rate" = {low = 3e-4, high = 5e-3, log = true}
"training.batch_size" = [32, 64]
"training.positive" = [true, false]
"""


def read(folder, text, run=None):
    return read_space(write(folder / "space.toml", text), run or RunConfig())


def test_choices_and_ranges_are_read(tmp_path):
    assert read(tmp_path, BOTH).entries == {
        "model.name": Choices(("residual", "mlp")),
        "model.width": Range(256, 1024, 128),
        "model.hidden": Choices(([64], [128, 64])),
        "model.dropout": Range(0.0, 0.5),
        "training.learning_rate": Range(3e-4, 5e-3, log=True),
        "training.batch_size": Choices((32, 64)),
        "training.positive": Choices((True, False)),
    }


def test_keys_may_be_in_sections(tmp_path):
    dotted = read(tmp_path, '"model.width" = [64, 128]\n"training.epochs" = {low = 3, high = 5}\n')
    assert read(tmp_path, "[model]\nwidth = [64, 128]\n[training.epochs]\nlow = 3\nhigh = 5\n") == dotted
    assert dotted.entries["training.epochs"] == Range(3, 5)


@pytest.mark.parametrize("architecture", ["residual", "mlp", "convolutional", "conditioned"])
def test_the_default_space_applies_to_the_architecture_and_is_read_back(tmp_path, architecture):
    run = RunConfig(model=ModelConfig(architecture))
    space = default_space(run)
    check_space(space, run, "the space")
    assert read(tmp_path, to_toml(space), run) == space
    assert ("model.width" in space.entries) == (architecture in ("residual", "conditioned"))
    assert ("model.hidden" in space.entries) == (architecture in ("mlp", "convolutional"))
    assert "training.learning_rate" in space.entries


def test_the_default_space_keeps_the_layers_of_a_model_to_start_from():
    space = default_space(RunConfig(transfer=TransferConfig("a.model")))
    assert [key for key in space.entries if key.startswith("model.")] == ["model.dropout"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty space; `show_space` prints one"),
        ("x = ", "not TOML: "),
        ('"model.widht" = [64]', "unknown key 'model.widht'; did you mean 'model.width'?"),
        ('"training.learning_rat" = [1e-3]', "did you mean 'training.learning_rate'?"),
        ('"model.hidden" = [[64]]', "model.hidden does not apply to residual (expected model.width, model.blocks, "),
        ('"model.name" = ["mlp"]\n"model.width" = [64]', "model.width does not apply to mlp (expected model.hidden, "),
        ('"model.name" = ["residul"]', "model.name: no architecture is called 'residul'; did you mean 'residual'?"),
        ('"model.name" = {low = 1, high = 2}', "model.name: expected a list of choices, received {"),
        ('"split.test" = [0.1]', "split.test cannot be searched: it determines the data that errors are measured on"),
        ('"target.start" = [-10.0]', "target.start cannot be searched: it determines the data that errors are"),
        ('"training.seed" = [1, 2]', "training.seed cannot be searched: all trials share one seed"),
        ('"uncertainty.members" = [1, 2]', "uncertainty.members cannot be searched: a trial trains a single network"),
        (
            '"training.gaussian_process" = [true, false]',
            "training.gaussian_process cannot be searched: a trial trains a",
        ),
        ('"training.gpus" = [0, 1]', "training.gpus cannot be searched: it has no effect on a trial"),
        ('"training.epochs" = 30', "training.epochs: expected a list of choices or a range {low = …, high = …}, rece"),
        ('"training.epochs" = []', "training.epochs: expected a list of choices or a range"),
        ('"training.epochs" = [1.5]', "training.epochs: expected whole numbers, received 1.5"),
        ('"training.epochs" = ["3"]', "training.epochs: expected whole numbers, received '3'"),
        ('"training.epochs" = [0, 5]', "space.toml: training.epochs: expected 1 to 2147483647, received 0"),
        ('"training.epochs" = [5, 5]', "training.epochs: expected distinct choices, received [5, 5]"),
        ('"training.epochs" = {low = 1.5, high = 3}', "training.epochs: low: expected a whole number, received 1.5"),
        ('"training.epochs" = {low = 3, high = 3}', "training.epochs: expected low below high, received 3 and 3"),
        ('"training.epochs" = {low = 3}', "training.epochs: expected low and high, received a range without high"),
        ('"training.epochs" = {low = 3, hig = 3}', "unknown setting 'hig' of a range; did you mean 'high'?"),
        ('"training.epochs" = {low = 3, high = 8, step = 2}', "expected a step that divides 3 to 8 evenly, received 2"),
        ('"training.epochs" = {low = 3, high = 8, step = 0}', "expected a step that divides 3 to 8 evenly, received 0"),
        ('"training.epochs" = {low = 3, high = 8, log = 1}', "training.epochs: log: expected true or false, received"),
        ('"training.epochs" = {low = 3, high = 8, step = 1, log = true}', "log = true needs low above 0 and no step"),
        (
            '"training.learning_rate" = {low = 0, high = 1}',
            "space.toml: training.learning_rate: expected a number above 0",
        ),
        ('"training.learning_rate" = {low = 0, high = 1, log = true}', "log = true needs low above 0"),
        ('"training.learning_rate" = {low = 1e-3, high = inf}', "high: expected a number, received inf"),
        ('"training.learning_rate" = {low = "a", high = 1}', "low: expected a number, received 'a'"),
        ('"training.learning_rate" = [nan]', "training.learning_rate: expected numbers, received nan"),
        (
            '"training.loss" = ["mae", "mape"]',
            "space.toml: training.loss: expected mae or mse or huber, received 'mape'",
        ),
        ('"training.loss" = {low = 1, high = 2}', "training.loss: expected a list of choices, received {"),
        ('"training.refit" = [true]', "training.refit cannot be searched: it has no effect on a trial"),
        ('"model.width" = {low = 0, high = 64}', "model.width: residual: expected width as a whole number from 1 to"),
        (
            '"model.width" = {low = 64.0, high = 128}',
            "model.width: residual: expected width as a whole number from 1 to",
        ),
        ('"model.width" = [1979-05-27]', "model.width: expected text, numbers, true, false or lists, received"),
        ('"model.dropout" = {low = 0, high = 1}', "model.dropout: residual: expected dropout as a number from 0 to"),
        ('"model.activation" = ["gelu", "glu"]', "model.activation: residual: expected activation as one of gelu"),
        ('"model.width" = [64]\n[model]\nwidth = [32]', "model.width appears twice"),
        ("training = 3", "unknown key 'training'"),
    ],
)
def test_bad_spaces_are_refused_before_anything_runs(tmp_path, text, message):
    with pytest.raises(ConfigError) as error:
        read(tmp_path, text)
    assert str(error.value).startswith(f"{tmp_path / 'space.toml'}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_space_that_would_change_the_split_is_refused(tmp_path):
    run = RunConfig(split=SplitConfig(group="cluster"))
    with pytest.raises(ConfigError, match=r'cannot be searched with split\.group = "cluster"'):
        read(tmp_path, '"training.feature_transform" = ["sqrt", "none"]', run)


def test_trials_have_the_keys_of_their_architecture(tmp_path):
    space, run = read(tmp_path, BOTH), RunConfig(model=ModelConfig("residual", {"blocks": 7}))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = set()
    for _ in range(20):
        trial = study.ask()
        values = space.ask(trial, run)
        assert space.values(trial.params) == values
        made = applied(run, values)
        seen.add(made.model.name)
        assert made.training.learning_rate == values["training.learning_rate"]
        if made.model.name == "mlp":
            assert set(made.model.parameters) == {"hidden", "dropout"}  # blocks of the residual network are dropped
        else:
            assert set(made.model.parameters) == {"blocks", "width", "dropout"}
            assert made.model.parameters["width"] in range(256, 1025, 128)
    assert seen == {"mlp", "residual"}


def test_the_configured_hyperparameters_are_the_first_trial_if_they_are_in_the_space(tmp_path):
    run = RunConfig(model=ModelConfig("mlp", {"hidden": [64], "dropout": 0.25}))
    space = Space({"model.hidden": Choices(([32], [64])), "model.dropout": Range(0.0, 0.5, 0.05)})
    assert space.own(run) == {"model.hidden": "[64]", "model.dropout": 0.25}
    study = optuna.create_study()
    study.enqueue_trial(space.own(run))
    assert space.ask(study.ask(), run) == {"model.hidden": [64], "model.dropout": 0.25}
    for other in (Choices(([32], [16])), Range(0.0, 0.1)):
        key = "model.hidden" if isinstance(other, Choices) else "model.dropout"
        assert Space({**space.entries, key: other}).own(run) is None


@quick
@given(st.floats(1e-6, 1e3), st.floats(1.01, 1e3), st.integers(0, 99), st.booleans())
def test_numbers_of_a_range_are_within_it_and_have_few_digits(low, factor, seed, log):
    entry = Range(low, low * factor, log=log)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    value = entry.ask(study.ask(), "training.learning_rate")
    assert entry.low <= value <= entry.high
    assert value in (entry.low, entry.high) or len(f"{value:e}".split("e")[0].rstrip("0")) <= 5


def test_a_stepped_range_holds_only_its_steps():
    entry = Range(0.05, 0.3, 0.05)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = {entry.ask(study.ask(), "model.dropout") for _ in range(60)}
    assert found == {0.05, 0.1, 0.15, 0.2, 0.25, 0.3}
    assert all(entry.holds(value) for value in found)
    assert not entry.holds(0.12)
    assert not Range(1, 5).holds(2.5)
    assert not Range(1, 5).holds(True)
