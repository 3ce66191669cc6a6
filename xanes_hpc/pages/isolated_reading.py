"""Read a measured spectrum in a separate process with limits, because HDF5 never returns from some damaged files.

``read_apart`` runs ``python -m xanes_hpc.pages.isolated_reading FILE``, which prints JSON.
"""

import json
import resource
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from xanes_hpc.errors import FormatError, XanesHpcError
from xanes_hpc.experiment.measured import read_experiment
from xanes_hpc.spectra.spectrum import Spectrum

SECONDS = 15.0
MEMORY = 2 << 30


def read_apart(path: Path, seconds: float = SECONDS) -> Spectrum:
    """Read a measured spectrum as ``read_experiment`` does, in a separate process and within a time limit.

    Raises
    ------
    FormatError
        If the file cannot be read, its spectrum is invalid, or reading exceeds the limit.
    """
    command = [sys.executable, "-P", "-m", __name__, str(path)]  # -P: modules are not looked for in the working folder
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds, check=False)
        found = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise FormatError(f"{path}: reading exceeded {seconds:g} s; the file may be damaged") from None
    except ValueError:  # the process died before it printed JSON
        raise FormatError(f"{path}: cannot be read; the file may be damaged") from None
    if "error" in found:
        raise FormatError(found["error"])
    for name in ("energies", "intensities", "sigma", "reference"):
        found[name] = None if found[name] is None else np.array(found[name], np.float64)
    return Spectrum(**found)


def _main(path: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (int(SECONDS), int(SECONDS)))
    try:
        found = asdict(read_experiment(path))
    except XanesHpcError as error:
        found = {"error": str(error)}
    print(json.dumps(found, default=np.ndarray.tolist))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
