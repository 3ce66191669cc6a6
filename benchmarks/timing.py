"""Time calls side by side, and describe the machine."""

import os
import platform
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from xanes_hpc.runtime import threads

Call = Callable[[], object]
PACKAGES = ("xanes-hpc", "numpy", "numba", "llvmlite", "h5py", "ase", "dscribe", "vesin", "matscipy")


def available_cores() -> int:
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_counts() -> list[int]:
    """Return the thread counts to measure: 1 and, with at least two cores, 2."""
    return [n for n in (1, 2) if n <= min(available_cores(), threads.MOST)]


def on_threads(n: int, call: Call) -> Call:
    """Return a call that runs the kernels on ``n`` threads."""

    def run() -> object:
        with threads.limited_to(n):
            return call()

    return run


def seconds(call: Call) -> float:
    """Return how many seconds one call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def interleaved(calls: Mapping[str, Call], repeats: int) -> dict[str, dict[str, float]]:
    """Return each call's seconds over ``repeats`` rounds: median, minimum and maximum.

    Each round runs every call once, in a random order, so that other load on the machine affects all of them. A first
    round is not counted.
    """
    generator = np.random.default_rng(0)
    for call in calls.values():
        call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name in generator.permutation(list(calls)):
            taken[name].append(seconds(calls[name]))
    return {name: summary(values) for name, values in taken.items()}


def summary(values: list[float]) -> dict[str, float]:
    """Return the median, the minimum and the maximum."""
    return {"median": float(np.median(values)), "min": min(values), "max": max(values)}


class OtherProcesses:
    """The load that other processes put on the cores, counted from construction; Linux only."""

    def __init__(self) -> None:
        self._begin, self._busy, self._own = time.perf_counter(), _busy_seconds(), _own_seconds()

    def share(self) -> float:
        """Return their fraction of all cores' time, without this process and its children; 0 if unknown."""
        wall = time.perf_counter() - self._begin
        others = _busy_seconds() - self._busy - (_own_seconds() - self._own)
        return max(0.0, others / (wall * (os.cpu_count() or 1)))


def _busy_seconds() -> float:
    """Return how long all cores together were busy, in user and system mode."""
    path = Path("/proc/stat")
    if not path.exists():
        return 0.0
    user, nice, system, _idle, _wait, irq, softirq, *_ = map(int, path.read_text(encoding="ascii").split()[1:9])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    taken = os.times()
    return taken.user + taken.system + taken.children_user + taken.children_system


def machine() -> dict[str, Any]:
    """Describe the processor, the system, and the versions of the measured packages."""
    return {
        "processor": _processor(),
        "cores": available_cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    facts: dict[str, str] = {}
    if (path := Path("/proc/cpuinfo")).exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            facts.setdefault(name.strip(), value.strip())
    if "model name" not in facts:
        return platform.processor() or platform.machine()
    codes = ", ".join(f"{key} {facts[key]}" for key in ("cpu family", "model") if key in facts)
    return f"{facts['model name']} ({codes})" if codes else facts["model name"]
