"""Write a standalone feature store: features, sites and spectra without structures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from xanes_hpc.runtime.new_file import NewFile
from xanes_hpc.spectra.spectrum import PlacedSpectrum
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.columns import Columns
from xanes_hpc.stores.features import FORMULAS, Layout, write_descriptor
from xanes_hpc.stores.sites import SiteTable
from xanes_hpc.stores.spectra import ROWS_AT_ONCE, add_spectrum_columns, append_spectra

NONE = -1
"""Structure and atom of a site without a structure."""


class Rows(Protocol):
    """An array, or a part of a file that is read row by row."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any) -> npt.NDArray[Any]: ...


@dataclass(frozen=True)
class SharedSpectra:
    """Spectra of several sites that share everything but their intensities.

    Attributes
    ----------
    rows : (n_rows,)
        Rows of the sites.
    placed
        Everything that the spectra share, such as energies and e0; its own intensities are ignored.
    """

    rows: npt.NDArray[np.int64]
    placed: PlacedSpectrum


def standalone_sites(names: list[str], elements: Any, edges: Sequence[str]) -> SiteTable:
    """Return a table of sites without structures; ``elements`` are their atomic numbers, or a single one for all."""
    nowhere = np.full(len(names), NONE, np.int64)
    return SiteTable(names, nowhere, nowhere, np.full(len(names), elements, np.uint8), list(edges), np.ones(len(names)))


def write_standalone(
    path: Path | None,
    sites: SiteTable,
    features: Rows,
    description: dict[str, Any],
    descriptor_hash: str,
    labels: list[str],
    spectra: Sequence[SharedSpectra] = (),
    intensities: Rows | None = None,
    formulas: list[str] | None = None,
    attributes: Mapping[str, str] | None = None,
    overwrite: bool = False,
    sources: Iterable[Path] = (),
) -> NewFile:
    """Write a feature store of sites without structures, and return its file, which is open only without a path.

    Parameters
    ----------
    path, overwrite, sources
        As for ``hdf5.create_store``.
    sites
        One site per row of ``features``.
    features : (n_sites, n_features)
    description, descriptor_hash, labels
        Description, hash and feature names of the descriptor that computed the features.
    spectra
        Groups of sites whose spectra share their energies; none without spectra.
    intensities : (n_sites, n_points)
        Spectra of all sites.
    formulas
        Formula of each site's structure; None if they are unknown.
    attributes
        Further attributes of the store.

    Raises
    ------
    StoreError
        If the output exists and may not be replaced, or cannot be written.
    """
    layout = Layout(len(sites), len(labels), features.dtype)
    with hdf5.create_store(path, "features", overwrite, sources) as file:
        write_descriptor(file, description, descriptor_hash, labels)
        file.attrs.update(attributes or {})
        table = layout.table.create(file, layout.n_sites)
        for start in range(0, layout.n_sites, layout.chunk_rows):
            table[start : start + layout.chunk_rows] = features[start : start + layout.chunk_rows]
        sites.write(file)
        if formulas is not None:
            hdf5.write_strings(file, FORMULAS, formulas)
        if intensities is not None:
            _write_spectra(file, spectra, intensities)
    return file


def _write_spectra(file: NewFile, spectra: Sequence[SharedSpectra], intensities: Rows) -> None:
    columns = Columns()
    add_spectrum_columns(columns, file)
    for shared in spectra:
        for start in range(0, shared.rows.size, ROWS_AT_ONCE):
            rows = shared.rows[start : start + ROWS_AT_ONCE]
            append_spectra(columns, rows.tolist(), shared.placed, intensities[rows])
    columns.finish()
