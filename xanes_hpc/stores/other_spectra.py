"""Write structure stores that share another store's structures but have different spectra.

Features computed from either store are valid for both.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from xanes_hpc.runtime.new_file import NewFile
from xanes_hpc.spectra.spectrum import PlacedSpectrum, treatment_name
from xanes_hpc.stores import hdf5, spectra
from xanes_hpc.stores.columns import Columns
from xanes_hpc.stores.structures import StructureStore

COPIED = ("atoms", "structures", "sites")
DIGEST = "digest_structures"


@contextmanager
def with_other_spectra(
    store: StructureStore, path: Path | None, overwrite: bool, sources: Iterable[Path]
) -> Iterator[tuple[NewFile, Columns]]:
    """Create a store with the structures and sites of another; yield its file, and empty columns for its spectra.

    The store is renamed to ``path`` when the block ends without an error; without a path it lives in memory.

    Raises
    ------
    StoreError
        If the output exists and may not be replaced, is one of the sources, or cannot be written.
    """
    with hdf5.create_store(path, "structures", overwrite, sources) as file:
        for name in COPIED:
            store.file.copy(name, file)
        columns = Columns()
        spectra.add_spectrum_columns(columns, file)
        yield file, columns
        columns.finish()
        file.attrs[DIGEST] = store.attribute(DIGEST)
        file.attrs["digest_spectra"] = hdf5.digest(file, spectra.spectrum_names(file))


def copy_spectra(store: StructureStore, rows: list[int], columns: Columns) -> None:
    """Append the spectra of a store at ``rows``."""
    sites = spectra.SpectrumTable.read(store.file).site
    for row, placed in zip(rows, spectra.read_spectra(store.file, rows), strict=True):
        spectra.append_spectrum(columns, int(sites[row]), placed)


@dataclass
class Added:
    """Numbers of spectra that were new, that replaced another, and that the store already had.

    ``differing`` lists spectra that were not added because their site has a different one.
    """

    new: int = 0
    replaced: int = 0
    already_there: int = 0
    differing: list[str] = field(default_factory=list)


class _NothingNew(Exception):
    """Raised to stop writing a store without changes."""


def add_spectra(path: Path, additions: Iterable[tuple[int, PlacedSpectrum]], replace: bool = False) -> Added:
    """Add spectra to a structure store, by writing a new store that replaces it.

    A site has one spectrum of each kind and treatment. An identical spectrum is skipped. A different one replaces the
    stored spectrum if ``replace`` is set, and is otherwise left out and listed. The store is not written if nothing
    changes.

    Parameters
    ----------
    additions
        Rows of sites, and their spectra.

    Raises
    ------
    StoreError
        If the store cannot be written; it is then unchanged.
    """
    added, gone = Added(), set[int]()
    with (
        suppress(_NothingNew),
        StructureStore(path) as store,
        with_other_spectra(store, path, True, ()) as (_, columns),
    ):
        table = spectra.SpectrumTable.read(store.file)
        there = {key: row for row, key in enumerate(zip(table.site.tolist(), table.kind, table.treatment, strict=True))}
        for site, placed in additions:
            row = there.get((site, placed.spectrum.kind, placed.spectrum.treatment))
            if row is not None:
                if row in gone or _same(next(spectra.read_spectra(store.file, [row])), placed):
                    added.already_there += 1
                    continue
                if not replace:
                    name = store.site(site).name[0]
                    added.differing.append(
                        f"{placed.spectrum.source}: {name} already has a different {placed.spectrum.kind} spectrum of "
                        f"treatment {treatment_name(placed.spectrum.treatment)!r}"
                    )
                    continue
                gone.add(row)
                added.replaced += 1
            else:
                added.new += 1
            spectra.append_spectrum(columns, site, placed)
        if not (added.new or added.replaced):
            raise _NothingNew
        copy_spectra(store, [row for row in range(table.site.size) if row not in gone], columns)
    return added


def _same(one: PlacedSpectrum, other: PlacedSpectrum) -> bool:
    pairs = ((one.spectrum.energies, other.spectrum.energies), (one.spectrum.intensities, other.spectrum.intensities))
    return all(np.array_equal(a, b) for a, b in pairs) and one.e0 == other.e0 and one.shift == other.shift
