"""Read a model folder: its description, weights, scalers and training sites.

A model folder holds no code. The architecture is rebuilt from its name and parameters, and the weights are numbers in
HDF5.

    model.json                     description of the model
    run.toml                       the configuration it was trained with, in full
    history.csv                    training loss, validation error and learning rate by epoch
    regression.h5                  the Gaussian process averaged with the networks, if there is one
    sites.h5                       name, formula and set of every site; features of (a sample of) the training sites
    members/00/network.weights.h5  Keras weights file
    members/00/scalers.h5          standardisation of features and targets
"""

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from xanes_hpc import __version__
from xanes_hpc.errors import ModelError, StoreError
from xanes_hpc.models import architectures
from xanes_hpc.models.description import check_description
from xanes_hpc.models.gaussian_process import GaussianProcess
from xanes_hpc.models.layers import takes_graphs, weight_shapes
from xanes_hpc.models.numbers import read_regression, read_scalers, read_weights
from xanes_hpc.models.numpy_network import Member
from xanes_hpc.models.training_sites import TrainingSites, read_training_sites
from xanes_hpc.runtime.nearest import did_you_mean_path

FORMAT = "xanes-hpc/model"
SCHEMA = 5
DESCRIPTION = "model.json"
WEIGHTS, SCALING = "network.weights.h5", "scalers.h5"
SITES, REGRESSION = "sites.h5", "regression.h5"
CONTENTS = (DESCRIPTION, "members", SITES, "run.toml", "history.csv", REGRESSION)


def write_description(folder: Path, description: dict[str, Any]) -> None:
    """Write ``model.json``."""
    whole = {"format": FORMAT, "schema_version": SCHEMA, "creator": f"xanes-hpc {__version__}", **description}
    text = json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8")


def refuse_part_of_model(path: Path) -> None:
    """Raise an error if an output would replace a file of a model folder.

    Raises
    ------
    StoreError
        If so; the message names the file and the folder.
    """
    if not path.is_file():
        return
    for folder in path.resolve().parents[:3]:
        own = path.resolve().relative_to(folder).parts[0] in CONTENTS
        if own and (folder / DESCRIPTION).exists():
            raise StoreError(f"{path}: is part of the model {folder}; name another output")


def digests_of_files(folder: Path) -> dict[str, str]:
    """Return the SHA-256 (hexadecimal) of every HDF5 file in a model folder, by path."""
    return {path.relative_to(folder).as_posix(): _digest_of(path) for path in sorted(folder.rglob("*.h5"))}


def _digest_of(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {(error.strerror or 'no file').lower()}") from None


def architecture_of(path: Path) -> dict[str, Any]:
    """Return a model's architecture as section ``[model]`` of a configuration: its name and all parameters."""
    architecture = ModelFolder(path).description["architecture"]
    return {"name": architecture["name"], **architecture["parameters"]}


class ModelFolder:
    """A model folder, open for reading."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        file = self.path / DESCRIPTION
        if not self.path.exists():
            raise StoreError(f"{path}: no such model folder{did_you_mean_path(self.path)}")
        if self.path.is_file():
            raise StoreError(
                f"{path}: expected a model folder, received a file; unpack a packed model with xanes-hpc model unpack"
            )
        if not file.is_file():
            raise StoreError(f"{path}: not a model folder (it has no model.json)")
        self._refuse_links(file)
        try:
            self.description: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            kind, schema = self.description["format"], int(self.description["schema_version"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise StoreError(f"{file}: damaged: not a model's description") from None
        if kind != FORMAT:
            raise StoreError(f"{file}: expected {FORMAT}, received {kind}")
        if schema > SCHEMA:
            raise StoreError(f"{file}: model of schema {schema}; this program reads up to schema {SCHEMA}: upgrade it")
        check_description(file, self.description)

    @property
    def interrupted(self) -> bool:
        """Whether training was stopped before the end."""
        return bool(self.description.get("interrupted"))

    def _numbers(self, name: str) -> Path:
        """Return the path of an HDF5 file, after comparing its SHA-256 with the description, if that has one."""
        path = self.path / name
        self._refuse_links(path)
        expected = self.description.get("files", {}).get(name)
        if expected is not None and path.is_file() and _digest_of(path) != expected:
            raise StoreError(
                f"{path}: damaged: its SHA-256 differs from {DESCRIPTION}; restore the file from a copy of the model"
            )
        return path

    def _refuse_links(self, path: Path) -> None:
        if not path.resolve().is_relative_to(self.path.resolve()):
            raise StoreError(
                f"{path}: leads through a link to {path.resolve()}, outside the model folder; replace the link "
                "with a copy"
            )

    @property
    def schema_version(self) -> int:
        """The schema version of the description."""
        return int(self.description["schema_version"])

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
        _, layers = architectures.build(spec["name"], spec["parameters"], self.description["n_features"], n_energies)
        if takes_graphs(layers) and self.description.get("graph") is None:
            raise StoreError(f"{self.path / DESCRIPTION}: damaged: a model {spec['name']} without settings of graphs")
        folders = sorted((self.path / "members").glob("[0-9][0-9]"))
        if len(folders) != self.description["members"]:
            raise StoreError(f"{self.path}: expected {self.description['members']} members, found {len(folders)}")
        return [self._member(folder, i, layers) for i, folder in enumerate(folders)]

    def _member(self, folder: Path, index: int, layers: Sequence[architectures.Layer]) -> Member:
        n_features, n_absorbers = self.description["n_features"], len(self.description["seen"])
        n_energies = len(self.description["grid"]["energies"])
        own = folder.relative_to(self.path).as_posix()
        scalers = read_scalers(self._numbers(f"{own}/{SCALING}"), n_features, n_absorbers, n_energies)
        weights = read_weights(self._numbers(f"{own}/{WEIGHTS}"))
        for name, expected in weight_shapes(layers, n_features, n_absorbers).items():
            shapes = tuple(w.shape for w in weights.get(name, ()))
            if shapes != expected:
                raise ModelError(
                    f"{folder / WEIGHTS}: layer {name}: expected weights of shapes {expected}, received {shapes}"
                )
        return Member(layers, weights, scalers, index)

    @cached_property
    def training_sites(self) -> TrainingSites:
        """Names, formulas and sets of the model's sites, and features of training sites.

        Raises
        ------
        StoreError
            If the file is missing or damaged.
        """
        return read_training_sites(self._numbers(SITES), self.description["n_features"])

    @cached_property
    def regression(self) -> GaussianProcess | None:
        """The Gaussian process that is averaged with the networks, or None.

        Raises
        ------
        StoreError
            If its file is missing or damaged.
        """
        if not self.description.get("regression"):
            return None
        energies = np.array(self.description["grid"]["energies"], np.float64)
        return read_regression(
            self._numbers(REGRESSION), self.training_sites.features, energies, self.members[0].scalers
        )
