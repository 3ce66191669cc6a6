"""Evaluate, match, fit, broaden and export spectra: the functions behind ``import xanes_hpc``."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.analysis import evaluate as analysis
from xanes_hpc.api.inputs import PathLike, is_paths, output_path, site_choice, store_of
from xanes_hpc.api.spectra import Spectra
from xanes_hpc.calculations.broaden_store import treat_store
from xanes_hpc.config.files import load_run
from xanes_hpc.errors import ConfigError, SpectrumError, StoreError
from xanes_hpc.experiment import fit_broadening as fitting
from xanes_hpc.experiment import match as matching
from xanes_hpc.experiment.compare import MatchOptions
from xanes_hpc.experiment.fit_broadening import Fitted
from xanes_hpc.experiment.fit_curve import FIRST_GAUSSIAN, FitOptions
from xanes_hpc.experiment.library import chosen_rows, library_of, rows_of
from xanes_hpc.experiment.match import Match
from xanes_hpc.experiment.measured import Calculated, calculated_of, normalised, read_calculated, read_experiment
from xanes_hpc.formats.site_lists import SiteChoice, SiteList
from xanes_hpc.prediction.broaden_predictions import treat_predictions
from xanes_hpc.runtime.nearest import did_you_mean
from xanes_hpc.spectra.recipe import EDGE_STEP, BroadeningConfig, NormalisationConfig
from xanes_hpc.spectra.spectrum import NO_TREATMENT, Spectrum
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.chosen_predictions import ChosenPredictions
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structures import StructureStore

Window = tuple[float, float]


class Evaluation(dict[str, Any]):
    """Nested figures of merit by name, as ``evaluate`` returns them."""

    def __repr__(self) -> str:
        error, coverage = self["error_percent"], self["coverage"]
        return (
            f"<Evaluation of {self['n_sites']:,} sites: error {error['mean']:.2f} % (median {error['median']:.2f} %), "
            f"coverage of 1, 2, 3 σ {', '.join(f'{100 * share:.1f}' for share in coverage.values())} %>"
        )


def evaluate(predictions: Spectra | PredictionStore | PathLike) -> Evaluation:
    """Compare predictions with their reference spectra and return all figures of merit.

    Parameters
    ----------
    predictions
        Predicted spectra, or the path of a prediction store.

    Raises
    ------
    SpectrumError
        If no site has a usable reference.
    StoreError
        If the store cannot be read.

    Examples
    --------
    >>> import xanes_hpc as xh
    >>> figures = xh.evaluate("predictions.h5")
    >>> figures["n_sites"]
    24
    >>> round(figures["error_percent"]["mean"], 1)
    18.9
    """
    return Evaluation(analysis.evaluate(_predictions(predictions)))


def match(
    measured: PathLike | Spectrum | tuple[npt.ArrayLike, npt.ArrayLike],
    spectra: Spectra | PredictionStore | StructureStore | PathLike,
    *,
    absorber: str | None = None,
    edge: str | None = None,
    sites: PathLike | Sequence[str] | None = None,
    pre: Window | None = None,
    post: Window | None = None,
    order: int = 1,
    range: Window | None = None,
    kind: str = "xanes",
    treatment: str | None = None,
    **options: Any,
) -> Match:
    """Rank sites by the similarity of their spectra to a measured one.

    Parameters
    ----------
    measured
        The measured spectrum: a file, a ``Spectrum``, or a tuple of energies in eV and intensities.
    spectra
        Predicted spectra or a prediction store, whose sigma weights the points; or a structure store with spectra.
    absorber, edge
        Compare only sites of this element and edge.
    sites
        Compare only these sites: a table (``"chosen.csv"``) or names.
    pre, post, order
        Normalise the measured spectrum: windows before and after the edge, in eV from it, and the degree of the
        polynomial after it.
    range
        Energies to compare, on the grid's axis.
    kind, treatment
        Kind and treatment of the spectra to compare in a structure store.
    **options
        Options of ``MatchOptions``: scale, by, max_shift, noise, keep, mixture.

    Raises
    ------
    ConfigError
        If an option is unknown or invalid.
    SpectrumError
        If the measured spectrum cannot be used, or no site resembles it.

    Examples
    --------
    >>> import xanes_hpc as xh
    >>> spectra = xh.Spectra.open("predictions.h5")["demo0003_Co_tetrahedral"]
    >>> found = xh.match((spectra.energies, spectra.mean[0]), "predictions.h5", absorber="Co")
    >>> found.ranked[0].site
    'demo0003_Co_tetrahedral'
    """
    if (pre is None) != (post is None):
        raise ConfigError("`pre`, `post`: expected both or neither")
    start, stop = range or (None, None)
    chosen = _options(MatchOptions, {"start": start, "stop": stop, **options})
    store = _comparable(spectra)
    library = library_of(store, kind, treatment)
    rows = rows_of(library.sites, chosen_rows(library, _choice(sites), store.path), absorber, edge)
    experiment = _measured(measured)
    if pre is not None and post is not None:
        recipe = NormalisationConfig(EDGE_STEP, *pre, *post, order=order)
        experiment = normalised(experiment, float(np.nanmedian(library.e0[rows])), recipe)
    return matching.match(experiment, library, chosen, rows)


def fit_broadening(
    calculated: Spectra | PredictionStore | StructureStore | PathLike,
    measured: PathLike | Spectrum | tuple[npt.ArrayLike, npt.ArrayLike],
    *,
    site: str | None = None,
    recipe: str | None = None,
    absorber: str | None = None,
    edge: str = "K",
    kind: str = "xanes",
    treatment: str | None = None,
    range: Window | None = None,
    widths: Mapping[str, float] | None = None,
    **options: Any,
) -> Fitted:
    """Fit the shift, scale and broadening of a calculated or predicted spectrum to a measured one.

    Parameters
    ----------
    calculated
        Predicted spectra, a prediction store, a structure store with spectra, or the file of a spectrum.
    measured
        The measured spectrum: a file, a ``Spectrum``, or a tuple of energies in eV and intensities.
    site
        Name of the site, if there are several.
    recipe
        The broadening. Default: ``arctangent`` for unbroadened spectra, otherwise ``gaussian``.
    absorber, edge
        Element and edge, if ``calculated`` is the file of a spectrum.
    kind, treatment
        Kind and treatment of the spectrum to fit, if a site in a structure store has several.
    range
        Energies to fit, in eV from e0.
    widths
        Starting values by name, such as ``{"gaussian": 1.5}``.
    **options
        Options of ``FitOptions``: vary, baseline, max_shift.

    Raises
    ------
    ConfigError
        If an option is unknown or invalid.
    SpectrumError
        If a spectrum is invalid, or the two overlap at too few energies.

    Examples
    --------
    >>> import xanes_hpc as xh
    >>> spectra = xh.Spectra.open("predictions.h5")[:1]
    >>> measured = spectra.energies + spectra.e0[0] + 1.5, 2 * spectra.mean[0]
    >>> fit = xh.fit_broadening(spectra, measured)
    >>> round(fit.parameters["shift"].value, 2), round(fit.parameters["scale"].value, 2)
    (1.5, 2.0)
    """
    found = _calculated(calculated, site, absorber, edge, kind, treatment)
    name = recipe or ("arctangent" if found.placed.spectrum.treatment == NO_TREATMENT else "gaussian")
    values = {f"broadening.{width}": value for width, value in (widths or {}).items()} | {"broadening.name": name}
    if name == "gaussian":
        values.setdefault("broadening.gaussian", FIRST_GAUSSIAN)
    start, stop = range or (None, None)
    broadening = load_run(None, None, values).broadening
    chosen = _options(FitOptions, {"broadening": broadening, "start": start, "stop": stop, **options})
    return fitting.fit_broadening(found, _measured(measured), chosen)


def broaden(
    spectra: Spectra | PredictionStore | StructureStore | PathLike,
    recipe: str | None = None,
    *,
    normalise: str | None = None,
    pre: Window | None = None,
    post: Window | None = None,
    kind: str = "xanes",
    treatment: str | None = None,
    sites: PathLike | Sequence[str] | None = None,
    output: PathLike | None = None,
    overwrite: bool = False,
    config: PathLike | None = None,
    **values: Any,
) -> Any:
    """Broaden or normalise the spectra of a structure store, or predicted spectra with their draws.

    Parameters
    ----------
    spectra
        Predicted spectra, a prediction store, a structure store, or the path of a store.
    recipe
        ``arctangent``, ``seah-dench``, ``lorentzian``, ``summed``, ``gaussian`` or ``published-fe``.
    normalise
        ``edge-step``, ``area`` or ``min-max``.
    pre, post
        Windows of ``edge-step``, in eV from the edge.
    kind, treatment
        Kind and treatment of the spectra to treat in a structure store.
    sites
        Treat only the spectra of these sites: a table (``"chosen.csv"``) or names.
    output
        Store to write. By default the result stays in memory.
    overwrite
        Replace an existing output.
    config
        A TOML file with the sections ``[broadening]`` and ``[normalisation]``.
    **values
        Widths of the recipe, such as ``gaussian=1.5``, and settings of the normalisation, such as ``flatten=True``.

    Returns
    -------
    StructureStore or Spectra
        The treated spectra, in the form of the input.

    Raises
    ------
    ConfigError
        If a setting is unknown or invalid.
    SpectrumError
        If neither a recipe nor a normalisation is given, or no spectrum can be treated.
    StoreError
        If the output exists or cannot be written.

    Examples
    --------
    >>> import xanes_hpc as xh
    >>> xh.broaden("complexes.h5", "gaussian", gaussian=2.0)
    <StructureStore in memory: 24 structures, 24 sites (Cr K, Mn K, Fe K, Co K, Ni K, …), 24 spectra>
    """
    known = {"broadening": BroadeningConfig, "normalisation": NormalisationConfig}
    given: dict[str, Any] = {"broadening.name": recipe, "normalisation.name": normalise}
    for key, value in values.items():
        homes = [name for name, section in known.items() if key in {f.name for f in fields(section)}]
        if not homes:
            every = sorted({f.name for section in known.values() for f in fields(section)})
            hint = did_you_mean(key, every, f"expected one of {', '.join(every)}")
            raise ConfigError(f"unknown setting {key!r} of a broadening or normalisation{hint}")
        given[f"{homes[0]}.{key}"] = value
    for window, name in ((pre, "pre"), (post, "post")):
        if window is not None:
            given[f"normalisation.{name}_start"], given[f"normalisation.{name}_stop"] = window
    chosen = load_run(None if config is None else Path(config), None, given).recipe
    target = None if output is None else output_path(output)
    store, choice = _comparable(spectra), _choice(sites)
    if isinstance(store, PredictionStore):
        if isinstance(spectra, Spectra):
            store = spectra.chosen_with_draws
        if choice is not None:
            store = ChosenPredictions(store, store.sites.rows_of(SiteList(choice), store.path))
        done = treat_predictions(store, target, chosen, overwrite).store
        return Spectra(done if done is not None else PredictionStore(target))
    result = treat_store(store, target, chosen, kind, treatment, overwrite=overwrite, sites=choice).store
    return result if result is not None else StructureStore(target)


def export(
    predictions: Spectra | PredictionStore | PathLike, folder: PathLike, format: str = "xdi", overwrite: bool = False
) -> list[Path]:
    """Write predictions as files that other programs read, one per site, and return their paths.

    Parameters
    ----------
    predictions
        Predicted spectra, or the path of a prediction store.
    folder
        Folder to write to.
    format
        ``xdi``, ``nexus``, ``athena`` or ``csv``.
    overwrite
        Replace existing files.

    Raises
    ------
    FormatError
        If there is no such format.
    StoreError
        If the folder already holds such files, or cannot be written.

    Examples
    --------
    >>> import xanes_hpc as xh
    >>> xh.export("predictions.h5", "xdi")[0].name
    'demo0000_Cu_trigonal_bipyramidal.xdi'
    """
    spectra = predictions if isinstance(predictions, Spectra) else Spectra(_predictions(predictions))
    return spectra.export(folder, format, overwrite)


def _predictions(value: Spectra | PredictionStore | PathLike) -> PredictionStore:
    if isinstance(value, Spectra):
        return value.chosen_store
    return store_of(PredictionStore, value, "predictions")


def _comparable(value: Any) -> PredictionStore | StructureStore:
    if isinstance(value, Spectra):
        return value.chosen_store
    if isinstance(value, (PredictionStore, StructureStore)):
        return value
    if not isinstance(value, (str, os.PathLike)):
        raise StoreError(
            "expected predictions, or a structure store with spectra, or the path of one, "
            f"received {type(value).__name__}"
        )
    path = Path(value)
    if hdf5.is_kind(path, "predictions"):
        return PredictionStore(path)
    if hdf5.is_kind(path, "structures"):
        return StructureStore(path)
    hdf5.open_store(path).close()  # raises a more precise error, if there is one
    raise StoreError(f"{path}: expected a prediction store, or a structure store with spectra")


def _calculated(
    value: Any, site: str | None, absorber: str | None, edge: str, kind: str, treatment: str | None
) -> Calculated:
    if is_paths(value):
        return read_calculated(Path(value), site, absorber, edge.upper(), kind, treatment)
    return calculated_of(_comparable(value), site, kind, treatment)


def _measured(value: Any) -> Spectrum:
    if isinstance(value, Spectrum):
        return value
    if is_paths(value):
        return read_experiment(Path(value))
    if not isinstance(value, Sequence) or len(value) != 2:
        raise SpectrumError(
            f"`measured`: expected a file, or a tuple of energies and intensities, received {type(value).__name__}"
        )
    energies, intensities = (np.asarray(one, np.float64) for one in value)
    ascending = energies.ndim == 1 and energies.size > 0 and bool((np.diff(energies) > 0).all())
    if not ascending or energies.shape != intensities.shape:
        raise SpectrumError(
            "`measured`: expected ascending energies and the same number of intensities, received shapes "
            f"{energies.shape} and {intensities.shape}"
        )
    return Spectrum(energies, intensities, source="the measured spectrum")


def _choice(sites: Any) -> SiteChoice | None:
    if sites is not None and (choice := site_choice(sites)) is None:
        raise ConfigError(f"`sites`: expected a table such as 'chosen.csv', or names of sites, received {sites!r}")
    return None if sites is None else choice


def _options(kind: type[Any], values: Mapping[str, Any]) -> Any:
    known = {f.name for f in fields(kind)}
    for name in values:
        if name not in known:
            hint = did_you_mean(name, known, f"expected one of {', '.join(sorted(known))}")
            raise ConfigError(f"unknown option {name!r}{hint}")
    return kind(**values)
