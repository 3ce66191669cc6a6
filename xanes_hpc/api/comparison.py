"""Evaluate, match, fit, broaden and export spectra: the functions behind ``import xanes_hpc``."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from xanes_hpc.analysis import evaluate as analysis
from xanes_hpc.analysis.baseline import baseline_of, compared
from xanes_hpc.api.arguments import check_arguments
from xanes_hpc.api.inputs import PathLike, output_path, store_of
from xanes_hpc.api.measured import choice_of, comparable
from xanes_hpc.api.spectra import Spectra
from xanes_hpc.calculations.broaden_store import treat_store
from xanes_hpc.config.files import load_run
from xanes_hpc.errors import ConfigError
from xanes_hpc.formats.site_lists import SiteList
from xanes_hpc.prediction.broaden_predictions import treat_predictions
from xanes_hpc.runtime.nearest import did_you_mean
from xanes_hpc.spectra.edge_step import Window
from xanes_hpc.spectra.recipe import BroadeningConfig, NormalisationConfig
from xanes_hpc.stores.chosen_predictions import ChosenPredictions
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structures import StructureStore


class Evaluation(dict[str, Any]):
    """Nested figures of merit by name, as ``evaluate`` returns them."""

    def __repr__(self) -> str:
        error, intervals = self["error_percent"], self["intervals"]
        levels, covered = ([f"{100 * i[name]:.1f}" for i in intervals] for name in ("level", "coverage"))
        return (
            f"<Evaluation of {self['n_sites']:,} sites: error {error['mean']:.2f} % (median {error['median']:.2f} %), "
            f"intervals of {', '.join(levels)} % cover {', '.join(covered)} %{self._units}>"
        )

    @property
    def _units(self) -> str:
        own, other = self["spectrum"]["unit"], self["spectrum"]["reference_unit"]
        return "" if own == other else f"; predictions in {own}, references in {other}"


def evaluate(predictions: Spectra | PredictionStore | PathLike, *, baseline: PathLike | None = None) -> Evaluation:
    """Compare predictions with their reference spectra and return all figures of merit.

    Parameters
    ----------
    predictions
        Predicted spectra, or the path of a prediction store.
    baseline
        Path of the predictions' model, to compare with the mean of its training spectra, or of other predictions of the
        same sites. The figures of ``baseline`` say how much better these are: ``eta`` is the ratio of the medians of
        the mean squared errors.

    Raises
    ------
    SpectrumError
        If no site has a usable reference.
    StoreError, ModelError
        If a store or model cannot be read, or the baseline does not fit the predictions.

    Examples
    --------
    >>> import xanes_hpc as xh
    >>> figures = xh.evaluate("predictions.h5")
    >>> figures["n_sites"]
    24
    >>> round(figures["error_percent"]["mean"], 1)
    18.9
    >>> xh.evaluate("predictions.h5", baseline="predictions.h5")["baseline"]["eta"]
    1.0
    """
    check_arguments(evaluate, locals())
    store = _predictions(predictions)
    figures = analysis.evaluate(store)
    if baseline is not None:
        figures["baseline"] = compared(store, baseline_of(Path(baseline), store))
    return Evaluation(figures)


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
    check_arguments(broaden, locals())
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
    store, choice = comparable(spectra), choice_of(sites)
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
    check_arguments(export, locals())
    spectra = predictions if isinstance(predictions, Spectra) else Spectra(_predictions(predictions))
    return spectra.export(folder, format, overwrite)


def _predictions(value: Spectra | PredictionStore | PathLike) -> PredictionStore:
    if isinstance(value, Spectra):
        return value.chosen_store
    return store_of(PredictionStore, value, "predictions")
