"""Descriptors: cost of a site by preset and threads, and compared with DScribe and plain NumPy."""

from typing import Any

import numpy as np
from options import Options
from peers import DScribe, installed
from plain import wacsf as plain_wacsf
from sets import GENERATED, GIVEN, facts, sets, site_structures, some
from tables import number, paragraph, table, times
from timing import Call, interleaved, on_threads, thread_counts

from xanes_hpc import descriptors
from xanes_hpc.descriptors import Descriptor
from xanes_hpc.structures.sites import SiteBatch

TITLE = "Descriptors"
PRESETS = {"xanesnet-2022": "wacsf", "xanesnet-49": "wacsf", "default": "wacsf", "rdc": "rdc"}
COMPARED = "xanesnet-2022"
LONG_ENOUGH = 20_000
"""Smallest number of sites in one timed call. An idle core takes a few hundredths of a second to reach full speed."""
OURS, NUMPY, DSCRIBE = "xanes-hpc", "plain NumPy", "DScribe"


def presets() -> dict[str, Descriptor]:
    return {preset: descriptors.load(name, preset) for preset, name in PRESETS.items()}


def measure(options: Options) -> dict[str, Any]:
    batches, ours = sets(options), presets()
    calls: dict[str, Call] = {}
    samples = {}
    passes = {name: -(-options.size(LONG_ENOUGH, 1) // batch.n_sites) for name, batch in batches.items()}
    for name, batch in batches.items():
        for preset, descriptor in ours.items():
            for n in thread_counts():
                calls[f"{name}/{preset}/{n}"] = on_threads(
                    n, lambda d=descriptor, b=batch, p=passes[name]: _again(d, b, p)
                )
        samples[name] = some(batch, options.size(400, 4))
        calls |= {f"{name}/{peer}": call for peer, call in _compared(samples[name], ours[COMPARED]).items()}
    taken = interleaved(calls, options.repeats)
    found = {}
    for name, batch in batches.items():
        sample, calculated = samples[name].n_sites, batch.n_sites * passes[name]
        costs = {
            preset: {
                "features": descriptor.n_features,
                "dtype": descriptor.dtype.name,
                "us": {str(n): _us(taken[f"{name}/{preset}/{n}"], calculated) for n in thread_counts()},
            }
            for preset, descriptor in ours.items()
        }
        peers = {p: _us(taken[f"{name}/{p}"], sample) for p in (OURS, NUMPY, DSCRIBE) if f"{name}/{p}" in taken}
        found[name] = {**facts(batch), "presets": costs, "compared": sample, "peers": peers}
    return found


def _again(descriptor: Descriptor, batch: SiteBatch, passes: int) -> None:
    for _ in range(passes):
        descriptor.compute(batch)


def _us(taken: dict[str, float], n: int) -> dict[str, float]:
    return {key: 1e6 * value / n for key, value in taken.items()}


def _compared(sample: SiteBatch, descriptor: Descriptor) -> dict[str, Call]:
    """Return calls that compute the same features with each package, ours on one thread. They are checked first."""
    description, structures = descriptor.describe(), site_structures(sample)
    expected = descriptor.compute(sample)
    scale = np.abs(expected).max(axis=1, keepdims=True)

    def plain() -> np.ndarray:
        return np.array([plain_wacsf(description, a.numbers.astype(np.uint8), a.positions, i) for a, i in structures])

    def check(values: np.ndarray, tolerance: float) -> None:
        difference = (np.abs(values - expected[: len(values)]) / scale[: len(values)]).max()
        if not difference < tolerance:
            raise AssertionError(
                f"features differ by {difference:.1e} of the largest; expected at most {tolerance:.0e}"
            )

    calls: dict[str, Call] = {OURS: on_threads(1, lambda: descriptor.compute(sample))}
    if not sample.pbc.any():
        check(plain(), 1e-9)
        calls[NUMPY] = plain
    if installed("dscribe"):
        theirs = [DScribe(description, *structure) for structure in structures]
        check(np.array([peer.weighted() for peer in theirs[:20]]), 1e-6)
        calls[DSCRIBE] = lambda: [peer.create() for peer in theirs]
    return calls


def section(result: dict[str, Any]) -> list[str]:
    lines = [
        paragraph(
            f"""Time of `Descriptor.compute` per site, in µs, for sites in memory. It includes the neighbour search.
            Each timed call covers at least {LONG_ENOUGH:,} sites."""
        )
    ]
    for name, found in result.items():
        counts = list(found["presets"][COMPARED]["us"])
        rows = [_row(preset, costs, counts) for preset, costs in found["presets"].items()]
        head = ["preset", "features", "type", *(f"{n} thread{'s' * (n != '1')}" for n in counts)]
        lines += ["", f"**{name.capitalize()}**: {_facts(found)}.", ""]
        lines += table([*head, "speed-up"] if len(counts) > 1 else head, rows)
        lines += ["", f"`{COMPARED}` on {found['compared']} of these sites, compared with others on one thread:", ""]
        lines += _peers(found["peers"])
    return [
        *lines,
        "",
        paragraph(
            """DScribe has no weights. It computes the same G2 and G4 separately for each species and pair of species;
            our functions are weighted sums of these. Only its `create` for the absorber is timed. Before timing, the
            features are compared with ours: plain NumPy agrees to 1e-9 and DScribe to 1e-6 of a site's largest
            feature."""
        ),
    ]


def _facts(found: dict[str, Any]) -> str:
    return (
        f"{found['sites']:,} sites ({found['absorbers']}), {found['atoms']:.0f} atoms a structure, "
        f"{found['neighbours']:.0f} neighbours within 6 Å"
    )


def _row(preset: str, costs: dict[str, Any], counts: list[str]) -> list[str]:
    medians = [costs["us"][n]["median"] for n in counts]
    row = [f"`{preset}`", str(costs["features"]), costs["dtype"], *(number(m) for m in medians)]
    return [*row, times(medians[0] / medians[-1])] if len(counts) > 1 else row


def _peers(peers: dict[str, Any]) -> list[str]:
    rows = []
    for peer in (OURS, NUMPY, DSCRIBE):
        if peer in peers:
            cost = peers[peer]["median"]
            rows.append([peer, number(cost), times(cost / peers[OURS]["median"])])
        elif peer == DSCRIBE:
            rows.append([peer, "not installed", ""])
    return table(["", "µs a site", "ratio"], rows)


def goals(result: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """Return each goal, the measured figure, and whether it is reached."""
    name = GIVEN if GIVEN in result else GENERATED
    presets, peers = result[name]["presets"], result[name]["peers"]
    one = presets[COMPARED]["us"]["1"]["median"]
    relative = presets["default"]["us"]["1"]["median"] / one
    beside = f" (DScribe {number(peers[DSCRIBE]['median'])} µs)" if DSCRIBE in peers else ""
    sites = f"{name} ({result[name]['absorbers']})"
    found = [
        (f"`{COMPARED}`, {sites}: at most 20 µs a site on one core, ideally 13", f"{one:.1f} µs{beside}", one <= 20.0),
        (f"`default`: at most twice the time of `{COMPARED}`", times(relative), relative <= 2.0),
    ]
    if "2" in presets[COMPARED]["us"]:
        gain, best = (presets[COMPARED]["us"]["1"][of] / presets[COMPARED]["us"]["2"][of] for of in ("median", "min"))
        measured = f"{times(gain)} (fastest rounds: {times(best)})"
        found.insert(1, ("two threads: at least 1.85 × as fast as one", measured, gain >= 1.85))
    return found
