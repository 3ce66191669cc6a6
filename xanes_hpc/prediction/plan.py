"""The plan of a prediction: the sites, their references, and how they are divided into parts."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc import __version__
from xanes_hpc.errors import ModelError, StoreError, XanesHpcError
from xanes_hpc.formats.site_lists import SiteChoice, SiteList
from xanes_hpc.jobs.parts import PARTITIONS, read_plan
from xanes_hpc.models.model import Model
from xanes_hpc.models.numpy_network import DRAWS, n_draws
from xanes_hpc.prediction.site_features import Features, features_of
from xanes_hpc.prediction.sources import Store, check_seen, references_of, sets_of
from xanes_hpc.runtime.limits import LARGEST
from xanes_hpc.spectra.recipe import Recipe
from xanes_hpc.stores.part_files import Table, part_bounds, parts_folder
from xanes_hpc.stores.predictions import prediction_tables
from xanes_hpc.stores.sites import SiteTable
from xanes_hpc.stores.structures import StructureStore

KIND = "predictions"
PATHS = ("spectra", "foreign")
"""Options that are paths."""


@dataclass(frozen=True)
class PredictOptions:
    """How to predict.

    Attributes
    ----------
    draws
        Number of Monte Carlo draws over all members of the model; an ensemble without dropout has one per member.
    seed
        Seed of the draws.
    keep_draws
        Whether to keep every draw in the store.
    split
        Predict only sites of this set of the model's split: ``train``, ``validation``, ``calibration`` or ``test``.
    force
        Whether to predict elements and edges that the model was not trained on.
    spectra
        Structure store with the reference spectra, of the same structures as the source. By default the source itself,
        or the store that it names.
    sites
        Table or names of the sites to predict, as for ``formats.site_lists.SiteList``. By default all.
    foreign
        File with the features that another program made, for structures and a model that was trained on such features.
    """

    draws: int = DRAWS
    seed: int = 0
    keep_draws: bool = False
    split: str | None = None
    force: bool = False
    spectra: Path | None = None
    sites: SiteChoice | None = None
    foreign: Path | None = None


@dataclass(frozen=True)
class PredictionPlan:
    """The sites to predict, and everything needed to predict them.

    Attributes
    ----------
    model, source, structures, options
        The model, the store of the sites, the store of their structures if there is one, and the options.
    rows
        Rows of the sites in the source.
    sites
        The sites themselves.
    references
        Row of each site's reference spectrum; None without references.
    recipe
        The recipe that brings references to the model's treatment.
    reference_unit
        Their units after it; empty without references.
    why_none
        Why there are no references; empty if there are.
    features
        The sites' features, read from a store or computed from structures.
    n_without
        Number of sites that are left out because they have no features.
    """

    model: Model
    source: Store
    structures: StructureStore | None
    options: PredictOptions
    rows: npt.NDArray[np.int64]
    sites: SiteTable
    references: npt.NDArray[np.int64] | None
    recipe: Recipe
    reference_unit: str
    why_none: str
    features: Features
    n_without: int = 0

    @property
    def n_draws(self) -> int:
        """Number of draws per site, over all members."""
        return n_draws(self.model.members, self.options.draws, self.model.method == "dropout")

    @cached_property
    def tables(self) -> list[Table]:
        """The datasets that are made in parts."""
        draws = self.n_draws if self.options.keep_draws else None
        return prediction_tables(len(self.rows), self.model.grid[0].size, draws, self.references is not None)

    @cached_property
    def bounds(self) -> tuple[int, ...]:
        """Bounds of the parts: part k holds rows ``bounds[k]:bounds[k + 1]``."""
        return part_bounds(self.tables, len(self.rows))

    def known_of(self, start: int, stop: int) -> tuple[list[str], list[str]]:
        """Return the formulas of rows ``start:stop``, empty if unknown, and their sets of the model's split."""
        rows = self.rows[start:stop]
        low, high = int(rows[0]), int(rows[-1]) + 1
        every = (self.structures or self.source).site_formulas(low, high)
        formulas = [every[row - low] for row in rows.tolist()]
        return formulas, self.model.training_sites.sets_of(self.sites.name[start:stop], formulas)

    @property
    def source_digest(self) -> str:
        """Digest of the structures; empty without structures."""
        return "" if self.structures is None else self.structures.attribute("digest_structures")

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes of the prediction store."""
        model, calibration = self.model, self.model.calibration.as_dict()
        return {
            "model_digest": model.digest,
            "distance": model.distance,
            "descriptor_hash": model.descriptor_hash,
            "n_draws": self.n_draws,
            "seed": self.options.seed,
            **{name: model.description["target"][name] for name in ("kind", "treatment", "unit")},
            **({"reference_unit": self.reference_unit} if self.reference_unit else {}),
            "method": model.method,
            "calibration": json.dumps({name: calibration[name] for name in ("conformal", "degrees", "n_sites")}),
            **({"source_digest": self.source_digest} if self.source_digest else {}),
        }

    def as_values(self) -> dict[str, Any]:
        """Return everything that the contents of the parts depend on, as plain values."""
        options = asdict(self.options)
        for name in (*PATHS, "sites"):
            if isinstance(options[name], Path):
                options[name] = str(options[name].resolve())
        rows = "" if options["sites"] is None else hashlib.blake2b(self.rows.tobytes(), digest_size=16).hexdigest()
        return {
            "kind": KIND,
            "model_digest": self.model.digest,
            "source_digest": self.source_digest,
            "features": self.source.stamp,
            "properties": self.features.properties,
            **({"foreign": self.features.foreign} if self.features.foreign else {}),
            "references": "" if self.references is None else self._spectra.attribute("digest_spectra") or "own",
            "creator": f"xanes-hpc {__version__}",
            "code": self.features.code,
            "n_sites": len(self.rows),
            "bounds": list(self.bounds[:2]),
            "options": options,
            **({"rows": rows} if rows else {}),
        }

    @property
    def _spectra(self) -> Store:
        return self.structures if self.structures is not None else self.source


@contextmanager
def opened_plan(model: Model, source: Store, options: PredictOptions) -> Iterator[PredictionPlan]:
    """Yield the plan to predict a source's sites, with the stores it needs open.

    Raises
    ------
    ModelError
        If an option is invalid, the features are of another descriptor, no site is in the chosen set, or the model was
        not trained on an element and edge.
    StoreError
        If a store cannot be read.
    """
    if options.draws < 2:
        raise ModelError(f"`draws`: expected at least 2, received {options.draws}")
    if not 0 <= options.seed <= LARGEST:
        raise ModelError(f"`seed`: expected 0 to {LARGEST}, received {options.seed}")
    behind, missing = source.open_structures(options.spectra)
    with behind as structures:
        every = source.sites
        rows = np.arange(len(every)) if options.sites is None else every.rows_of(SiteList(options.sites), source.path)
        if not rows.size:
            raise StoreError(f"{source.path}: has no sites")
        if options.split is not None:
            sets = sets_of(model, every, structures or source)
            rows = rows[[sets[row] == options.split for row in rows]]
            if not rows.size:
                there = ", ".join(dict.fromkeys(sets)) or "none"
                raise ModelError(f"no site is in the {options.split} set of {model.path}; expected one of: {there}")
        features = features_of(model, source, options.foreign)
        n_without = int(features.without[rows].sum())
        rows = rows[~features.without[rows]]
        if not rows.size:
            raise ModelError(f"{source.path}: no site to predict has features")
        chosen = every if rows.size == len(every) else every.take(rows)
        check_seen(model, chosen, options.force)
        found = references_of(model, structures if structures is not None else source)
        yield PredictionPlan(
            model, source, structures, options, rows, chosen, None if found.rows is None else found.rows[rows],
            found.recipe, found.unit, missing or found.why_none, features, n_without,
        )  # fmt: skip


def planned_options(output: Path) -> tuple[PredictOptions, int]:
    """Return the options and the number of partitions in the plan beside an output.

    Raises
    ------
    StoreError
        If there is no plan, or it is not one of predictions.
    """
    values = read_plan(output)
    path = parts_folder(output)
    try:
        if values["kind"] != KIND:
            raise StoreError(f"{path}: expected parts of predictions, received parts of {values['kind']}")
        options = dict(values["options"])
        options |= {name: None if options[name] is None else Path(options[name]) for name in PATHS}
        sites = options.pop("sites", None)
        listed = Path(sites) if isinstance(sites, str) else sites if sites is None else tuple(sites)
        return PredictOptions(**options, sites=listed), int(values.get(PARTITIONS) or 1)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, XanesHpcError):
            raise
        raise StoreError(f"{path}: its plan cannot be read; discard it with `restart`") from None
