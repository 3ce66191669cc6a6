"""Training: time to a given error compared with scikit-learn, steps fed from a store, and steps per second."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import peers
from options import Options
from tables import number, paragraph, percent, table, times
from timing import summary, thread_counts

from xanes_hpc import descriptors
from xanes_hpc.features.featurise import featurise
from xanes_hpc.stores.structures import StructureStore

TITLE = "Training"
CHILD = Path(__file__).with_name("training_child.py")
VERSIONS = ("tensorflow", "keras", "scikit-learn")
ERROR = 5.8
"""Mean error % of the validation set. scikit-learn's network reaches it with the published settings, corrected."""
FEEDS = ("store", "memory")
MEMBERS = (1, 3)


def measure(options: Options) -> dict[str, Any]:
    known = [name for name in VERSIONS if name != "scikit-learn" or peers.installed("sklearn")]
    return {
        "versions": {name: version(name) for name in known},
        "error": _time_to_error(options),
        "feeding": _feeding(options),
        "steps": _steps(options),
    }


def child(call: str, n_threads: int, **arguments: Any) -> dict[str, Any]:
    """Call a function of ``training_calls`` in its own process on ``n_threads`` cores; return its result."""
    words = [sys.executable, str(CHILD), call, str(n_threads), json.dumps(arguments)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _time_to_error(options: Options) -> dict[str, Any] | None:
    if options.store is None:
        return None
    features = options.folder / "given.features.h5"
    with StructureStore(options.store) as source:
        featurise(source, descriptors.load("wacsf", "default"), features)
    most = thread_counts()[-1]
    rounds = [
        child("time_to_error", most, features=str(features), error=ERROR, seed=seed, epochs=options.size(200, 2))
        for seed in range(min(3, options.repeats))
    ]
    return {"error": ERROR, "threads": most, "rounds": rounds}


def _feeding(options: Options) -> dict[str, Any]:
    n_sites, buffer, steps = options.size((1_000_000, 256 << 20, 800), (2_000, 1 << 21, 4))
    most, store = thread_counts()[-1], options.folder / "tiled.features.h5"
    made = child("tiled_store", most, output=str(store), n_sites=n_sites, source=_given(options))
    arguments = {"features": str(store), "grid": made["grid"], "buffer": buffer, "steps": steps}
    found = child("fed_steps", most, **arguments, feeds=FEEDS, rounds=min(5, options.repeats))
    peaks = {feed: child("fed_steps", most, **arguments, feeds=[feed], rounds=1)["peak"] for feed in FEEDS}
    files = list(options.folder.glob("tiled.features*.h5"))
    size = sum(path.stat().st_size for path in files)
    for path in files:
        path.unlink()
    return {"sites": n_sites, "threads": most, "bytes": size, **made, **found, "peaks": peaks}


def _steps(options: Options) -> dict[str, Any]:
    n_sites, steps = options.size((20_000, 100), (500, 2))
    most, store = thread_counts()[-1], options.folder / "few.features.h5"
    made = child("tiled_store", most, output=str(store), n_sites=n_sites, source=_given(options))
    arguments = {"features": str(store), "grid": made["grid"], "members": options.size(MEMBERS, MEMBERS[:1])}
    arguments |= {"steps": steps, "rounds": options.repeats}
    rates = {str(n): child("step_rates", n, **arguments) for n in options.size(thread_counts(), [1])}
    return {"batch": rates["1"]["batch"], "n_features": made["n_features"], "rates": rates}


def _given(options: Options) -> str | None:
    return None if options.store is None else str(options.store)


def goals(result: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """Return each goal, the measured figure, and whether it is reached."""
    found = []
    if result["error"] is not None and (ratios := _ratios(result["error"])):
        ratio = summary(ratios)["median"]
        found.append(
            (
                f"time to a validation error of {ERROR} %: at least 5 × as fast as scikit-learn",
                times(ratio),
                ratio >= 5.0,
            )
        )
    feeding = result["feeding"]
    share, more = feeding["ratio"]["median"], (feeding["peaks"]["store"] - feeding["peaks"]["memory"]) / 2**20
    aim = f"steps fed from {feeding['sites']:,} sites: at least 90 % of the rate from memory"
    found.append((aim, percent(share), share >= 0.9))
    found.append(
        (f"steps fed from {feeding['sites']:,} sites: at most 2 GiB more memory", f"{more:+,.0f} MiB", more <= 2048.0)
    )
    return found


def section(result: dict[str, Any]) -> list[str]:
    versions = ", ".join(f"{name} {v}" for name, v in result["versions"].items())
    said = "on the CPU; training on GPUs has not been measured. One thread means one core that the process may use."
    lines = [paragraph(f"Measured with {versions}, {said}"), ""]
    if result["error"] is not None:
        lines += [*_section_error(result["error"]), ""]
    return [*lines, *_section_feeding(result["feeding"]), "", *_section_steps(result["steps"])]


def _section_error(found: dict[str, Any]) -> list[str]:
    rows = []
    for name, label in (("ours", "xanes-hpc"), ("theirs", "scikit-learn")):
        own = [r[name] for r in found["rounds"] if r[name] is not None]
        if not own:
            rows.append([label, "not installed", "", ""])
            continue
        epochs, taken, least = (summary([float(r[key]) for r in own])["median"] for key in ("epochs", "taken", "least"))
        n_reached = sum(r["reached"] for r in own)
        but = "" if n_reached == len(own) else f" (reached in {n_reached} of {len(own)} rounds)"
        rows.append([label, number(taken) + but, f"{epochs:.0f}", f"{least:.2f}"])
    ratios = _ratios(found)
    said = (
        f"xanes-hpc is {times(summary(ratios)['median'])} as fast (median of {len(ratios)} rounds)." if ratios else ""
    )
    return [
        paragraph(
            f"""**Time to a validation error of {found["error"]} %** on the given store, with {found["threads"]}
            threads. Both programs train on the same sites, with `default` features transformed and standardised alike.
            Figures are medians of {len(found["rounds"])} rounds; each round has its own seed for the split and the
            networks. For xanes-hpc the clock covers the first stage of `train` with its defaults. That includes
            building TensorFlow's graph and the validation after every epoch. For scikit-learn it covers `MLPRegressor`
            (2 × 512, batches of 32, Adam at 1e-3, targets scaled like ours), trained epoch by epoch with `partial_fit`,
            without its validation. {said}"""
        ),
        "",
        *table(["", "s", "epochs", "lowest error %"], rows),
    ]


def _ratios(found: dict[str, Any]) -> list[float]:
    """Return scikit-learn's time divided by ours for the rounds in which both reached the error."""
    both = [(r["ours"], r["theirs"]) for r in found["rounds"] if r["theirs"] is not None]
    return [theirs["taken"] / ours["taken"] for ours, theirs in both if ours["reached"] and theirs["reached"]]


def _section_feeding(found: dict[str, Any]) -> list[str]:
    ms = {feed: 1e3 * t["median"] / found["steps"] for feed, t in found["seconds"].items()}
    peaks, ratio = {feed: peak / 2**20 for feed, peak in found["peaks"].items()}, found["ratio"]
    rows = [
        [f"from {feed}", number(ms[feed]), f"{1e3 * found['batch'] / ms[feed]:,.0f}", f"{peaks[feed]:,.0f}"]
        for feed in reversed(FEEDS)
    ]
    return [
        paragraph(
            f"""**Training from a large store** of {found["sites"]:,} sites, {found["bytes"] / 2**30:.1f} GiB with its
            targets. Its sites are those of {"the given store" if found["given"] else "generated complexes"}, repeated
            with noise. A default network trains alternately from the store and from {found["in_memory"]:,} of the sites
            kept in memory, with batches of {found["batch"]}, {found["threads"]} threads and {found["steps"]} steps at a
            time. From the store it reaches {percent(ratio["median"])} of the rate from memory (median;
            {percent(ratio["min"])} to {percent(ratio["max"])} over the rounds). Peak memory is measured in a separate
            process for each, and both have read the tables of all sites. Feeding from the store changes the peak by
            {peaks["store"] - peaks["memory"]:+,.0f} MiB."""
        ),
        "",
        *table(["", "ms a step", "sites/s", "peak memory, MiB"], rows),
    ]


def _section_steps(found: dict[str, Any]) -> list[str]:
    rows = []
    for n, own in found["rates"].items():
        for members, t in own["seconds"].items():
            ms = 1e3 * t["median"] / own["steps"]
            rows.append([members, n, number(ms), f"{1e3 * found['batch'] / ms:,.0f}"])
    return [
        paragraph(
            f"""**Training steps** of the default network on {found["n_features"]:,} features, with batches of
            {found["batch"]} from memory. All members train side by side on the same batch, so a site counts once."""
        ),
        "",
        *table(["members", "threads", "ms a step", "sites/s"], rows),
    ]
