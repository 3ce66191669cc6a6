"""Neighbour search in batches of molecules and in large periodic structures, compared with other packages."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import peers
from ase import Atoms
from generate import complexes, every_atom, haematite, iron, structures
from options import Options
from peers import Search
from sets import CUTOFF
from tables import number, paragraph, table, times
from timing import Call, interleaved, on_threads, thread_counts

from xanes_hpc.descriptors.base import SITES_AT_ONCE
from xanes_hpc.structures.neighbours import NeighbourSearch, neighbour_list
from xanes_hpc.structures.sites import SiteBatch

TITLE = "Neighbours"
OURS, WHOLE = "xanes-hpc", "xanes-hpc, one list"
ABSORBERS, ATOMS, IRON, OXIDE = "molecules, absorbers", "molecules, every atom", "bcc iron", "haematite"


def measure(options: Options) -> dict[str, Any]:
    molecules = complexes(options.size(2048, 64))
    systems = {
        ABSORBERS: molecules,
        ATOMS: every_atom(molecules),
        IRON: SiteBatch.from_atoms(iron(options.size(20, 4)), "all"),
        OXIDE: SiteBatch.from_atoms(haematite(*options.size((9, 9, 3), (3, 3, 1))), "all"),
    }
    return {name: _measure(name, batch, options) for name, batch in systems.items()}


def _measure(name: str, batch: SiteBatch, options: Options) -> dict[str, Any]:
    molecules = name in (ABSORBERS, ATOMS)
    alone = list(structures(batch))
    few = alone[: options.size(128, 8)]
    searches: dict[str, tuple[Sequence[Atoms], Search]] = {}
    if peers.installed("vesin"):
        for n in thread_counts():
            searches[f"vesin/{n}"] = alone, peers.vesin(CUTOFF, n)
    if peers.installed("matscipy"):
        searches["matscipy/1"] = alone, peers.matscipy(CUTOFF)
    searches["ASE/1"] = few, peers.ase(CUTOFF)
    for peer, (those, search) in searches.items():
        _check(peer, batch, those, search)
    calls: dict[str, Call] = {}
    for n in thread_counts():
        calls[f"{OURS}/{n}"] = on_threads(n, lambda: _in_parts(batch))
        if not molecules:
            calls[f"{WHOLE}/{n}"] = on_threads(n, lambda: neighbour_list(batch, CUTOFF))
    calls |= {p: lambda t=those, s=search: [s(atoms) for atoms in t] for p, (those, search) in searches.items()}
    taken = interleaved(calls, options.repeats if molecules else min(5, options.repeats))
    n_pairs = int(neighbour_list(batch, CUTOFF).offsets[-1])
    rows: dict[str, dict[str, Any]] = {}
    for call, t in taken.items():
        peer, _, n = call.rpartition("/")
        share = len(searches[call][0]) / len(alone) if call in searches else 1.0
        rows.setdefault(peer, {})[n] = {key: value / share for key, value in t.items()}
    return {
        "structures": len(alone),
        "atoms": batch.numbers.size,
        "sites": batch.n_sites,
        "pairs": n_pairs,
        "seconds": rows,
    }


def _in_parts(batch: SiteBatch) -> int:
    """Search as descriptors do, ``SITES_AT_ONCE`` sites at a time; return the number of pairs."""
    search, n_pairs = NeighbourSearch(batch, CUTOFF), 0
    for start in range(0, batch.n_sites, SITES_AT_ONCE):
        n_pairs += search.pairs(start, min(start + SITES_AT_ONCE, batch.n_sites)).distances.size
    return n_pairs


def _check(peer: str, batch: SiteBatch, those: Sequence[Atoms], search: Search) -> None:
    """Check that a package finds the same number of pairs at every site."""
    counts = np.diff(neighbour_list(batch, CUTOFF).offsets)
    for s, atoms in enumerate(those):
        sites = batch.site_structures == s
        theirs = np.bincount(search(atoms)[0], minlength=len(atoms))[batch.site_atoms[sites]]
        if not (theirs == counts[sites]).all():
            raise AssertionError(f"{peer}: structure {s}: found {theirs.sum()} pairs, expected {counts[sites].sum()}")


def section(result: dict[str, Any]) -> list[str]:
    lines = [
        paragraph(
            """All pairs within 6 Å, with their atoms, images, vectors and distances. Before timing, every package is
            checked to find the same number of pairs at every site. The other packages are called once per structure and
            always list the neighbours of every atom."""
        )
    ]
    for name, found in result.items():
        counts = sorted(found["seconds"][OURS])
        per_site = name in (ABSORBERS, ATOMS)
        unit, divisor = ("structure", found["structures"]) if per_site else ("pair", found["pairs"])
        scale = 1e6 if per_site else 1e9
        head = ["", *(f"{'µs' if per_site else 'ns'} a {unit}, {n} thread{'s' * (n != '1')}" for n in counts)]
        base = found["seconds"][OURS]["1"]["median"]
        rows = []
        for peer in (OURS, WHOLE, "vesin", "matscipy", "ASE"):
            seconds = found["seconds"].get(peer)
            if seconds is None:
                if peer != WHOLE:
                    rows.append([peer, "not installed", *[""] * len(counts)])
                continue
            costs = [number(scale * seconds[n]["median"] / divisor) if n in seconds else "" for n in counts]
            rows.append([peer, *costs, times(seconds["1"]["median"] / base)])
        lines += ["", f"**{name.capitalize()}**: {_facts(found)}.", "", *table([*head, "relative, 1 thread"], rows)]
    return [
        *lines,
        "",
        paragraph(
            f"""`{OURS}` searches {SITES_AT_ONCE} sites at a time and then discards their pairs, as descriptors do.
            `{WHOLE}` keeps all pairs in memory, as the other packages do."""
        ),
    ]


def _facts(found: dict[str, Any]) -> str:
    if found["structures"] == 1:
        return f"{found['atoms']:,} atoms, {found['pairs']:,} pairs"
    return (
        f"{found['structures']:,} structures, {found['atoms'] / found['structures']:.0f} atoms each, "
        f"{found['sites']:,} sites, {found['pairs']:,} pairs"
    )


def goals(result: dict[str, Any]) -> list[tuple[str, str, bool]]:
    found = []
    for name in (ABSORBERS, ATOMS):
        seconds = result[name]["seconds"]
        if "vesin" in seconds:
            ratio = seconds["vesin"]["1"]["median"] / seconds[OURS]["1"]["median"]
            found.append(
                (f"{name}, in batches: at least 20 × as fast as vesin called per structure", times(ratio), ratio >= 20)
            )
    seconds = result[IRON]["seconds"]
    if "vesin" in seconds:
        for ours in (OURS, WHOLE):
            ratio = seconds["vesin"]["1"]["median"] / seconds[ours]["1"]["median"]
            found.append((f"bulk iron on one thread, {ours}: at least vesin's rate", times(ratio), ratio >= 1))
    return found
