"""Features made by Dask workers compared with one run on as many threads: rate, and whether the bytes agree."""

import os
import signal
from pathlib import Path
from typing import Any

import h5py
from distributed import Client, LocalCluster
from generate import write_store
from options import Options
from tables import number, paragraph, percent, table
from timing import seconds, summary, thread_counts

from xanes_hpc import descriptors
from xanes_hpc.features.featurise import FeatureJob
from xanes_hpc.features.plan import plan
from xanes_hpc.jobs import dask, run
from xanes_hpc.runtime import threads
from xanes_hpc.stores.structures import StructureStore

TITLE = "Workers of a cluster"
PRESET = "xanesnet-2022"


def measure(options: Options) -> dict[str, Any]:
    n_sites, n_workers = options.size(1_000_000, 300), thread_counts()[-1]
    store = options.folder / "structures.h5"
    write_store(store, n_sites)
    descriptor = descriptors.load("wacsf", PRESET)
    plain, workers = [], []
    with (
        StructureStore(store) as source,
        LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        whole = FeatureJob(source, plan(source, descriptor), options.folder / "whole.h5")
        by_workers = FeatureJob(source, plan(source, descriptor), options.folder / "workers.h5")
        client.run(_load)
        descriptor.compute(source.batch(0, 1))
        same = True
        for _ in range(min(3, options.repeats)):
            with threads.limited_to(n_workers):
                plain.append(seconds(lambda: run.run(whole, overwrite=True)))
            workers.append(seconds(lambda: dask.run(client, by_workers, overwrite=True)))
            same = same and _same(whole.output, by_workers.output)
        killed: list[int] = []

        def kill(done: int, total: int) -> None:
            if 2 * done >= total and not killed:
                killed.append(next(iter(client.run(os.getpid).values())))
                os.kill(killed[0], signal.SIGKILL)

        with_a_death = seconds(lambda: dask.run(client, by_workers, overwrite=True, progress=kill))
        same_after = _same(whole.output, by_workers.output)
    for path in (store, whole.output, by_workers.output):
        path.unlink()
    return {
        "sites": n_sites, "workers": n_workers, "plain": summary(plain), "by_workers": summary(workers),
        "same": same, "with_a_death": with_a_death, "killed": len(killed), "same_after_a_death": same_after,
    }  # fmt: skip


def _load() -> None:
    """Load the kernels in a worker."""
    from ase.build import molecule

    descriptors.load("wacsf", PRESET).transform(molecule("H2O"), "O")


def _same(first: Path, second: Path) -> bool:
    """Return whether all datasets and attributes of two stores agree."""
    with h5py.File(first) as one, h5py.File(second) as other:
        names: list[str] = []
        one.visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None)
        others: list[str] = []
        other.visititems(lambda name, node: others.append(name) if isinstance(node, h5py.Dataset) else None)
        attributes = dict(one.attrs.items()) == dict(other.attrs.items())
        return attributes and names == others and all(_equal(one[name], other[name]) for name in names)


def _equal(one: h5py.Dataset, other: h5py.Dataset) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype or one.chunks != other.chunks:
        return False
    if not one.shape:
        return bool(one[()] == other[()])
    step = max(1, (1 << 26) // max(1, one.dtype.itemsize * one[:1].size))
    return all(one[k : k + step].tobytes() == other[k : k + step].tobytes() for k in range(0, one.shape[0], step))


def section(result: dict[str, Any]) -> list[str]:
    r, on = result, f"{result['workers']} processes"
    plain = r["plain"]["median"]
    runs = [
        ("one run", f"{r['workers']} threads", plain, ""),
        ("workers", on, r["by_workers"]["median"], _told(r["same"])),
        ("workers, one killed half-way", on, r["with_a_death"], _told(r["same_after_a_death"])),
    ]
    rows = [
        [what, where, f"{r['sites'] / taken:,.0f}", number(taken), percent(plain / taken), same]
        for what, where, taken, same in runs
    ]
    return [
        paragraph(
            f"""`featurise` of {r["sites"]:,} generated complexes with `{PRESET}`, store to store, alternately in one
            run and with the workers of a local Dask cluster. Starting the workers and loading their kernels is not
            counted. All datasets of the two stores are compared byte by byte, and so are their attributes."""
        ),
        "",
        *table(["", "on", "sites/s", "s", "relative to one run", "identical store"], rows),
    ]


def _ratio(result: dict[str, Any], of: str = "median") -> float:
    return float(result["plain"][of] / result["by_workers"][of])


def _told(same: bool) -> str:
    return "yes" if same else "NO"


def goals(result: dict[str, Any]) -> list[tuple[str, str, bool]]:
    r, sites = result, f"{result['sites']:,} sites by {result['workers']} Dask workers"
    both = r["same"] and r["same_after_a_death"] and r["killed"] == 1
    return [
        (f"{sites}: at least 90 % of one run's rate", percent(_ratio(r)), _ratio(r) >= 0.9),
        (f"{sites}, one killed half-way: the same store bit for bit", _told(both), both),
    ]
