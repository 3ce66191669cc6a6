"""NeXus files of a processed spectrum: the application definition NXxasproc, in HDF5.

The definition requires title, definition, sample/name, XAS_data_reduction (program, version, date, parameters) and data
(energy, data). Standard deviations are in ``data_errors``, as in NXdata, and everything else in ``parameters``. The
definitions for X-ray absorption are being revised, so the writer has versions.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from xanes_hpc import __version__
from xanes_hpc.errors import FormatError
from xanes_hpc.formats.predicted import PredictedSpectrum
from xanes_hpc.runtime.hdf5_files import open_hdf5
from xanes_hpc.spectra.spectrum import Spectrum

SUFFIX = ".nxs"
ENTRY = "entry"
MOST_POINTS = 1_000_000
"""Maximum number of points in a spectrum that is read; real spectra have far fewer."""
RELATIVE = "energies are relative to the edge"


def write(path: Path, predicted: PredictedSpectrum, version: str = "NXxasproc") -> None:
    """Write a predicted spectrum in one of the ``VERSIONS`` of the definition."""
    with h5py.File(path, "w") as file:
        file.attrs["default"] = ENTRY
        file.attrs["creator"] = f"xanes-hpc {__version__}"
        VERSIONS[version](file, predicted)


def _write_xasproc(file: h5py.File, predicted: PredictedSpectrum) -> None:
    entry = _group(file, ENTRY, "NXentry")
    entry.attrs["default"] = "data"
    entry["title"] = f"{predicted.site}: {predicted.element} {predicted.edge}, predicted"
    entry["definition"] = "NXxasproc"
    sample = _group(entry, "sample", "NXsample")
    sample["name"] = predicted.site
    if predicted.formula:
        sample["chemical_formula"] = predicted.formula
    process = _group(entry, "XAS_data_reduction", "NXprocess")
    process["program"], process["version"], process["date"] = "xanes-hpc", __version__, _now()
    parameters = _group(process, "parameters", "NXparameters")
    for name, value in predicted.header.items():
        parameters[name] = value
    data = _group(entry, "data", "NXdata")
    data.attrs["signal"], data.attrs["axes"], data.attrs["energy_indices"] = "data", ["energy"], 0
    for name, values, unit in (
        ("energy", predicted.energies, "eV"),
        ("data", predicted.mean, predicted.unit),
        ("data_errors", predicted.std, predicted.unit),
        ("reference", predicted.reference, predicted.unit),
    ):
        if values is not None:
            data[name] = np.asarray(values, np.float64)
            data[name].attrs["units"] = unit
    data["energy"].attrs["long_name"] = "energy (eV)" if predicted.absolute else "energy from the edge (eV)"


VERSIONS: dict[str, Callable[[h5py.File, PredictedSpectrum], None]] = {"NXxasproc": _write_xasproc}
"""Writers, by name of the definition."""


def _group(parent: h5py.Group, name: str, kind: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["NX_class"] = kind
    return group


def _now() -> str:
    """Return the current time, or SOURCE_DATE_EPOCH if it is set."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    time = datetime.fromtimestamp(int(given), UTC) if given else datetime.now(UTC)
    return time.isoformat(timespec="seconds")


def read(path: Path) -> Spectrum:
    """Read the spectrum of a file's first NXdata group that has one: its signal over its energies.

    Raises
    ------
    FormatError
        If the file cannot be read, or has no such group.
    """
    try:
        with open_hdf5(path) as file:
            found: list[Spectrum] = []

            def look(name: str, node: h5py.HLObject) -> None:
                if not found and _text(node.attrs.get("NX_class")) == "NXdata":
                    found.extend(_spectra_of(path, node))

            file.visititems(look)
    except FormatError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:  # raised by HDF5 for damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FormatError(f"{path}: cannot be read as NeXus: {reason[:200]}") from None
    if not found:
        raise FormatError(f"{path}: expected an NXdata group with a signal over energies, received none")
    return found[0]


def _spectra_of(path: Path, data: h5py.Group) -> list[Spectrum]:
    signal = _text(data.attrs.get("signal")) or "data"
    energies, values = (_dataset(path, data, name) for name in ("energy", signal))
    if energies is None or values is None or energies.ndim != 1 or energies.shape != values.shape:
        return []
    unit = _text(energies.attrs.get("units")) or "eV"
    factor = {"ev": 1.0, "kev": 1000.0}.get(unit.lower())
    if factor is None:
        raise FormatError(f"{path}: expected energies in eV or keV, received {unit!r}")
    e0 = _e0_of_export(data)
    return [
        Spectrum(
            np.asarray(energies[()], np.float64) * factor,
            np.asarray(values[()], np.float64),
            unit=_text(values.attrs.get("units")) or "arbitrary",
            e_edge=e0,
            absolute=None if e0 is None else True,
            source=path.name,
        )
    ]


def _dataset(path: Path, group: h5py.Group, name: str, most_links: int = 8) -> Any:
    """Return a numeric dataset of the file, or None if there is none of that name.

    Raises
    ------
    FormatError
        If its data are in another file, or more than a spectrum has.
    """
    node: Any = group
    for part in name.strip("/").split("/"):
        if not isinstance(node, h5py.Group):
            return None
        link = node.get(part, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise FormatError(f"{path}: {name}: expected data in this file, received a link to {link.filename}")
        if isinstance(link, h5py.SoftLink):
            start = node.file if link.path.startswith("/") else node
            node = _dataset(path, start, link.path, most_links - 1) if most_links else None
        else:
            node = node.get(part)
    if isinstance(node, h5py.Group):
        return node  # a group on the path of a link
    if not isinstance(node, h5py.Dataset) or node.dtype.kind not in "iuf":
        return None
    if node.external or node.is_virtual:
        raise FormatError(f"{path}: {name}: expected data in this file, received data stored in another file")
    if node.size > MOST_POINTS or int(np.prod(node.chunks or (1,))) > MOST_POINTS:
        raise FormatError(
            f"{path}: {name}: expected a spectrum of {MOST_POINTS:,} points or fewer, received {node.size:,}"
        )
    return node


def _e0_of_export(data: h5py.Group) -> float | None:
    """Return the edge energy in eV that our exported files record beside their data, or None."""
    try:
        recorded = data.parent["XAS_data_reduction/parameters/e0"][()]
    except (KeyError, ValueError, TypeError, OSError):
        return None
    words = _text(recorded).split()
    try:
        return float(words[0]) if len(words) == 2 and words[1] == "eV" else None
    except ValueError:
        return None


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) if value is not None else ""
