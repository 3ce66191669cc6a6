"""Each kernel alone on one thread: operations, rate, fraction of the core's peak, and what limits it."""

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
from xanes_hpc.descriptors._functions import FUNCTIONS
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
    MOLECULES: """Stores and packing. Every atom is looked at twice, nearby atoms are picked one at a time, and 53 bytes
        are written for each. There is hardly any arithmetic, so the fraction of the peak says little.""",
    CELLS: """Packing and ordering. Every pair is found, given its exact vector, ranked by atom within its site, and
        written (53 bytes). Most of the counted arithmetic is in the distances to the atoms of 27 bins. They are
        computed twice, eight at a time.""",
    G2: """The polynomial of exp for each pair and function. A pair has only a few vectors of functions. Each of them is
        a chain of multiply-adds that wait for one another, and the sums go through memory pair by pair.""",
    G2_SINGLE: """As G2 in float64, but vectors are twice as long, so there are half as many. For every pair the weights
        of all channels are checked, although it is added to only three of them.""",
    G4: """Half multiply-adds, half packing. The exp of every Gaussian of every triplet, and the sums over triplets of
        Gaussians times angular factors, run close to the peak (see the parts below). Checking all pairs of neighbours
        and packing the close ones, vector by vector, needs little arithmetic. The angular factors take more reading and
        writing than computing.""",
    G4_SINGLE: """As G4 in float64, but vectors are twice as long and polynomials are shorter, so packing the triplets
        weighs more.""",
    PATHS: """Geometry and packing. Every pair of neighbours needs a square root, a division and a cutoff in float64.
        Every path is packed with the weights of all channels. The products of Gaussians and factors are those of G4,
        but most factors are zero because an atom has only one element.""",
    RDC: """The polynomial of exp for each pair and grid point, as in G2.""",
}


@dataclass(frozen=True)
class Work:
    """One call of a kernel, with its number of sites and its operations of one type."""

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
    """Return a descriptor with only the functions of one cutoff."""
    description = descriptor.describe()
    weighting = [w for w in description["weighting"] if w.get("cutoff", description["cutoff"]) == cutoff]
    return descriptors.from_description(description | {"weighting": weighting})


def _only(descriptor: Descriptor, kind: str) -> Descriptor:
    """Return a descriptor with only the functions of one kind."""
    description = descriptor.describe()
    weighting = [{k: v for k, v in w.items() if k not in {*FUNCTIONS} - {kind}} for w in description["weighting"]]
    return descriptors.from_description(description | {"g1": False, "weighting": [w for w in weighting if kind in w]})


def _work(batch: SiteBatch, descriptor: Descriptor, operations: int) -> Work:
    """Return the work of ``fill`` alone, with the neighbours found beforehand."""
    blocks = list(_blocks(batch, descriptor.cutoff))
    outs = [np.empty((sites.n_sites, descriptor.n_features), descriptor.dtype) for sites, _ in blocks]

    def fill() -> None:
        for (sites, neighbours), out in zip(blocks, outs, strict=True):
            descriptor.fill(sites, neighbours, out)

    return Work(fill, descriptor.dtype.name, batch.n_sites, operations)


def _blocks(batch: SiteBatch, cutoff: float) -> Iterator[tuple[SiteBatch, NeighbourList]]:
    """Yield blocks of sites with their neighbours, as ``Descriptor.compute`` processes them."""
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
    head = ["kernel", "type", "operations per site", "µs a site", "Gflop/s", "µs at the peak", "of the peak"]
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
            f"""One thread. The sites are generated complexes; a site has {result["atoms"]:.0f} atoms,
            {result["pairs"]:.1f} neighbours, {result["candidates"]:,.0f} pairs of neighbours and
            {result["triplets"]:,.0f} triplets. Cell lists are measured on bulk iron. The peak is computed as above, at
            {result["clock"] / 1e9:.2f} GHz."""
        ),
        "",
        *table(head, rows),
        "",
        "What limits each kernel:",
        "",
        *[paragraph(f"- **{name}**: {BOUNDS[name]}") for name in kernels],
        "",
        paragraph(
            """Parts of the kernels, each alone on arrays in the first-level cache. An element is a value, a squared
            distance, or a triplet with two Gaussians and eight factors:"""
        ),
        "",
        *table(["part", "type", "ns per element", "Gflop/s", "of the peak"], parts),
        "",
        _shares(result),
        "",
        "How operations are counted (`benchmarks/counting.py`):",
        "",
        *[f"    {line}".rstrip() for line in str(getdoc(counting)).splitlines()[2:]],
    ]


def _shares(result: dict[str, Any]) -> str:
    """Say how much of G4's time its parts account for."""
    said = []
    for name, dtype in ((G4, "float64"), (G4_SINGLE, "float32")):
        parts = {part: types[dtype] for part, types in result["parts"].items()}
        whole = 1e3 * result["kernels"][name]["us"]
        exp, sums = (result["triplets"] * 8 * parts[EXP_PART], result["triplets"] * 4 * parts[SUM_PART])
        cut = result["triplets"] * parts[CUTOFF_PART]
        said.append(
            f"""{name} takes {whole / 1e3:.1f} µs a site. At the rates above, exp alone accounts for
            {percent(exp / whole)} of it, the sums for {percent(sums / whole)} and the cutoff for
            {percent(cut / whole)}."""
        )
    return paragraph(f"""{" ".join(said)} The rest is geometry, packing, angular factors and loads.""")
