"""NeXus files of a processed spectrum: the application definition NXxasproc, in HDF5.

The definition requires title, definition, sample/name, XAS_data_reduction (program, version, date, parameters) and data
(energy, data). Standard deviations are in ``data_errors``, as in NXdata, and everything else in ``parameters``. The
definitions for X-ray absorption are being revised, so the writer has versions.
"""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from xanes_hpc import __version__
from xanes_hpc.errors import FormatError
from xanes_hpc.formats.absorber import absorber
from xanes_hpc.formats.channels import rises
from xanes_hpc.formats.column_titles import EV_PER, KNOWN_ENERGIES, is_energy, parts, unit_of
from xanes_hpc.formats.columns import WITH_SIGMA, is_sigma
from xanes_hpc.formats.predicted import PredictedSpectrum
from xanes_hpc.formats.read_options import FLUORESCENCE, REFERENCE, TRANSMISSION
from xanes_hpc.runtime.hdf5_files import open_hdf5
from xanes_hpc.runtime.new_file import new_file
from xanes_hpc.spectra.spectrum import Choices, Spectrum

Array = npt.NDArray[np.float64]
SUFFIX = ".nxs"
ENTRY = "entry"
MOST_POINTS = 1_000_000
"""Maximum number of points in a spectrum that is read; real spectra have far fewer."""
MOST_LINKS = 8
LOST = "the default group of NeXus files has no spectrum"
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


def read(path: Path, mu: str | None = None) -> Spectrum:
    """Read the spectrum that ``default`` leads to, or else that of the first NXdata group that has one.

    A group's spectrum is its signal over its energies. Raw counts of an NXxas file are divided by the incoming beam's.

    Parameters
    ----------
    path
        The file.
    mu
        What raw counts give, ``transmission`` or ``fluorescence``. By default the file's mode says so, or else the one
        that rises.

    Raises
    ------
    FormatError
        If the file cannot be read, has no such group, or its raw counts rise either way.
    """
    if mu == REFERENCE:
        raise FormatError(f"{path}: `mu` {mu} does not apply to NeXus")
    try:
        with open_hdf5(path) as file:
            found: dict[str, Spectrum] = {}

            def look(name: str, node: h5py.HLObject) -> None:
                if _text(node.attrs.get("NX_class")) == "NXdata" and (found_here := _spectrum_of(path, node, mu)):
                    found[name] = found_here

            file.visititems(look)
            default = _default(file)
    except FormatError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:  # raised by HDF5 for damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FormatError(f"{path}: cannot be read as NeXus: {reason[:200]}") from None
    if not found:
        raise FormatError(f"{path}: expected an NXdata group with a signal over energies, received none")
    lost: Choices = () if default is None or default in found else ((LOST, f"{path.name}: {default or '/'}"),)
    if default in found:
        return found[default]
    first = next(iter(found))
    if len(found) > 1:
        lost += (("files have several spectra", f"{path.name}: {', '.join(found)}; read {first}, the first"),)
    return replace(found[first], choices=(*found[first].choices, *lost))


def _default(file: h5py.File) -> str | None:
    """Return the path to which the attributes ``default`` lead, whether it exists or not; None if there are none."""
    node: Any = file
    for _ in range(MOST_LINKS):
        name = _text(node.attrs.get("default"))
        if not name:
            break
        if not isinstance(node.get(name, getlink=True), h5py.HardLink):
            return f"{node.name}/{name}".strip("/")
        node = node[name]
    return str(node.name).strip("/") or None


def _spectrum_of(path: Path, data: h5py.Group, mode: str | None) -> Spectrum | None:
    energies, values = _energies_and_signal(path, data)
    if energies is None or values is None or energies.ndim != 1 or energies.shape != values.shape:
        return None
    unit = _text(energies.attrs.get("units")) or parts(energies.name.rpartition("/")[2])[1] or "eV"
    factor = EV_PER.get(unit_of(unit))
    if factor is None:
        raise FormatError(f"{path}: {KNOWN_ENERGIES}, received {unit!r}")
    in_ev = np.asarray(energies[()], np.float64) * factor
    intensities = np.asarray(values[()], np.float64)
    choices: Choices = ()
    sigma = None
    if _entry_text(path, data, "definition") == "NXxas":
        intensities, choices = _without_beam(path, data, in_ev, intensities, mode)
    elif (found := _sigma(path, data, values)) is not None and is_sigma(found[1], intensities):
        sigma, choices = found[1], ((WITH_SIGMA, f"{path.name}: {found[0]}"),)
    if _entry_text(path, data, "definition") != "NXxas" and mode is not None:
        raise FormatError(f"{path}: `mu` {mode}: expected the raw counts of NXxas, received a spectrum")
    e0 = _e0_of_export(data)
    absorbing, told = absorber(path.name, _entry_text(path, data, "element"), _entry_text(path, data, "edge"))
    return Spectrum(
        in_ev,
        intensities,
        unit=_text(values.attrs.get("units")) or "arbitrary",
        e_edge=e0,
        absolute=None if e0 is None else True,
        source=path.name,
        element=absorbing[0],
        edge=absorbing[1],
        choices=choices + told,
        sigma=sigma,
    )


def _sigma(path: Path, data: h5py.Group, signal: h5py.Dataset) -> tuple[str, Array] | None:
    """Return the name and values of a signal's standard deviations; None if the group has none."""
    own = signal.name.rpartition("/")[2]
    for name in (_text(signal.attrs.get("uncertainties")), f"{own}_errors", f"{own}_error", "errors"):
        found = _dataset(path, data, name) if name and name in list(data) else None
        if isinstance(found, h5py.Dataset) and found.shape == signal.shape:
            return name, np.asarray(found[()], np.float64)
    return None


def _energies_and_signal(path: Path, data: h5py.Group) -> tuple[Any, Any]:
    """Return the datasets of a group's energies and of its signal, each None if there is none.

    They are named by the group's attributes, or by the older ``signal=1`` on the dataset; else ``energy`` and ``data``.
    """
    signal = _text(data.attrs.get("signal")) or next((name for name in data if _is_signal(data, name)), "data")
    axes = np.atleast_1d(np.asarray(data.attrs.get("axes", []))).tolist()
    named = (name for axis in axes for name in re.split(r"[:,\[\]\s]+", _text(axis)))
    present = [name for name in (*named, "energy", *data) if name in list(data) and name != signal]
    energies = next((name for name in present if is_energy(*parts(name))), "energy")
    return _dataset(path, data, energies), _dataset(path, data, signal)


def _is_signal(data: h5py.Group, name: str) -> bool:
    return isinstance(data.get(name, getlink=True), h5py.HardLink) and _text(data[name].attrs.get("signal")) == "1"


def _without_beam(
    path: Path, data: h5py.Group, energies: Array, counts: Array, mode: str | None
) -> tuple[Array, Choices]:
    """Return the absorption that raw counts give with those of the incoming beam, and how."""
    beam = _dataset(path, data.parent, "instrument/incoming_beam/data")
    if beam is None or beam.shape != counts.shape:
        raise FormatError(f"{path}: expected counts of the incoming beam beside the raw counts of NXxas")
    incoming = np.asarray(beam[()], np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        possible = {TRANSMISSION: np.log(incoming / counts), FLUORESCENCE: counts / incoming}
    own = _entry_text(path, data, "data/mode").lower()
    why = ""
    if mode is None and own:
        mode = TRANSMISSION if "trans" in own else FLUORESCENCE
    if mode is None:
        rising = [name for name, mu in possible.items() if rises(energies, mu)]
        if len(rising) != 1:
            raise FormatError(f"{path}: the raw counts have no mode; give `mu`, {TRANSMISSION} or {FLUORESCENCE}")
        mode, why = rising[0], "; the file has no mode, and this rises"
    how = "ln(incoming / absorbed)" if mode == TRANSMISSION else "absorbed / incoming"
    return possible[mode], (("raw counts became an absorption", f"{path.name}: {how}{why}"),)


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
