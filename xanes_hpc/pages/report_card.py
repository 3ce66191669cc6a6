"""The card of a model in its report: its data, split, descriptor, architecture and versions."""

from collections.abc import Sequence
from typing import Any

from xanes_hpc.models.model import Model
from xanes_hpc.models.training_sites import SETS
from xanes_hpc.plotting.words import UNITS
from xanes_hpc.spectra.spectrum import treatment_name

SPLIT = {
    "group": "sites grouped by", "seed": "seed", "folds": "folds", "fold": "fold used as test set",
    "validation": "fraction for validation", "calibration": "fraction for calibration", "test": "fraction for testing",
}  # fmt: skip
"""Labels of the settings of a split."""
SET_NAMES = {name: f"{name} set" for name in SETS} | {"train": "training set"}
"""Names of the sets of sites."""
ROLES = {
    "train": "adjust the weights", "validation": "choose the number of epochs", "calibration": "calibrate σ",
    "test": "test the model",
}  # fmt: skip
"""What the sites of each set do."""


def card(model: Model) -> dict[str, dict[str, str]]:
    """Return the facts about a model, by section."""
    d, provenance = model.description, model.description["provenance"]
    energies, origin = model.grid
    zero = " from E₀" if origin == "e0" else ""
    unused = "fold" if provenance["split"].get("folds") is None else "test"
    split = {name: value for name, value in provenance["split"].items() if name != unused and value is not None}
    kinds = ", ".join(
        f"{s['element']} {s['edge']}" + (f" (trained on {s.get('sites', 0):,} sites)" if len(d["seen"]) > 1 else "")
        for s in d["seen"]
    )
    treatment, unit = d["target"]["treatment"], UNITS.get(d["target"]["unit"], d["target"]["unit"])
    return {
        "Data": {
            "absorbers": kinds,
            **_roles(model),
            **_left_out(provenance.get("left_out")),
            "spectra": f"{d['target']['kind'].upper()}, {_treated(treatment_name(treatment))}, {unit}",
            "energies": f"{energies.size}, {energies[0]:g} to {energies[-1]:g} eV{zero}",
            "digest of structures": provenance.get("digest_structures", ""),
            "digest of spectra": provenance.get("digest_spectra", ""),
        },
        "Split": {SPLIT.get(name, name): str(value) for name, value in split.items()},
        "Descriptor": {
            "name": d["descriptor"]["description"]["name"],
            "features": f"{d['n_features']:,}",
            "hash": d["descriptor"]["hash"],
        },
        "Model": {
            "architecture": d["architecture"]["name"],
            **{name: str(value) for name, value in d["architecture"]["parameters"].items()},
            "networks": str(d["members"]),
            "Gaussian process": "none" if model.regression is None else str(model.regression),
            "uncertainty": model.method,
        },
        "Versions": {**provenance["versions"], "digest of the model": model.digest},
    }


def _treated(treatment: str) -> str:
    return "treatment not recorded" if treatment == "unstated" else f"treatment {treatment}"


def _roles(model: Model) -> dict[str, str]:
    """Return what the sites of each set do; all sites of a final model do the same."""
    provenance, fitted = model.description["provenance"], model.training_sites.trained
    sites, trained = provenance["sites"], provenance.get("trained", fitted)
    total, n_fitted = sum(sites.values()), sum(n for name, n in sites.items() if name in fitted)
    if model.n_folds is not None:
        return {"trained on": model.fitted_in_words}
    return {
        "trained on": f"{n_fitted:,} of {total:,} sites; the sets below say what the others do",
        **{SET_NAMES.get(name, f"sites, {name}"): _role(name, n, trained, fitted) for name, n in sites.items()},
    }


def _role(name: str, n: int, trained: Sequence[str], fitted: Sequence[str]) -> str:
    """Return the number of sites of a set, and what they do."""
    if name not in ROLES:
        return f"{n:,}"
    then = ""
    if name in fitted and name != "train":
        then = ", then adjust the weights" if name in trained else ", then join the Gaussian process"
    return f"{n:,} sites: {ROLES[name]}{then}"


def _left_out(counts: dict[str, Any] | None) -> dict[str, str]:
    """Return how many sites were left out and how many spectra padded, by reason; older models do not record it."""
    if counts is None:
        return {}
    padded = sum(end["n_spectra"] for name in ("below", "above") if (end := counts.get(name)) and end["padded"])
    found = {
        "left out: without such a spectrum": counts["n_sites"] - counts["n_spectra"],
        "left out: spectrum does not cover the energies": counts["n_short"],
        "left out: spectrum not finite": counts["n_not_finite"],
        "spectra padded at an end": padded,
    }
    return {name: f"{n:,}" for name, n in found.items() if n}
