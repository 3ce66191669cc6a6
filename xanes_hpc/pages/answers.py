"""Answers of the prediction server about sites: structures to draw, spectra, files and effects of atoms."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors

from xanes_hpc import __version__
from xanes_hpc.analysis.leave_out import atom_effects
from xanes_hpc.errors import FormatError
from xanes_hpc.formats.predicted import PredictedSpectrum
from xanes_hpc.pages.requests import SiteRequest, structure_of
from xanes_hpc.pages.uploads import Limits
from xanes_hpc.prediction.export import FORMATS
from xanes_hpc.prediction.predictor import SitePrediction, SitePredictor
from xanes_hpc.spectra.distribution import LEVELS
from xanes_hpc.spectra.recipe import Recipe
from xanes_hpc.spectra.spectrum import treatment_name
from xanes_hpc.structures.absorbers import formula
from xanes_hpc.structures.bonds import bonded_pairs, on_faces
from xanes_hpc.structures.structure import Structure
from xanes_hpc.structures.symmetry import unique_sites

DIGITS = 5
"""Digits of the largest effect of an atom."""
MOST_AVERAGED = 64
"""Largest number of different sites in an average."""


def structure_answer(structure: Structure, predictor: SitePredictor) -> dict[str, Any]:
    """Return a structure to draw, with the atoms whose spectra the model can predict.

    ``images`` are periodic images of atoms on faces of the cell. ``bonds`` number them after the atoms.
    """
    images, there = on_faces(structure)
    shown = np.concatenate([structure.numbers, structure.numbers[images]])
    places = np.concatenate([structure.positions, there])
    symbols = [chemical_symbols[z] for z in structure.numbers]
    known = [k for k, symbol in enumerate(symbols) if symbol in predictor.edges]
    properties = {n: v for n, v in structure.properties.items() if n in ("charge", "spin") and not isinstance(v, str)}
    return {
        "name": structure.name,
        "formula": formula(structure.numbers),
        "numbers": structure.numbers.tolist(),
        "symbols": symbols,
        "positions": structure.positions.tolist(),
        "cell": structure.cell.tolist() if structure.pbc.any() else None,
        "images": {"atoms": images.tolist(), "positions": there.tolist()},
        "bonds": bonded_pairs(shown, places).tolist(),
        "colours": [f"#{''.join(f'{round(255 * c):02x}' for c in jmol_colors[z])}" for z in structure.numbers],
        "radii": np.round(covalent_radii[structure.numbers], 2).tolist(),
        "absorbers": known,
        **properties,
    }


@dataclass(frozen=True)
class PredictedSite:
    """A site, or several of a structure with their weights, and its prediction."""

    structure: Structure
    atoms: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    edge: str
    found: SitePrediction

    @property
    def name(self) -> str:
        """Name of the site, or of the average of several."""
        return self.structure.name if self.averaged else f"{self.structure.name}#{self.atoms[0]}"

    @property
    def averaged(self) -> bool:
        """Whether it stands for several atoms."""
        return bool(self.weights.sum() != 1.0)

    @property
    def element(self) -> str:
        """Symbol of the absorber."""
        return str(chemical_symbols[self.structure.numbers[self.atoms[0]]])


def predicted_site(
    predictor: SitePredictor, request: SiteRequest, limits: Limits, recipe: Recipe | None = None
) -> PredictedSite:
    """Predict the site of a request.

    Raises
    ------
    XanesHpcError
        If the structure cannot be used, or the site cannot be predicted.
    """
    structure = structure_of(request.structure, limits)
    atoms, weights = np.array([request.absorber]), np.ones(1)
    if request.average and request.absorber < structure.numbers.size:
        same = np.flatnonzero(structure.numbers == structure.numbers[request.absorber])
        atoms, weights = unique_sites(structure, same)
        if atoms.size > MOST_AVERAGED:
            raise FormatError(f"average: expected at most {MOST_AVERAGED} different sites, received {atoms.size}")
    found = predictor.average(structure, atoms, weights, request.edge, recipe)
    return PredictedSite(structure, atoms, weights, request.edge, found)


def prediction_answer(site: PredictedSite, predictor: SitePredictor) -> dict[str, Any]:
    """Return a prediction with its site, element and edge; ``sites`` lists the atoms averaged, with their weights."""
    found = site.found
    return {
        "site": site.name,
        "sites": [{"atom": int(k), "weight": float(w)} for k, w in zip(site.atoms, site.weights, strict=True)],
        "element": site.element,
        "edge": site.edge,
        "origin": predictor.model.grid[1],
        "energies": found.energies.tolist(),
        "mean": found.mean.tolist(),
        "std": found.std.tolist(),
        "intervals": [{"level": level, "sigmas": found.distribution.half_width(level)} for level in LEVELS],
        "e0": found.e0 if np.isfinite(found.e0) else None,
        "treatment": treatment_name(found.treatment),
        "unit": found.unit,
        "nearest": found.nearest if np.isfinite(found.nearest) else None,
        "distrust": found.distrust,
    }


def as_file(kind: str, site: PredictedSite, predictor: SitePredictor) -> str:
    """Return a prediction as the text of a CSV or XDI file."""
    found = site.found
    relative = predictor.model.grid[1] == "e0"
    known = bool(np.isfinite(found.e0))
    predicted = PredictedSpectrum(
        site=site.name,
        formula=formula(site.structure.numbers),
        element=site.element,
        edge=site.edge,
        kind=predictor.model.description["target"]["kind"],
        energies=found.energies + found.e0 if relative and known else found.energies,
        e0=found.e0,
        mean=found.mean,
        std=found.std,
        distribution=found.distribution,
        reference=None,
        treatment=found.treatment,
        unit=found.unit,
        provenance={
            "model": predictor.model.digest,
            "draws": str(predictor.draws),
            "seed": str(predictor.seed),
            "method": predictor.model.method,
            "program": f"xanes-hpc {__version__}",
        },
        distrust=found.distrust,
    )
    with tempfile.TemporaryDirectory(prefix="xanes-hpc-") as folder:
        path = Path(folder) / "spectrum"
        FORMATS[kind][0](path, predicted)
        return path.read_text(encoding="utf-8", errors="replace")


def effects_answer(predictor: SitePredictor, request: SiteRequest, limits: Limits) -> dict[str, Any]:
    """Return how much the predicted spectrum loses without each atom near the absorber, at every energy.

    Raises
    ------
    XanesHpcError
        If the structure cannot be used, or the site cannot be predicted.
    """
    structure = structure_of(request.structure, limits)
    found = atom_effects(predictor, structure, request.absorber, request.edge)
    most = float(np.abs(found.effects).max(initial=0.0))
    decimals = DIGITS - int(np.floor(np.log10(most))) if most > 0 else 0
    return {
        "energies": predictor.model.grid[0].tolist(),
        "atoms": found.atoms.tolist(),
        "distances": np.round(found.distances, 3).tolist(),
        "effects": np.round(found.effects, decimals).tolist(),
    }
