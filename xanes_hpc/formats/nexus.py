"""NeXus files of a processed spectrum: the application definition NXxasproc, in HDF5.

The definition requires title, definition, sample/name, XAS_data_reduction (program, version, date, parameters) and data
(energy, data). Standard deviations are in ``data_errors``, as in NXdata, and everything else in ``parameters``. The
definitions for X-ray absorption are being revised, so the writer has versions.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers

from xanes_hpc import __version__
from xanes_hpc.errors import FormatError
from xanes_hpc.formats.predicted import PredictedSpectrum
from xanes_hpc.runtime.hdf5_files import open_hdf5
from xanes_hpc.runtime.new_file import new_file
from xanes_hpc.spectra.edges import EDGES
from xanes_hpc.spectra.spectrum import Choices, Spectrum

SUFFIX = ".nxs"
ENTRY = "entry"
MOST_POINTS = 1_000_000
"""Maximum number of points in a spectrum that is read; real spectra have far fewer."""
MOST_LINKS = 8
RELATIVE = "energies are relative to the edge"


def write(path: Path, predicted: PredictedSpectrum, version: str = "NXxasproc") -> None:
    """Write a predicted spectrum in one of the ``VERSIONS`` of the definition."""
    with new_file(path) as file:
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
    """Read the spectrum that ``default`` leads to, or else that of the first NXdata group that has one.

    A group's spectrum is its signal over its energies. Raw counts of an NXxas file are divided by the incoming beam's.

    Raises
    ------
    FormatError
        If the file cannot be read, or has no such group.
    """
    try:
        with open_hdf5(path) as file:
            found: dict[str, Spectrum] = {}

            def look(name: str, node: h5py.HLObject) -> None:
                if _text(node.attrs.get("NX_class")) == "NXdata" and (spectrum := _spectrum_of(path, node)) is not None:
                    found[name] = spectrum

            file.visititems(look)
            default = _default(file)
    except FormatError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:  # raised by HDF5 for damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FormatError(f"{path}: cannot be read as NeXus: {reason[:200]}") from None
    if not found:
        raise FormatError(f"{path}: expected an NXdata group with a signal over energies, received none")
    if default in found or len(found) == 1:
        return found[default] if default in found else next(iter(found.values()))
    first = next(iter(found))
    detail = f"{path.name}: {', '.join(found)}; read {first}, the first"
    return replace(found[first], choices=(*found[first].choices, ("files have several spectra", detail)))


def _default(file: h5py.File) -> str:
    """Return the path of the group to which the attributes ``default`` lead; empty if they lead nowhere."""
    node: Any = file
    for _ in range(MOST_LINKS):
        name = _text(node.attrs.get("default"))
        if not name or not isinstance(node.get(name, getlink=True), h5py.HardLink):
            break
        node = node[name]
    return str(node.name).strip("/")


def _spectrum_of(path: Path, data: h5py.Group) -> Spectrum | None:
    signal = _text(data.attrs.get("signal")) or "data"
    energies, values = (_dataset(path, data, name) for name in ("energy", signal))
    if energies is None or values is None or energies.ndim != 1 or energies.shape != values.shape:
        return None
    unit = _text(energies.attrs.get("units")) or "eV"
    factor = {"ev": 1.0, "kev": 1000.0}.get(unit.lower())
    if factor is None:
        raise FormatError(f"{path}: expected energies in eV or keV, received {unit!r}")
    intensities = np.asarray(values[()], np.float64)
    choices: Choices = ()
    if _entry_text(path, data, "definition") == "NXxas":
        intensities, choices = _without_beam(path, data, intensities)
    e0 = _e0_of_export(data)
    edge = _entry_text(path, data, "edge").upper()
    return Spectrum(
        np.asarray(energies[()], np.float64) * factor,
        intensities,
        unit=_text(values.attrs.get("units")) or "arbitrary",
        e_edge=e0,
        absolute=None if e0 is None else True,
        source=path.name,
        element=atomic_numbers.get(_entry_text(path, data, "element").capitalize()) or None,
        edge=edge if edge in EDGES else None,
        choices=choices,
    )


def _without_beam(
    path: Path, data: h5py.Group, counts: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], Choices]:
    """Return the absorption that raw counts give with those of the incoming beam, and how."""
    beam = _dataset(path, data.parent, "instrument/incoming_beam/data")
    if beam is None or beam.shape != counts.shape:
        raise FormatError(f"{path}: expected counts of the incoming beam beside the raw counts of NXxas")
    incoming = np.asarray(beam[()], np.float64)
    mode = _entry_text(path, data, "data/mode").lower()
    how = "absorbed / incoming" if mode and "trans" not in mode else "ln(incoming / absorbed)"
    with np.errstate(divide="ignore", invalid="ignore"):
        found = counts / incoming if how.startswith("absorbed") else np.log(incoming / counts)
    return found, (("raw counts became an absorption", f"{path.name}: {how}"),)


def _entry_text(path: Path, data: h5py.Group, name: str) -> str:
    """Return a text beside a group of data, in its entry; empty if there is none."""
    node: Any = data.parent
    for part in name.split("/"):
        if not isinstance(node, h5py.Group) or not isinstance(node.get(part, getlink=True), h5py.HardLink):
            return ""
        node = node[part]
    return _text(node[()]) if isinstance(node, h5py.Dataset) and node.size == 1 else ""


def _dataset(path: Path, group: h5py.Group, name: str, most_links: int = MOST_LINKS) -> Any:
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
    """Return a text that HDF5 holds as such, as bytes, or as an array of one; empty for anything else."""
    if isinstance(value, np.ndarray):
        value = value.item() if value.size == 1 else None
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) if value is not None else ""
