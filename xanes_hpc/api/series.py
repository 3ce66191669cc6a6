"""Measured series and mixtures: their components, sites and fractions, and combinations of measured standards."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt

from xanes_hpc.api.arguments import check_arguments
from xanes_hpc.api.inputs import PathLike, is_paths
from xanes_hpc.api.measured import choice_of, comparable, measured_of, options_of
from xanes_hpc.api.spectra import Spectra
from xanes_hpc.errors import ConfigError
from xanes_hpc.experiment.combinations import CombinationOptions, Combinations
from xanes_hpc.experiment.combinations import fit_combinations as fit
from xanes_hpc.experiment.energy import EnergyOptions, correction
from xanes_hpc.experiment.joint_fit import JointFit, SeriesOptions
from xanes_hpc.experiment.kinds import selected
from xanes_hpc.experiment.library import library_of
from xanes_hpc.experiment.measured_set import MeasuredSet
from xanes_hpc.experiment.normalised import NormaliseOptions, normalised
from xanes_hpc.experiment.series_analysis import SeriesComponents, alone, with_library, with_standards
from xanes_hpc.experiment.standard_files import StandardFiles, of_kind
from xanes_hpc.spectra.edge_step import Window
from xanes_hpc.spectra.spectrum import Spectrum
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.absorbers import given_element


def series(
    files: PathLike | Sequence[PathLike],
    library: Spectra | PredictionStore | StructureStore | PathLike | None = None,
    *,
    standards: PathLike | Sequence[PathLike] | None = None,
    along: PathLike | None = None,
    absorber: str | None = None,
    edge: str | None = None,
    sites: PathLike | Sequence[str] | None = None,
    normalise: Literal["edge-step", "mback", "none"] = "edge-step",
    edge_at: float | None = None,
    pre: Window | None = None,
    post: Window | None = None,
    order: int | None = None,
    flatten: bool = True,
    calibrate: PathLike = "none",
    foil: str | None = None,
    deglitch: bool = False,
    range: Window | None = None,
    kind: str = "xanes",
    treatment: str | None = None,
    **options: Any,
) -> JointFit | SeriesComponents:
    """Find the components of a measured series, the sites that explain it, and their fractions along it.

    Parameters
    ----------
    files
        The spectra: files, a folder, or an Athena project.
    library
        Predicted spectra or a prediction store; or a structure store with spectra.
    standards
        Measured standards in place of a library: files or folders.
    along
        A table with a column ``file`` and one of numbers, such as ``time (s)``. Default: the natural order of names.
    absorber, edge
        Compare only sites of this element and edge.
    sites
        Compare only these sites: a table (``"chosen.csv"``) or names.
    normalise, edge_at, pre, post, order, flatten
        How to normalise the spectra, as for ``normalise``; the edge energy and windows of their mean hold for all.
    calibrate, foil, deglitch
        How to correct their energies, as for ``match``.
    range
        Energies to compare, on the library's axis.
    kind, treatment
        Kind and treatment of the spectra to compare in a structure store.
    **options
        Options of ``SeriesOptions``: components, by, max_shift, noise, keep.

    Returns
    -------
    JointFit or SeriesComponents
        Without a library and standards the principal components alone, near the edge or in ``range``. With them also
        the sets of sites that explain the series, best first, each with its ``fractions``, their errors, and the
        residual of each spectrum; and whether each is ``judged`` as explained less well than held-out spectra.

    Raises
    ------
    ConfigError
        If an option is unknown or invalid, or both ``library`` and ``standards`` are given.
    SpectrumError
        If too few spectra can be used, or they share too few energies.

    Examples
    --------
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import xanes_hpc as xh
    >>> sites = xh.Spectra.open("predictions.h5")[3:5]
    >>> sites.sites
    ['demo0003_Co_tetrahedral', 'demo0004_Co_trigonal_bipyramidal']
    >>> Path("run").mkdir()
    >>> for k, share in enumerate([0.1, 0.3, 0.5, 0.7, 0.9]):
    ...     mu = (1 - share) * sites.mean[0] + share * sites.mean[1]
    ...     np.savetxt(f"run/scan{k}.dat", np.column_stack([sites.energies + sites.e0[0], 3 * mu]))
    >>> found = xh.series("run", "predictions.h5", absorber="Co", components=2)
    >>> found.ranked[0].fractions.round(2).tolist()
    [[0.9, 0.1], [0.7, 0.3], [0.5, 0.5], [0.3, 0.7], [0.1, 0.9]]
    """
    check_arguments(series, locals())
    if library is not None and standards is not None:
        raise ConfigError("expected either `library` or `standards`")
    start, stop = range or (None, None)
    chosen = options_of(SeriesOptions, {"start": start, "stop": stop, **options})
    given = MeasuredSet(
        _paths(files),
        None if along is None else Path(along),
        energy=EnergyOptions(str(calibrate), foil, deglitch),
        normalisation=NormaliseOptions(normalise, edge_at, pre, post, order, flatten),
    )
    if standards is not None:
        return with_standards(given, _paths(standards), _kind(absorber, edge), chosen)[0]
    if library is None:
        return alone(given, _kind(absorber, edge), chosen)
    store = comparable(library)
    shelf = library_of(store, kind, treatment, given.normalisation)
    rows, element, own_edge = selected(shelf, choice_of(sites), store.path, absorber, edge)
    return with_library(given, shelf, (element, own_edge), rows, chosen)


def fit_standards(
    measured: PathLike | Spectrum | tuple[npt.ArrayLike, npt.ArrayLike],
    standards: PathLike | Sequence[PathLike],
    *,
    absorber: str | None = None,
    edge: str | None = None,
    normalise: Literal["edge-step", "mback", "none"] = "edge-step",
    edge_at: float | None = None,
    pre: Window | None = None,
    post: Window | None = None,
    order: int | None = None,
    flatten: bool = True,
    calibrate: PathLike = "none",
    foil: str | None = None,
    deglitch: bool = False,
    range: Window = (-20.0, 30.0),
    **options: Any,
) -> Combinations:
    """Fit linear combinations of measured standards to a measured spectrum.

    Parameters
    ----------
    measured
        The measured spectrum: a file, a ``Spectrum``, or a tuple of energies in eV and intensities.
    standards
        The standards: files or folders.
    absorber, edge
        Element and edge. Default: those that the measured spectrum's file names.
    normalise, edge_at, pre, post, order, flatten
        How to normalise the measured spectrum, as for ``normalise``; standards are normalised alike.
    calibrate, foil, deglitch
        How to correct its energies, as for ``match``.
    range
        Energies to fit, in eV from the edge.
    **options
        Options of ``CombinationOptions``: most, sum_to_one, max_shift, keep.

    Returns
    -------
    Combinations
        The combinations, best first, each with its ``names``, ``weights``, standard ``errors`` and ``r_factor``.

    Raises
    ------
    ConfigError
        If an option is unknown or invalid.
    SpectrumError
        If a spectrum cannot be used, or no combination has positive weights.

    Examples
    --------
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import xanes_hpc as xh
    >>> energies = np.arange(7000.0, 7250.0, 0.5)
    >>> oxide, sulfide = (np.arctan((energies - e0) / 2.0) / np.pi + 0.5 for e0 in (7123.0, 7119.0))
    >>> Path("standards").mkdir()
    >>> np.savetxt("standards/oxide.dat", np.column_stack([energies, oxide]))
    >>> np.savetxt("standards/sulfide.dat", np.column_stack([energies, sulfide]))
    >>> best = xh.fit_standards((energies, 0.7 * oxide + 0.3 * sulfide), "standards").ranked[0]
    >>> best.names, [round(weight, 2) for weight in best.weights]
    (('oxide', 'sulfide'), [0.7, 0.3])
    """
    check_arguments(fit_standards, locals())
    chosen = options_of(CombinationOptions, {"start": range[0], "stop": range[1], **options})
    energy = EnergyOptions(str(calibrate), foil, deglitch)
    how = NormaliseOptions(normalise, edge_at, pre, post, order, flatten)
    spectrum = measured_of(measured)
    number, own_edge = _kind(absorber, edge)
    number, own_edge = number or spectrum.element, own_edge or spectrum.edge
    sample = normalised(
        correction(energy, number, own_edge)(of_kind(spectrum, number, own_edge)), how, number, own_edge
    )
    own, _ = StandardFiles.read(_paths(standards), energy).normalised_for(sample, how, number, own_edge)
    return fit(sample, own, chosen)


def _paths(files: Any) -> list[Path]:
    return [Path(files)] if is_paths(files) and not isinstance(files, (list, tuple)) else [Path(own) for own in files]


def _kind(absorber: str | None, edge: str | None) -> tuple[int | None, str | None]:
    return given_element(absorber), None if edge is None else edge.upper()
