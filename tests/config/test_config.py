"""The configuration of a training run: precedence, unknown keys, types, and TOML written and read back."""

from dataclasses import fields, is_dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.builders import write
from support.strategies import quick

from xanes_hpc.config.files import FILE_NAME, load_run, to_toml
from xanes_hpc.config.sections import ModelConfig, RunConfig, TrainingConfig, TransferConfig, UncertaintyConfig
from xanes_hpc.errors import ConfigError
from xanes_hpc.spectra.recipe import BroadeningConfig


def load(folder, text=None, **flags):
    path = None if text is None else write(folder / "run.toml", text)
    return load_run(path, folder, {key.replace("__", "."): value for key, value in flags.items()})


def test_defaults(tmp_path):
    assert load(tmp_path) == RunConfig()


def test_precedence(tmp_path):
    """Flags override the run's file, that the working folder's file, and that the defaults, key by key."""
    write(tmp_path / FILE_NAME, "[training]\nepochs = 1\nseed = 1\nbatch_size = 1\n")
    run = load(tmp_path, "[training]\nepochs = 2\nseed = 2\n", training__epochs=3, training__batch_size=None)
    assert run.training == TrainingConfig(epochs=3, seed=2, batch_size=1)


def test_flags_at_the_top_and_in_sections(tmp_path):
    run = load(tmp_path, output="m", target__kind="xes", target__step=0.5)
    assert (run.output, run.target.kind, run.target.step) == ("m", "xes", 0.5)


def test_flags_that_are_not_given_change_nothing(tmp_path):
    assert load(tmp_path, 'output = "m"\n', output=None, training__seed=None).output == str(tmp_path / "m")


def test_paths_in_a_config_start_from_its_folder(tmp_path):
    write(tmp_path / "here" / FILE_NAME, 'features = ["a.h5", "d.h5"]\nspectra = "b.h5"\naugmented = "e.h5"\n')
    text = 'features = ["../x/c.h5"]\naugmented = "r.h5"\n[transfer]\nmodel = "m"\n'
    run = load_run(write(tmp_path / "there" / "run.toml", text), tmp_path / "here", {})
    assert (run.features, run.spectra) == ([str(tmp_path / "x" / "c.h5")], ["b.h5"])
    assert (run.augmented, run.transfer.model) == (
        [str(tmp_path / "there" / "r.h5")], str(tmp_path / "there" / "m"),
    )  # fmt: skip


def test_parameters_of_a_model(tmp_path):
    run = load(tmp_path, '[model]\nname = "mlp"\nhidden = [4, 5]\n', model__dropout=0.1)
    assert run.model == ModelConfig("mlp", {"hidden": [4, 5], "dropout": 0.1})


def test_parameters_of_another_model_are_dropped(tmp_path):
    write(tmp_path / FILE_NAME, '[model]\nname = "mlp"\nhidden = [4]\n[training]\nseed = 9\n')
    for run in (load(tmp_path, '[model]\nname = "other"\nlayers = 2\n'), load(tmp_path, model__name="other")):
        assert run.model.name == "other"
        assert "hidden" not in run.model.parameters
        assert run.training.seed == 9


@pytest.mark.parametrize("name", ["", 'name = "mlp"\n'])
def test_parameters_of_the_same_model_are_merged(tmp_path, name):
    """Also if only a later file names the model, which then checks the parameters itself."""
    write(tmp_path / FILE_NAME, f"[model]\n{name}hidden = [4]\ndropout = 0.5\n")
    run = load(tmp_path, '[model]\nname = "mlp"\nhidden = [8]\n')
    assert run.model == ModelConfig("mlp", {"hidden": [8], "dropout": 0.5})
    run = load(tmp_path, model__name="mlp")
    assert run.model == ModelConfig("mlp", {"hidden": [4], "dropout": 0.5})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("featurs = 'a'", "unknown key 'featurs'; did you mean 'features'?"),
        ("[trainig]", "unknown key 'trainig'; did you mean 'training'?"),
        ("[training]\nepoch = 1", "[training]: unknown key 'epoch'; did you mean 'epochs'?"),
        ("[target]\nknd = 1", "[target]: unknown key 'knd'; did you mean 'kind'?"),
        ("[split]\nzzz = 1", "[split]: unknown key 'zzz'; it has group, validation, calibration, test, folds, fold"),
        ("[uncertainty]\nmember = 1", "[uncertainty]: unknown key 'member'; did you mean 'members'?"),
        ("features = [1]", "features: expected a string or a list of strings, received [1]"),
        ("features = 3", "features: expected a string or a list of strings, received 3"),
        ("[transfer]\nmodel = 1", "[transfer]: model: expected a string, received 1"),
        ("[training]\nrefit = 1", "[training]: refit: expected true or false, received 1"),
        ("[training]\nlearning_rate = 1" + 400 * "0", "learning_rate: expected a number within ±1.8e308"),
        ("[training]\nseed = 1" + 5000 * "0", "not TOML: "),
        ("training = 3", "expected a section [training], received 3"),
        ("output = 3", "output: expected a string, received 3"),
        ("[training]\nepochs = 1.5", "[training]: epochs: expected a whole number, received 1.5"),
        ("[training]\nepochs = true", "[training]: epochs: expected a whole number, received True"),
        ("[training]\nlearning_rate = 'low'", "[training]: learning_rate: expected a number, received 'low'"),
        ("[model]\nname = 1", "model.name: expected a string, received 1"),
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
        ("split.test", 0.9, "split: validation, calibration and test leave no sites"),
        ("split.folds", 1, "split.folds: expected 2 to 2147483647, received 1"),
        ("split.folds", -5, "split.folds: expected 2 to 2147483647, received -5"),
        (
            "split.group",
            "name",
            "split.group: expected formula or reduced-formula or structure or code or cluster or none, received 'name'",
        ),
        ("training.epochs", 0, "training.epochs: expected 1 to 2147483647, received 0"),
        ("training.batch_size", 0, "training.batch_size: expected 1 to 2147483647, received 0"),
        ("training.seed", -1, "training.seed: expected 0 to 2147483647, received -1"),
        ("training.gpus", -1, "training.gpus: expected 0 to 2147483647, received -1"),
        ("training.patience", 0, "training.patience: expected 1 to 2147483647, received 0"),
        ("training.learning_rate", 0.0, "training.learning_rate: expected a number above 0, received 0.0"),
        ("training.learning_rate", float("inf"), "training.learning_rate: expected a number above 0, received inf"),
        ("training.weight_decay", -0.1, "training.weight_decay: expected 0 or more, received -0.1"),
        ("training.feature_noise", float("nan"), "training.feature_noise: expected 0 or more, received nan"),
        ("training.checkpoint_minutes", -1.0, "training.checkpoint_minutes: expected 0 or more, received -1.0"),
        ("training.second_derivative", -1.0, "training.second_derivative: expected 0 or more, received -1.0"),
        ("training.loss", "mape", "training.loss: expected mae or mse or huber, received 'mape'"),
        ("training.schedule", "step", "training.schedule: expected cosine or plateau or constant, received 'step'"),
        ("training.precision", "float16", "training.precision: expected float32 or mixed_bfloat16 or mixed_float16,"),
        ("training.target_scale", "site", "training.target_scale: expected global or energy, received 'site'"),
        ("training.feature_transform", "log", "training.feature_transform: expected sqrt or none, received 'log'"),
        ("uncertainty.method", "mc", "uncertainty.method: expected dropout or ensemble or bootstrap, received 'mc'"),
        ("uncertainty.members", 0, "uncertainty.members: expected 1 to 100, received 0"),
        ("uncertainty.members", 101, "uncertainty.members: expected 1 to 100, received 101"),
        ("transfer.freeze", -1, "transfer.freeze: expected 0 to 2147483647, received -1"),
        ("target.start", float("-inf"), "target.start: expected an energy in eV, received -inf"),
        ("target.stop", float("nan"), "target.stop: expected an energy in eV, received nan"),
        ("target.step", float("inf"), "target.step: expected a step above 0 eV, received inf"),
        ("target.step", 1e-320, "target.step: expected a step above 0 eV, received 1e-320"),
        ("target.origin", "edge", "target.origin: expected e0 or absolute, received 'edge'"),
        ("target.step", 0.0, "target.step: expected a step above 0 eV, received 0.0"),
        ("training.epoch", 3, "unknown key 'epoch'; did you mean 'epochs'?"),
    ],
)
def test_values_out_of_range(tmp_path, flag, value, message):
    with pytest.raises(ConfigError) as error:
        load_run(None, tmp_path, {flag: value})
    assert message in str(error.value)


def test_folds_leave_sites_for_the_other_sets(tmp_path):
    with pytest.raises(ConfigError, match=r"split\.fold: expected 0 to 4, received 5"):
        load(tmp_path, split__folds=5, split__fold=5)
    with pytest.raises(ConfigError, match="split: validation, calibration and test leave no sites"):
        load(tmp_path, split__folds=2, split__validation=0.5)
    assert load(tmp_path, split__folds=2, split__test=0.95).split.folds == 2  # test is not used with folds


def test_an_ensemble_has_several_members(tmp_path):
    assert [UncertaintyConfig(m).n_members for m in ("dropout", "ensemble", "bootstrap")] == [3, 5, 5]
    assert UncertaintyConfig("dropout", 1).n_members == 1
    with pytest.raises(ConfigError, match=r"uncertainty\.members: expected 2 or more for method ensemble, received 1"):
        load(tmp_path, uncertainty__method="ensemble", uncertainty__members=1)


def test_grid_with_start_above_stop(tmp_path):
    with pytest.raises(ConfigError, match=r"target: expected start below stop, received 5\.0 and 5\.0 eV"):
        load(tmp_path, "[target]\nstart = 5\nstop = 5\n")


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: no such file or directory"):
        load_run(tmp_path / "none.toml", tmp_path, {})


def test_whole_numbers_are_accepted_for_floats(tmp_path):
    run = load(tmp_path, "[target]\nstart = -15\n")
    assert run.target.start == -15.0
    assert isinstance(run.target.start, float)


def test_every_key_is_written(tmp_path):
    text = to_toml(RunConfig(["f"], ["s", "t"], ["a"], "o"))
    for field in fields(RunConfig):
        assert (
            f"\n[{field.name}]\n" in text
            if is_dataclass(getattr(RunConfig(), field.name))
            else f"{field.name} = " in text
        )
    features, *spectra, augmented, output = (str(tmp_path / name) for name in "fstao")
    assert load(tmp_path, text) == RunConfig([features], spectra, [augmented], output)


def test_values_of_every_section_read_back_equal(tmp_path):
    values = {
        "target.step": 0.5, "split.folds": 4, "split.fold": 2, "training.patience": 7, "training.refit": False,
        "training.positive": True, "training.devices": "cpu:2", "uncertainty.method": "bootstrap",
        "transfer.model": "m", "transfer.freeze": 1,
    }  # fmt: skip
    run = load_run(None, tmp_path, values)
    assert run.transfer == TransferConfig("m", 1)
    write(tmp_path / FILE_NAME, to_toml(run))
    assert load_run(None, tmp_path, {}) == run


def test_text_that_toml_cannot_hold_is_still_written_as_valid_toml(tmp_path):
    """Control characters survive; a byte that is not UTF-8 becomes a question mark."""
    write(tmp_path / FILE_NAME, to_toml(RunConfig(["a\x7f\n.h5"], output="b\udc80")))
    run = load_run(None, tmp_path, {})
    assert (run.features, run.output) == (["a\x7f\n.h5"], "b?")


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
VALUE = NUMBER | st.integers(-(2**62), 2**62) | st.booleans() | TEXT | st.lists(st.integers(0, 99), max_size=3)


@settings(quick, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    features=st.lists(TEXT, min_size=1, max_size=3),
    treatment=st.none() | TEXT,
    start=st.floats(-100, 0),
    rate=st.floats(1e-12, 1.0),
    gpus=st.none() | st.integers(0, 8),
    parameters=st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True), VALUE, max_size=4),
)
def test_round_trip(tmp_path, features, treatment, start, rate, gpus, parameters):
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


def test_the_plateau_schedule_lowers_the_rate_before_patience_ends(tmp_path):
    words = {"training.schedule": "plateau", "training.patience": 11}
    assert load_run(None, tmp_path, words).training.patience == 11
    message = r"training\.patience: expected more than 10 epochs, .*plateau.*, received 10"
    with pytest.raises(ConfigError, match=message):
        load_run(None, tmp_path, words | {"training.patience": 10})


def test_flags_of_another_broadening_drop_the_widths_of_a_file(tmp_path):
    (tmp_path / "run.toml").write_text('[broadening]\nname = "arctangent"\ngamma_max = 9.0\n')
    flags = {"broadening.name": "gaussian", "broadening.gaussian": 1.0}
    assert load_run(tmp_path / "run.toml", None, flags).broadening == BroadeningConfig("gaussian", gaussian=1.0)
    assert load_run(tmp_path / "run.toml", None, {"broadening.width": 20.0}).broadening.gamma_max == 9.0
    (tmp_path / "xanes-hpc.toml").write_text('[broadening]\nname = "lorentzian"\n')
    assert load_run(None, tmp_path, {}).broadening.name == "lorentzian"
    assert load_run(None, None, {}).broadening.name == "none"


def test_the_former_name_of_a_key_is_still_read(tmp_path):
    (tmp_path / "old.toml").write_text("[training]\nkernel_ridge = false\n")
    assert load_run(tmp_path / "old.toml", tmp_path, {}).training.gaussian_process is False
    again = load_run(tmp_path / "old.toml", tmp_path, {"training.gaussian_process": True})
    assert again.training.gaussian_process is True
