"""Read a measured spectrum in a separate process with limits, because HDF5 never returns from some damaged files.

Processes are forked from one that has imported what they need, which ``prepare`` starts.
"""

import json
import os
import resource
from dataclasses import asdict
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.forkserver import ensure_running
from pathlib import Path

import numpy as np

from xanes_hpc.errors import FormatError, XanesHpcError
from xanes_hpc.experiment.measured import read_experiment
from xanes_hpc.spectra.spectrum import Spectrum

SECONDS = 15.0
MEMORY = 2 << 30
SAFE_PATH = "PYTHONSAFEPATH"
"""Variable with which Python does not look for modules in the working folder."""
LONGEST = 64 << 20
"""Largest answer, bytes."""
_context = get_context("forkserver")
_context.set_forkserver_preload([__name__])


def prepare() -> None:
    """Start the process that others are forked from, unless it runs; the first file need not wait for it then."""
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        ensure_running()
    finally:
        if before is None:
            os.environ.pop(SAFE_PATH, None)


def read_apart(path: Path, seconds: float = SECONDS) -> Spectrum:
    """Read a measured spectrum as ``read_experiment`` does, in a separate process and within a time limit.

    Raises
    ------
    FormatError
        If the file cannot be read, its spectrum is invalid, or reading exceeds the limit.
    """
    prepare()
    receiving, sending = _context.Pipe(duplex=False)
    process = _context.Process(target=_read, args=(path, sending), daemon=True)
    process.start()
    sending.close()
    try:
        in_time = receiving.poll(seconds)
        found = json.loads(receiving.recv_bytes(LONGEST)) if in_time else {}
    except (EOFError, OSError, ValueError):  # the process died before it sent JSON
        raise FormatError(f"{path}: cannot be read; the file may be damaged") from None
    finally:
        receiving.close()
        process.kill()
        process.join()
        process.close()
    if not in_time:
        raise FormatError(f"{path}: reading exceeded {seconds:g} s; the file may be damaged")
    if "error" in found:
        raise FormatError(found["error"])
    for name in ("energies", "intensities", "sigma", "reference"):
        if found[name] is not None:
            found[name] = np.array(found[name], np.float64)
    return Spectrum(**found)


def _read(path: Path, sending: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (int(SECONDS), int(SECONDS)))
    try:
        found = asdict(read_experiment(path))
    except XanesHpcError as error:
        found = {"error": str(error)}
    sending.send_bytes(json.dumps(found, default=np.ndarray.tolist).encode())
