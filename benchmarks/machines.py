"""Training with two processes, each on its own core and with its own shard, compared with one: seconds an epoch."""

import csv
import os
import shutil
import socket
import statistics
import subprocess
import sys
from typing import Any

from options import Options
from tables import number, paragraph, percent, table
from timing import thread_counts
from training import child

from xanes_hpc.training.processes import Machines

TITLE = "Training on several machines"
ALONE = "one process on one core"
CONFIG = """
[training]
epochs = {epochs}
batch_size = {batch_size}
shards = 2
gaussian_process = false
gpus = 0
[split]
group = "none"
[uncertainty]
members = 1
"""


def measure(options: Options) -> dict[str, Any]:
    n_sites, epochs, batch_size = options.size((40_000, 5, 512), (600, 2, 16))
    store, config = options.folder / "shared.features.h5", options.folder / "machines.toml"
    child("tiled_store", thread_counts()[-1], output=str(store), n_sites=n_sites, source=None)
    config.write_text(CONFIG.format(epochs=epochs, batch_size=batch_size))
    cores = sorted(os.sched_getaffinity(0))[:2]
    found = {}
    for name, shares in {
        ALONE: [cores[:1]],
        "one process on two cores": [cores],
        "two processes, one core each": [[core] for core in cores],
    }.items():
        model = options.folder / "machines.model"
        _train(["train", str(store), "--config", str(config), "-o", str(model), "--overwrite"], shares)
        with (model / "history.csv").open() as stream:
            rows = list(csv.DictReader(stream))
        found[name] = statistics.median(float(row["seconds"]) for row in rows if row["epoch"] != "1")
        shutil.rmtree(model)
    store.unlink()
    config.unlink()
    return {"sites": n_sites, "batch_size": batch_size, "seconds": found}


def _train(words: list[str], shares: list[list[int]]) -> None:
    """Train with one process for each list of cores, pinned to them."""
    addresses = tuple(f"127.0.0.1:{port}" for port in _free_ports(len(shares)))
    processes = []
    for k, own in enumerate(shares):
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        more = []
        if len(shares) > 1:
            environment["TF_CONFIG"] = Machines(addresses, k).tf_config
            more = ["--distributed"]
        on_cores = f"import os; os.sched_setaffinity(0, {own}); import sys; from xanes_hpc.cli.main import run; run()"
        command = [sys.executable, "-c", on_cores, *words, *more]
        processes.append(
            subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        )
    for process in processes:
        error = process.communicate()[1]
        if process.returncode:
            raise RuntimeError(f"{' '.join(words)}: {error}")


def _free_ports(n: int) -> list[int]:
    opened = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [one.getsockname()[1] for one in opened]
    for one in opened:
        one.close()
    return ports


def section(result: dict[str, Any]) -> list[str]:
    seconds = result["seconds"]
    alone = seconds[ALONE]
    rows = [
        [name, number(taken), f"{alone / taken:.2f}", percent(_share(name, alone, taken))]
        for name, taken in seconds.items()
    ]
    return [
        paragraph(
            f"""`train` of one default network on {result["sites"]:,} sites with 1,321 features, in batches of
            {result["batch_size"]} and always with two shards. The two processes communicate over the machine's own
            network (`train --distributed`). Figures are medians over all epochs but the first of each stage."""
        ),
        "",
        *table(["processes", "s an epoch", "relative to one core", "efficiency per core"], rows),
    ]


def _share(name: str, alone: float, taken: float) -> float:
    return alone / taken / (1 if name == ALONE else 2)
