"""How the cost of a site grows with the atoms around it, the number of sites, and the length of a trajectory."""

from collections.abc import Iterable
from itertools import cycle, islice
from typing import Any

from counting import count
from generate import cluster, complexes, copies, trajectory
from options import Options
from sets import CUTOFF
from tables import number, paragraph, table
from timing import Call, interleaved, on_threads, thread_counts

from xanes_hpc import descriptors
from xanes_hpc.descriptors import Descriptor
from xanes_hpc.structures.neighbours import NeighbourSearch
from xanes_hpc.structures.sites import SiteBatch

TITLE = "Growth"
PRESET = "xanesnet-2022"
NEIGHBOURS = (20, 50, 100, 200, 500, 1000, 2000)
BATCH = 100_000
"""Maximum number of sites in a batch. More sites are processed batch by batch."""


def measure(options: Options) -> dict[str, Any]:
    return {
        "atoms, same cutoff": _clusters(options, grow_cutoff=False),
        "atoms, cutoff around all": _clusters(options, grow_cutoff=True),
        "sites": _sites(options),
        "frames": _frames(options),
    }


def _clusters(options: Options, grow_cutoff: bool) -> list[dict[str, float]]:
    rows, calls = [], {}
    for n in options.size(NEIGHBOURS, NEIGHBOURS[:2]):
        atoms, radius = cluster(n)
        cutoff = radius if grow_cutoff else CUTOFF
        batch = copies(atoms, options.size(max(4, 40_000 // n), 2))
        description = descriptors.load("wacsf", PRESET).describe() | {"cutoff": cutoff}
        calls[str(n)] = _on_one_thread(descriptors.from_description(description), [batch])
        counts = count(batch, cutoff)
        sites = batch.n_sites
        rows.append({"n": n, "sites": sites, "pairs": counts.pairs / sites, "triplets": counts.triplets / sites})
    taken = interleaved(calls, min(5, options.repeats))
    return [row | {"us": 1e6 * taken[str(row["n"])]["median"] / row["sites"]} for row in rows]


def _on_one_thread(descriptor: Descriptor, batches: Iterable[SiteBatch]) -> Call:
    return on_threads(1, lambda: [descriptor.compute(batch) for batch in batches])


def _sites(options: Options) -> list[dict[str, float]]:
    descriptor, threads = descriptors.load("wacsf", PRESET), thread_counts()[-1]
    most = options.size(BATCH, 256)
    pool = [complexes(most, seed) for seed in (1, 2)]
    rows = []
    for n in options.size((1_000, 10_000, 100_000, 1_000_000), (64, 512)):
        batches = list(islice(cycle(pool), n // most)) if n > most else [complexes(n)]
        rounds = max(1, most // n // 4)

        def run(batches: list[SiteBatch] = batches, rounds: int = rounds) -> None:
            for _ in range(rounds):
                for batch in batches:
                    descriptor.compute(batch)

        taken = interleaved({"": on_threads(threads, run)}, min(3, options.repeats))[""]["median"]
        rows.append({"n": n, "threads": threads, "us": 1e6 * taken / (n * rounds)})
    return rows


def _frames(options: Options) -> list[dict[str, float]]:
    """Measure trajectories with one site per frame, and the set-up of their neighbour search."""
    descriptor, rows = descriptors.load("wacsf", PRESET), []
    for n in options.size((100, 1_000, 10_000, 50_000), (8, 64)):
        batch = trajectory(n)
        calls = {"us": _on_one_thread(descriptor, [batch]), "prepared": lambda b=batch: NeighbourSearch(b, CUTOFF)}
        taken = interleaved(calls, min(3, options.repeats))
        rows.append({"n": n} | {name: 1e6 * t["median"] / n for name, t in taken.items()})
    return rows


def section(result: dict[str, Any]) -> list[str]:
    lines = [f"How the cost of a site grows, measured with `{PRESET}`."]
    titles = {
        "atoms, same cutoff": f"""**With the size of the cluster**, cutoff {CUTOFF:g} Å, one thread. The cutoff
            limits the number of neighbours, so the cost almost levels off. The remaining growth comes from looking at
            every atom:""",
        "atoms, cutoff around all": """**With the number of neighbours**: clusters of growing radius with a cutoff that
            includes all atoms, one thread. The cost follows the number of triplets:""",
    }
    for name, title in titles.items():
        rows = [
            [
                f"{row['n']:,}",
                number(row["pairs"]),
                f"{row['triplets']:,.0f}",
                number(row["us"]),
                number(1e3 * row["us"] / max(row["triplets"], 1)),
            ]
            for row in result[name]
        ]
        head = ["atoms around the site", "neighbours", "triplets", "µs a site", "ns a triplet"]
        lines += ["", paragraph(title), "", *table(head, rows)]
    threads = result["sites"][0]["threads"]
    rows = [[f"{row['n']:,}", number(row["us"])] for row in result["sites"]]
    lines += [
        "",
        paragraph(
            f"""**With the number of sites**: generated complexes in memory, {threads} threads. More than {BATCH:,}
            sites are processed in batches of that size:"""
        ),
        "",
    ]
    lines += table(["sites", "µs a site"], rows)
    rows = [[f"{row['n']:,}", number(row["us"]), number(row["prepared"])] for row in result["frames"]]
    lines += [
        "",
        "**With the number of frames**: a trajectory of haematite, 120 atoms and one site per frame, one thread:",
        "",
    ]
    return [*lines, *table(["frames", "µs a frame", "of which search set-up"], rows)]
