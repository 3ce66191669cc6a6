"""From a structure store to a feature store: rate, compared with the kernel's own, and peak memory."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from generate import SITES_AT_A_TIME, write_store
from options import Options
from tables import number, paragraph, percent, table
from timing import seconds, summary, thread_counts

from xanes_hpc import descriptors
from xanes_hpc.descriptors import Descriptor
from xanes_hpc.runtime import threads
from xanes_hpc.stores.structures import StructureStore

TITLE = "Store to store"
CHILD = Path(__file__).with_name("featurise_once.py")
PRESET = "xanesnet-2022"


def measure(options: Options) -> dict[str, Any]:
    few, many = options.size((100_000, 1_000_000), (300, 600))
    most = thread_counts()[-1]
    runs = [(few, PRESET, most), (many, PRESET, most)]
    if not options.quick:
        runs += [(few, PRESET, n) for n in thread_counts()[:-1]] + [(few, "default", most)]
    rows = []
    for n_sites in (few, many):
        store = options.folder / "structures.h5"
        writing = seconds(lambda path=store, n=n_sites: write_store(path, n))
        about = {"sites": n_sites, "bytes_in": store.stat().st_size, "writing": writing}
        rows += [about | _measure(options, store, preset, n) for sites, preset, n in runs if sites == n_sites]
        store.unlink()
    return {"runs": rows}


def _measure(options: Options, store: Path, preset: str, n_threads: int) -> dict[str, Any]:
    """Measure ``featurise`` in its own process, alternating with the kernel on the same sites in memory."""
    output, descriptor = options.folder / "features.h5", descriptors.load("wacsf", preset)
    command = [sys.executable, str(CHILD), str(store), preset, str(n_threads), str(output)]
    whole, kernel, disk, peaks = [], [], [], []
    for _ in range(min(5, options.repeats)):
        done = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        whole.append(done["seconds"])
        peaks.append(done["peak"])
        size = output.stat().st_size
        output.unlink()
        with threads.limited_to(n_threads):
            kernel.append(_kernel_alone(store, descriptor))
        disk.append(_plain_write(options.folder / "plain", size))
    return {
        "preset": preset,
        "threads": n_threads,
        "bytes_out": size,
        "whole": summary(whole),
        "kernel": summary(kernel),
        "disk": summary(disk),
        "peak": summary(peaks),
    }


def _kernel_alone(store: Path, descriptor: Descriptor) -> float:
    """Return the seconds in ``Descriptor.compute`` for all sites, batch by batch, without reading them."""
    taken = 0.0
    with StructureStore(store) as source:
        descriptor.compute(source.batch(0, 1))
        for start in range(0, source.n_sites, SITES_AT_A_TIME):
            batch = source.batch(start, min(start + SITES_AT_A_TIME, source.n_sites))
            taken += seconds(lambda b=batch: descriptor.compute(b))
    return taken


def _plain_write(path: Path, size: int) -> float:
    """Return the seconds it takes to write as many bytes to a plain file and flush them to the disk."""
    block = os.urandom(1 << 20)
    begin = time.perf_counter()
    with path.open("wb") as stream:
        for _ in range(-(-size // len(block))):
            stream.write(block)
        stream.flush()
        os.fsync(stream.fileno())
    taken = time.perf_counter() - begin
    path.unlink()
    return taken


def section(result: dict[str, Any]) -> list[str]:
    head = [
        "sites",
        "preset",
        "threads",
        "sites/s",
        "kernel alone, sites/s",
        "ratio",
        "peak memory, MiB",
        "plain write, s",
        "s",
    ]
    rows = [
        [
            f"{r['sites']:,}",
            f"`{r['preset']}`",
            str(r["threads"]),
            f"{r['sites'] / r['whole']['median']:,.0f}",
            f"{r['sites'] / r['kernel']['median']:,.0f}",
            percent(_ratio(r)),
            f"{r['peak']['median'] / 2**20:,.0f}",
            number(r["disk"]["median"]),
            number(r["whole"]["median"]),
        ]
        for r in result["runs"]
    ]
    largest = max(result["runs"], key=lambda r: r["sites"])
    return [
        paragraph(
            """`featurise` turns a structure store of generated complexes into a feature store, in its own process.
            Starting the process and loading the kernels is not counted. For comparison ("kernel alone"),
            the runs alternate with `Descriptor.compute` on the same sites in memory. Peak memory is that of the whole
            process, with Python and all libraries. "Plain write" is the time to write as many bytes as the feature
            store has to the same disk, with `fsync`."""
        ),
        "",
        *table(head, rows),
        "",
        paragraph(
            f"""The largest structure store takes {largest["bytes_in"] / 2**30:.2f} GiB and its feature store
            {largest["bytes_out"] / 2**30:.2f} GiB. Generating and writing the structures took {largest["writing"]:.0f}
            s."""
        ),
    ]


def _ratio(run: dict[str, Any], of: str = "median") -> float:
    return float(run["kernel"][of] / run["whole"][of])


def goals(result: dict[str, Any]) -> list[tuple[str, str, bool]]:
    runs = [r for r in result["runs"] if r["preset"] == PRESET]
    largest = max(runs, key=lambda r: r["sites"])
    smaller = [r for r in runs if r["threads"] == largest["threads"] and r["sites"] < largest["sites"]][-1]
    memory, before = largest["peak"]["median"], smaller["peak"]["median"]
    change = memory / before - 1.0
    sites = f"{largest['sites']:,} sites store to store"
    ratio = f"{percent(_ratio(largest))} (fastest rounds: {percent(_ratio(largest, 'min'))})"
    return [
        (f"{sites}: at least 80 % of the kernel's own rate", ratio, _ratio(largest) >= 0.8),
        (f"{sites}: at most 1 GiB of peak memory", f"{memory / 2**20:,.0f} MiB", memory <= 2**30),
        (
            f"{sites}: peak memory within 10 % of that for {smaller['sites']:,}",
            f"{100 * change:+.0f} %",
            abs(change) <= 0.1,
        ),
    ]
