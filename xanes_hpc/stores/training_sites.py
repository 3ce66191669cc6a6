"""The sites that a model was trained with: ``sites.h5`` of its folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import StoreError
from xanes_hpc.scaling import Array
from xanes_hpc.splits import PARTS, code
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.model_numbers import open_numbers, read_columns
from xanes_hpc.stores.new_file import new_file

NO_PART = "none"
"""In place of a part for a site that the model was not made with."""
REFERENCE_SITES = 4096
"""Training sites whose features are kept, for distances and the kernel ridge regression; a seeded sample of more."""


@dataclass(frozen=True)
class TrainingSites:
    """What a model remembers of the sites it was trained with.

    Attributes
    ----------
    names, formulas
        One per site of the feature store.
    parts : (n_sites,) uint8, index into ``splits.PARTS``, or beyond for sites left out
    trained
        Names of the parts that weights were fitted to.
    features : (n_reference, n_features) float32, standardised features of training sites
    """

    names: list[str]
    formulas: list[str]
    parts: npt.NDArray[np.uint8]
    features: Array
    trained: tuple[str, ...] = ("train",)

    def write(self, path: Path) -> None:
        """Write ``sites.h5``."""
        with new_file(path) as file:
            hdf5.write_strings(file, "name", self.names)
            hdf5.write_strings(file, "formula", self.formulas)
            file.create_dataset("part", data=self.parts)
            file["part"].attrs["parts"], file["part"].attrs["trained"] = ", ".join(PARTS), ", ".join(self.trained)
            file.create_dataset("features", data=self.features)

    def parts_of(self, names: Sequence[str], formulas: Sequence[str]) -> list[str]:
        """The part that sites had, or ``NO_PART``: known by their name, and by their formula where both are known.

        Of sites that cannot be told apart (those of one structure's edges, say) the part nearest to the weights.
        """
        own: dict[str, list[tuple[str, int]]] = {}
        for name, formula, part in zip(self.names, self.formulas, self.parts.tolist(), strict=True):
            if part < len(PARTS):
                own.setdefault(name, []).append((formula, part))
        parts = []
        for name, formula in zip(names, formulas, strict=True):
            same = [part for known, part in own.get(name, []) if not formula or not known or formula == known]
            parts.append(PARTS[min(same)] if same else NO_PART)
        return parts

    def twins_of(self, names: Sequence[str], formulas: Sequence[str]) -> list[str]:
        """What sites share with some trained site other than themselves: ``code``, ``formula``, both or nothing."""
        by_code: dict[str, set[str]] = {}
        by_formula: dict[str, set[str]] = {}
        for i in np.flatnonzero(np.isin(self.parts, [PARTS.index(name) for name in self.trained])):
            by_code.setdefault(code(self.names[i]), set()).add(self.names[i])
            if self.formulas[i]:
                by_formula.setdefault(self.formulas[i], set()).add(self.names[i])
        twins = []
        for name, formula in zip(names, formulas, strict=True):
            known = (("code", by_code.get(code(name), set())), ("formula", by_formula.get(formula, set())))
            twins.append("+".join(what for what, found in known if found - {name}))
        return twins


def read_training_sites(path: Path, n_features: int) -> TrainingSites:
    """What a model remembers of its sites.

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
    if features.ndim != 2 or features.shape[1] != n_features or not len(features):
        raise StoreError(
            f"{path}: damaged: features: expected shape (n_sites, {n_features}), received {features.shape}"
        )
    if not set(trained) <= set(PARTS):
        raise StoreError(f"{path}: damaged: trained: expected {', '.join(PARTS)}, received {', '.join(trained)}")
    return TrainingSites(names, formulas, values["part"], features, trained)
