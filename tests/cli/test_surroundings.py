"""Settings of other programs, odd terminals and closed streams do not change what commands do."""

import io
import json
import os
import subprocess
import sys

import pytest
from support.builders import ERROR, run, write, write_xyz
from support.places import ARCHIVES

from xanes_hpc.cli import console, surroundings
from xanes_hpc.stores.structures import StructureStore

MATPLOTLIBRC = """
backend: nonsense
no such line
text.usetex: True
font.family: No Such Font
font.size: 30
figure.figsize: 3, 3
savefig.bbox: tight
savefig.dpi: 50
savefig.transparent: True
lines.linewidth: 5
axes.grid: True
axes.prop_cycle: cycler("color", ["r", "g"])
"""
VARIABLES = {
    "HDF5_DRIVER": "nonsense", "HDF5_VDS_PREFIX": "/no/such/folder", "HOME": os.path.join(os.devnull, "home"),
    "KERAS_BACKEND": "torch", "LC_ALL": "C", "MPLBACKEND": "nonsense", "NUMBA_DISABLE_JIT": "1",
    "NUMBA_NUM_THREADS": "", "PYTHONCOERCECLOCALE": "0", "PYTHONHASHSEED": "7", "PYTHONIOENCODING": "ascii",
    "PYTHONOPTIMIZE": "1", "PYTHONUTF8": "0", "PYTHONWARNINGS": "error", "TERM": "dumb", "TMPDIR": "/no/such/folder",
    "TZ": "No/Such/Zone", "XANES_HPC_PLOT_OUTPUT": "other.png",
}  # fmt: skip


def in_its_own_process(*words, folder, **more):
    command = [sys.executable, "-m", "xanes_hpc", *map(str, words)]
    return subprocess.run(command, cwd=folder, check=False, **more)


def test_a_figure_is_the_same_whatever_others_set(predicted, tmp_path, capsys):
    assert run("plot", "distance", predicted, "-o", tmp_path / "expected.png") == 0
    assert "σ" in capsys.readouterr().out
    write(tmp_path / "matplotlibrc", MATPLOTLIBRC)
    write(tmp_path / "config.toml", "nonsense")
    environment = os.environ | VARIABLES
    words = ("plot", "distance", predicted, "-o", "f.png")
    done = in_its_own_process(*words, folder=tmp_path, env=environment, capture_output=True)
    assert done.returncode == 0
    (note,) = done.stderr.splitlines()
    assert note.startswith(b"Note: 114 of these 120 sites were used to make the model")
    assert b"sigma" in done.stdout
    assert (tmp_path / "f.png").read_bytes() == (tmp_path / "expected.png").read_bytes()


def test_a_store_is_whole_if_standard_streams_are_closed_and_the_locale_has_no_utf8(tmp_path):
    """A file opened in the place of standard error would receive what libraries print."""
    write_xyz(tmp_path / "Fe_µ.xyz")

    def close():
        for stream in range(3):
            os.close(stream)

    words = ("import", "Fe_µ.xyz", "-o", "s.h5")
    done = in_its_own_process(*words, folder=tmp_path, preexec_fn=close, env=os.environ | VARIABLES)
    assert done.returncode == 0
    assert run("info", tmp_path / "s.h5") == 0
    with StructureStore(tmp_path / "s.h5") as store:
        assert list(store.sites.name) == ["Fe_µ"]


def test_help_is_there_without_docstrings(tmp_path, capsys):
    assert run("train", "--help") == 0
    environment = os.environ | {"PYTHONOPTIMIZE": "2"}
    done = in_its_own_process("train", "--help", folder=tmp_path, env=environment, capture_output=True)
    assert done.stdout.decode().split() == capsys.readouterr().out.split()


def test_a_broken_file_of_dask_is_named(tmp_path):
    broken = write(tmp_path / "config" / "mine.yaml", "nonsense: [")
    words = ("featurise", ARCHIVES / "structures-1.h5", "--cluster", "local", "-o", tmp_path / "f.h5")
    environment = os.environ | {"DASK_CONFIG": str(broken.parent)}
    done = in_its_own_process(*words, folder=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(ERROR)
    assert str(broken) in line


@pytest.mark.parametrize(
    ("name", "text"), [("NUMBA_NUM_THREADS", "0"), ("NUMBA_NUM_THREADS", "two"), ("SOURCE_DATE_EPOCH", "yesterday")]
)
def test_variables_that_are_no_numbers(name, text, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(name, text)
    assert run("import", tmp_path, "-o", tmp_path / "s.h5") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{ERROR}the environment variable {name}: expected ")
    assert line.endswith(f"received {text!r}")


def test_what_users_rightly_set_stays(monkeypatch):
    kept = {
        "CUDA_VISIBLE_DEVICES": "1", "HDF5_USE_FILE_LOCKING": "FALSE", "NO_COLOR": "1", "NUMBA_CACHE_DIR": "cache",
        "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "SOURCE_DATE_EPOCH": "0", "TF_CONFIG": "{}",
        "TF_CPP_MIN_LOG_LEVEL": "0", "TF_ENABLE_ONEDNN_OPTS": "0", "https_proxy": "proxy:1",
    }  # fmt: skip
    for name, value in (kept | dict.fromkeys([*surroundings.DROPPED, "KERAS_HOME", "NUMBA_OPT"], "0")).items():
        monkeypatch.setenv(name, value)
    surroundings.keep_out()
    assert kept.items() <= os.environ.items()
    assert not {*surroundings.DROPPED, "KERAS_HOME", "NUMBA_OPT"} & os.environ.keys()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_terminal_can_show_what_is_printed(encoding, monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(
        sys, "stdout", io.TextIOWrapper(written, encoding=encoding, errors="strict", write_through=True)
    )
    surroundings.keep_out()
    console.out.print("±1σ, 0.1 Å, 中, \udcff.h5")
    shown = {
        "ascii": b"+-1sigma, 0.1 A, \\u4e2d, \xff.h5\n",
        "latin-1": b"\xb11sigma, 0.1 \xc5, \\u4e2d, \xff.h5\n",
        "utf-8": "±1σ, 0.1 Å, 中, ".encode() + b"\xff.h5\n",
    }
    assert written.getvalue() == shown[encoding]
    start, value = len(written.getvalue()), {"sigma": "±1σ 中"}
    console.write_json("-", value)
    assert json.loads(written.getvalue()[start:]) == value
