"""Each kernel alone on one thread: operations counted, rate reached, share of the core's peak, and what bounds it."""

from collections.abc import Iterator
from dataclasses import dataclass
from inspect import getdoc
from typing import Any

import counting
import kernel_parts
import numpy as np
import peak
from counting import count
from generate import complexes, iron
from kernel_parts import CUTOFF_PART, EXP_PART, SUM_PART
from options import Options
from sets import CUTOFF
from tables import number, paragraph, percent, table
from timing import Call, interleaved, on_threads

from xanes_hpc import descriptors
from xanes_hpc.descriptors import Descriptor
from xanes_hpc.descriptors._weighting import FUNCTIONS
from xanes_hpc.descriptors.base import SITES_AT_ONCE
from xanes_hpc.structures.neighbours import NeighbourList, NeighbourSearch
from xanes_hpc.structures.sites import SiteBatch

TITLE = "Kernels against the core's peak"
MOLECULES, CELLS = "search, molecules", "search, cell lists"
G2, G2_SINGLE = "G2, `xanesnet-2022`", "G2, `default`"
G4, G4_SINGLE = "G4, `xanesnet-2022`", "G4, `xanesnet-2022` in float32"
PATHS = "paths, `default`"
RDC = "RDC, `rdc`"
BOUNDS = {
    MOLECULES: """Stores and packing: every atom is looked at twice, those that are near are picked one at a time,
        and 53 bytes are written for each. Its share of the peak says little: there is hardly any arithmetic in
        it.""",
    CELLS: """Packing and order: every pair is found, given its exact vector, ranked by atom among those of its
        site, and written (53 bytes). Most of the arithmetic counted are distances to the atoms of 27 bins, eight
        at a time, twice.""",
    G2: """The polynomial of exp for each pair and function. A pair has only a few vectors of functions, each a chain of
        multiply-adds that wait for one another, and the sums go through memory pair by pair.""",
    G2_SINGLE: """As G2 in float64, in vectors twice as long and so half as many; the weights of all channels are
        looked at for every pair, to add it to three of them.""",
    G4: """Multiply-adds and packing by halves: exp of every Gaussian of every triplet, and the sums over triplets of
        Gaussians times angular factors, run close to the peak (see their parts below). Looking at all pairs of
        neighbours and packing those that are close, vector by vector, has little arithmetic; the angular factors are
        read and written more than computed.""",
    G4_SINGLE: """As G4 in float64, in vectors twice as long and with shorter polynomials: packing the triplets
        weighs more.""",
    PATHS: """Geometry: square root, division and cutoff of every pair of neighbours, in float64; and, path by path,
        packing with the weights of all channels. The products of Gaussians and factors are those of G4, but most
        factors are zero, for an atom is of one element.""",
    RDC: """The polynomial of exp for each pair and point of the grid, as in G2.""",
}


@dataclass(frozen=True)
class Work:
    """What a kernel does in one call: features or neighbours of so many sites, by so many operations of a type."""

    call: Call
    dtype: str
    n_sites: int
    operations: int


def measure(options: Options) -> dict[str, Any]:
    batch = complexes(options.size(4096, 64))
    counts = count(batch, CUTOFF)
    works = _searches(options, batch, counts) | _features(batch, counts)
    core = peak.measure(options)
    taken = interleaved({name: on_threads(1, work.call) for name, work in works.items()}, options.repeats)
    rows = {}
    for name, work in works.items():
        seconds = taken[name]["median"]
        rows[name] = {
            "dtype": work.dtype,
            "us": 1e6 * seconds / work.n_sites,
            "operations": work.operations / work.n_sites,
            "share": work.operations / seconds / core["types"][work.dtype]["stated"],
        }
    return {
        "clock": core["clock"],
        "peak": {dtype: row["stated"] for dtype, row in core["types"].items()},
        "kernels": rows,
        "parts": kernel_parts.measure(options),
        "atoms": counts.atoms / batch.n_sites,
        "pairs": counts.pairs / batch.n_sites,
        "candidates": counts.candidates / batch.n_sites,
        "triplets": counts.triplets / batch.n_sites,
    }


def _searches(options: Options, batch: SiteBatch, counts: counting.Counts) -> dict[str, Work]:
    bulk = SiteBatch.from_atoms(iron(options.size(20, 7)), "all")
    n_bins = int(bulk.cells[0, 0, 0] / CUTOFF)
    looked_at = bulk.n_sites * 27 * bulk.n_sites // n_bins**3
    pairs = sum(neighbours.distances.size for _, neighbours in _blocks(bulk, CUTOFF))
    operations = counting.search_molecules(counts), counting.search_cell_lists(looked_at, pairs)
    return {
        name: Work(lambda b=sites: list(_blocks(b, CUTOFF)) and None, "float64", sites.n_sites, n)
        for name, sites, n in zip((MOLECULES, CELLS), (batch, bulk), operations, strict=True)
    }


def _features(batch: SiteBatch, counts: counting.Counts) -> dict[str, Work]:
    found = {}
    single = descriptors.load("wacsf", "xanesnet-2022", dtype="float32")
    for name, descriptor in ((G4, descriptors.load("wacsf", "xanesnet-2022")), (G4_SINGLE, single)):
        (weighting,) = descriptor.describe()["weighting"]
        operations = counting.g4(counts, descriptor.dtype.name, weighting["g4"])
        found[name] = _work(batch, _only(descriptor, "g4"), operations)
    for name, preset in ((G2, "xanesnet-2022"), (G2_SINGLE, "default")):
        descriptor = _of_one_cutoff(_only(descriptors.load("wacsf", preset), "g2"), CUTOFF)
        weightings = descriptor.describe()["weighting"]
        channels, functions = _channels(descriptor), len(weightings[0]["g2"]["mu"])
        operations = counting.g2(counts, descriptor.dtype.name, functions, channels, len(weightings))
        found[name] = _work(batch, descriptor, operations)
    paths = _only(descriptors.load("wacsf", "default"), "paths")
    table = paths.describe()["weighting"][0]
    nearer = table["cutoff"]
    candidates, kept = count(batch, nearer, with_triplets=False).candidates, counting.count_paths(batch, nearer)
    operations = counting.paths(candidates, kept, paths.dtype.name, table["paths"], _channels(paths))
    found[PATHS] = _work(batch, paths, operations)
    curve = descriptors.load("rdc", "rdc")
    reached = count(batch, curve.cutoff, with_triplets=False)
    found[RDC] = _work(batch, curve, counting.rdc(reached, curve.dtype.name, curve.n_features))
    return found


def _channels(descriptor: Descriptor) -> int:
    return sum(len(w.get("elements", [0])) for w in descriptor.describe()["weighting"])


def _of_one_cutoff(descriptor: Descriptor, cutoff: float) -> Descriptor:
    """One with the functions of one cutoff only."""
    description = descriptor.describe()
    weighting = [w for w in description["weighting"] if w.get("cutoff", description["cutoff"]) == cutoff]
    return descriptors.from_description(description | {"weighting": weighting})


def _only(descriptor: Descriptor, kind: str) -> Descriptor:
    """One with the same functions of one kind, and no others."""
    description = descriptor.describe()
    weighting = [{k: v for k, v in w.items() if k not in {*FUNCTIONS} - {kind}} for w in description["weighting"]]
    return descriptors.from_description(description | {"g1": False, "weighting": [w for w in weighting if kind in w]})


def _work(batch: SiteBatch, descriptor: Descriptor, operations: int) -> Work:
    """``fill`` alone, the neighbours found beforehand."""
    blocks = list(_blocks(batch, descriptor.cutoff))
    outs = [np.empty((sites.n_sites, descriptor.n_features), descriptor.dtype) for sites, _ in blocks]

    def fill() -> None:
        for (sites, neighbours), out in zip(blocks, outs, strict=True):
            descriptor.fill(sites, neighbours, out)

    return Work(fill, descriptor.dtype.name, batch.n_sites, operations)


def _blocks(batch: SiteBatch, cutoff: float) -> Iterator[tuple[SiteBatch, NeighbourList]]:
    """Sites with their neighbours, some at a time, as ``Descriptor.compute`` goes through them."""
    search = NeighbourSearch(batch, cutoff)
    for start in range(0, batch.n_sites, SITES_AT_ONCE):
        stop = min(start + SITES_AT_ONCE, batch.n_sites)
        yield batch.sites(start, stop), search.pairs(start, stop)


def section(result: dict[str, Any]) -> list[str]:
    kernels, peaks = result["kernels"], result["peak"]
    rows = [
        [
            name,
            row["dtype"],
            f"{row['operations']:,.0f}",
            number(row["us"]),
            number(row["operations"] / row["us"] / 1e3),
            number(1e6 * row["operations"] / peaks[row["dtype"]]),
            percent(row["share"]),
        ]
        for name, row in kernels.items()
    ]
    head = ["kernel", "type", "operations a site", "µs a site", "Gflop/s", "µs at the peak", "of the peak"]
    parts = [
        [
            f"`{part}`",
            dtype,
            f"{ns:.3f}",
            number(kernel_parts.OPERATIONS[part][dtype] / ns),
            percent(1e9 * kernel_parts.OPERATIONS[part][dtype] / ns / peaks[dtype]),
        ]
        for part, types in result["parts"].items()
        for dtype, ns in types.items()
    ]
    return [
        paragraph(
            f"""One thread, generated complexes ({result["atoms"]:.0f} atoms, {result["pairs"]:.1f} neighbours,
            {result["candidates"]:,.0f} pairs of them, {result["triplets"]:,.0f} triplets a site), bulk iron for
            cell lists; peak at {result["clock"] / 1e9:.2f} GHz as above."""
        ),
        "",
        *table(head, rows),
        "",
        "What bounds each:",
        "",
        *[paragraph(f"- **{name}**: {BOUNDS[name]}") for name in kernels],
        "",
        paragraph(
            """Their parts, each alone on arrays in the first-level cache; an element is a value, a squared
            distance, or a triplet with two Gaussians and eight factors:"""
        ),
        "",
        *table(["part", "type", "ns an element", "Gflop/s", "of the peak"], parts),
        "",
        _shares(result),
        "",
        "How operations are counted (`benchmarks/counting.py`):",
        "",
        *[f"    {line}".rstrip() for line in str(getdoc(counting)).splitlines()[2:]],
    ]


def _shares(result: dict[str, Any]) -> str:
    """What the parts make of the time of G4."""
    said = []
    for name, dtype in ((G4, "float64"), (G4_SINGLE, "float32")):
        parts = {part: types[dtype] for part, types in result["parts"].items()}
        whole = 1e3 * result["kernels"][name]["us"]
        exp, sums = (result["triplets"] * 8 * parts[EXP_PART], result["triplets"] * 4 * parts[SUM_PART])
        cut = result["triplets"] * parts[CUTOFF_PART]
        said.append(
            f"""of {name}'s {whole / 1e3:.1f} µs, exp alone would take {percent(exp / whole)}, the sums
            {percent(sums / whole)} and the cutoff {percent(cut / whole)}"""
        )
    return paragraph(
        f"""At the rates of these parts, {"; ".join(said)}. Geometry, packing, angular factors and loads make up
        the rest."""
    )
