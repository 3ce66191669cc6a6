"""The ``spectra`` group: a table of spectra, each on its own energies."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from xanes_hpc.spectra.grid import step_near_edge
from xanes_hpc.spectra.spectrum import PlacedSpectrum, Spectrum
from xanes_hpc.stores.columns import Column, Columns, StringColumn
from xanes_hpc.stores.hdf5 import read_strings, reading

TEXTS = ("kind", "treatment", "unit", "e0_source", "energy_origin", "source")
CUT = "spectra/e_cut"
"""Optional dataset."""
ROWS_AT_ONCE = 1024
POINTS_AT_ONCE = 1 << 22
STEPS_SAMPLED = 2000
"""Largest number of spectra whose steps are read."""


def spectrum_names(file: h5py.File) -> list[str]:
    """Return the names of the datasets that hold a store's spectra."""
    names = [f"spectra/{n}" for n in (*TEXTS, "site", "e0", "shift", "offsets", "energies", "intensities")]
    return [*names, CUT] if CUT in file else names


def add_spectrum_columns(columns: Columns, file: h5py.File) -> None:
    """Add the columns of a new ``spectra`` group."""
    for name in TEXTS:
        columns.add(f"spectra/{name}", StringColumn(file, f"spectra/{name}"))
    for name, dtype in (("site", np.int64), ("offsets", np.int64)):
        columns.add(f"spectra/{name}", Column(file, f"spectra/{name}", dtype))
    for name in ("e0", "shift", "e_cut", "energies", "intensities"):
        columns.add(f"spectra/{name}", Column(file, f"spectra/{name}", np.float64))
    columns["spectra/offsets"].extend([0])


def append_spectrum(columns: Columns, site: int, placed: PlacedSpectrum) -> None:
    """Append a spectrum of a site."""
    append_spectra(columns, [site], placed, placed.spectrum.intensities[None])


def append_spectra(
    columns: Columns, sites: Sequence[int], placed: PlacedSpectrum, intensities: npt.NDArray[np.float64]
) -> None:
    """Append one spectrum per site; they share everything with ``placed`` except intensities, (n_sites, n_points)."""
    spectrum, n_sites = placed.spectrum, len(sites)
    first = columns["spectra/energies"].n_rows
    columns["spectra/site"].extend(sites)
    columns["spectra/e0"].extend([placed.e0] * n_sites)
    columns["spectra/shift"].extend([placed.shift] * n_sites)
    columns[CUT].extend([placed.e_cut] * n_sites)
    for name, text in (
        ("kind", spectrum.kind),
        ("treatment", spectrum.treatment),
        ("unit", spectrum.unit),
        ("source", spectrum.source),
        ("e0_source", placed.e0_source),
        ("energy_origin", placed.energy_origin),
    ):
        columns[f"spectra/{name}"].extend([text] * n_sites)
    columns["spectra/energies"].extend(np.tile(spectrum.energies, n_sites))
    columns["spectra/intensities"].extend(intensities.ravel())
    columns["spectra/offsets"].extend(first + spectrum.energies.size * np.arange(1, n_sites + 1))


@dataclass(frozen=True)
class SpectrumTable:
    """The spectra of a store without their points; every field has one entry per spectrum."""

    site: npt.NDArray[np.int64]
    kind: list[str]
    treatment: list[str]
    unit: list[str]
    e0: npt.NDArray[np.float64]
    offsets: npt.NDArray[np.int64]

    @classmethod
    def read(cls, file: h5py.File) -> "SpectrumTable":
        """Read the table of a store.

        Raises
        ------
        StoreError
            If the data are damaged.
        """
        with reading(Path(file.filename)):
            return cls(
                site=file["spectra/site"][:],
                kind=read_strings(file, "spectra/kind"),
                treatment=read_strings(file, "spectra/treatment"),
                unit=read_strings(file, "spectra/unit"),
                e0=file["spectra/e0"][:],
                offsets=file["spectra/offsets"][:],
            )


@dataclass(frozen=True)
class Ranges:
    """First and last energy relative to e0 (eV), number of points and e0 (eV) of spectra; all (n_spectra,)."""

    first: npt.NDArray[np.float64]
    last: npt.NDArray[np.float64]
    n_points: npt.NDArray[np.int64]
    e0: npt.NDArray[np.float64]

    def with_e0(self, e0: npt.NDArray[np.float64]) -> "Ranges":
        """Return the ranges relative to other edge energies, (n_spectra,), eV."""
        return Ranges(self.first + self.e0 - e0, self.last + self.e0 - e0, self.n_points, e0)

    def on_scale(self, origin: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return first and last energies relative to e0 (``origin`` is ``e0``), or absolute; eV."""
        moved = self.e0 if origin == "absolute" else 0.0
        return self.first + moved, self.last + moved


def read_ranges(file: h5py.File, rows: npt.NDArray[np.integer]) -> Ranges:
    """Return the ranges of the spectra at ``rows``; reads energies in long runs rather than spectrum by spectrum.

    Raises
    ------
    StoreError
        If the data are damaged.
    """
    with reading(Path(file.filename)):
        offsets, e0, moved = file["spectra/offsets"][:], file["spectra/e0"][:], _moved(file, rows)
        places = np.concatenate([offsets[rows], offsets[rows + 1] - 1])
        order = np.argsort(places, kind="stable")
        found, energies = np.empty(places.size), file["spectra/energies"]
        for start in range(0, energies.shape[0], POINTS_AT_ONCE):
            here = slice(*np.searchsorted(places[order], (start, start + POINTS_AT_ONCE)))
            if here.start < here.stop:
                found[order[here]] = energies[start : start + POINTS_AT_ONCE][places[order[here]] - start]
    first, last = np.split(found, 2)
    return Ranges(first + moved, last + moved, offsets[rows + 1] - offsets[rows], e0[rows])


def read_steps(file: h5py.File, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """Return the steps near the edge (eV) of the spectra at ``rows``, or of ``STEPS_SAMPLED`` evenly spread ones.

    Raises
    ------
    StoreError
        If the data are damaged.
    """
    chosen = np.sort(rows)[np.linspace(0, rows.size - 1, min(rows.size, STEPS_SAMPLED)).astype(np.int64)]
    with reading(Path(file.filename)):
        offsets, moved, energies = file["spectra/offsets"][:], _moved(file, chosen), file["spectra/energies"]
        return np.array([
            step_near_edge(energies[offsets[row] : offsets[row + 1]] + own)
            for row, own in zip(chosen.tolist(), moved.tolist(), strict=True)
        ])  # fmt: skip


def _moved(file: h5py.File, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """Return what to add to the stored energies of the spectra at ``rows`` so that they count from e0, eV."""
    from_e0 = np.array(read_strings(file, "spectra/energy_origin"))[rows] == "e0"
    e0, shift = file["spectra/e0"][:], file["spectra/shift"][:]
    return np.where(from_e0, 0.0, shift[rows] - e0[rows])


def read_spectra(file: h5py.File, rows: Sequence[int]) -> Iterator[PlacedSpectrum]:
    """Yield the spectra at ``rows``, read in runs; fastest if rows ascend."""
    for begin in range(0, len(rows), ROWS_AT_ONCE):
        wanted = np.asarray(rows[begin : begin + ROWS_AT_ONCE])
        low, high = int(wanted.min()), int(wanted.max()) + 1
        if high - low > 4 * ROWS_AT_ONCE:  # scattered rows: read one by one
            for row in wanted:
                yield from _read_run(file, int(row), int(row) + 1, np.zeros(1, np.int64))
        else:
            yield from _read_run(file, low, high, wanted - low)


def _read_run(file: h5py.File, low: int, high: int, wanted: npt.NDArray[np.int64]) -> Iterator[PlacedSpectrum]:
    with reading(Path(file.filename)):
        offsets = file["spectra/offsets"][low : high + 1]
        energies = file["spectra/energies"][offsets[0] : offsets[-1]]
        intensities = file["spectra/intensities"][offsets[0] : offsets[-1]]
        texts = {name: read_strings(file, f"spectra/{name}", slice(low, high)) for name in TEXTS}
        e0, shift = file["spectra/e0"][low:high], file["spectra/shift"][low:high]
        e_cut = file[CUT][low:high] if CUT in file else np.full(high - low, np.nan)
    for i in wanted:
        points = slice(offsets[i] - offsets[0], offsets[i + 1] - offsets[0])
        spectrum = Spectrum(
            energies[points],
            intensities[points],
            texts["kind"][i],
            texts["treatment"][i],
            texts["unit"][i],
            source=texts["source"][i],
        )
        scale = texts["e0_source"][i], texts["energy_origin"][i]
        yield PlacedSpectrum(spectrum, float(e0[i]), *scale, float(shift[i]), float(e_cut[i]))
