"""Notes of train and predict on results that look better, or more certain, than they are."""

import re

import h5py
import pytest
from support.builders import run as call
from support.trainings import TINY, copied

UNCALIBRATED = "sigma is not calibrated (calibration sites: 0); it is the raw spread of the draws"
OTHER = '[model]\nname = "residual"\nwidth = 16\nblocks = 1\n'
NOT_FAR = "predictions cannot be flagged as unlike the training set"
ALONE = "120 sites have neither structure nor formula, so each is a group of its own"


@pytest.fixture
def config(tmp_path):
    """Return a function that writes the configuration of a brief run and returns its path."""

    def write(text=""):
        path = tmp_path / "brief.toml"
        path.write_text(f"{TINY}[training]\nepochs = 1\ngaussian_process = false\n[uncertainty]\nmembers = 1\n{text}")
        return path

    return write


def test_a_model_without_a_calibration_set(small, tmp_path, config, capsys):
    path, output = copied(small, tmp_path), tmp_path / "m"
    assert call("train", path, "-o", output, "--config", config("[split]\ncalibration = 0.0\n")) == 0
    said = capsys.readouterr().err
    assert UNCALIBRATED in said
    assert NOT_FAR in said
    assert call("predict", path, "--model", output, "-o", tmp_path / "p.h5", "--draws", 2) == 0
    assert "m is not calibrated; sigma is the raw spread of the draws" in capsys.readouterr().err


def test_an_ordinary_model_has_no_notes(small, tmp_path, config, capsys):
    path, output = copied(small, tmp_path), tmp_path / "m"
    assert call("train", path, "-o", output, "--config", config("[split]\ncalibration = 0.3\n")) == 0
    assert call("predict", path, "--model", output, "-o", tmp_path / "p.h5", "--draws", 2) == 0
    said = capsys.readouterr().err
    assert not any(note in said for note in ("calibrated", "formula", "too low", "cannot be flagged"))


def test_a_calibration_set_that_is_too_small(small, tmp_path, config, capsys):
    path, output = copied(small, tmp_path), tmp_path / "m"
    assert call("train", path, "-o", output, "--config", config("[split]\ncalibration = 0.001\ngroup = 'none'\n")) == 0
    said = capsys.readouterr().err
    assert "sigma is not calibrated (calibration sites: 1)" in said
    assert "far too narrow; --folds 5 calibrates on all sites\n" in said
    assert call("train", path, "-o", output, "--config", config("[split]\ncalibration = 0.1\n"), "--overwrite") == 0
    said = capsys.readouterr().err
    assert re.search(r"calibrated on only 1\d sites; it is a rough estimate; --folds 5 calibrates on all sites\n", said)


def test_no_advice_to_use_folds_beside_a_table_of_the_split(small, tmp_path, config, capsys):
    path, table = copied(small, tmp_path), tmp_path / "split.csv"
    assert call("split", path, "-o", table, "--calibration", 0.1) == 0
    assert call("train", path, "-o", tmp_path / "m", "--config", config(), "--split-file", table) == 0
    assert re.search(r"calibrated on only 1\d sites; it is a rough estimate\n", capsys.readouterr().err)


def test_grouping_by_codes_that_names_lack(small, tmp_path, config, capsys):
    words = ("train", copied(small, tmp_path), "-o", tmp_path / "m", "--config", config())
    assert call(*words, "--group", "code") == 0
    assert "the names of 120 sites have no CSD code, so each structure is a group of its own" in capsys.readouterr().err


@pytest.mark.slow
def test_folds_that_start_from_a_model_of_the_same_sites(small, tmp_path, config, capsys):
    """The model has another architecture, and not all spectra cover the grid."""
    path = copied(small, tmp_path)
    with h5py.File(tmp_path / "small.h5", "r+") as file:
        file["spectra/energies"][0] += 0.35  # the first spectrum begins later
    words = ("train", path, "--config", config("[target]\nstart = -20.0\nstop = 50.0\nstep = 0.5\n"))
    assert call(*words, "-o", tmp_path / "m") == 0
    capsys.readouterr()
    (tmp_path / "other.toml").write_text((tmp_path / "brief.toml").read_text().replace(TINY, OTHER))
    words = ("train", path, "--config", tmp_path / "other.toml", "--init-from", tmp_path / "m")
    assert call(*words, "--folds", 2, "-o", tmp_path / "f") == 0
    said = capsys.readouterr()
    assert "fitted to all 119 sites; sigma calibrated on 119 held-out sites of 2 folds\n" in said.out
    assert "sigma was calibrated on only" not in said.err
    assert re.search(r"the model to start from was trained on \d+ of the 119 test sites", said.err)
    assert "m has the architecture mlp, this model residual: layers with the same name and shape took its" in said.err
    assert re.search(r"left out +1 site whose spectrum .* \(1 begins above its start by up to 0\.35 eV\)", said.out)


def test_sites_without_formulas_beside_others(small, tmp_path, config, capsys):
    path = copied(small, tmp_path / "alone")
    with h5py.File(path, "a") as file, h5py.File(small / "small.h5") as source:
        source.copy("spectra", file)
        for name in ("source_path", "source_digest", "digest_attributes"):
            del file.attrs[name]
    words = ("train", copied(small, tmp_path), path, "-o", tmp_path / "m", "--config")
    assert call(*words, config()) == 0
    assert ALONE in capsys.readouterr().err
    assert call(*words, config('[split]\ngroup = "cluster"\n'), "--overwrite") == 0
    assert ALONE not in capsys.readouterr().err
