"""What a server serves: the model, its example and library, and the turns that requests take."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xanes_hpc import __version__
from xanes_hpc.errors import StoreError
from xanes_hpc.experiment.held_out import HeldOut
from xanes_hpc.models.history import read_history
from xanes_hpc.pages.answers import structure_answer
from xanes_hpc.pages.turns import Line, Turns
from xanes_hpc.pages.uploads import SPECTRA, Limits
from xanes_hpc.prediction.predictor import SitePredictor
from xanes_hpc.spectra.spectrum import treatment_name
from xanes_hpc.structures.structure import Structure


@dataclass
class Served:
    """What a server serves.

    Attributes
    ----------
    predictor
        Predictor of the model.
    limits
        Limits of uploads.
    example
        Structure that the page opens with.
    library, library_name
        Spectra to match measured ones with, and their name; None for no library.
    held_out
        What is known of the library's held-out spectra, by element and edge.
    held_out_fits
        What is known of fits of its held-out sites, by range and recipe.
    predicting, comparing, matching
        Turns of predictions, of measured spectra beside one prediction, and of matches, which take longer.
    fitting
        The line of fits, which take longest.
    """

    predictor: SitePredictor
    limits: Limits = field(default_factory=Limits)
    example: Structure | None = None
    library: Any = None
    library_name: str = ""
    held_out: dict[tuple[str | None, str | None], dict[Any, Any]] = field(default_factory=dict)
    held_out_fits: dict[Any, HeldOut | None] = field(default_factory=dict)
    predicting: Turns = field(default_factory=Turns)
    comparing: Turns = field(default_factory=Turns)
    matching: Turns = field(default_factory=Turns)
    fitting: Line = field(default_factory=Line)

    def answer(self) -> dict[str, Any]:
        """Return what the model predicts, what it was trained on, and the limits and endings of uploads."""
        model, limits = self.predictor.model, self.limits
        description = model.description
        energies, origin = model.grid
        return {
            "name": model.path.resolve().name,
            "digest": model.digest,
            "absorbers": self.predictor.edges,
            "kind": description["target"]["kind"],
            "treatment": treatment_name(description["target"]["treatment"]),
            "broadened": description["target"]["treatment"] != "none",
            "unit": description["target"]["unit"],
            "properties": list(self.predictor.properties),
            "energies": {"start": float(energies[0]), "stop": float(energies[-1]), "n": int(energies.size)},
            "origin": origin,
            "training": self._training(),
            "domain": self._domain(),
            "example": None if self.example is None else structure_answer(self.example, self.predictor),
            "library": self.library and {"name": self.library_name, "sites": int(self.library.rows.size)},
            "limits": {"bytes": limits.bytes, "atoms": limits.atoms, "files": limits.files, "spectra": SPECTRA},
            "version": __version__,
        }

    def _training(self) -> dict[str, Any]:
        """Return the number of training sites, and the lowest error on the validation set, if it is known."""
        model = self.predictor.model
        description = model.description
        found: dict[str, Any] = {
            "sites": sum(own["sites"] for own in description["seen"]),
            "validation": description.get("provenance", {}).get("sites", {}).get("validation", 0),
        }
        try:
            errors = next(iter(read_history(model.path).values()))["validation_error_percent"]
        except (StoreError, KeyError):
            return found | {"error_percent": None}
        known = errors[np.isfinite(errors)]
        return found | {"error_percent": float(known.min()) if known.size else None}

    def _domain(self) -> dict[str, Any]:
        """Return the elements and the numbers of neighbours of training sites, as far as the model records them."""
        trust = self.predictor.model.trust
        return {name: trust.get(name) for name in ("elements", "neighbours")}
