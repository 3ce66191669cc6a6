"""Run a program in a folder with a time limit; it ends with us, whatever ends us.

The program is started by a guard, a process of ours that waits for the end of its standard input: that comes when the
process at the other end closes it or dies, and the guard then kills the program and all that it has started.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

TRIM = "MALLOC_TRIM_THRESHOLD_"
"""Dask sets this variable for its workers, so that they return memory early; it makes FEFF a fifth slower."""
LOG = "run.log"
"""File in the folder to which the program's output goes."""


def run_in(folder: Path, command: Sequence[str], limit: float | None = None) -> str:
    """Run a command in a folder, with its output in ``LOG``; return why it was stopped or not started, or nothing.

    Parameters
    ----------
    folder, command
        Where to run, and the words of the command.
    limit
        Time limit, s.
    """
    guard = [sys.executable, "-m", "xanes_hpc.calculations.guarded", *command]
    variables = {name: value for name, value in os.environ.items() if name != TRIM}
    with (folder / LOG).open("wb") as log:
        process = subprocess.Popen(
            guard, cwd=folder, env=variables, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            return f"stopped after {limit:g} s, the time limit"
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()
    return ""


def guard(command: Sequence[str]) -> int:
    """Run a command as a group of processes; kill the group when the standard input ends. Return its exit code."""
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        print(f"{command[0]}: cannot be started: {os.strerror(error.errno or 0).lower()}", flush=True)
        return 127

    def kill_at_end() -> None:
        while os.read(0, 1):  # sys.stdin has a lock, which would be held at exit
            pass
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    threading.Thread(target=kill_at_end, daemon=True).start()
    return process.wait()


if __name__ == "__main__":
    sys.exit(guard(sys.argv[1:]))
