"""The configuration of a training run: precedence, unknown keys, types, and TOML there and back."""

from dataclasses import fields, is_dataclass

import pytest
from builders import write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import quick

from xanes_hpc.config import FILE_NAME, ModelConfig, RunConfig, TrainingConfig, load_run, to_toml
from xanes_hpc.errors import ConfigError


def load(folder, text=None, **flags):
    path = None if text is None else write(folder / "run.toml", text)
    return load_run(path, folder, {key.replace("__", "."): value for key, value in flags.items()})


def test_defaults(tmp_path):
    assert load(tmp_path) == RunConfig()


def test_precedence(tmp_path):
    """Flags over ``--config`` over the working folder's file over defaults, key by key."""
    write(tmp_path / FILE_NAME, "[training]\nepochs = 1\nseed = 1\nbatch_size = 1\n")
    run = load(tmp_path, "[training]\nepochs = 2\nseed = 2\n", training__epochs=3, training__batch_size=None)
    assert run.training == TrainingConfig(epochs=3, seed=2, batch_size=1)


def test_flags_at_the_top_and_in_sections(tmp_path):
    run = load(tmp_path, output="m", target__kind="xes", target__step=0.5)
    assert (run.output, run.target.kind, run.target.step) == ("m", "xes", 0.5)


def test_flags_that_were_not_given_change_nothing(tmp_path):
    assert load(tmp_path, 'output = "m"\n', output=None, training__seed=None).output == str(tmp_path / "m")


def test_paths_of_a_config_count_from_its_folder_those_of_the_working_folder_stay(tmp_path):
    write(tmp_path / "here" / FILE_NAME, 'features = "a.h5"\nspectra = "b.h5"\n')
    config = write(tmp_path / "there" / "run.toml", 'features = "../x/c.h5"\n')
    run = load_run(config, tmp_path / "here", {})
    assert (run.features, run.spectra) == (str(tmp_path / "x" / "c.h5"), "b.h5")


def test_parameters_of_a_model(tmp_path):
    run = load(tmp_path, '[model]\nname = "mlp"\nhidden = [4, 5]\n', model__dropout=0.1)
    assert run.model == ModelConfig("mlp", {"hidden": [4, 5], "dropout": 0.1})


def test_parameters_of_another_model_are_dropped(tmp_path):
    write(tmp_path / FILE_NAME, "[model]\nhidden = [4]\n[training]\nseed = 9\n")
    run = load(tmp_path, '[model]\nname = "other"\nlayers = 2\n')
    assert run.model == ModelConfig("other", {"layers": 2})
    assert run.training.seed == 9


def test_parameters_of_the_same_model_are_merged(tmp_path):
    write(tmp_path / FILE_NAME, "[model]\nhidden = [4]\ndropout = 0.5\n")
    run = load(tmp_path, '[model]\nname = "mlp"\nhidden = [8]\n')
    assert run.model == ModelConfig("mlp", {"hidden": [8], "dropout": 0.5})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("featurs = 'a'", "unknown key 'featurs'; did you mean 'features'?"),
        ("[trainig]", "unknown key 'trainig'; did you mean 'training'?"),
        ("[training]\nepoch = 1", "[training]: unknown key 'epoch'; did you mean 'epochs'?"),
        ("[target]\nknd = 1", "[target]: unknown key 'knd'; did you mean 'kind'?"),
        ("[split]\nzzz = 1", "[split]: unknown key 'zzz'; it has group, validation, calibration, test"),
        ("training = 3", "expected a section [training], received 3"),
        ("output = 3", "output: expected text, received 3"),
        ("[training]\nepochs = 1.5", "[training]: epochs: expected a whole number, received 1.5"),
        ("[training]\nepochs = true", "[training]: epochs: expected a whole number, received True"),
        ("[training]\nlearning_rate = 'low'", "[training]: learning_rate: expected a number, received 'low'"),
        ("[model]\nname = 1", "model.name: expected text, received 1"),
        ("epochs = ", "not TOML: "),
        ("[training]\nseed = 1\nseed = 2", "not TOML: "),
    ],
)
@pytest.mark.parametrize("own", [True, False])
def test_bad_files_are_named(tmp_path, text, message, own):
    path = write(tmp_path / (FILE_NAME if own else "run.toml"), text)
    with pytest.raises(ConfigError) as error:
        load_run(None if own else path, tmp_path, {})
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("split.validation", 1.0, "split.validation: expected a fraction from 0 to 1, received 1.0"),
        ("split.test", -0.1, "split.test: expected a fraction from 0 to 1, received -0.1"),
        ("split.test", float("nan"), "split.test: expected a fraction"),
        ("split.test", 0.9, "split: validation, calibration and test leave nothing to train on"),
        ("split.group", "name", "split.group: expected formula or code or none, received 'name'"),
        ("training.epochs", 0, "training.epochs: expected 1 to 2147483647, received 0"),
        ("training.batch_size", 0, "training.batch_size: expected 1 to 2147483647, received 0"),
        ("training.seed", -1, "training.seed: expected 0 to 2147483647, received -1"),
        ("training.gpus", -1, "training.gpus: expected 0 to 2147483647, received -1"),
        ("training.learning_rate", 0.0, "training: expected learning_rate above 0"),
        ("training.loss", "mape", "training.loss: expected mae or mse, received 'mape'"),
        ("target.origin", "edge", "target.origin: expected e0 or absolute, received 'edge'"),
        ("target.step", 0.0, "target.step: expected a step above 0 eV, received 0.0"),
        ("training.epoch", 3, "unknown key 'epoch'; did you mean 'epochs'?"),
    ],
)
def test_values_out_of_range(tmp_path, flag, value, message):
    with pytest.raises(ConfigError) as error:
        load_run(None, tmp_path, {flag: value})
    assert message in str(error.value)


def test_grid_upside_down(tmp_path):
    with pytest.raises(ConfigError, match=r"target: expected start below stop, received 5\.0 and 5\.0 eV"):
        load(tmp_path, "[target]\nstart = 5\nstop = 5\n")


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: no such file or directory"):
        load_run(tmp_path / "none.toml", tmp_path, {})


def test_whole_numbers_serve_as_numbers(tmp_path):
    run = load(tmp_path, "[target]\nstart = -15\n")
    assert run.target.start == -15.0
    assert isinstance(run.target.start, float)


def test_every_key_is_written(tmp_path):
    text = to_toml(RunConfig(features="f", spectra="s", output="o"))
    for field in fields(RunConfig):
        assert (
            f"\n[{field.name}]\n" in text
            if is_dataclass(getattr(RunConfig(), field.name))
            else f"{field.name} = " in text
        )
    paths = {name: str(tmp_path / name[0]) for name in ("features", "spectra", "output")}
    assert load(tmp_path, text) == RunConfig(**paths)


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
VALUE = NUMBER | st.integers(-(2**62), 2**62) | st.booleans() | TEXT | st.lists(st.integers(0, 99), max_size=3)


@settings(quick, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    features=TEXT,
    treatment=st.none() | TEXT,
    start=st.floats(-100, 0),
    rate=st.floats(1e-12, 1.0),
    gpus=st.none() | st.integers(0, 8),
    parameters=st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True), VALUE, max_size=4),
)
def test_there_and_back(tmp_path, features, treatment, start, rate, gpus, parameters):
    parameters.pop("name", None)
    flags = {
        "target.treatment": treatment,
        "target.start": start,
        "training.learning_rate": rate,
        "training.gpus": gpus,
    }
    run = load_run(None, tmp_path, {"features": features, **flags, **{f"model.{k}": v for k, v in parameters.items()}})
    write(tmp_path / FILE_NAME, to_toml(run))
    assert load_run(None, tmp_path, {}) == run
    (tmp_path / FILE_NAME).unlink()
    assert run.model.parameters == parameters
