"""Summarise a model in one self-contained HTML page: data, figures of merit, worst cases, feature importance."""

import base64
import json
import platform
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from xanes_hpc import __version__
from xanes_hpc.analysis.evaluate import evaluate
from xanes_hpc.analysis.explain import ExplainOptions, explain
from xanes_hpc.analysis.explanation import Explanation
from xanes_hpc.analysis.feature_groups import KINDS
from xanes_hpc.analysis.site_map import SMALLEST, SiteMap, map_sites
from xanes_hpc.analysis.windows import in_words
from xanes_hpc.errors import ModelError, StoreError
from xanes_hpc.models.model import Model
from xanes_hpc.models.numpy_network import DRAWS
from xanes_hpc.models.training_sites import SETS
from xanes_hpc.pages.report_card import SET_NAMES, card
from xanes_hpc.pages.report_merits import cases, leakage, merits, worst
from xanes_hpc.plotting import errors, spectra, training
from xanes_hpc.plotting import explanation as explanation_plots
from xanes_hpc.plotting import sites as site_plots
from xanes_hpc.plotting.figures import resolution
from xanes_hpc.plotting.words import absorbers_in_words, of_predictions
from xanes_hpc.prediction.predict import PredictOptions, predict
from xanes_hpc.prediction.sources import Store, open_sources
from xanes_hpc.runtime.outputs import whole_output
from xanes_hpc.stores.predictions import PredictionStore

TEMPLATE = "report.html"
Progress = Callable[[int, int, str], None]
RESOLUTION = 130
"""Resolution of the figures, dots per inch."""


@dataclass(frozen=True)
class ReportOptions:
    """Contents of a report.

    Attributes
    ----------
    split
        Set of the split whose sites are evaluated; None for the test set, or the validation set if that is empty.
    draws
        Number of draws for each prediction.
    explained
        Options of the feature importance, whose ``split`` is replaced by the report's; None to leave it out.
    """

    split: str | None = None
    draws: int = DRAWS
    explained: ExplainOptions | None = None


@dataclass(frozen=True)
class Picture:
    """A figure in a page: its caption, and its file as a data URL."""

    caption: str
    data: str


def report(
    model: Model,
    output: Path,
    store: Path | None = None,
    options: ReportOptions | None = None,
    overwrite: bool = False,
    progress: Progress = lambda done, total, note: None,
) -> dict[str, Any]:
    """Write a report, and return its figures of merit.

    Parameters
    ----------
    model
        The model.
    output
        HTML file to write.
    store
        Feature or structure store with the sites to evaluate; by default the features the model was trained on.
    options
        Contents of the report.

    Raises
    ------
    ConfigError
        If an option is invalid.
    ModelError
        If the model has no sites in the split.
    StoreError
        If a store is missing or cannot be read, or the output already exists.
    """
    options = options or ReportOptions()
    with whole_output(output, overwrite) as temporary, tempfile.TemporaryDirectory(prefix="xanes-hpc-") as folder:
        with open_sources([store or trained_on(model)]) as source:
            name = options.split or held_out(model)
            predictions = Path(folder) / "predictions.h5"
            how = PredictOptions(draws=options.draws, split=name)
            predict(model, source, predictions, how, progress=_noted(progress, "predicting"))
            with PredictionStore(predictions) as found:
                mapped = map_sites(found, model, source, "pca") if found.n_sites >= SMALLEST else None
            explained = _explained(model, source, name, options, progress)
        token = resolution.set(RESOLUTION)
        try:
            with PredictionStore(predictions) as found:
                figures, evaluated_on = evaluate(found), SET_NAMES.get(name, f"{name} set")
                content = {
                    "name": model.path.resolve().name,
                    "absorbers": absorbers_in_words(model.seen),
                    "summary": summary(model, figures, evaluated_on),
                    "evaluated_on": evaluated_on,
                    "evaluated": f"{figures['n_sites']:,}",
                    "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
                    "program": f"xanes-hpc {__version__}, Python {platform.python_version()}",
                    "card": card(model),
                    "merits": merits(found, figures),
                    "leakage": leakage(figures["leakage"]),
                    "worst": cases(found, worst(found)),
                    "pictures": list(_pictures(model, found, figures, mapped, Path(folder), progress)),
                    "explained": None if explained is None else _shell_table(explained),
                    "explained_pictures": [] if explained is None else list(_drawn(explained, Path(folder))),
                    "configuration": (model.path / "run.toml").read_text(encoding="utf-8"),
                    "descriptor": json.dumps(model.description["descriptor"]["description"], indent=1),
                    "metrics": json.dumps(figures, indent=1, ensure_ascii=False),
                }
        finally:
            resolution.reset(token)
        temporary.write_text(_rendered(content), encoding="utf-8")
    return figures


def trained_on(model: Model) -> Path:
    """Return the feature store a model was trained on, as its configuration names it relative to its folder.

    Raises
    ------
    StoreError
        If there are several, or the store no longer exists.
    """
    path = model.path / "run.toml"
    try:
        named = tomllib.loads(path.read_text(encoding="utf-8")).get("features") or []
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read: {error}") from None
    if len(named) != 1:
        raise StoreError(f"{model.path}: was trained on {len(named)} feature stores; choose one with `store`")
    found = (model.path / str(named[0])).resolve()
    if not found.is_file():
        raise StoreError(f"{found}: missing, but {model.path} was trained on it; choose another with `store`")
    return found


def held_out(model: Model) -> str:
    """Return the split to evaluate a model on: test, or validation if there is no test set.

    Raises
    ------
    ModelError
        If the model has neither.
    """
    counts = np.bincount(model.training_sites.sets, minlength=len(SETS) + 1)
    for name in ("test", "validation"):
        if counts[SETS.index(name)]:
            return name
    other = "" if model.n_folds is None else ", or report on the model of a fold"
    raise ModelError(f"{model.path}: has neither a test nor a validation set; choose another with `split`{other}")


def _explained(model: Model, store: Store, name: str, options: ReportOptions, progress: Progress) -> Explanation | None:
    if options.explained is None:
        return None
    return explain([model], store, replace(options.explained, split=name), progress)


def _noted(progress: Progress, note: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(done, total, note)


def summary(model: Model, figures: Mapping[str, Any], evaluated_on: str) -> str:
    """Return what a model is, and how good it is, in two sentences."""
    energies, origin = model.grid
    zero = " from the edge" if origin == "e0" else ""
    return (
        f"This model predicts XANES at the {absorbers_in_words(model.seen)}, {energies[0]:g} to {energies[-1]:g} "
        f"eV{zero}. On the {figures['n_sites']:,} sites of the {evaluated_on}, the mean error of a spectrum is "
        f"{figures['error_percent']['mean']:.2f} %."
    )


def _pictures(
    model: Model, store: PredictionStore, figures: Mapping[str, Any], mapped: SiteMap | None, folder: Path,
    progress: Progress,
) -> Iterator[Picture]:  # fmt: skip
    named = model.path.resolve().name
    of = of_predictions(store, named)
    drawn: list[tuple[str, Callable[[Path], None]]] = [
        (
            "Prediction and reference, best to worst",
            lambda path: spectra.predicted_against_reference(store, path, named),
        ),
        (
            "The sites with the largest errors",
            lambda path: spectra.chosen_sites(store, worst(store).tolist(), path, named),
        ),
        ("Error at each energy", lambda path: errors.error_at_each_energy(figures, of, path)),
        ("Uncertainty: reliability, rejection and coverage", lambda path: errors.calibration(figures, of, path)),
        ("Predicted against reference intensity", lambda path: site_plots.parity(store, path, named)),
        (
            "σ and error against distance from the training set",
            lambda path: site_plots.distance(store, path, named),
        ),
        *_mapped(store, mapped, named),
        ("Training history", lambda path: training.learning([model.path], path)),
    ]
    for k, (caption, draw) in enumerate(drawn):
        progress(k, len(drawn), "drawing")
        path = folder / f"{k}.png"
        draw(path)
        yield Picture(caption, _encoded(path))


def _mapped(store: PredictionStore, mapped: SiteMap | None, named: str) -> list[tuple[str, Callable[[Path], None]]]:
    if mapped is None:
        return []
    caption = "Evaluated sites and, in grey, those used for the model, by two principal components of their features"
    return [(caption, lambda path: site_plots.site_map(store, mapped, path, named))]


def _drawn(explanation: Explanation, folder: Path) -> Iterator[Picture]:
    captions = {
        "importance": "What the whole spectrum depends on, by distance from the absorber, and where its neighbours are",
        "windows": "What each part of the spectrum depends on, by distance from the absorber",
        "difference": "Importance by distance for the second part of the spectrum, minus that for the first",
        "shells": "Change of the spectrum when the neighbours of one shell are exchanged among sites",
        "angles": "Change of the spectrum when the angles between neighbours are exchanged among sites",
        "kinds": "Change of the spectrum when all features of one kind are exchanged among sites",
    }
    for path in explanation_plots.draw_all(explanation, folder):
        yield Picture(captions.get(path.stem, path.stem), _encoded(path))


def _encoded(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _shell_table(explanation: Explanation) -> dict[str, Any]:
    names = list(map(in_words, explanation.windows))
    rows = [
        (f"{shell.name}, {shell.start:.1f} to {shell.stop:.1f} Å", [
            _percent(explanation.shells.mean[w, k], explanation.shells.std[w, k]) for w in range(len(names))
        ])
        for k, shell in enumerate(explanation.shell_ends)
    ]  # fmt: skip
    kinds = {kind: KINDS[kind] for kind in dict.fromkeys(g.kind for g in explanation.groups.groups) if kind in KINDS}
    return {"windows": names, "shells": rows, "sites": explanation.n_sites, "kinds": kinds}


def _percent(mean: float, std: float) -> str:
    return f"{mean:.1f} %" + (f" ± {std:.1f}" if np.isfinite(std) else "")


def _rendered(content: dict[str, Any]) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    text = files("xanes_hpc.pages").joinpath("templates", TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(text).render(content)
