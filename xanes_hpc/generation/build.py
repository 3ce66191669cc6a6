"""Write built complexes into a structure store."""

from pathlib import Path

import numpy as np

from xanes_hpc.generation.complexes import ComplexOptions, complexes
from xanes_hpc.spectra.edges import check_given, edge_energy
from xanes_hpc.stores.structure_writer import create_structures, structures_in_memory
from xanes_hpc.stores.structures import StructureStore


def build(
    output: Path | None,
    n: int,
    seed: int = 0,
    options: ComplexOptions | None = None,
    edge: str = "K",
    overwrite: bool = False,
) -> StructureStore:
    """Build complexes whose sites are their metals, write them into a structure store, and return it, open.

    Parameters
    ----------
    output
        Structure store to write; None keeps it in memory.
    n, seed, options
        As for ``complexes``.
    edge
        Edge of the sites: ``K``, ``L3``, …
    overwrite
        Whether to replace the output.

    Raises
    ------
    ConfigError
        If ``n``, the seed or an option is invalid.
    SpectrumError
        If a metal has no such edge.
    StoreError
        If the output exists or cannot be written.
    """
    options = options or ComplexOptions()
    check_given(edge, None, None)
    for metal in options.metals:
        edge_energy(metal, edge)
    made = complexes(n, seed, options)
    with create_structures(output, overwrite) as writer:
        for structure in made:
            writer.append(structure, np.zeros(1, np.int64), edge, [[]])
    return structures_in_memory(writer) if output is None else StructureStore(output)
