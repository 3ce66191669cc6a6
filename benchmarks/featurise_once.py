"""Featurise a store in this process, and print its seconds and peak memory as JSON.

python benchmarks/featurise_once.py STORE PRESET THREADS OUTPUT
"""

import json
import resource
import sys
import time
from pathlib import Path

from xanes_hpc import descriptors
from xanes_hpc.features.featurise import featurise
from xanes_hpc.runtime import threads as kernel_threads
from xanes_hpc.stores.structures import StructureStore


def peak_bytes() -> int:
    """Return the peak resident memory. On Linux it is ``VmHWM``; ``ru_maxrss`` includes the parent before ``exec``."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    store, preset, threads, output = sys.argv[1:]
    descriptor = descriptors.load("wacsf", preset)
    kernel_threads.use(int(threads))
    with StructureStore(Path(store)) as source:
        descriptor.compute(source.batch(0, 1))  # load the kernels
        before = peak_bytes()
        begin = time.perf_counter()
        featurise(source, descriptor, Path(output), overwrite=True)
        seconds = time.perf_counter() - begin
    print(json.dumps({"seconds": seconds, "before": before, "peak": peak_bytes()}))


if __name__ == "__main__":
    main()
