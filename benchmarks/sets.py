"""Sites shared by several benchmarks."""

from collections import Counter

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from generate import complexes
from options import Options

from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.neighbours import neighbour_list
from xanes_hpc.structures.sites import SiteBatch

GENERATED, GIVEN = "generated complexes", "given store"
CUTOFF = 6.0


def sets(options: Options) -> dict[str, SiteBatch]:
    """Return generated complexes and, if a store is given, its sites."""
    batches = {GENERATED: complexes(options.size(4096, 128))}
    if options.store is not None:
        with StructureStore(options.store) as store:
            batches[GIVEN] = store.batch(0, min(store.n_sites, options.size(100_000, 64)))
    return batches


def facts(batch: SiteBatch) -> dict[str, float | str]:
    """Describe a batch: sites, mean atoms per structure, mean neighbours within 6 Å, absorbing elements."""
    absorbers = batch.numbers[batch.offsets[batch.site_structures] + batch.site_atoms]
    elements = Counter(chemical_symbols[z] for z in absorbers)
    return {
        "sites": batch.n_sites,
        "atoms": float(np.diff(batch.offsets).mean()),
        "neighbours": float(np.diff(neighbour_list(batch, CUTOFF).offsets).mean()),
        "absorbers": ", ".join(element for element, _ in elements.most_common(3)) + (" …" if len(elements) > 3 else ""),
    }


def some(batch: SiteBatch, n: int) -> SiteBatch:
    """Return ``n`` sites spread evenly over a batch."""
    rows = np.linspace(0, batch.n_sites - 1, min(n, batch.n_sites)).astype(np.int64)
    structures, own = np.unique(batch.site_structures[rows], return_inverse=True)
    slices = [slice(batch.offsets[s], batch.offsets[s + 1]) for s in structures]
    return SiteBatch(
        numbers=np.concatenate([batch.numbers[atoms] for atoms in slices]),
        positions=np.concatenate([batch.positions[atoms] for atoms in slices]),
        offsets=np.concatenate([[0], np.cumsum([atoms.stop - atoms.start for atoms in slices])]),
        cells=batch.cells[structures],
        pbc=batch.pbc[structures],
        site_structures=own.astype(np.int64),
        site_atoms=batch.site_atoms[rows],
    )


def site_structures(batch: SiteBatch) -> list[tuple[Atoms, int]]:
    """Return the structure and the absorber's index for every site."""
    found = []
    for s, a in zip(batch.site_structures, batch.site_atoms, strict=True):
        atoms = slice(batch.offsets[s], batch.offsets[s + 1])
        found.append(
            (Atoms(batch.numbers[atoms], batch.positions[atoms], cell=batch.cells[s], pbc=batch.pbc[s]), int(a))
        )
    return found
