"""What train and predict remark upon: results that look better, or surer, than they are."""

import h5py
import pytest
from builders import run as call
from trainings import TINY, copied

UNCALIBRATED = "there was no calibration part: sigma is the spread of the draws as it is"
ALONE = "120 sites have no structure and no formula: each is a group of its own"


@pytest.fixture
def config(tmp_path):
    """Writes a configuration of a brief run, and gives its path."""

    def write(text=""):
        path = tmp_path / "brief.toml"
        path.write_text(f"{TINY}[training]\nepochs = 1\nkernel_ridge = false\n[uncertainty]\nmembers = 1\n{text}")
        return path

    return write


def test_a_model_without_a_calibration_part(small, tmp_path, config, capsys):
    path, output = copied(small, tmp_path), tmp_path / "m"
    assert call("train", path, "-o", output, "--config", config("[split]\ncalibration = 0.0\n")) == 0
    assert UNCALIBRATED in capsys.readouterr().err
    assert call("predict", path, "--model", output, "-o", tmp_path / "p.h5", "--draws", 2) == 0
    assert "m had no sites to calibrate with: sigma is the draws' spread" in capsys.readouterr().err


def test_a_model_like_any_other(small, tmp_path, config, capsys):
    path, output = copied(small, tmp_path), tmp_path / "m"
    assert call("train", path, "-o", output, "--config", config()) == 0
    assert call("predict", path, "--model", output, "-o", tmp_path / "p.h5", "--draws", 2) == 0
    said = capsys.readouterr().err
    assert not any(note in said for note in ("calibrat", "formula", "flatter"))


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
