"""From a structure store to a feature store: plan, compute a part, write it.

A part is one chunk of the feature store; its boundaries depend on the descriptor and the number of sites only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from xanes_hpc.descriptors import Descriptor
from xanes_hpc.errors import ConfigError, FormatError, StoreError
from xanes_hpc.stores.features import chunk_rows, create_features
from xanes_hpc.stores.structures import StructureStore

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Plan:
    """Sites ``bounds[k]:bounds[k + 1]`` are part k."""

    descriptor: Descriptor
    bounds: tuple[int, ...]

    @property
    def n_parts(self) -> int:
        """Number of parts."""
        return len(self.bounds) - 1


def plan(source: StructureStore, descriptor: Descriptor) -> Plan:
    """Share the sites of a store out over parts."""
    rows = chunk_rows(descriptor.n_features, descriptor.dtype.itemsize)
    return Plan(descriptor, (*range(0, source.n_sites, rows), source.n_sites))


def describe_sites(
    descriptor: Descriptor, source: StructureStore, start: int, stop: int
) -> npt.NDArray[np.floating[Any]]:
    """Features of sites ``start:stop`` of a store, shape (stop - start, n_features).

    Raises
    ------
    FormatError
        If a structure cannot be described; names the sites.
    """
    try:
        return descriptor.compute(source.batch(start, stop))
    except FormatError as error:
        raise FormatError(f"{source.path}: sites {start} to {stop - 1}: {error}") from None


def compute_part(plan: Plan, source: StructureStore, part: int) -> npt.NDArray[np.floating[Any]]:
    """Features of one part's sites, shape (n_sites of the part, n_features).

    Raises
    ------
    FormatError
        As ``describe_sites``.
    """
    return describe_sites(plan.descriptor, source, *plan.bounds[part : part + 2])


def set_threads(threads: int | None) -> None:
    """Number of threads for the kernels; by default all cores.

    Raises
    ------
    ConfigError
        If there are fewer.
    """
    if threads is not None:
        most = int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
        if threads > most:
            raise ConfigError(f"--threads {threads}: this machine has {most}")
        numba.set_num_threads(threads)


def featurise(
    source: StructureStore,
    descriptor: Descriptor,
    output: Path,
    overwrite: bool = False,
    progress: Progress = lambda done, total: None,
) -> None:
    """Write the features of every site of ``source`` to a new feature store.

    Raises
    ------
    StoreError
        If the source has no sites, or the output stands in the way or cannot be written.
    FormatError
        If a structure cannot be described.
    """
    if not source.n_sites:
        raise StoreError(f"{source.path}: has no sites")
    whole = plan(source, descriptor)
    with create_features(
        output, source, descriptor.describe(), descriptor.hash, descriptor.labels, descriptor.dtype, overwrite
    ) as features:
        for part in range(whole.n_parts):
            progress(whole.bounds[part], source.n_sites)
            features[whole.bounds[part] : whole.bounds[part + 1]] = compute_part(whole, source, part)
        progress(source.n_sites, source.n_sites)
