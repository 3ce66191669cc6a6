"""Generated systems to measure on: complexes, crystals, a trajectory, clusters of growing size. All are seeded.

Axes: s structure, a atom (over all structures in turn), c Cartesian component.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal

from xanes_hpc.stores.structure_writer import create_structures
from xanes_hpc.structures.sites import SiteBatch
from xanes_hpc.structures.structure import Structure

SEED = 20220
N_SHAPES = 64
"""Number of different complexes; further ones are rattled copies of these."""
RATTLE = 0.05
"""Standard deviation of the displacement along each axis, Å."""
METALS = (22, 24, 25, 26, 27, 28, 29, 44, 46, 78)
ORGANIC, SHARES = (6, 7, 8, 9, 15, 16, 17), (0.80, 0.08, 0.06, 0.01, 0.02, 0.01, 0.02)
"""Elements of the ligands besides hydrogen, and their fractions, about as in tmQM (doi:10.1021/acs.jcim.0c01041)."""
SITES_AT_A_TIME = 20_000

Vectors = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.uint8]


def complexes(n: int, seed: int = SEED) -> SiteBatch:
    """Return ``n`` complexes with one site each, the metal; it has about 55 neighbours within 6 Å."""
    generator = np.random.default_rng(seed)
    shapes = [_shape(k) for k in range(N_SHAPES)]
    chosen = generator.integers(N_SHAPES, size=n)
    lengths = np.array([len(numbers) for numbers, _ in shapes])[chosen]
    positions = np.concatenate([shapes[k][1] for k in chosen])
    return SiteBatch(
        numbers=np.concatenate([shapes[k][0] for k in chosen]),
        positions=positions + generator.normal(0.0, RATTLE, positions.shape),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        cells=np.zeros((n, 3, 3)),
        pbc=np.zeros((n, 3), np.bool_),
        site_structures=np.arange(n),
        site_atoms=np.zeros(n, np.int64),
    )


@cache
def _shape(k: int) -> tuple[Numbers, Vectors]:
    """Build a complex: a metal at the origin, donors around it, and ligands grown from them atom by atom at random."""
    generator = np.random.default_rng([SEED, k])
    n_atoms = int(np.clip(generator.lognormal(4.13, 0.37), 13, 220))
    n_heavy = max(6, round(0.52 * n_atoms))
    numbers, positions = [int(generator.choice(METALS))], np.zeros((1, 3))
    n_donors = int(generator.integers(4, 7))
    while len(numbers) < n_atoms:
        heavy = len(numbers) < n_heavy
        parent = 0
        if len(numbers) > n_donors:
            distances = np.linalg.norm(positions, axis=1)
            grown = np.flatnonzero(np.array(numbers) > 1)[1:]
            parent = int(generator.choice(grown, p=_near_first(distances[grown])))
        length = 2.05 if parent == 0 else 1.42 if heavy else 1.09
        direction = generator.normal(size=3)
        place = positions[parent] + length * direction / np.linalg.norm(direction)
        others = np.delete(positions, parent, axis=0)
        if others.size and np.linalg.norm(others - place, axis=1).min() < (2.2 if heavy else 1.65):
            continue
        numbers.append(int(generator.choice(ORGANIC, p=SHARES)) if heavy else 1)
        positions = np.vstack([positions, place])
    return np.array(numbers, np.uint8), positions


def _near_first(distances: Vectors) -> Vectors:
    weights = np.exp(-distances / 3.0)
    return weights / weights.sum()


def every_atom(batch: SiteBatch) -> SiteBatch:
    """Return the same structures with every atom as a site."""
    lengths = np.diff(batch.offsets)
    structures = np.repeat(np.arange(lengths.size), lengths)
    return replace(batch, site_structures=structures, site_atoms=np.arange(structures.size) - batch.offsets[structures])


def structures(batch: SiteBatch) -> Iterator[Atoms]:
    """Yield the structures of a batch as ``ase.Atoms``."""
    for s, (first, last) in enumerate(zip(batch.offsets[:-1], batch.offsets[1:], strict=True)):
        yield Atoms(batch.numbers[first:last], batch.positions[first:last], cell=batch.cells[s], pbc=batch.pbc[s])


def rattled(atoms: Atoms, seed: int = SEED) -> Atoms:
    """Return a copy with slightly displaced atoms."""
    copy = atoms.copy()
    copy.positions += np.random.default_rng(seed).normal(0.0, RATTLE, copy.positions.shape)
    return copy


def iron(n: int) -> Atoms:
    """Return ``2 n^3`` atoms of bcc iron, rattled."""
    return rattled(bulk("Fe", "bcc", a=2.866, cubic=True).repeat(n))


def haematite(*repeat: int) -> Atoms:
    """Repeat the hexagonal cell of haematite (30 atoms) along each direction; return it rattled."""
    basis = [(0, 0, 0.3553), (0.3059, 0, 0.25)]
    cell = crystal(["Fe", "O"], basis=basis, spacegroup=167, cellpar=[5.038, 5.038, 13.772, 90, 90, 120])
    return rattled(cell.repeat(repeat))


def trajectory(n_frames: int, seed: int = SEED) -> SiteBatch:
    """Return frames of haematite with 120 atoms; the first iron atom of each is the site."""
    frame = haematite(2, 2, 1)
    generator = np.random.default_rng(seed)
    positions = np.tile(frame.positions, (n_frames, 1))
    return SiteBatch(
        numbers=np.tile(frame.numbers.astype(np.uint8), n_frames),
        positions=positions + generator.normal(0.0, RATTLE, positions.shape),
        offsets=np.arange(n_frames + 1) * len(frame),
        cells=np.tile(np.asarray(frame.cell), (n_frames, 1, 1)),
        pbc=np.ones((n_frames, 3), np.bool_),
        site_structures=np.arange(n_frames),
        site_atoms=np.zeros(n_frames, np.int64),
    )


def cluster(n_neighbours: int, seed: int = SEED) -> tuple[Atoms, float]:
    """Return an atom with its ``n_neighbours`` nearest in a dense packing (0.06 atoms per Å³), and the radius in Å."""
    reach = int(np.ceil((n_neighbours / 0.25) ** (1 / 3))) + 2
    lattice = bulk("C", "fcc", a=(4 / 0.06) ** (1 / 3), cubic=True).repeat(reach)
    generator = np.random.default_rng(seed)
    positions = lattice.positions + generator.normal(0.0, 4 * RATTLE, lattice.positions.shape)
    positions -= positions[np.linalg.norm(positions - positions.mean(axis=0), axis=1).argmin()]
    distances = np.linalg.norm(positions, axis=1)
    order = np.argsort(distances)[: n_neighbours + 1]
    numbers = np.concatenate([[26], generator.choice([1, 6, 7, 8], size=n_neighbours)])
    return Atoms(numbers, positions[order]), float(distances[order[-1]]) * 1.0001


def copies(atoms: Atoms, n: int, seed: int = SEED) -> SiteBatch:
    """Return ``n`` rattled copies of a structure; the first atom of each is the site."""
    return SiteBatch.from_atoms([rattled(atoms, seed + k) for k in range(n)], [0] * n)


def write_store(path: Path, n_sites: int) -> None:
    """Write a structure store of ``n_sites`` complexes."""
    with create_structures(path) as writer:
        for start in range(0, n_sites, SITES_AT_A_TIME):
            n = min(SITES_AT_A_TIME, n_sites - start)
            batch = complexes(n, SEED + start)
            for s in range(n):
                atoms = slice(batch.offsets[s], batch.offsets[s + 1])
                structure = Structure(f"complex{start + s:07d}", batch.numbers[atoms], batch.positions[atoms])
                writer.append(structure, batch.site_atoms[s : s + 1], "K", [])
