"""A model told of in one HTML page that needs nothing else: what it was made of, how good it is, what it rests on."""

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
from xanes_hpc.analysis.site_map import SMALLEST, SiteMap, map_sites
from xanes_hpc.analysis.windows import in_words
from xanes_hpc.errors import ModelError, StoreError
from xanes_hpc.models.model import Model
from xanes_hpc.models.training_sites import PARTS
from xanes_hpc.pages.report_merits import cases, leakage, merits, worst
from xanes_hpc.plotting import explanation as explanation_plots
from xanes_hpc.plotting import sites as site_plots
from xanes_hpc.plotting import spectra, training
from xanes_hpc.prediction.predict import PredictOptions, predict
from xanes_hpc.prediction.sources import Store, open_sources
from xanes_hpc.runtime.outputs import whole_output
from xanes_hpc.spectra.spectrum import treatment_name
from xanes_hpc.stores.predictions import PredictionStore

TEMPLATE = "report.html"
SPLIT = {
    "group": "kept together: sites of one", "seed": "seed", "folds": "parts of cross-validation",
    "fold": "tested on the part", "validation": "share that validates", "calibration": "share that calibrates",
    "test": "share that tests",
}  # fmt: skip
"""What the members of a split are called."""
RESOLUTION = 130
"""Dots per inch of its figures."""


@dataclass(frozen=True)
class ReportOptions:
    """What goes into a report.

    Attributes
    ----------
    part
        Of the sites that it is measured on; None for the first of test and validation that has some.
    draws
        Of each prediction.
    explained
        How it is explained; its ``part`` is that of the report. None for no explanation.
    """

    part: str | None = None
    draws: int = 100
    explained: ExplainOptions | None = None


@dataclass(frozen=True)
class Picture:
    """A figure in a page: what it shows, and its file as text that a page takes."""

    caption: str
    data: str


def report(
    model: Model,
    output: Path,
    source: Path | None = None,
    options: ReportOptions | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int, str], None] = lambda done, total, note: None,
) -> dict[str, Any]:
    """Write a report, and give the figures of merit in it.

    Parameters
    ----------
    model
        The model.
    output
        HTML file to write.
    source
        Feature or structure store with the sites it is measured on; by default the features it was trained on.
    options
        What goes into it.

    Raises
    ------
    ConfigError
        If an option is wrong.
    ModelError
        If the model had no sites of the part.
    StoreError
        If a store is not there or cannot be read, or the output stands in the way.
    """
    options = options or ReportOptions()
    with whole_output(output, overwrite) as temporary, tempfile.TemporaryDirectory(prefix="xanes-hpc-") as folder:
        with open_sources([source or trained_on(model)]) as store:
            part = options.part or held_out(model)
            progress(0, 3, "predicting")
            predictions = Path(folder) / "predictions.h5"
            predict(model, store, predictions, PredictOptions(draws=options.draws, part=part))
            with PredictionStore(predictions) as found:
                mapped = map_sites(found, model, store, "pca") if found.n_sites >= SMALLEST else None
            progress(1, 3, "explaining")
            explained = _explained(model, store, part, options)
        progress(2, 3, "drawing")
        token = spectra.resolution.set(RESOLUTION)
        try:
            with PredictionStore(predictions) as found:
                figures = evaluate(found)
                content = {
                    "name": model.path.resolve().name,
                    "part": part,
                    "made": datetime.now(UTC).isoformat(timespec="seconds"),
                    "program": f"xanes-hpc {__version__}, Python {platform.python_version()}",
                    "card": card(model),
                    "merits": merits(found, figures),
                    "leakage": leakage(figures["leakage"]),
                    "worst": cases(found, worst(found)),
                    "pictures": list(_pictures(model, found, figures, mapped, Path(folder))),
                    "explained": None if explained is None else _told(explained),
                    "explained_pictures": [] if explained is None else list(_drawn(explained, Path(folder))),
                    "configuration": (model.path / "run.toml").read_text(encoding="utf-8"),
                    "descriptor": json.dumps(model.description["descriptor"]["description"], indent=1),
                    "metrics": json.dumps(figures, indent=1, ensure_ascii=False),
                }
        finally:
            spectra.resolution.reset(token)
        temporary.write_text(_rendered(content), encoding="utf-8")
    progress(3, 3, "")
    return figures


def trained_on(model: Model) -> Path:
    """The feature store a model was trained on, as its configuration names it from its folder.

    Raises
    ------
    StoreError
        If there are several, or it is not there any more.
    """
    path = model.path / "run.toml"
    try:
        named = tomllib.loads(path.read_text(encoding="utf-8")).get("features") or []
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read: {error}") from None
    if len(named) != 1:
        raise StoreError(f"{model.path}: was trained on {len(named)} feature stores: name one with --store")
    found = (model.path / str(named[0])).resolve()
    if not found.is_file():
        raise StoreError(f"{found}: the features that {model.path} was trained on are not there: name a --store")
    return found


def held_out(model: Model) -> str:
    """The part that tells most honestly how good a model is.

    Raises
    ------
    ModelError
        If it has neither test nor validation sites.
    """
    counts = np.bincount(model.training_sites.parts, minlength=len(PARTS) + 1)
    for name in ("test", "validation"):
        if counts[PARTS.index(name)]:
            return name
    raise ModelError(f"{model.path}: held out no sites to measure it on")


def _explained(model: Model, store: Store, part: str, options: ReportOptions) -> Explanation | None:
    if options.explained is None:
        return None
    return explain([model], store, replace(options.explained, part=part))


def card(model: Model) -> dict[str, dict[str, str]]:
    """What a model is and was made of, by section."""
    d, provenance = model.description, model.description["provenance"]
    energies, origin = model.grid
    sites = {part: f"{n:,}" for part, n in provenance["sites"].items()}
    split = provenance["split"]
    kinds = ", ".join(f"{s['element']} {s['edge']} ({s.get('sites', 0):,} sites)" for s in d["seen"])
    treatment = d["target"]["treatment"]
    return {
        "Data": {
            "absorbers": kinds,
            **{f"sites, {part}": n for part, n in sites.items()},
            "spectra": f"{d['target']['kind']}, treatment {treatment_name(treatment)}, unit {d['target']['unit']}",
            "energies": f"{energies.size} from {energies[0]:g} to {energies[-1]:g} eV ({origin})",
            "structures, digest": provenance.get("digest_structures", ""),
            "spectra, digest": provenance.get("digest_spectra", ""),
        },
        "Split": {SPLIT.get(name, name): str(value) for name, value in split.items() if value is not None},
        "Descriptor": {
            "name": d["descriptor"]["description"]["name"],
            "features": f"{d['n_features']:,}",
            "hash": d["descriptor"]["hash"],
        },
        "Recipe": {
            "network": d["architecture"]["name"],
            **{name: str(value) for name, value in d["architecture"]["parameters"].items()},
            "networks": str(d["members"]),
            "kernel ridge": "none" if model.regression is None else f"share {model.regression.share:.2f}",
            "uncertainty": model.method,
        },
        "Versions": {**provenance["versions"], "model": model.digest},
    }


def _pictures(
    model: Model, store: PredictionStore, figures: Mapping[str, Any], mapped: SiteMap | None, folder: Path
) -> Iterator[Picture]:
    drawn: list[tuple[str, Callable[[Path], None]]] = [
        (
            "Predicted beside reference, from best to worst",
            lambda path: spectra.predicted_against_reference(store, path),
        ),
        ("The worst sites", lambda path: spectra.chosen_sites(store, worst(store).tolist(), path)),
        ("Error at each energy", lambda path: spectra.error_at_each_energy(figures, path)),
        ("Uncertainty: reliability, rejection, coverage", lambda path: spectra.calibration(figures, path)),
        ("Predicted against reference intensity", lambda path: site_plots.parity(store, path)),
        ("Error and σ against the distance from the training sites", lambda path: site_plots.distance(store, path)),
        *_mapped(store, mapped),
        ("Training: every epoch", lambda path: training.learning([model.path], path)),
    ]
    for k, (caption, draw) in enumerate(drawn):
        path = folder / f"{k}.png"
        draw(path)
        yield Picture(caption, _encoded(path))


def _mapped(store: PredictionStore, mapped: SiteMap | None) -> list[tuple[str, Callable[[Path], None]]]:
    if mapped is None:
        return []
    caption = "The sites among the training sites, by the two main components of their features"
    return [(caption, lambda path: site_plots.site_map(store, mapped, path))]


def _drawn(explanation: Explanation, folder: Path) -> Iterator[Picture]:
    captions = {
        "importance": "Neighbours by distance, and what radial functions there matter for the whole spectrum",
        "windows": "The same in each window of energies",
        "difference": "How much more they matter in the second window than in the first",
        "shells": "What the spectrum changes by when the radial functions of a shell are permuted among sites",
        "angles": "The same for angular functions, by angle",
        "kinds": "The same for all features of a kind",
    }
    for path in explanation_plots.draw_all(explanation, folder):
        yield Picture(captions.get(path.stem, path.stem), _encoded(path))


def _encoded(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _told(explanation: Explanation) -> dict[str, Any]:
    names = list(map(in_words, explanation.windows))
    rows = [
        (f"{shell.name}, {shell.start:.1f} to {shell.stop:.1f} Å", [
            _percent(explanation.shells.mean[w, k], explanation.shells.std[w, k]) for w in range(len(names))
        ])
        for k, shell in enumerate(explanation.shell_ends)
    ]  # fmt: skip
    return {"windows": names, "shells": rows, "sites": explanation.n_sites}


def _percent(mean: float, std: float) -> str:
    return f"{mean:.1f} %" + (f" ± {std:.1f}" if np.isfinite(std) else "")


def _rendered(content: dict[str, Any]) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    text = files("xanes_hpc.pages").joinpath("templates", TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(text).render(content)
