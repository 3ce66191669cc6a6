"""Count the operations behind features from the numbers of atoms, pairs, triplets and functions.

One operation is an addition, subtraction, multiplication, division or square root of floating-point numbers. A fused
multiply-add counts as two. Comparisons, rounding, conversions, integer arithmetic, loads, stores and padding to whole
vectors do not count. Where a | b stands, a is for float64 and b for float32:

    exp       1 (to base 2) + 1 (rest) + 2 x 10 | 6 (polynomial)                        = 22 | 14
    cutoff    2 (argument) + 2 x 10 | 6 (polynomial) + 1 (square)                        = 23 | 15

    search, molecules      18 x atoms looked at (9 to count, 9 to select) + 9 x pairs
    search, cell lists     16 x atoms looked at (8 to count, 8 to select) + 27 x pairs (recomputed exactly)
    G2    pairs x [23 (cutoff, always float64) + channels + functions x (3 + exp + 2 x channels with a weight)]
    G4    pairs of neighbours x [13 + channels]                                        (sides, angle, weights)
          + triplets x [cutoff + channels                                              (opposite side)
                        + channels x sum over lambda and zeta of (2 + log2 zeta + 1)   (angular factors)
                        + Gaussians x (1 + exp)
                        + 2 x Gaussians x channels x lambdas x zetas]                  (their products, summed)
    paths pairs of neighbours x [25 + cutoff, always float64]                          (sides, turns, strength)
          + paths x [2 + 2 x channels + sum over zeta of 2 log2 zeta + 3 x channels x zetas   (factors)
                     + Gaussians x (3 + exp) + 2 x Gaussians x channels x zetas]       (their products, summed)
    RDC   pairs x points x (5 + exp)

A triplet is two neighbours closer to each other than the cutoff. A path runs via two neighbours and is shorter than
twice the cutoff.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import log2
from typing import Any

import numpy as np
from scipy.spatial.distance import pdist

from xanes_hpc.structures.neighbours import NeighbourList, neighbour_list
from xanes_hpc.structures.sites import SiteBatch

EXP = {"float64": 22, "float32": 14}
CUTOFF = {"float64": 23, "float32": 15}


@dataclass(frozen=True)
class Counts:
    """Sums over all sites of a batch.

    Attributes
    ----------
    atoms
        Atoms in the sites' structures.
    pairs
        Neighbours within the cutoff.
    candidates
        Pairs of neighbours of the same site.
    triplets
        Those of them that are closer to each other than the cutoff.
    """

    atoms: int
    pairs: int
    candidates: int
    triplets: int


def count(batch: SiteBatch, cutoff: float, with_triplets: bool = True) -> Counts:
    pairs = neighbour_list(batch, cutoff)
    n = np.diff(pairs.offsets)
    atoms = np.diff(batch.offsets)[batch.site_structures].sum()
    triplets = _triplets(pairs, cutoff) if with_triplets else 0
    return Counts(int(atoms), int(n.sum()), int((n * (n - 1) // 2).sum()), triplets)


def _triplets(pairs: NeighbourList, cutoff: float) -> int:
    bounds = zip(pairs.offsets[:-1], pairs.offsets[1:], strict=True)
    return sum(int((pdist(pairs.vectors[a:b]) < cutoff).sum()) for a, b in bounds if b - a > 1)


def search_molecules(counts: Counts) -> int:
    return 18 * counts.atoms + 9 * counts.pairs


def search_cell_lists(looked_at: int, pairs: int) -> int:
    return 16 * looked_at + 27 * pairs


def g2(counts: Counts, dtype: str, functions: int, channels: int, weighted: int) -> int:
    return counts.pairs * (CUTOFF["float64"] + channels + functions * (3 + EXP[dtype] + 2 * weighted))


def g4(counts: Counts, dtype: str, weighting: Mapping[str, Any], channels: int = 1) -> int:
    """Count for one ``g4`` table of a weighting whose mu are all 0."""
    lambdas, zetas, gaussians = len(weighting["lambda"]), weighting["zeta"], len(weighting["eta"])
    factors = channels * lambdas * sum(3 + log2(zeta) for zeta in zetas)
    sums = 2 * gaussians * channels * lambdas * len(zetas)
    of_triplet = CUTOFF[dtype] + channels + factors + gaussians * (1 + EXP[dtype]) + sums
    return round(counts.candidates * (13 + channels) + counts.triplets * of_triplet)


def paths(candidates: int, kept: int, dtype: str, table: Mapping[str, Any], channels: int) -> int:
    """Count for one ``paths`` table of a weighting, from the numbers of neighbour pairs and of paths via them."""
    gaussians, zetas = len(table["mu"]), table["zeta"]
    factors = 2 + 2 * channels + sum(2 * log2(zeta) for zeta in zetas if zeta) + 3 * channels * len(zetas)
    of_path = factors + gaussians * (3 + EXP[dtype]) + 2 * gaussians * channels * len(zetas)
    return round(candidates * (25 + CUTOFF["float64"]) + kept * of_path)


def count_paths(batch: SiteBatch, cutoff: float) -> int:
    """Count the paths via two neighbours that are shorter than twice the cutoff, at all sites."""
    pairs, found = neighbour_list(batch, cutoff), 0
    for a, b in pairwise(pairs.offsets):
        if b - a > 1:
            first, second = np.triu_indices(b - a, 1)
            r = pairs.distances[a:b]
            found += int((r[first] + r[second] + pdist(pairs.vectors[a:b]) < 2.0 * cutoff).sum())
    return found


def rdc(counts: Counts, dtype: str, points: int) -> int:
    return counts.pairs * points * (5 + EXP[dtype])
