"""Answers of the prediction server: structures to draw, spectra, files and alignments."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors

from xanes_hpc import __version__
from xanes_hpc.errors import FormatError, UnlikeError
from xanes_hpc.experiment.compare import Library, MatchOptions
from xanes_hpc.experiment.match import match
from xanes_hpc.formats import csv_columns, xdi
from xanes_hpc.formats.predicted import PredictedSpectrum
from xanes_hpc.pages.requests import AlignRequest, PredictRequest
from xanes_hpc.prediction.predictor import SitePrediction, SitePredictor
from xanes_hpc.spectra.spectrum import Spectrum, treatment_name
from xanes_hpc.structures.absorbers import formula
from xanes_hpc.structures.bonds import bonded_pairs, on_faces
from xanes_hpc.structures.structure import Structure


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


def prediction_answer(
    found: SitePrediction, predictor: SitePredictor, structure: Structure, request: PredictRequest
) -> dict[str, Any]:
    """Return a prediction with its site, element and edge."""
    return {
        "site": f"{structure.name}#{request.absorber}",
        "element": chemical_symbols[structure.numbers[request.absorber]],
        "edge": request.edge,
        "origin": predictor.model.grid[1],
        "energies": found.energies.tolist(),
        "mean": found.mean.tolist(),
        "std": found.std.tolist(),
        "e0": found.e0 if np.isfinite(found.e0) else None,
        "treatment": treatment_name(found.treatment),
        "unit": found.unit,
        "nearest": found.nearest if np.isfinite(found.nearest) else None,
        "distrust": found.distrust,
    }


def as_file(
    kind: str, found: SitePrediction, predictor: SitePredictor, structure: Structure, request: PredictRequest
) -> str:
    """Return a prediction as the text of a CSV or XDI file."""
    relative = predictor.model.grid[1] == "e0"
    known = bool(np.isfinite(found.e0))
    predicted = PredictedSpectrum(
        site=f"{structure.name}#{request.absorber}",
        formula=formula(structure.numbers),
        element=chemical_symbols[structure.numbers[request.absorber]],
        edge=request.edge,
        kind=predictor.model.description["target"]["kind"],
        energies=found.energies + found.e0 if relative and known else found.energies,
        e0=found.e0,
        mean=found.mean,
        std=found.std,
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
        (xdi.write if kind == "xdi" else csv_columns.write)(path, predicted)
        return path.read_text(encoding="utf-8", errors="replace")


class _One(Library):
    """A library with one predicted spectrum."""

    def __init__(self, request: AlignRequest) -> None:
        self.energies: npt.NDArray[np.float64] = np.array(request.energies)
        self.origin: str = request.origin
        self._mean, self._std = np.array([request.mean]), np.array([request.std])
        self.names = ["prediction"]
        self.e0: npt.NDArray[np.float64] = np.array([np.nan if request.e0 is None else request.e0])

    def read(self, rows: Any) -> tuple[Any, Any]:
        """Return its mean and sigma, each (1, n_energies)."""
        return self._mean.copy(), self._std.copy()


def aligned(request: AlignRequest) -> dict[str, Any]:
    """Align a measured spectrum with a predicted one.

    Returns
    -------
    dict
        The shift of the measured spectrum from the predicted one (eV), the factor that scales it to the predicted one,
        the chi-square per energy, the error %, and the largest shift tried.

    Raises
    ------
    FormatError, SpectrumError
        If the two cannot be compared.
    """
    lengths = {len(request.energies), len(request.mean), len(request.std)}
    if len(lengths) > 1 or len(request.experiment.energies) != len(request.experiment.intensities):
        raise FormatError("expected as many intensities as energies")
    for name, values in (("energies", request.energies), ("experiment.energies", request.experiment.energies)):
        if not (np.diff(values) > 0).all():
            raise FormatError(f"{name}: expected ascending values")
    if min(request.std) < 0:
        raise FormatError("std: expected values of 0 or more")
    curve = request.experiment
    measured = Spectrum(
        np.array(curve.energies), np.array(curve.intensities), absolute=curve.absolute, source="the measured spectrum"
    )
    span = request.energies[-1] - request.energies[0]
    options = MatchOptions(by="chi2", max_shift=min(request.max_shift, span), keep=1)
    try:
        found = match(measured, _One(request), options).ranked[0]
    except UnlikeError:
        raise FormatError(
            f"no alignment within ±{options.max_shift:g} eV; the spectrum may need a larger shift (set it by hand), be "
            "inverted or flat, or have a background"
        ) from None
    return {
        "shift": found.shift,
        "factor": found.factor,
        "chi2": found.chi2,
        "error_percent": found.error_percent,
        "max_shift": float(options.max_shift),
    }
