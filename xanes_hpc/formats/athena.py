"""Files for Athena (Demeter, Larch): columns below ``#`` lines are written, project files are read with Larch."""

from pathlib import Path

import numpy as np

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.predicted import PredictedSpectrum, rows_of_numbers
from xanes_hpc.runtime.optional import need
from xanes_hpc.spectra.spectrum import Spectrum

SUFFIX = ".xmu"
PROJECT = ".prj"


def write(path: Path, predicted: PredictedSpectrum) -> None:
    """Write a predicted spectrum in columns: energy, xmu, its standard deviation, and the reference if there is one."""
    columns = predicted.columns("xmu")
    lines = [f"# {name}: {value}" for name, value in predicted.header.items()]
    lines += ["# predicted by a neural network from a structure: nothing was measured", f"# {'-' * 60}"]
    lines.append(f"# {'  '.join(columns)}")
    path.write_text("\n".join(lines) + "\n" + rows_of_numbers(columns), encoding="utf-8")


def read_project(path: Path, group: str | None = None) -> Spectrum:
    """Read a spectrum of an Athena project: its only one, or the one with a label.

    Raises
    ------
    ConfigError
        If Larch is not installed.
    FormatError
        If the file is not a project, has no spectrum with the label, or has several and no label is given.
    """
    need("larch", "larch", "reading an Athena project")
    from larch.io import read_athena

    try:
        project = read_athena(str(path), do_preedge=False, do_bkg=False, do_fft=False)
        groups = {str(getattr(g, "label", name)): g for name, g in project.items()}
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise FormatError(f"{path}: cannot be read as an Athena project: {error}") from None
    wanted = group if group is not None else next(iter(groups), None) if len(groups) == 1 else None
    if wanted not in groups:
        listed = ", ".join(groups) or "none"
        what = f"spectrum {group!r}" if group is not None else "a project with one spectrum"
        raise FormatError(f"{path}: expected {what}, received {len(groups)} spectra: {listed}")
    found = groups[wanted]
    e0 = getattr(getattr(found, "athena_params", None), "bkg_e0", None) or getattr(found, "e0", None)
    return Spectrum(
        energies=np.asarray(found.energy, np.float64),
        intensities=np.asarray(found.mu, np.float64),
        e_edge=float(e0) if e0 else None,
        absolute=True,
        source=path.name,
    )
