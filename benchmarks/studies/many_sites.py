"""Many sites: landmarks of the Gaussian process up to 10^5 training sites, and where the graph network overtakes it."""

import argparse
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tables import number, paragraph, table

from studies.figures import errors, mean_error
from studies.inputs import Inputs
from studies.sitting import Run, Sitting
from xanes_hpc.analysis.evaluate import error_percent
from xanes_hpc.config.files import load_run
from xanes_hpc.data.datasets import SiteSet, iterate, statistics
from xanes_hpc.data.gather import gather
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.training.gaussian_process_choice import SHARE, learn_kernel
from xanes_hpc.training.gaussian_process_fit import Observations, solve
from xanes_hpc.training.inputs import open_spectra

TITLE = "Many sites"
N_TESTED, N_VALIDATED = 2_000, 500
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
LANDMARKS = (1_024, 2_048, 4_096, 8_192)
FIGURES = ("error", "learning", "fitting", "ms_a_site", "megabytes")
ON_GRAPHS = {1_000: 140, 3_000: 100, 10_000: 40, 30_000: 20}
"""Training sites of the graph network, and epochs: fewer with many sites, so that the study ends in hours."""


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="skip larger training sets [100000]")
    parser.add_argument("--no-graph", action="store_true", help="leave out the graph network")


def measure(sitting: Sitting, inputs: Inputs, given: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    sizes = [n for n in SIZES if n <= given.largest]
    store = inputs.generated(N_TESTED + N_VALIDATED + sizes[-1])
    features = inputs.features(store)
    rows = []
    for n in sizes:
        split = divided(inputs, features, n)
        most = min([m for m in LANDMARKS if m >= n] or [LANDMARKS[-1]])  # all sites are landmarks, at least once
        for landmarks in [m for m in LANDMARKS if m <= most]:
            process = partial(_process, features, split, landmarks)
            found = sitting.kept(f"{split.stem}-{landmarks}", f"{n:,} sites, {landmarks:,} landmarks", process)
            rows.append({"sites": n, "landmarks": min(n, landmarks)} | {name: found[name] for name in FIGURES})
    graphs = [] if given.no_graph else _graphs(sitting, inputs, [n for n in ON_GRAPHS if n <= given.largest])
    return f"{sizes[-1]:,} generated complexes", {"process": rows, "graph": graphs}


def _graphs(sitting: Sitting, inputs: Inputs, sizes: list[int]) -> list[dict[str, float]]:
    features = inputs.features(inputs.generated(N_TESTED + N_VALIDATED + sizes[-1]), graph=True)
    rows = []
    for n in sizes:
        flags = {
            "split.file": str(divided(inputs, features, n)), "model.name": "graph", "training.epochs": ON_GRAPHS[n],
            "training.refit": False, "uncertainty.members": 1,
        }  # fmt: skip
        run = sitting.run(Run((features,), flags), f"{n:,} sites, graph network")
        found = errors(run.predictions[0])
        rows.append({
            "sites": n, "epochs": ON_GRAPHS[n], "network": run.values["validation_error"],
            "error": mean_error(found, found), "seconds": run.values["seconds"],
        })  # fmt: skip
    return rows


def divided(inputs: Inputs, features: Path, n: int) -> Path:
    """Write a split table: the first sites are tested, the next validated, and ``n`` of the others trained on."""
    with FeatureStore(features) as store:
        names = store.sites.name
    ends = np.cumsum([N_TESTED, N_VALIDATED, n])
    which = np.searchsorted(ends, np.arange(len(names)), side="right")
    parts = ("test", "validation", "train", "none")
    return inputs.split(names, [parts[part] for part in which])


def _process(features: Path, split: Path, landmarks: int) -> dict[str, Any]:
    """Return the error of the process alone, and the processor's time to learn its kernel, to fit and to predict."""
    with FeatureStore(features) as store:
        pairs = open_spectra([store], [])
        data = gather(load_run(None, Path.cwd(), {"split.file": str(split)}), pairs)
        trained, tested = data.sites_in("train"), data.sites_in("test")
        scalers = statistics(trained, "sqrt").scalers("global")
        seen = Observations.of(data, ("train",), scalers, 0, SHARE)
        kernel, learning = _timed(lambda: learn_kernel(data, seen))
        process, fitting = _timed(
            lambda: solve(replace(seen, together=None), kernel, landmarks).process(SHARE, seen.aligned)
        )
        x, absorbers, y = _whole(tested)
        spectra, predicting = _timed(lambda: process.spectra(x, absorbers))
        data.close()
        pairs[0][1].file.close()
    return {
        "error": float(error_percent(y, spectra).mean()), "learning": learning, "fitting": fitting,
        "ms_a_site": 1e3 * predicting / len(x), "megabytes": process.coefficients.nbytes / 1e6,
    }  # fmt: skip


def _whole(sites: SiteSet) -> list[np.ndarray]:
    return [np.concatenate(arrays) for arrays in zip(*iterate(sites), strict=True)]


def _timed(call: Any) -> tuple[Any, float]:
    begin = time.process_time()
    return call(), time.process_time() - begin


def section(result: Mapping[str, Any]) -> list[str]:
    rows = [
        [f"{row['sites']:,}", f"{row['landmarks']:,}", f"{row['error']:.2f}"]
        + [number(row[name]) for name in ("learning", "fitting", "ms_a_site")]
        for row in result["process"]
    ]
    whole = {row["sites"]: row["error"] for row in result["process"]}  # of the most landmarks
    graphs = [
        [f"{row['sites']:,}", f"{row['epochs']}"]
        + [f"{error:.2f}" for error in (row["network"], whole[row["sites"]], row["error"])]
        + [number(row["seconds"] / 60)]
        for row in result["graph"]
    ]
    text = f"""Generated complexes with the spectra of the demo's scattering model, {N_TESTED:,} of them for testing.
        The Gaussian process alone, with half of its share by shift and shape, is fitted to all sites, with so many of
        them as landmarks; its kernel is learned from 4,096 of them at most. Times are the processor's."""
    lines = [paragraph(text), ""]
    titles = ["training sites", "landmarks", "error %", "learning, s", "fitting, s", "predicting, ms a site"]
    lines += table(titles, rows)
    if graphs:
        text = f"""One graph network, trained for fewer epochs where there are more sites and stopped by {N_VALIDATED}
            validation sites: the validation error of the network alone, and the test errors of the process alone (from
            the table above) and of the mean of both."""
        lines += ["", paragraph(text), ""]
        lines += table(["training sites", "epochs", "network", "process", "both", "training, min"], graphs)
    return lines
