"""Write a standalone feature store: features, sites and spectra without structures."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.spectra.spectrum import PlacedSpectrum
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.columns import Columns
from xanes_hpc.stores.features import Layout, write_descriptor
from xanes_hpc.stores.sites import SiteTable
from xanes_hpc.stores.spectra import ROWS_AT_ONCE, add_spectrum_columns, append_spectra

NONE = -1
"""Structure and atom of a site without a structure."""


def standalone_sites(names: list[str], element: int, edge: str) -> SiteTable:
    """Return a table of sites of one element and edge, without structures."""
    nowhere = np.full(len(names), NONE, np.int64)
    elements = np.full(len(names), element, np.uint8)
    return SiteTable(names, nowhere, nowhere, elements, [edge] * len(names), np.ones(len(names)))


def write_standalone(
    path: Path,
    sites: SiteTable,
    features: npt.NDArray[np.floating[Any]],
    placed: PlacedSpectrum,
    intensities: npt.NDArray[np.float64],
    description: dict[str, Any],
    descriptor_hash: str,
    labels: list[str],
    overwrite: bool = False,
    sources: Iterable[Path] = (),
) -> None:
    """Write a feature store in which every site has one spectrum, all on the same energies.

    Parameters
    ----------
    path, overwrite, sources
        As for ``hdf5.create_store``.
    sites
        One site per row of ``features``.
    features : (n_sites, n_features)
    placed
        Everything that the spectra share, such as energies and e0; its own intensities are ignored.
    intensities : (n_sites, n_points)
    description, descriptor_hash, labels
        Description, hash and feature names of the descriptor that computed the features.

    Raises
    ------
    StoreError
        If the output exists and may not be replaced, or cannot be written.
    """
    layout = Layout(len(sites), len(labels), features.dtype)
    with hdf5.create_store(path, "features", overwrite, sources) as file:
        write_descriptor(file, description, descriptor_hash, labels)
        layout.table.create(file, layout.n_sites)[:] = features
        sites.write(file)
        columns = Columns()
        add_spectrum_columns(columns, file)
        for start in range(0, len(sites), ROWS_AT_ONCE):
            rows = range(start, min(start + ROWS_AT_ONCE, len(sites)))
            append_spectra(columns, rows, placed, intensities[rows.start : rows.stop])
        columns.finish()
