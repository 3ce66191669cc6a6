"""The model folder: ``model.json``, ``members/NN/`` with weights and scalers, and the sites it was trained on.

Nothing in it is code and nothing is run: the architecture is rebuilt by ours, and weights are numbers in HDF5.

    model.json                     what the model is
    run.toml                       the configuration it was trained with, resolved
    history.csv                    figures of every epoch
    regression.h5                  the kernel ridge regression beside the networks, if there is one
    sites.h5                       name, formula and part of every site, features of (a sample of) the training sites
    members/00/network.weights.h5  Keras's weights file
    members/00/scalers.h5          standardisation of features and targets
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers, chemical_symbols

from xanes_hpc import __version__, models
from xanes_hpc.errors import ModelError, StoreError
from xanes_hpc.inference import Member, Sample, sample
from xanes_hpc.kernel_ridge import KernelRidge
from xanes_hpc.models.network import weight_shapes
from xanes_hpc.scaling import Absorbers, Array, Scalers
from xanes_hpc.splits import PARTS, code
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.model_description import check_description, read_calibration
from xanes_hpc.stores.model_numbers import (
    SCALERS,
    SOFTNESS,
    open_numbers,
    read_columns,
    read_scalers,
    read_weights,
)
from xanes_hpc.stores.new_file import new_file
from xanes_hpc.uncertainty import Calibration

FORMAT = "xanes-hpc/model"
SCHEMA = 2
DESCRIPTION = "model.json"
CONTENTS = (DESCRIPTION, "members", "sites.h5", "run.toml", "history.csv", "regression.h5")
WEIGHTS = "network.weights.h5"
NO_PART = "none"
"""In place of a part for a site that the model was not made with."""
REFERENCE_SITES = 4096
"""Training sites whose features are kept, for distances and the kernel ridge regression; a seeded sample of more."""
REGRESSION = "regression.h5"


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


def write_scalers(path: Path, scalers: Scalers) -> None:
    """Write a member's scalers."""
    with new_file(path) as file:
        for name in SCALERS:
            file.create_dataset(name, data=getattr(scalers, name), fletcher32=True)
        if scalers.softness is not None:
            file.create_dataset(SOFTNESS, data=scalers.softness, fletcher32=True)
        file.attrs["transform"] = scalers.transform


def write_regression(path: Path, regression: KernelRidge) -> None:
    """Write a kernel ridge regression whose landmarks are the training sites in ``sites.h5``."""
    with new_file(path) as file:
        file.create_dataset("absorbers", data=regression.absorbers, fletcher32=True)
        file.create_dataset("coefficients", data=regression.coefficients, fletcher32=True)
        file.attrs["rate"], file.attrs["share"] = regression.rate, regression.share


def write_description(folder: Path, description: dict[str, Any]) -> None:
    """Write ``model.json``."""
    whole = {"format": FORMAT, "schema_version": SCHEMA, "creator": f"xanes-hpc {__version__}", **description}
    text = json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8")


class ModelFolder:
    """A trained model open for reading."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        file = self.path / DESCRIPTION
        if not self.path.exists():
            raise StoreError(f"{path}: no such model folder")
        if not file.is_file():
            raise StoreError(f"{path}: not a model folder (it has no model.json)")
        try:
            self.description: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            kind, schema = self.description["format"], int(self.description["schema_version"])
        except (OSError, ValueError, KeyError, TypeError):
            raise StoreError(f"{file}: damaged: not a model's description") from None
        if kind != FORMAT:
            raise StoreError(f"{file}: expected {FORMAT}, received {kind}")
        if schema > SCHEMA:
            raise StoreError(f"{file}: model of schema {schema}; this program reads up to schema {SCHEMA}: upgrade it")
        check_description(file, self.description)

    @property
    def schema_version(self) -> int:
        """Of the description."""
        return int(self.description["schema_version"])

    @property
    def grid(self) -> tuple[npt.NDArray[np.float64], str]:
        """Energies in eV, (n_energies,), and their origin: ``e0`` or ``absolute``."""
        grid = self.description["grid"]
        return np.array(grid["energies"], np.float64), grid["origin"]

    @property
    def descriptor_hash(self) -> str:
        """Of the descriptor whose features the model takes."""
        return str(self.description["descriptor"]["hash"])

    @property
    def calibration(self) -> Calibration:
        """What makes sigma of the draws' spread."""
        return read_calibration(self.description["calibration"], len(self.description["grid"]["energies"]))

    @property
    def method(self) -> str:
        """Where its uncertainty comes from: ``dropout``, ``ensemble`` or ``bootstrap``."""
        return str(self.description.get("uncertainty", {}).get("method", "dropout"))

    @property
    def trust(self) -> dict[str, Any]:
        """Threshold of the distance to training sites, and elements around them; empty where the model does not say."""
        value: dict[str, Any] = self.description.get("trust") or {}
        return value

    @property
    def seen(self) -> dict[tuple[str, str], float]:
        """Edge energy (eV, median over the training sites) by element and edge seen in training, as numbered."""
        return {(s["element"], s["edge"]): s["e0"] for s in self.description["seen"]}

    def unseen(self, elements: npt.NDArray[np.integer], edges: Sequence[str]) -> list[str]:
        """Each site's element (atomic number) and edge, such as ``Zn K``, where no weight has seen it, else nothing."""
        trained = {kind for kind, n_sites in self._trained.items() if n_sites}
        kinds = [(chemical_symbols[int(z)], edge) for z, edge in zip(elements, edges, strict=True)]
        return ["" if kind in trained else " ".join(kind) for kind in kinds]

    @property
    def _trained(self) -> dict[tuple[str, str], float]:
        """Number of training sites by element and edge, as numbered; all of them may have been held out."""
        return {(s["element"], s["edge"]): s.get("sites", 1) for s in self.description["seen"]}

    def absorbers(self, elements: npt.NDArray[np.integer], edges: Sequence[str]) -> npt.NDArray[np.int64]:
        """Number of each site's element (atomic number) and edge; of the nearest element if no weight has seen it."""
        kinds = [(atomic_numbers[symbol], edge, n_sites == 0) for (symbol, edge), n_sites in self._trained.items()]
        numbers: dict[tuple[int, str], int] = {}
        for z, edge in {(int(z), edge) for z, edge in zip(elements, edges, strict=True)}:
            apart = [(untrained, own_edge != edge, abs(own_z - z)) for own_z, own_edge, untrained in kinds]
            numbers[z, edge] = apart.index(min(apart))
        return np.array([numbers[int(z), edge] for z, edge in zip(elements, edges, strict=True)], np.int64)

    @cached_property
    def members(self) -> Sequence[Member]:
        """The trained networks.

        Raises
        ------
        StoreError
            If a file is missing or damaged.
        ModelError
            If weights do not fit the architecture.
        """
        spec = self.description["architecture"]
        n_energies = len(self.description["grid"]["energies"])
        _, layers = models.build(spec["name"], spec["parameters"], self.description["n_features"], n_energies)
        folders = sorted((self.path / "members").glob("[0-9][0-9]"))
        if len(folders) != self.description["members"]:
            raise StoreError(f"{self.path}: expected {self.description['members']} members, found {len(folders)}")
        return [self._member(folder, i, layers) for i, folder in enumerate(folders)]

    def _member(self, folder: Path, index: int, layers: Sequence[models.Layer]) -> Member:
        n_features, n_absorbers = self.description["n_features"], len(self.seen)
        n_energies = len(self.description["grid"]["energies"])
        scalers = read_scalers(folder / "scalers.h5", n_features, n_absorbers, n_energies)
        weights = read_weights(folder / WEIGHTS)
        for name, expected in weight_shapes(layers, n_features, n_absorbers).items():
            shapes = tuple(w.shape for w in weights.get(name, ()))
            if shapes != expected:
                raise ModelError(
                    f"{folder / WEIGHTS}: layer {name}: expected weights of shapes {expected}, received {shapes}"
                )
        return Member(layers, weights, scalers, index)

    def sample(
        self, x: npt.NDArray[np.floating], absorbers: Absorbers, n_draws: int, seed: int, keep_draws: bool = False
    ) -> Sample:
        """Mean and spread of the model's draws, not calibrated; parameters as ``inference.sample`` takes them."""
        return sample(self.members, x, absorbers, n_draws, seed, self.method == "dropout", keep_draws, self.regression)

    @cached_property
    def training_sites(self) -> TrainingSites:
        """What the model remembers of its sites.

        Raises
        ------
        StoreError
            If the file is missing or damaged.
        """
        path = self.path / "sites.h5"
        values = read_columns(path, ("name", "formula", "part"))
        with open_numbers(path) as file:
            names, formulas = ([s.decode("utf-8", "replace") for s in values[key]] for key in ("name", "formula"))
            trained = tuple(str(file["part"].attrs.get("trained", "train")).split(", "))
            features = file["features"][:]
        expected = self.description["n_features"]
        if features.ndim != 2 or features.shape[1] != expected or not len(features):
            raise StoreError(
                f"{path}: damaged: features: expected shape (n_sites, {expected}), received {features.shape}"
            )
        if not set(trained) <= set(PARTS):
            raise StoreError(f"{path}: damaged: trained: expected {', '.join(PARTS)}, received {', '.join(trained)}")
        return TrainingSites(names, formulas, values["part"], features, trained)

    @cached_property
    def regression(self) -> KernelRidge | None:
        """The kernel ridge regression beside the networks; None where there is none.

        Raises
        ------
        StoreError
            If its file is missing or damaged.
        """
        if not self.description.get("regression"):
            return None
        path, landmarks = self.path / REGRESSION, self.training_sites.features
        n_energies = len(self.description["grid"]["energies"])
        with open_numbers(path) as file:
            absorbers, coefficients = file["absorbers"][:], file["coefficients"][:]
            rate, share = float(file.attrs["rate"]), float(file.attrs["share"])
        expected = (len(landmarks),), (len(landmarks), n_energies)
        if (absorbers.shape, coefficients.shape) != expected or not np.isfinite(coefficients).all():
            received = absorbers.shape, coefficients.shape
            raise StoreError(f"{path}: damaged: expected finite numbers of shapes {expected}, received {received}")
        if not rate > 0 or not 0 <= share <= 1:
            raise StoreError(
                f"{path}: damaged: expected rate above 0 and share from 0 to 1, received {rate} and {share}"
            )
        return KernelRidge(landmarks, absorbers, coefficients, rate, share, self.members[0].scalers)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the description and every member's numbers, in hexadecimal."""
        text, schema = json.dumps(self.description, sort_keys=True, ensure_ascii=False), self.schema_version
        result = hashlib.sha256(text.encode())
        for member in self.members:
            for name, arrays in sorted(member.weights.items()):
                result.update(name.encode())
                for array in arrays:
                    result.update(np.ascontiguousarray(array).tobytes())
            for name in (*SCALERS, SOFTNESS):
                if (values := getattr(member.scalers, name)) is not None:
                    rows = values[0] if schema == 1 and name.startswith("target") else values  # as schema 1 has them
                    result.update(np.ascontiguousarray(rows).tobytes())
            if schema > 1:
                result.update(member.scalers.transform.encode())
        if (regression := self.regression) is not None:
            result.update(np.array([regression.rate, regression.share]).tobytes())
            of_regression: tuple[npt.NDArray[Any], ...] = (
                regression.landmarks,
                regression.absorbers,
                regression.coefficients,
            )
            for numbers in of_regression:
                result.update(np.ascontiguousarray(numbers).tobytes())
        return result.hexdigest()
