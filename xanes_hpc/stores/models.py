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
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers, chemical_symbols

from xanes_hpc import __version__, models
from xanes_hpc.config import BroadeningConfig, NormalisationConfig, Recipe
from xanes_hpc.errors import ModelError, StoreError
from xanes_hpc.inference import Member, Sample, sample
from xanes_hpc.kernel_ridge import KernelRidge
from xanes_hpc.landmarks import mean_differences
from xanes_hpc.models.network import weight_shapes
from xanes_hpc.scaling import Absorbers
from xanes_hpc.sigma_factors import Evidence
from xanes_hpc.stores.hdf5 import nearest
from xanes_hpc.stores.model_description import check_description, read_calibration
from xanes_hpc.stores.model_numbers import SCALERS, SOFTNESS, read_regression, read_scalers, read_weights
from xanes_hpc.stores.training_sites import TrainingSites, read_training_sites
from xanes_hpc.uncertainty import Calibration, smoothed

FORMAT = "xanes-hpc/model"
SCHEMA = 3
DESCRIPTION = "model.json"
WEIGHTS, SCALING = "network.weights.h5", "scalers.h5"
SITES, REGRESSION = "sites.h5", "regression.h5"
CONTENTS = (DESCRIPTION, "members", SITES, "run.toml", "history.csv", REGRESSION)


def write_description(folder: Path, description: dict[str, Any]) -> None:
    """Write ``model.json``."""
    whole = {"format": FORMAT, "schema_version": SCHEMA, "creator": f"xanes-hpc {__version__}", **description}
    text = json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8")


def digests_of_files(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of numbers in a model folder, in hexadecimal, by its path."""
    return {path.relative_to(folder).as_posix(): _digest_of(path) for path in sorted(folder.rglob("*.h5"))}


def _digest_of(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {(error.strerror or 'no file').lower()}") from None


def architecture_of(path: Path) -> dict[str, Any]:
    """A model's architecture as the section ``[model]`` of a configuration: its name, and its parameters in full."""
    architecture = ModelFolder(path).description["architecture"]
    return {"name": architecture["name"], **architecture["parameters"]}


class ModelFolder:
    """A trained model open for reading."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        file = self.path / DESCRIPTION
        if not self.path.exists():
            raise StoreError(f"{path}: no such model folder{nearest(self.path)}")
        if self.path.is_file():
            raise StoreError(
                f"{path}: expected a model folder, received a file; xanes-hpc model unpack makes a folder of a packed "
                "model"
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
        """Whether it is what a run had kept when it was stopped."""
        return bool(self.description.get("interrupted"))

    def _numbers(self, name: str) -> Path:
        """The path of a file of numbers, whose bytes are those that were written where the description tells them."""
        path = self.path / name
        self._refuse_links(path)
        expected = self.description.get("files", {}).get(name)
        if expected is not None and path.is_file() and _digest_of(path) != expected:
            raise StoreError(f"{path}: damaged: its bytes are not those that were written")
        return path

    def _refuse_links(self, path: Path) -> None:
        if not path.resolve().is_relative_to(self.path.resolve()):
            raise StoreError(
                f"{path}: leads out of the model's folder, to {path.resolve()}: a model is all in its folder"
            )

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
    def recipe(self) -> Recipe:
        """What made its targets of spectra of ``target.source_treatment``."""
        target = self.description["target"]
        return Recipe(
            BroadeningConfig(**target.get("broadening", {})), NormalisationConfig(**target.get("normalisation", {}))
        )

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

    @property
    def trained_absorbers(self) -> dict[tuple[str, str], int]:
        """Numbers of the elements and edges that weights have seen."""
        return {kind: i for i, (kind, n_sites) in enumerate(self._trained.items()) if n_sites}

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

    def sample(
        self, x: npt.NDArray[np.floating], absorbers: Absorbers, n_draws: int, seed: int, keep_draws: bool = False
    ) -> tuple[Sample, Evidence]:
        """Mean and spread of the model's draws, not calibrated, and what it knows of how wrong they may be.

        Parameters are as ``inference.sample`` takes them.
        """
        energies, _ = self.grid
        drawn = sample(self.members, x, absorbers, n_draws, seed, self.method == "dropout", keep_draws)
        differences = mean_differences(self.members[0].scalers.features(x), self.training_sites.features)
        local = None
        if self.regression is not None:
            drawn = self.regression.averaged(drawn, differences, absorbers, energies)
            local = self.regression.local_errors(differences, absorbers, energies)
        steepness, intensity = (
            smoothed(np.abs(y), energies) for y in (np.gradient(drawn.mean, energies, axis=1), drawn.mean)
        )
        nearest = differences.min(axis=1, initial=np.inf).astype(np.float64)
        return drawn, Evidence(drawn.std, nearest, steepness, local, intensity, absorbers)

    @cached_property
    def training_sites(self) -> TrainingSites:
        """What the model remembers of its sites.

        Raises
        ------
        StoreError
            If the file is missing or damaged.
        """
        return read_training_sites(self._numbers(SITES), self.description["n_features"])

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
        n_energies = len(self.description["grid"]["energies"])
        return read_regression(
            self._numbers(REGRESSION), self.training_sites.features, n_energies, self.members[0].scalers
        )

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
                *([] if regression.errors is None else [regression.errors]),
            )
            for numbers in of_regression:
                result.update(np.ascontiguousarray(numbers).tobytes())
        return result.hexdigest()
