"""Adding spectra to a structure store: a new one beside it that takes its name, so that nothing is ever half-added."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xanes_hpc.errors import StoreError
from xanes_hpc.records import PlacedSpectrum, treatment_name
from xanes_hpc.stores import hdf5, spectra
from xanes_hpc.stores.columns import Columns
from xanes_hpc.stores.structures import StructureStore

COPIED = ("atoms", "structures", "sites")
DIGEST = "digest_structures"


@dataclass
class Added:
    """Numbers of spectra: new ones, those that took another's place, and those that were there already."""

    new: int = 0
    replaced: int = 0
    already_there: int = 0


class _NothingNew(Exception):
    """Ends the writing of a store that would be as it was."""


def add_spectra(path: Path, additions: Iterable[tuple[int, PlacedSpectrum]], replace: bool = False) -> Added:
    """Add spectra of sites (by their rows) to a structure store; features made from it stay valid.

    A site has one spectrum of a kind and treatment: one that is there already, number by number, is passed over, and
    another takes its place with ``replace``. Where nothing changes, the store is not written.

    Raises
    ------
    StoreError
        If a site has another spectrum of that kind and treatment; the store then stays as it was. Or if it cannot be
        written.
    """
    added = Added()
    with (
        suppress(_NothingNew),
        StructureStore(path) as store,
        hdf5.create_store(path, "structures", overwrite=True) as file,
    ):
        for name in COPIED:
            store.file.copy(name, file)
        columns, table = Columns(), spectra.SpectrumTable.read(store.file)
        spectra.add_spectrum_columns(columns, file)
        there = {key: row for row, key in enumerate(zip(table.site.tolist(), table.kind, table.treatment, strict=True))}
        gone = set[int]()
        for site, placed in additions:
            row = there.get((site, placed.spectrum.kind, placed.spectrum.treatment))
            if row is not None:
                if row in gone or _same(next(spectra.read_spectra(store.file, [row])), placed):
                    added.already_there += 1
                    continue
                if not replace:
                    raise StoreError(
                        f"{path}: {store.sites(site, site + 1).name[0]} has another {placed.spectrum.kind} spectrum "
                        f"of treatment {treatment_name(placed.spectrum.treatment)!r} than {placed.spectrum.source}: "
                        "add --replace to have the new one in its place"
                    )
                gone.add(row)
                added.replaced += 1
            else:
                added.new += 1
            spectra.append_spectrum(columns, site, placed)
        if not (added.new or added.replaced):
            raise _NothingNew
        kept = [row for row in range(table.site.size) if row not in gone]
        for row, placed in zip(kept, spectra.read_spectra(store.file, kept), strict=True):
            spectra.append_spectrum(columns, int(table.site[row]), placed)
        columns.finish()
        file.attrs[DIGEST] = store.attribute(DIGEST)
        file.attrs["digest_spectra"] = hdf5.digest(file, spectra.spectrum_names(file))
    return added


def _same(one: PlacedSpectrum, other: PlacedSpectrum) -> bool:
    pairs = ((one.spectrum.energies, other.spectrum.energies), (one.spectrum.intensities, other.spectrum.intensities))
    return all(np.array_equal(a, b) for a, b in pairs) and one.e0 == other.e0 and one.shift == other.shift
