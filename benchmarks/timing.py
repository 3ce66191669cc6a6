"""Timing side by side, and the machine it was done on."""

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
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_counts() -> list[int]:
    """1 and, where there are two cores, 2."""
    return [n for n in (1, 2) if n <= min(available_cores(), threads.MOST)]


def on_threads(n: int, call: Call) -> Call:
    """A call whose kernels run on so many threads."""

    def run() -> object:
        with threads.limited_to(n):
            return call()

    return run


def seconds(call: Call) -> float:
    """How long one call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def interleaved(calls: Mapping[str, Call], repeats: int) -> dict[str, dict[str, float]]:
    """Seconds by name: median, least and most of ``repeats`` rounds.

    Each round runs every call once, in an order of its own, so that whatever else the machine does falls on all of
    them; a first round is not counted.
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
    """Median, least and most."""
    return {"median": float(np.median(values)), "min": min(values), "max": max(values)}


class OtherProcesses:
    """How much of the cores' time goes to processes other than this one and its children, from now on; Linux only."""

    def __init__(self) -> None:
        self._begin, self._busy, self._own = time.perf_counter(), _busy_seconds(), _own_seconds()

    def share(self) -> float:
        """Of all cores' time since; 0 where the system does not tell."""
        wall = time.perf_counter() - self._begin
        others = _busy_seconds() - self._busy - (_own_seconds() - self._own)
        return max(0.0, others / (wall * (os.cpu_count() or 1)))


def _busy_seconds() -> float:
    """All cores' time that was not idle, in user and system mode."""
    path = Path("/proc/stat")
    if not path.exists():
        return 0.0
    user, nice, system, _idle, _wait, irq, softirq, *_ = map(int, path.read_text(encoding="ascii").split()[1:9])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    taken = os.times()
    return taken.user + taken.system + taken.children_user + taken.children_system


def machine() -> dict[str, Any]:
    """The processor, the system, and versions of what is measured."""
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
