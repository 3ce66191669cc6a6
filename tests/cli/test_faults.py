"""A full disk, an interruption, a closed pipe: one clear line, no unfinished output, an existing output intact."""

import ctypes
import itertools
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from support.builders import ERROR, OLD, contents, many_frames, old_store, run, write, write_xyz

from xanes_hpc.cli import main

TOO_LARGE = "the file would exceed the system's size limit"
NO_SPACE = "no space left on the disk"
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
from xanes_hpc.cli.main import run
run(sys.argv[2:])
"""
INTERRUPTIBLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from xanes_hpc.cli.main import run
run(sys.argv[1:])
"""
PATIENCE = 120.0
"""Seconds to wait for work that takes one or two; the first run of a kernel compiles it."""


def start(script, *arguments):
    command = [sys.executable, "-c", script, *map(str, arguments)]
    environment = os.environ | {"NUMBA_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def finish(process):
    out, error = process.communicate(timeout=PATIENCE)
    return process.returncode, out, error


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """``in.xyz`` with 2,000 structures and their store ``s.h5``, whose features take some 400 kB. Read only."""
    folder = tmp_path_factory.mktemp("inputs")
    write(folder / "in.xyz", many_frames(2000))
    assert run("import", folder / "in.xyz", "-o", folder / "s.h5") == 0
    assert run("featurise", folder / "s.h5", "--preset", "xanesnet-49", "-o", folder / "f.h5") == 0  # fills the cache
    return folder


def arguments_of(command, inputs, output):
    return {
        "import": ("import", inputs / "in.xyz", "-o", output, "--overwrite"),
        "featurise": ("featurise", inputs / "s.h5", "--preset", "xanesnet-49", "-o", output, "--overwrite"),
    }[command]


@pytest.mark.parametrize("command", ["import", "featurise"])
@pytest.mark.parametrize("n_bytes", [100, 4_500, 20_000, 60_000])
def test_file_too_large(tmp_path, inputs, command, n_bytes):
    """The limit applies to everything a process writes, so this needs its own; a crash at exit would show too."""
    output = old_store(tmp_path / "out.h5")
    result = finish(start(LIMITED, n_bytes, *arguments_of(command, inputs, output)))
    assert result == (2, "", f"{ERROR}{output}: cannot be written: {TOO_LARGE}\n")
    assert contents(tmp_path) == {str(output): OLD}


@pytest.fixture
def tiny_disk(tmp_path):
    """A folder on a disk of 100 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk to fill")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small disk could be mounted: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("command", ["import", "featurise"])
def test_full_disk(tiny_disk, inputs, command):
    output = old_store(tiny_disk / "out.h5")
    result = finish(start(INTERRUPTIBLE, *arguments_of(command, inputs, output)))
    assert result == (2, "", f"{ERROR}{output}: cannot be written: {NO_SPACE}\n")
    assert contents(tiny_disk) == {str(output): OLD}


def test_json_on_a_full_disk(tmp_path, inputs):
    target = write(tmp_path / "s.json", "old")
    code, _, error = finish(start(LIMITED, 20, "info", inputs / "s.h5", "--json", target))
    assert (code, error) == (2, f"{ERROR}{target}: cannot be written: {TOO_LARGE}\n")
    assert contents(tmp_path) == {str(target): b"old"}


@pytest.fixture(scope="module")
def long_inputs(tmp_path_factory):
    """Input that takes seconds to process: 30,000 structures, and a crystallite of 13,824 sites. Read only."""
    folder = tmp_path_factory.mktemp("long")
    write(folder / "in.xyz", many_frames(30_000, n_atoms=2))
    corners = 2.0 * np.array(list(itertools.product(range(24), repeat=3)))
    crystallite = write_xyz(folder / "one" / "crystallite.xyz", [("Fe", *corner) for corner in corners])
    assert run("import", crystallite, "--absorber", "all", "-o", folder / "s.h5") == 0
    return folder


def interrupt(process, folder, number):
    """Send a signal shortly after the temporary output appears."""
    end = time.monotonic() + PATIENCE
    while not list(folder.rglob("*.partial")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)
    time.sleep(0.1)
    process.send_signal(number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["import", "featurise"])
def test_interrupted(tmp_path, long_inputs, command, number):
    output = old_store(tmp_path / "out.h5")
    more = ("--threads", 1, "--preset", "default") if command == "featurise" else ()
    process = start(INTERRUPTIBLE, *arguments_of(command, long_inputs, output), *more)
    interrupt(process, tmp_path, number)
    code, out, error = finish(process)
    assert out == ""
    assert code in (130, -signal.SIGINT)  # a shell's $? is 130 for both
    message = "xanes-hpc: interrupted; unfinished outputs were removed, finished ones are untouched"
    assert error.strip() == message  # after a line break, which ends the line where a terminal shows ^C
    assert contents(tmp_path) == {str(output): OLD}


def test_an_interruption_in_a_callback_of_a_c_library(monkeypatch, capsys):
    """Python itself only prints such an exception and continues."""

    @ctypes.CFUNCTYPE(None)
    def callback():
        raise KeyboardInterrupt

    def work(**options):
        callback()
        time.sleep(PATIENCE)

    monkeypatch.setattr(main.cli, "main", work)
    assert run() == 130
    assert capsys.readouterr().err.startswith("xanes-hpc: interrupted; ")


@pytest.mark.parametrize("arguments", [("info", "s.h5"), ("info", "s.h5", "--json"), ("--help",)])
def test_closed_pipe(inputs, arguments):
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        command = [sys.executable, "-m", "xanes_hpc", *arguments]
        result = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, text=True, cwd=inputs, check=False)
    finally:
        os.close(write_end)
    assert result.stderr == ""
    assert result.returncode in (1, 141)


@pytest.mark.parametrize(
    "error",
    [MemoryError(), ImportError("h5py/h5a.so: failed to map segment from shared object")],
    ids=["plain", "library"],
)
def test_running_out_of_memory_is_reported_in_one_line(monkeypatch, capsys, error):
    def end(*_, **__):
        raise error

    monkeypatch.setattr(main.cli, "main", end)
    assert run("info", "x.h5") == 2
    assert ERROR + "out of memory" in capsys.readouterr().err


def test_a_missing_library_is_not_reported_as_out_of_memory(monkeypatch):
    def end(*_, **__):
        raise ImportError("no module named h5py")

    monkeypatch.setattr(main.cli, "main", end)
    with pytest.raises(ImportError, match="no module"):
        run("info", "x.h5")
