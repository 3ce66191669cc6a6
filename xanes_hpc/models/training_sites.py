"""The sites that a model was trained, calibrated and tested on, in ``sites.h5`` of its folder."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import StoreError
from xanes_hpc.models.numbers import open_numbers, read_columns
from xanes_hpc.models.scaling import Array
from xanes_hpc.runtime.new_file import new_file
from xanes_hpc.stores import hdf5
from xanes_hpc.structures.absorbers import reduced_formula

SETS = ("train", "validation", "calibration", "test")
USED_SETS = SETS[:3]
"""The sets that a model is made from: all but the test set."""
LEFT_OUT = len(SETS)
"""Index for sites without a target, which belong to no set."""
NO_SET = "none"
"""Name for sites that belong to none of the model's sets."""
REFERENCE_SITES = 4096
"""Largest number of training sites whose features are stored, for distances and the Gaussian process."""


@dataclass(frozen=True)
class TrainingSites:
    """The sites that a model was trained, calibrated and tested on.

    Attributes
    ----------
    names, formulas
        One per site of the feature stores.
    sets : (n_sites,) uint8
        Each site's set, as an index into ``SETS``; ``LEFT_OUT`` for sites without a target.
    features : (n_reference, n_features) float32
        Standardised features of (a seeded sample of) the training sites.
    trained
        Names of the sets that the networks were trained on, or the Gaussian process fitted to.
    earlier
        Names and formulas of the sites that the model this one started from was trained on.
    """

    names: list[str]
    formulas: list[str]
    sets: npt.NDArray[np.uint8]
    features: Array
    trained: tuple[str, ...] = ("train",)
    earlier: list[tuple[str, str]] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write ``sites.h5``."""
        with new_file(path) as file:
            hdf5.write_strings(file, "name", self.names)
            hdf5.write_strings(file, "formula", self.formulas)
            file.create_dataset("part", data=self.sets)
            file["part"].attrs["parts"], file["part"].attrs["trained"] = ", ".join(SETS), ", ".join(self.trained)
            file.create_dataset("features", data=self.features)
            if self.earlier:
                names, formulas = (list(column) for column in zip(*self.earlier, strict=True))
                hdf5.write_strings(file, "earlier/name", names)
                hdf5.write_strings(file, "earlier/formula", formulas)

    def count(self, name: str) -> int:
        """Return the number of sites in a set."""
        return int((self.sets == SETS.index(name)).sum())

    @property
    def n_alone(self) -> dict[str, int]:
        """Number of sites whose group is unknown, by kind of group: without a formula, and without a CSD code."""
        return {"formula": sum(not f for f in self.formulas), "code": sum(not has_code(name) for name in self.names)}

    @property
    def trained_on(self) -> list[tuple[str, str]]:
        """Names and formulas of all sites that the model was fitted to, also in the model this one started from."""
        rows = np.flatnonzero(np.isin(self.sets, [SETS.index(name) for name in self.trained]))
        return [(self.names[i], self.formulas[i]) for i in rows] + self.earlier

    def sets_of(self, names: Sequence[str], formulas: Sequence[str]) -> list[str]:
        """Return each site's set, or ``NO_SET``.

        Sites are recognised by name, and by formula if both formulas are known. If several match, such as the sites of
        several edges of one structure, the first set in ``SETS`` counts.
        """
        sets = []
        for name, formula in zip(names, formulas, strict=True):
            same = [own for known, own in self._by_name.get(name, []) if not formula or not known or formula == known]
            sets.append(SETS[min(same)] if same else NO_SET)
        return sets

    @cached_property
    def _by_name(self) -> dict[str, list[tuple[str, int]]]:
        """Formula and set of the sites of each name."""
        own: dict[str, list[tuple[str, int]]] = {}
        for name, formula, index in zip(self.names, self.formulas, self.sets.tolist(), strict=True):
            if index < len(SETS):
                own.setdefault(name, []).append((formula, index))
        return own

    @cached_property
    def _trained_by(self) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
        """Names of the trained sites by code and by formula.

        Sites of an earlier model get another name, so that they count as twins even of themselves.
        """
        by_code: dict[str, set[str]] = {}
        by_formula: dict[str, set[str]] = {}
        trained = self.trained_on
        for i, (name, formula) in enumerate(trained):
            known_as = name if i < len(trained) - len(self.earlier) else f"{name} earlier"
            by_code.setdefault(code(name), set()).add(known_as)
            if formula:
                by_formula.setdefault(reduced_formula(formula), set()).add(known_as)
        return by_code, by_formula

    @property
    def n_tested_known_earlier(self) -> int:
        """Number of test sites with the code or formula of a site that the earlier model was trained on."""
        codes = {code(name) for name, _ in self.earlier}
        formulas = {reduced_formula(formula) for _, formula in self.earlier if formula}
        rows = np.flatnonzero(self.sets == SETS.index("test"))
        return sum(code(self.names[i]) in codes or reduced_formula(self.formulas[i]) in formulas for i in rows)

    def twins_of(self, names: Sequence[str], formulas: Sequence[str]) -> list[str]:
        """Return what each site shares with a trained site: ``code``, ``formula``, ``code+formula`` or nothing.

        Formulas are compared as those of compounds, so a larger cell of a crystal shares its formula. Sites are not
        compared with themselves. Sites that the model this one started from was trained on count as trained, even if
        they are held out now.
        """
        by_code, by_formula = self._trained_by
        twins = []
        for name, formula in zip(names, formulas, strict=True):
            known = (
                ("code", by_code.get(code(name), set())),
                ("formula", by_formula.get(reduced_formula(formula), set())),
            )
            twins.append("+".join(shared for shared, found in known if found - {name}))
        return twins


def read_training_sites(path: Path, n_features: int) -> TrainingSites:
    """Read the sites of a model.

    Raises
    ------
    StoreError
        If the file is missing or damaged.
    """
    values = read_columns(path, ("name", "formula", "part"))
    with open_numbers(path) as file:
        names, formulas = ([s.decode("utf-8", "replace") for s in values[key]] for key in ("name", "formula"))
        trained = tuple(str(file["part"].attrs.get("trained", "train")).split(", "))
        features = file["features"][:]
        there = "earlier" in file
    columns = read_columns(path, ("earlier/name", "earlier/formula")) if there else {}
    earlier = [tuple(s.decode("utf-8", "replace") for s in pair) for pair in zip(*columns.values(), strict=True)]
    if features.ndim != 2 or features.shape[1] != n_features or not len(features):
        raise StoreError(
            f"{path}: damaged: features: expected shape (n_sites, {n_features}), received {features.shape}"
        )
    if not set(trained) <= set(SETS):
        raise StoreError(f"{path}: damaged: trained: expected {', '.join(SETS)}, received {', '.join(trained)}")
    return TrainingSites(names, formulas, values["part"], features, trained, earlier)


def code(name: str) -> str:
    """Return the CSD code at the start of a site's name, without the digits of a redetermination.

    Without a code, return the structure's name, which ends before the first ``#`` or ``@``. A code is six capitals,
    and two digits for a redetermination; ``_`` and more may follow.
    """
    found = _match_code(name)
    return found[1] if found else _structure_of(name)


def has_code(name: str) -> bool:
    """Return whether a site's name begins with a CSD code."""
    return _match_code(name) is not None


def _structure_of(name: str) -> str:
    return re.split("[#@]", name, maxsplit=1)[0]


def _match_code(name: str) -> "re.Match[str] | None":
    return re.fullmatch(r"([A-Z]{6})(\d\d)?(_.*)?", _structure_of(name), re.DOTALL)
