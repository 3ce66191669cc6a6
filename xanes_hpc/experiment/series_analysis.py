"""Analyse a measured series from its files: against the sites of a library, or against measured standards."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from xanes_hpc.experiment.compare import Library, Rows
from xanes_hpc.experiment.joint_fit import JointFit, Progress, SeriesOptions, joint_fit
from xanes_hpc.experiment.measured_files import LeftOut
from xanes_hpc.experiment.measured_set import MeasuredSet
from xanes_hpc.experiment.standard_files import StandardFiles
from xanes_hpc.experiment.standards import StandardsLibrary


def with_library(
    files: MeasuredSet, library: Library, kind: tuple[int, str], rows: Rows, options: SeriesOptions,
    progress: Progress = lambda done, total: None,
) -> JointFit:  # fmt: skip
    """Return the sites of a library, of one element and edge (``kind``), that explain a series.

    Raises
    ------
    XanesHpcError
        If the series cannot be read or compared.
    """
    series = files.read_series(*kind, float(np.nanmedian(library.e0[rows])))
    return joint_fit(series, library, options, rows, progress)


def with_standards(
    files: MeasuredSet, standards: Sequence[Path], kind: tuple[int | None, str | None], options: SeriesOptions,
    progress: Progress = lambda done, total: None,
) -> tuple[JointFit, list[LeftOut]]:  # fmt: skip
    """Return the standards that explain a series, and those that cannot be used.

    Without an element and edge (``kind``), those that the series' first file names are expected of all.

    Raises
    ------
    XanesHpcError
        If the series or the standards cannot be read or compared.
    """
    known = StandardFiles.read(standards, files.energy)
    series = files.read_series(*kind, None)
    usable, left_out = known.normalised_for(series.normal, files.normalisation, *kind)
    library = StandardsLibrary(usable, series.energies)
    return joint_fit(series, library, options, None, progress), left_out
