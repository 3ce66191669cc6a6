"""Weighted atom-centred symmetry functions.

G1, G2 and G4 are equations (2) to (4) of ``kernels/README.md`` (doi:10.1063/1.5019667, doi:10.1063/1.3553717); paths,
power spectra, arms and bonded functions are equations (10) and (12) to (14). A description is a cutoff and a list of
weightings. A weighting is one table of weights over Z, or one channel per element or group of elements, and has radial
functions ``g2``, angular functions ``g4``, ``paths`` via two neighbours, ``power`` spectra of angles, angles between
``arms``, radial functions of ``bonded`` atoms, or several of these. It may have its own ``cutoff``, shorter than the
descriptor's, so that functions of the nearest shells cost little.

    name = "wacsf"
    cutoff = 6.0                     # Å
    dtype = "float64"                # type of the features and of the arithmetic
    g1 = true

    [[weighting]]
    weights = "Z"                    # or "one", "electronegativity"
    scale = 1.0
    g2 = { style = "shifted", n = 32, r_min = 0.0, r_max = 6.0 }
    g4 = { mu = [0, 0], eta = [0.5, 0.1], lambda = [1, -1], zeta = [1, 2, 4, 8] }

    [[weighting]]
    elements = ["H", "C", ["N", "O"], "other"]
    cutoff = 4.0
    g2 = { mu = [1.0, 2.0, 3.0], eta = [4.0, 4.0, 4.0] }
    paths = { style = "shifted", n = 24, r_min = 1.1, r_max = 5.3, zeta = [0, 4, 32] }
    power = { mu = [1.9], eta = [6.0], l = [1, 2, 3, 4] }
    arms = { mu = [2.1], eta = [6.0], angles = [90, 120, 150, 180], width = 15 }
    bonded = { mu = [1.9, 2.9], eta = [10.0, 4.0], to = ["H", "C", "other"] }

Styles (r_min, r_max, n): ``shifted`` has mu = linspace(r_min + 0.5, r_max - 0.5, n) and eta = 1 / (2 step^2);
``centred`` has mu = 0 and eta = 1 / (2 r^2) for r = linspace(r_min + 1.0, r_max - 0.5, n), of which only the first
``keep`` are used.

Order of the features: G1; the G2 of every weighting and its channels; then all G4, paths, power spectra, arms and
bonded functions in the same way, with (mu, eta) outermost, then lambda, then zeta.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.descriptors._functions import FUNCTIONS, KINDS, Functions, Near
from xanes_hpc.descriptors._gaussians import Vector
from xanes_hpc.descriptors._meaning import Meaning
from xanes_hpc.descriptors._presets import PRESETS
from xanes_hpc.descriptors._values import is_number, read_dtype
from xanes_hpc.descriptors._weighting import Weighting
from xanes_hpc.descriptors.base import Descriptor, Features, check_keys
from xanes_hpc.errors import DescriptorError
from xanes_hpc.structures.neighbours import NeighbourList
from xanes_hpc.structures.sites import SiteBatch
from xanes_hpc_kernels import wacsf_radial


@dataclass
class _Together:
    """Functions of several weightings that are computed in one call: tables of weights, and the columns they fill."""

    functions: Functions
    cutoff: float
    tables: list[Vector]
    columns: list[npt.NDArray[np.int64]]


class WACSF(Descriptor):
    """Weighted atom-centred symmetry functions; the module describes their description."""

    name = "wacsf"

    def __init__(self, description: Mapping[str, Any]) -> None:
        check_keys("descriptor wacsf", description, {"name", "cutoff", "dtype", "g1", "weighting"})
        cutoff = description.get("cutoff")
        if not is_number(cutoff) or not cutoff > 0:
            raise DescriptorError(f"descriptor wacsf: expected a cutoff above 0 (Å), received {cutoff!r}")
        g1, weightings = description.get("g1", True), description.get("weighting", [])
        if not isinstance(g1, bool):
            raise DescriptorError(f"descriptor wacsf: expected g1 true or false, received {g1!r}")
        if not isinstance(weightings, (list, tuple)):
            raise DescriptorError(f"descriptor wacsf: expected weighting as a list of tables, received {weightings!r}")
        self.cutoff = float(cutoff)
        self.dtype = read_dtype("descriptor wacsf", description)
        self.g1 = g1
        self.weightings = [Weighting.read(i, w, self.cutoff) for i, w in enumerate(weightings)]
        self.labels = ["G1"] if self.g1 else []
        self._meanings = [Meaning("G1", "one")] if self.g1 else []
        self._calls: dict[str, _Together] = {}
        for kind in KINDS:
            for weighting in self.weightings:
                for functions in weighting.functions:
                    if isinstance(functions, kind):
                        self._add(weighting, functions)
        if not self.labels:
            raise DescriptorError("descriptor wacsf: expected at least one function")

    def _add(self, weighting: Weighting, functions: Functions) -> None:
        first = len(self.labels)
        shorter = weighting.cutoff < self.cutoff
        for label, meaning in functions.labelled(weighting.names):
            self.labels.append(f"{label} rc={weighting.cutoff:g}" if shorter else label)
            self._meanings.append(replace(meaning, cutoff=weighting.cutoff))
        columns = np.arange(first, len(self.labels))
        alike = [functions.key, weighting.cutoff, functions.describe(), first if functions.mixes else 0]
        together = self._calls.setdefault(json.dumps(alike), _Together(functions, weighting.cutoff, [], []))
        together.tables.append(weighting.tables)
        together.columns.append(columns.reshape(1 if functions.mixes else len(weighting.names), -1))

    @property
    def meanings(self) -> list[Meaning]:
        """The meaning of each function."""
        return self._meanings

    def describe(self) -> dict[str, Any]:
        """Return the description with every mu and eta filled in."""
        return {
            "name": self.name,
            "cutoff": self.cutoff,
            "dtype": self.dtype.name,
            "g1": self.g1,
            "weighting": [w.given for w in self.weightings],
        }

    def resolve(self) -> dict[str, Any]:
        """Return the description with weight tables in place of their names."""
        functions = [{k: w.given[k] for k in ("cutoff", *FUNCTIONS) if k in w.given} for w in self.weightings]
        tables = [{"tables": w.tables.tolist()} for w in self.weightings]
        return self.describe() | {"weighting": [f | t for f, t in zip(functions, tables, strict=True)]}

    def fill(self, batch: SiteBatch, neighbours: NeighbourList, out: Features) -> None:
        """Write the functions of the batch's sites."""
        if self.g1:
            wacsf_radial.g1(neighbours.offsets, neighbours.distances, self.cutoff, 0, out)
        near = {
            w.cutoff: neighbours.within(w.cutoff) if w.cutoff < self.cutoff else neighbours for w in self.weightings
        }
        for call in self._calls.values():
            tables, columns = np.concatenate(call.tables), np.concatenate(call.columns)
            call.functions.fill(Near(near[call.cutoff], neighbours), tables, call.cutoff, columns, out)


WACSF.PRESETS = PRESETS
PLUGIN = WACSF
