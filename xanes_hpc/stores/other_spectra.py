"""Structure stores with the structures of another and other spectra; features made from either go with both."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from xanes_hpc.spectra.spectrum import PlacedSpectrum, treatment_name
from xanes_hpc.stores import hdf5, spectra
from xanes_hpc.stores.columns import Columns
from xanes_hpc.stores.new_file import NewFile
from xanes_hpc.stores.structures import StructureStore

COPIED = ("atoms", "structures", "sites")
DIGEST = "digest_structures"


@contextmanager
def with_other_spectra(
    store: StructureStore, path: Path | None, overwrite: bool, sources: Iterable[Path]
) -> Iterator[tuple[NewFile, Columns]]:
    """Write a new store with a store's structures and sites; yield its file, and the columns of its spectra to fill.

    It takes its name when the block ends without an error; without a path it lives in memory.

    Raises
    ------
    StoreError
        If the output stands in the way, is one of the sources, or cannot be written.
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
    """Append a store's own spectra at ``rows``."""
    sites = spectra.SpectrumTable.read(store.file).site
    for row, placed in zip(rows, spectra.read_spectra(store.file, rows), strict=True):
        spectra.append_spectrum(columns, int(sites[row]), placed)


@dataclass
class Added:
    """Numbers of spectra: new ones, those that took another's place, and those that were there already.

    ``differing`` lists those that were not added, for their site has another.
    """

    new: int = 0
    replaced: int = 0
    already_there: int = 0
    differing: list[str] = field(default_factory=list)


class _NothingNew(Exception):
    """Ends the writing of a store that would be as it was."""


def add_spectra(path: Path, additions: Iterable[tuple[int, PlacedSpectrum]], replace: bool = False) -> Added:
    """Add spectra of sites (by their rows) to a structure store, in a new one that takes its place.

    A site has one spectrum of a kind and treatment: one that is there already, number by number, is passed over;
    another takes its place with ``replace``, and is listed and left out without. Where nothing changes, the store is
    not written.

    Raises
    ------
    StoreError
        If it cannot be written; the store then stays as it was.
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
                        f"{name} has another {placed.spectrum.kind} spectrum of treatment "
                        f"{treatment_name(placed.spectrum.treatment)!r} than {placed.spectrum.source}"
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
