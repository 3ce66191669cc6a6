"""Files for Athena (Demeter, Larch): columns below ``#`` lines are written, project files are read with Larch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.athena_groups import groups_of
from xanes_hpc.formats.columns import WITH_SIGMA, is_sigma
from xanes_hpc.formats.predicted import PredictedSpectrum, rows_of_numbers
from xanes_hpc.spectra.edges import EDGES
from xanes_hpc.spectra.rise import steepest_rise
from xanes_hpc.spectra.spectrum import Choices, Spectrum

Array = npt.NDArray[np.float64]
SUFFIX = ".xmu"
PROJECT = ".prj"
MOVED = "spectra were moved by the shift of their project"
"""What a reader says of energies that a project shifts."""


def write(path: Path, predicted: PredictedSpectrum) -> None:
    """Write a predicted spectrum in columns: energy, xmu, its standard deviation, and the reference if there is one."""
    columns = predicted.columns("xmu")
    lines = [f"# {name}: {value}" for name, value in predicted.header.items()]
    lines += ["# predicted by a neural network from a structure: nothing was measured", f"# {'-' * 60}"]
    lines.append(f"# {'  '.join(columns)}")
    path.write_text("\n".join(lines) + "\n" + rows_of_numbers(columns), encoding="utf-8")


def is_project(path: Path) -> bool:
    """Return True for a project file, and for one of its spectra: ``NAME.prj:LABEL``."""
    return path.suffix.lower() == PROJECT or f"{PROJECT}:" in path.name.lower()


def labels(path: Path) -> list[str]:
    """Return the labels of a project's spectra, in order; equal ones are numbered.

    Raises
    ------
    ConfigError
        If Larch is not installed.
    FormatError, OSError
        If the file is not a project, or cannot be read.
    """
    return list(groups_of(path))


def read_project(path: Path, group: str | None = None) -> Spectrum:
    """Read a spectrum of an Athena project: its only one, or the one with a label or number.

    Spectra with equal labels are numbered: ``foil (1)``, ``foil (2)``.

    Energies are moved by the project's own shift of each spectrum (``eshift``); its edge energy is that of the project.

    Parameters
    ----------
    path
        The project, or ``NAME.prj:LABEL``.
    group
        Label of the spectrum, or its number from 1.

    Raises
    ------
    ConfigError
        If Larch is not installed.
    FormatError
        If the file is not a project, has no spectrum with the label, has several and no label is given, or the
        spectrum is of another kind, such as chi(k).
    """
    if path.suffix.lower() != PROJECT:
        end = path.name.lower().index(f"{PROJECT}:") + len(PROJECT)
        path, group = path.with_name(path.name[:end]), path.name[end + 1 :]
    groups = groups_of(path)
    wanted = group if group is not None else next(iter(groups), None) if len(groups) == 1 else None
    if wanted not in groups and wanted is not None and wanted.isdecimal() and 0 < int(wanted) <= len(groups):
        wanted = list(groups)[int(wanted) - 1]
    if wanted not in groups:
        listed = ", ".join(groups) or "none"
        what = f"spectrum {group!r}" if group is not None else "a project with one spectrum"
        hint = f"; choose one by label or number, as {path.name}:1" if groups else ""
        received = "1 spectrum" if len(groups) == 1 else f"{len(groups)} spectra"
        raise FormatError(f"{path}: expected {what}, received {received}: {listed}{hint}")
    found = groups[wanted]
    if not hasattr(found, "energy") or not hasattr(found, "mu"):
        what = "chi(k)" if hasattr(found, "chi") else "no absorption"
        raise FormatError(f"{path}: expected a XANES spectrum, but {wanted} is {what}")
    energies, mu = (_numbers(path, wanted, values) for values in (found.energy, found.mu))
    if energies.size != mu.size:
        raise FormatError(
            f"{path}: {wanted}: expected as many energies as intensities, received {energies.size} and {mu.size}"
        )
    shift, e0 = (_parameter(found, name) for name in ("eshift", "e0"))
    energies = energies + (shift or 0.0)
    choices: Choices = ((MOVED, f"{path.name}: {shift:+g} eV"),) if shift else ()
    sigma = None if getattr(found, "stddev", None) is None else _numbers(path, wanted, found.stddev)
    if sigma is not None and is_sigma(sigma, mu):
        choices += ((WITH_SIGMA, f"{path.name}: stddev, the scatter of merged scans"),)
    else:
        sigma = None
    finite = energies.size and np.isfinite(energies + mu).all()
    if e0 and shift and finite:  # on the shifted scale in Athena's files, on the raw one in some of Larch's
        rise = steepest_rise(energies, mu)
        e0 = min(e0, e0 + shift, key=lambda edge: abs(edge - rise))
    edge = str(getattr(found, "edge", "") or "").upper()
    return Spectrum(
        energies=energies,
        intensities=mu,
        e_edge=e0 or None,
        absolute=True,
        source=path.name,
        element=atomic_numbers.get(str(getattr(found, "atsym", "") or "")) or None,
        edge=edge if edge in EDGES else None,
        choices=choices,
        sigma=sigma,
        reference=_reference(path, found, groups, energies),
    )


def _numbers(path: Path, group: str, values: Any) -> npt.NDArray[np.float64]:
    try:
        return np.asarray(values, np.float64).reshape(-1)
    except (ValueError, TypeError):
        raise FormatError(f"{path}: {group}: expected numbers, received other text") from None


def _reference(path: Path, group: Any, groups: Mapping[str, Any], energies: Array) -> Array | None:
    """Return the absorption of the group that the project ties to a group as its reference, at the same energies."""
    key = getattr(getattr(group, "athena_params", None), "reference", None)
    for name, other in groups.items() if key else ():
        if getattr(getattr(other, "athena_params", None), "id", None) == key and hasattr(other, "mu"):
            at, mu = (_numbers(path, name, values) for values in (other.energy, other.mu))
            if at.size != mu.size or not (np.diff(at) > 0).all():
                return None
            return np.interp(energies, at + (_parameter(other, "eshift") or 0.0), mu)
    return None


def _parameter(group: Any, name: str) -> float | None:
    """Return a number of a group's background parameters, which Larch nests since 0.9.72."""
    parameters = getattr(group, "athena_params", None)
    for value in (getattr(getattr(parameters, "bkg", None), name, None), getattr(parameters, f"bkg_{name}", None)):
        if isinstance(value, (int, float)) and np.isfinite(value):
            return float(value)
    return None
