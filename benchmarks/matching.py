"""Search for a measured spectrum among many predictions: time and memory by their number."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from options import Options
from tables import number, paragraph, table
from timing import summary

from xanes_hpc.stores import hdf5
from xanes_hpc.stores.predictions import write_site_columns
from xanes_hpc.stores.sites import SiteTable

TITLE = "Match"
CHILD = Path(__file__).with_name("command_once.py")
ENERGIES = np.linspace(-15.0, 60.0, 226)
E0 = 7112.0
ROWS_AT_A_TIME = 20_000
WORDS: dict[str, list[str]] = {
    "ranking": [],
    "ranking with 21 shifts": ["--max-shift", "3.34"],
    "ranking and pairs": ["--mixture", "2"],
}


def measure(options: Options) -> dict[str, Any]:
    few, many = options.size((100_000, 1_000_000), (200, 500))
    rows = []
    for n in (few, many):
        store, experiment = options.folder / "predictions.h5", options.folder / "measured.txt"
        write_predictions(store, experiment, n)
        for name, words in WORDS.items():
            runs = []
            for _ in range(min(3, options.repeats)):
                command = [sys.executable, str(CHILD), "match", str(experiment), str(store), *words]
                runs.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
            figures = {key: summary([run[key] for run in runs]) for key in ("seconds", "peak")}
            rows.append({"n": n, "bytes": store.stat().st_size, "what": name, **figures})
        store.unlink()
    return {"runs": rows}


def write_predictions(path: Path, experiment: Path, n: int) -> None:
    """Write made-up predictions (peaks above an edge), and one of them as the measured spectrum."""
    rng = np.random.default_rng(1)
    step = 0.5 + np.arctan(ENERGIES / 2.0) / np.pi
    shapes = np.exp(-0.5 * ((ENERGIES[None, :] - np.linspace(0.0, 55.0, 24)[:, None]) / 3.0) ** 2)
    with hdf5.create_store(path, "predictions", overwrite=True) as file:
        texts = {"model_digest": "0" * 64, "descriptor_hash": "0" * 64, "kind": "xanes", "treatment": "none"}
        texts |= {"unit": "arbitrary", "calibration": '{"conformal": [], "n_sites": 0}', "method": "dropout"}
        for name, text in texts.items():
            file.attrs[name] = text
        file.attrs["n_draws"], file.attrs["seed"] = 100, 0
        hdf5.write_whole(file, "energy", ENERGIES).attrs["origin"] = "e0"
        for name in ("mean", "std"):
            rows = min(n, (1 << 20) // (4 * ENERGIES.size))
            file.create_dataset(name, (n, ENERGIES.size), np.float32, chunks=(rows, ENERGIES.size), fletcher32=True)
        for start in range(0, n, ROWS_AT_A_TIME):
            here = slice(start, min(start + ROWS_AT_A_TIME, n))
            heights = rng.uniform(0.0, 0.5, (here.stop - start, len(shapes))) ** 2
            file["mean"][here] = step + heights @ shapes
            file["std"][here] = 0.03 * file["mean"][here]
        chosen = file["mean"][n // 2]
        one, nothing = np.full(n, -1), [""] * n
        elements = np.full(n, 26, np.uint8)
        SiteTable([f"S{k}" for k in range(n)], one, one, elements, ["K"] * n, np.ones(n)).write(file)
        write_site_columns(file, np.full(n, E0), nothing, ["none"] * n, np.zeros(n), nothing, nothing)
    np.savetxt(experiment, np.column_stack([ENERGIES + E0, 2.0 * chosen]))


def section(result: dict[str, Any]) -> list[str]:
    rows = [
        [
            f"{row['n']:,}",
            row["what"],
            number(row["seconds"]["median"]),
            f"{row['n'] / row['seconds']['median']:,.0f}",
            f"{row['peak']['median'] / 2**20:,.0f}",
        ]
        for row in result["runs"]
    ]
    return [
        paragraph(
            f"""`xanes-hpc match` of one spectrum against made-up predictions with {ENERGIES.size} energies, from the
            start of the command. The largest store takes {max(row["bytes"] for row in result["runs"]) / 2**30:.1f}
            GiB."""
        ),
        "",
        *table(["predictions", "task", "s", "predictions/s", "peak memory, MiB"], rows),
    ]
