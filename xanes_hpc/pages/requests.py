"""Bodies of requests to the prediction server, their limits, and their conversion to our own types."""

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from xanes_hpc.errors import FormatError
from xanes_hpc.pages.uploads import Limits
from xanes_hpc.spectra.recipe import BroadeningConfig, NormalisationConfig, Recipe, check_broadening
from xanes_hpc.structures.neighbours import check_distances
from xanes_hpc.structures.structure import Structure

Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]


class Strict(BaseModel):
    """A request body that refuses unknown names."""

    model_config = ConfigDict(extra="forbid")


class Atoms(Strict):
    """A structure: atomic numbers, positions in Å, and for a crystal the cell vectors in Å."""

    name: Annotated[str, Field(max_length=200)] = "structure"
    numbers: Annotated[list[Annotated[int, Field(ge=1, le=118)]], Field(min_length=1, max_length=100_000)]
    positions: Annotated[
        list[Annotated[list[Finite], Field(min_length=3, max_length=3)]], Field(min_length=1, max_length=100_000)
    ]
    cell: Annotated[
        list[Annotated[list[Finite], Field(min_length=3, max_length=3)]] | None, Field(min_length=3, max_length=3)
    ] = None
    charge: Annotated[float | None, Field(allow_inf_nan=False, ge=-100, le=100)] = None
    spin: Annotated[float | None, Field(allow_inf_nan=False, ge=0, le=100)] = None


Width = Annotated[float, Field(allow_inf_nan=False, ge=0, le=100)]


class Broadening(Strict):
    """A further broadening, with the names and widths of the [broadening] section of a configuration."""

    name: Literal["none", "gaussian", "lorentzian", "arctangent", "seah-dench"] = "none"
    gaussian: Width = 0.0
    core_hole: Width | None = None
    gamma_max: Width | None = None
    centre: Width | None = None
    e_cut: Annotated[float | None, Field(allow_inf_nan=False, ge=-100, le=100)] = None


class SiteRequest(Strict):
    """A site: a structure, its absorbing atom (counted from 0) and edge.

    With ``average``, all atoms of the absorber's element: symmetry-equivalent ones of a crystal once, by their number.
    """

    structure: Atoms
    absorber: Annotated[int, Field(ge=0)]
    edge: Annotated[str, Field(max_length=4)] = "K"
    average: bool = False


class PredictRequest(SiteRequest):
    """The site to predict, and the broadening."""

    broadening: Broadening = Broadening()


def structure_of(given: Atoms, limits: Limits) -> Structure:
    """Return the structure of a request.

    Raises
    ------
    FormatError
        If it is too large, or numbers and positions disagree, or atoms coincide.
    """
    n_atoms = len(given.numbers)
    if n_atoms > limits.atoms:
        raise FormatError(f"structure: expected at most {limits.atoms:,} atoms, received {n_atoms:,}")
    if len(given.positions) != n_atoms:
        raise FormatError(f"structure: expected {n_atoms} positions, one per number, received {len(given.positions)}")
    cell = np.zeros((3, 3)) if given.cell is None else np.array(given.cell, np.float64)
    properties = {name: float(value) for name in ("charge", "spin") if (value := getattr(given, name)) is not None}
    found = Structure(
        given.name or "structure", np.array(given.numbers, np.uint8), np.array(given.positions, np.float64), cell,
        np.full(3, given.cell is not None), dict(properties),
    )  # fmt: skip
    check_distances(found)
    return found


def broadening_of(given: Broadening) -> BroadeningConfig:
    """Return the broadening of a request.

    Raises
    ------
    ConfigError
        If a width is missing or does not apply.
    """
    values = {
        name: value
        for name in ("gaussian", "core_hole", "gamma_max", "centre", "e_cut")
        if (value := getattr(given, name)) is not None
    }
    broadening = BroadeningConfig(given.name, **values)
    check_broadening(broadening)
    return broadening


def recipe_of(given: Broadening) -> Recipe | None:
    """Return the broadening of a request as a recipe, or None for no broadening; raises as ``broadening_of``."""
    return None if given.name == "none" else Recipe(broadening_of(given), NormalisationConfig())
