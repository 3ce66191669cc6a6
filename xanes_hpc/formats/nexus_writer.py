"""Write predicted spectra in NeXus files, as the application definition NXxasproc.

The definition requires title, definition, sample/name, XAS_data_reduction (program, version, date, parameters) and data
(energy, data). Standard deviations are in ``data_errors``, as in NXdata, and everything else in ``parameters``. The
definitions for X-ray absorption are being revised, so the writer has versions.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np

from xanes_hpc import __version__
from xanes_hpc.formats.predicted import PredictedSpectrum
from xanes_hpc.runtime.new_file import new_file

ENTRY = "entry"


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
        *((name, values, predicted.unit) for name, values in predicted.interval.items()),
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
