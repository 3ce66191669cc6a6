"""The model folder: ``model.json``, ``members/NN/`` with weights and scalers, and the sites it was trained on.

Nothing in it is code and nothing is run: the architecture is rebuilt by ours, and weights are numbers in HDF5.

    model.json                     what the model is
    run.toml                       the configuration it was trained with, resolved
    history.csv                    figures of every epoch
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

import h5py
import numpy as np
import numpy.typing as npt

from xanes_hpc import __version__, models
from xanes_hpc.errors import ModelError, StoreError
from xanes_hpc.inference import TRANSFORMS, Array, Member, Scalers
from xanes_hpc.splits import PARTS
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.model_description import NOT_CALIBRATED, check_description
from xanes_hpc.stores.new_file import new_file

FORMAT = "xanes-hpc/model"
SCHEMA = 1
DESCRIPTION = "model.json"
CONTENTS = (DESCRIPTION, "members", "sites.h5", "run.toml", "history.csv")
WEIGHTS = "network.weights.h5"
SCALERS = ("feature_mean", "feature_scale", "target_mean", "target_scale")
NO_PART = "none"
"""In place of a part for a site that the model was not made with."""
REFERENCE_SITES = 20_000
"""Training sites whose features are kept in the model, for distances; a seeded sample of more."""


@dataclass(frozen=True)
class TrainingSites:
    """What a model remembers of the sites it was trained with.

    Attributes
    ----------
    names, formulas
        One per site of the feature store.
    parts : (n_sites,) uint8, index into ``splits.PARTS``, or beyond for sites left out
    features : (n_reference, n_features) float32, standardised features of training sites
    """

    names: list[str]
    formulas: list[str]
    parts: npt.NDArray[np.uint8]
    features: Array

    def write(self, path: Path) -> None:
        """Write ``sites.h5``."""
        with new_file(path) as file:
            hdf5.write_strings(file, "name", self.names)
            hdf5.write_strings(file, "formula", self.formulas)
            file.create_dataset("part", data=self.parts)
            file["part"].attrs["parts"] = ", ".join(PARTS)
            file.create_dataset("features", data=self.features)

    def parts_of(self, names: Sequence[str], formulas: Sequence[str]) -> list[str]:
        """The part that sites had, or ``NO_PART``: known by their name, and by their formula where both are known."""
        own = {n: (f, p) for n, f, p in zip(self.names, self.formulas, self.parts, strict=True) if p < len(PARTS)}
        parts = []
        for name, formula in zip(names, formulas, strict=True):
            trained_formula, part = own.get(name, ("", -1))
            same = not formula or not trained_formula or formula == trained_formula
            parts.append(PARTS[part] if part >= 0 and same else NO_PART)
        return parts


def write_scalers(path: Path, scalers: Scalers) -> None:
    """Write a member's scalers."""
    with new_file(path) as file:
        for name in SCALERS:
            file.create_dataset(name, data=getattr(scalers, name))
        file.attrs["transform"] = scalers.transform


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
    def grid(self) -> tuple[npt.NDArray[np.float64], str]:
        """Energies in eV, (n_energies,), and their origin: ``e0`` or ``absolute``."""
        grid = self.description["grid"]
        return np.array(grid["energies"], np.float64), grid["origin"]

    @property
    def descriptor_hash(self) -> str:
        """Of the descriptor whose features the model takes."""
        return str(self.description["descriptor"]["hash"])

    @property
    def calibration(self) -> dict[str, Any]:
        """The factor on sigma, and the conformal scores."""
        value: dict[str, Any] = self.description["calibration"]
        return value or NOT_CALIBRATED

    @property
    def seen(self) -> dict[tuple[str, str], float]:
        """Edge energy (eV, median over the training sites) by element and edge seen in training."""
        return {(s["element"], s["edge"]): s["e0"] for s in self.description["seen"]}

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
        scalers = _scalers(folder / "scalers.h5")
        weights = _keras_weights(folder / WEIGHTS)
        width = self.description["n_features"]
        for layer in (layer for layer in layers if layer.kind == "dense"):
            expected = [(width, layer.units), (layer.units,)]
            shapes = [w.shape for w in weights.get(layer.name, ())]
            if shapes != expected:
                raise ModelError(
                    f"{folder / WEIGHTS}: layer {layer.name}: expected weights of shapes {expected}, received {shapes}"
                )
            width = layer.units
        return Member(layers, weights, scalers, index)

    @cached_property
    def training_sites(self) -> TrainingSites:
        """What the model remembers of its sites.

        Raises
        ------
        StoreError
            If the file is missing or damaged.
        """
        path = self.path / "sites.h5"
        values = dict(_datasets(path, ("name", "formula", "part", "features")))
        names, formulas = ([s.decode() for s in values[key]] for key in ("name", "formula"))
        return TrainingSites(names, formulas, values["part"], values["features"])

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the description and every member's numbers, in hexadecimal."""
        text = json.dumps(self.description, sort_keys=True, ensure_ascii=False)
        result = hashlib.sha256(text.encode())
        for member in self.members:
            for name, arrays in sorted(member.weights.items()):
                result.update(name.encode())
                for array in arrays:
                    result.update(np.ascontiguousarray(array).tobytes())
            for name in SCALERS:
                result.update(np.ascontiguousarray(getattr(member.scalers, name)).tobytes())
        return result.hexdigest()


def _datasets(path: Path, names: Sequence[str]) -> list[tuple[str, Any]]:
    if not path.is_file():
        raise StoreError(f"{path}: no such file: the model is not whole")
    try:
        with h5py.File(path, "r") as file:
            return [(name, file[name][:]) for name in names]
    except (OSError, KeyError, RuntimeError) as error:
        raise StoreError(f"{path}: damaged: {str(error).splitlines()[0]}") from None


def _scalers(path: Path) -> Scalers:
    values = dict(_datasets(path, SCALERS))
    with h5py.File(path, "r") as file:
        transform = str(file.attrs.get("transform", "none"))
    if transform not in TRANSFORMS:
        raise StoreError(f"{path}: expected a transform {', '.join(TRANSFORMS)}, received {transform!r}")
    return Scalers(**values, transform=transform)


def _keras_weights(path: Path) -> dict[str, tuple[Array, Array]]:
    if not path.is_file():
        raise StoreError(f"{path}: no such file: the model is not whole")
    weights = {}
    try:
        with h5py.File(path, "r") as file:
            for group in file["layers"].values():
                variables = group["vars"]
                if len(variables) == 2:
                    weights[str(variables.attrs["name"])] = (variables["0"][:], variables["1"][:])
    except (OSError, KeyError, RuntimeError, AttributeError) as error:
        raise StoreError(f"{path}: damaged: {str(error).splitlines()[0]}") from None
    return weights
