"""Analyse a measured series from its files: alone, against the sites of a library, or against measured standards."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xanes_hpc.errors import SpectrumError
from xanes_hpc.experiment.compare import Array, Library, Rows
from xanes_hpc.experiment.fitted_set import Background
from xanes_hpc.experiment.joint_fit import JointFit, Progress, SeriesOptions, joint_fit
from xanes_hpc.experiment.measured_files import LeftOut
from xanes_hpc.experiment.measured_set import MeasuredSet
from xanes_hpc.experiment.principal_components import PrincipalComponents, principal_components
from xanes_hpc.experiment.series import Series
from xanes_hpc.experiment.standard_files import StandardFiles
from xanes_hpc.experiment.standards import StandardsLibrary

NEAR_EDGE = (-20.0, 80.0)
"""Energies around the edge that are analysed by default, eV."""
FEWEST_POINTS = 10


@dataclass(frozen=True)
class SeriesComponents:
    """The principal components of a series, and the energies at which they were found, eV on its own scale."""

    series: Series
    energies: Array
    components: PrincipalComponents


def alone(files: MeasuredSet, kind: tuple[int | None, str | None], options: SeriesOptions) -> SeriesComponents:
    """Return the principal components of a series, which tell how many different sites contribute.

    Energies of ``options`` are counted from the series' edge energy. Without an element and edge (``kind``), those that
    the series' first file names are expected of all.

    Raises
    ------
    XanesHpcError
        If the series cannot be read, or has too few energies.
    """
    series = files.read_series(*kind, None)
    relative = series.energies - series.normal.e0
    start = NEAR_EDGE[0] if options.start is None else options.start
    stop = NEAR_EDGE[1] if options.stop is None else options.stop
    inside = (relative >= start) & (relative <= stop)
    if inside.sum() < FEWEST_POINTS:
        raise SpectrumError(
            f"expected {FEWEST_POINTS} or more energies of the series from {start:g} to {stop:g} eV around its edge, "
            f"received {int(inside.sum())}"
        )
    background = Background(relative[inside])
    free = background.project(series.spectra[:, inside])
    found = principal_components(free, options.components, background.n_terms)
    return SeriesComponents(series, series.energies[inside], found)


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
