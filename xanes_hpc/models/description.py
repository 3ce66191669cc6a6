"""Check the description of a model, ``model.json``, and read the calibration in it."""

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers

from xanes_hpc.errors import ConfigError, StoreError
from xanes_hpc.models.calibration import Calibration, not_calibrated
from xanes_hpc.models.distances import FEATURES, KERNEL
from xanes_hpc.models.sigma_factors import NAMES, OTHER_BOUNDS, SPREAD_BOUNDS, Factor
from xanes_hpc.spectra.distribution import Distribution
from xanes_hpc.spectra.recipe import BroadeningConfig, NormalisationConfig, check_broadening, check_normalisation
from xanes_hpc.stores.json_values import is_count, is_number, is_object, is_text
from xanes_hpc.stores.predictions import are_degrees, are_scores
from xanes_hpc.structures.graphs import GraphSettings

SMALLEST_RATIO = 1e-20
"""Smallest ratio of a factor's limits to its typical value, or vice versa; keeps factors finite."""


def _is_grid(value: Any) -> bool:
    return (
        isinstance(value, list) and len(value) > 1 and all(map(is_number, value)) and bool((np.diff(value) > 0).all())
    )


def _is_seen(value: Any) -> bool:
    if not isinstance(value, list) or not value:
        return False
    fits = all(
        is_object(s)
        and is_text(s.get("element"))
        and s["element"] in atomic_numbers
        and is_text(s.get("edge"))
        and is_number(s.get("e0"))
        and is_number(s.get("sites", 1))
        for s in value
    )
    return fits and len({(s["element"], s["edge"]) for s in value}) == len(value)


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(is_number, value))


def is_calibration(value: Any) -> bool:
    """Return whether a value is a calibration: empty, or with scales and floors by energy and conformal scores.

    Models of schema 1 have one positive ``sigma_scale`` for all energies instead.
    """
    if not is_object(value) or not value:
        return is_object(value)
    if "sigma_scale" in value:
        fits = is_number(value["sigma_scale"]) and value["sigma_scale"] > 0
    else:
        scale, floors = value.get("scale"), _rows(value.get("floor"))
        fits = _are_numbers(scale) and min(scale) > 0 and bool(floors)
        fits = fits and all(_are_numbers(row) and min(row) >= 0 and len(row) == len(scale) for row in floors)
    return (
        fits
        and are_scores(value.get("conformal"))
        and is_number(value.get("n_sites", 0))
        and are_degrees(value.get("degrees"))
        and _is_distance(value.get("distance"))
        and _are_factors(value.get("factors", {}))
        and ("sizes" not in value or (_are_numbers(value["sizes"]) and min(value["sizes"]) > 0))
    )


def _rows(floor: Any) -> list[Any]:
    """Return the rows of floors, one per element and edge; a single row may come without the outer list."""
    if not isinstance(floor, list) or not floor:
        return []
    return floor if isinstance(floor[0], list) else [floor]


def read_calibration(value: dict[str, Any], n_energies: int) -> Calibration:
    """Return the calibration in a description; an empty one leaves sigma as the spread of the draws."""
    if not value:
        return not_calibrated(n_energies)
    conformal = tuple((s["level"], s["score"]) for s in value["conformal"])
    if "sigma_scale" in value:
        scale = np.full(n_energies, float(value["sigma_scale"]))
        return Calibration(scale, np.zeros((1, n_energies)), conformal, value.get("n_sites", 0))
    distribution = Distribution.of(value.get("degrees"))
    scale, floor = np.array(value["scale"], np.float64), np.array(_rows(value["floor"]), np.float64)
    factors = {name: Factor(**factor) for name, factor in value.get("factors", {}).items()}
    if (distance := value.get("distance")) and distance["slope"]:  # schema 2
        factors["distance"] = Factor(distance["slope"], distance["typical"], distance["low"], distance["high"])
    sizes = np.array(value.get("sizes", [1.0]), np.float64)
    return Calibration(scale, floor, conformal, value.get("n_sites", 0), factors, sizes, distribution)


def _is_distance(value: Any) -> bool:
    """Return whether a value is None or a factor of the distance in the form of schema 2."""
    if value is None or not is_object(value) or "slope" not in value:
        return value is None
    if value["slope"] == 0:
        return True
    return _is_factor({"exponent" if name == "slope" else name: number for name, number in value.items()})


def _are_factors(value: Any) -> bool:
    if not is_object(value) or not set(value) <= set(NAMES):
        return False
    return all(_is_factor(f, SPREAD_BOUNDS if name == "spread" else OTHER_BOUNDS) for name, f in value.items())


def _is_factor(value: Any, bounds: tuple[float, float] = OTHER_BOUNDS) -> bool:
    """Return whether a value is a factor that stays finite and has an exponent within bounds."""
    if not is_object(value) or set(value) != {field.name for field in fields(Factor)}:
        return False
    if not all(map(is_number, value.values())) or not bounds[0] <= value["exponent"] <= bounds[1]:
        return False
    ratios = (value["low"] / value["typical"], value["high"] / value["typical"]) if value["typical"] > 0 else (0.0, 0.0)
    return bool(SMALLEST_RATIO < ratios[0] <= ratios[1] < 1.0 / SMALLEST_RATIO)


def _is_limit(value: Any) -> bool:
    """Return whether a value is the limit of a score."""
    columns = value.get("columns", []) if is_object(value) else []
    return (
        is_object(value)
        and is_number(value.get("limit"))
        and isinstance(columns, list)
        and all(isinstance(column, int) and column >= 0 for column in columns)
    )


def _is_range_of_counts(value: Any) -> bool:
    return is_object(value) and all(is_number(value.get(name)) for name in ("radius", "least", "most"))


def _is_trust(value: Any) -> bool:
    if value is None:  # schema 1
        return True
    optional = {"profile": _is_limit, "excess": _is_limit, "neighbours": _is_range_of_counts}  # not in older models
    if is_object(value) and not all(fits(value[name]) for name, fits in optional.items() if name in value):
        return False
    elements = value.get("elements") if is_object(value) else None
    common = value.get("in_common", []) if is_object(value) else None  # not in older models
    return (
        isinstance(elements, list)
        and all(map(is_text, elements))
        and isinstance(common, list)
        and all(map(is_text, common))
        and (value.get("threshold") is None or is_number(value["threshold"]))
        and (value.get("n_sites") is None or (isinstance(value["n_sites"], int) and value["n_sites"] >= 0))
    )


def _is_graph(value: Any) -> bool:
    """Return whether a value has settings of graphs and their hash; only models on graphs have them."""
    if value is None:
        return True
    try:
        return is_object(value) and GraphSettings.read(value["settings"]).hash == value["hash"]
    except (ConfigError, KeyError, TypeError):
        return False


def _is_left_out(value: Any) -> bool:
    """Return whether a value counts the sites that were left out; older models have none."""
    if value is None:
        return True
    counts = ("n_sites", "n_spectra", "n_short", "n_not_finite")
    ends = [value[name] for name in ("below", "above") if name in value] if is_object(value) else []
    return (
        is_object(value)
        and all(isinstance(value.get(name), int) for name in counts)
        and all(is_object(end) and isinstance(end.get("n_spectra"), int) and "padded" in end for end in ends)
    )


def _is_section(cls: type[Any], check: Callable[[Any], None]) -> Callable[[Any], bool]:
    """Return a function that checks whether a value is a section of a recipe; older models have none."""
    defaults = cls()

    def fits(value: Any) -> bool:
        if value is None:
            return True
        if not is_object(value) or not set(value) <= {f.name for f in fields(cls)}:
            return False
        for name, own in value.items():
            default = getattr(defaults, name)
            if isinstance(default, (str, bool)):
                if type(own) is not type(default):
                    return False
            elif not (is_number(own) or (own is None and default is None)):
                return False
        try:
            check(cls(**value))
        except ConfigError:
            return False
        return True

    return fits


CALIBRATION = (
    "an object with positive numbers scale, numbers floor, a list conformal of levels and scores, and factors of sigma"
)
_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(
        ("creator", "architecture.name", "target.kind", "target.treatment", "target.unit", "descriptor.hash"),
        (is_text, "text"),
    ),
    **dict.fromkeys(("architecture.parameters", "descriptor.description", "provenance"), (is_object, "an object")),
    **dict.fromkeys(("n_features", "members"), (is_count, "a positive integer")),
    "grid.energies": (_is_grid, "a list of two or more ascending finite numbers"),
    "grid.origin": (lambda value: value in ("e0", "absolute"), "e0 or absolute"),
    "seen": (_is_seen, "a list of objects with element, edge and e0, every element and edge once"),
    "calibration": (is_calibration, CALIBRATION),
    "uncertainty.method": (
        lambda value: value in (None, "dropout", "ensemble", "bootstrap"),
        "dropout, ensemble or bootstrap",
    ),
    "target.source_treatment": (lambda value: value is None or is_text(value), "text"),
    "target.broadening": (
        _is_section(BroadeningConfig, check_broadening),
        "an object with the name and numbers of a broadening",
    ),
    "target.normalisation": (
        _is_section(NormalisationConfig, check_normalisation),
        "an object with the name and numbers of a normalisation",
    ),
    "files": (
        lambda value: value is None or (is_object(value) and all(map(is_text, value.values()))),
        "an object with a SHA-256 per file",
    ),
    "provenance.left_out": (_is_left_out, "an object with numbers of sites and spectra"),
    "interrupted": (lambda value: value is None or isinstance(value, bool), "true or false"),
    "graph": (_is_graph, "an object with the settings of graphs, and their hash"),
    "distance": (lambda value: value in (None, FEATURES, KERNEL), f"{FEATURES} or {KERNEL}"),
    "trust": (_is_trust, "an object with threshold and elements"),
}
"""By key of ``model.json``, a function that checks the value, and the expected value in words."""


def check_description(file: Path, description: dict[str, Any]) -> None:
    """Check the values in a model's description that the program uses.

    Raises
    ------
    StoreError
        If a value is missing or wrong; the message names the file and the key.
    """
    for key, (fits, expected) in _CHECKS.items():
        value: Any = description
        for name in key.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if not fits(value):
            received = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
            received = received if len(received) <= 60 else received[:57] + "..."
            raise StoreError(f"{file}: damaged: {key}: expected {expected}, received {received}")
    n_energies, n_scales = (len(description[a].get(b, [])) for a, b in (("grid", "energies"), ("calibration", "scale")))
    if n_scales not in (0, n_energies):
        raise StoreError(
            f"{file}: damaged: calibration.scale: expected {n_energies} numbers, one per energy, received {n_scales}"
        )
    columns = (description.get("trust") or {}).get("profile", {}).get("columns", [])
    if max(columns, default=0) >= description["n_features"]:
        raise StoreError(
            f"{file}: damaged: trust.profile: expected columns below {description['n_features']}, the number of "
            f"features, received {max(columns)}"
        )
    n_absorbers, calibration = len(description["seen"]), description["calibration"]
    for name, n in (("floor", len(_rows(calibration.get("floor", [])))), ("sizes", len(calibration.get("sizes", [])))):
        if n not in (0, 1, n_absorbers):
            raise StoreError(
                f"{file}: damaged: calibration.{name}: expected {n_absorbers}, one per element and edge, received {n}"
            )
