"""A measured spectrum read in a process of its own, to be ended if need be: some damaged files HDF5 reads for ever.

python -m xanes_hpc.pages.isolated_reading FILE     # prints JSON; how ``read_apart`` does it
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
    """As ``read_experiment``, within so many seconds.

    Raises
    ------
    FormatError
        If it cannot be read, is not sound, or takes longer.
    """
    command = [sys.executable, "-m", __name__, str(path)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds, check=False)
        told = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise FormatError(f"{path}: took longer to read than {seconds:g} s: is it damaged?") from None
    except ValueError:  # the process has come to an end
        raise FormatError(f"{path}: damaged: it cannot be read") from None
    if "error" in told:
        raise FormatError(told["error"])
    for name in ("energies", "intensities"):
        told[name] = np.array(told[name], np.float64)
    return Spectrum(**told)


def _main(path: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (int(SECONDS), int(SECONDS)))
    try:
        told = asdict(read_experiment(path))
    except XanesHpcError as error:
        told = {"error": str(error)}
    print(json.dumps(told, default=np.ndarray.tolist))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
