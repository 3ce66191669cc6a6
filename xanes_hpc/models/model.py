"""A trained model: its predictions, and what it was trained on."""

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers, chemical_symbols

from xanes_hpc.models.calibration import Calibration, slopes_and_sizes
from xanes_hpc.models.description import read_calibration
from xanes_hpc.models.distances import FEATURES, KERNEL, mean_differences
from xanes_hpc.models.domain import Domain
from xanes_hpc.models.folder import ModelFolder
from xanes_hpc.models.gaussian_process import GaussianProcess
from xanes_hpc.models.numbers import SCALERS, SOFTNESS
from xanes_hpc.models.numpy_network import Member, Sample, sample
from xanes_hpc.models.scaling import Absorbers
from xanes_hpc.models.sigma_factors import Evidence
from xanes_hpc.models.training_sites import TrainingSites
from xanes_hpc.spectra.recipe import BroadeningConfig, NormalisationConfig, Recipe
from xanes_hpc.structures.graphs import Graphs, GraphSettings


class Model:
    """A trained model, run in NumPy.

    Parameters
    ----------
    folder
        The model folder.
    """

    def __init__(self, folder: ModelFolder) -> None:
        self.folder = folder

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the model in a folder.

        Raises
        ------
        StoreError
            If ``path`` is not a model folder, or its description is damaged.
        """
        return cls(ModelFolder(path))

    @property
    def path(self) -> Path:
        """The path of the model folder."""
        return self.folder.path

    @property
    def description(self) -> dict[str, Any]:
        """The contents of ``model.json``."""
        return self.folder.description

    @property
    def members(self) -> Sequence[Member]:
        """The trained networks."""
        return self.folder.members

    @property
    def training_sites(self) -> TrainingSites:
        """Names, formulas and sets of the model's sites, and features of (a sample of) the training sites."""
        return self.folder.training_sites

    @property
    def regression(self) -> GaussianProcess | None:
        """The Gaussian process that is averaged with the networks, or None."""
        return self.folder.regression

    @property
    def grid(self) -> tuple[npt.NDArray[np.float64], str]:
        """Energies in eV, (n_energies,), and their origin: ``e0`` or ``absolute``."""
        grid = self.folder.description["grid"]
        return np.array(grid["energies"], np.float64), grid["origin"]

    @property
    def descriptor_hash(self) -> str:
        """The hash of the descriptor of the model's features."""
        return str(self.folder.description["descriptor"]["hash"])

    @property
    def graph(self) -> GraphSettings | None:
        """Settings of the graphs that the networks take; None if they take features."""
        given = self.folder.description.get("graph")
        return None if given is None else GraphSettings.read(given["settings"])

    @property
    def calibration(self) -> Calibration:
        """The calibration, which turns the spread of draws into sigma."""
        return read_calibration(
            self.folder.description["calibration"], len(self.folder.description["grid"]["energies"])
        )

    @property
    def recipe(self) -> Recipe:
        """How the targets were made from spectra with the treatment ``target.source_treatment``."""
        target = self.folder.description["target"]
        return Recipe(
            BroadeningConfig(**target.get("broadening", {})), NormalisationConfig(**target.get("normalisation", {}))
        )

    @property
    def method(self) -> str:
        """The source of the uncertainty: ``dropout``, ``ensemble`` or ``bootstrap``."""
        return str(self.folder.description.get("uncertainty", {}).get("method", "dropout"))

    @property
    def distance(self) -> str:
        """What sites are compared by: ``KERNEL``, or ``FEATURES`` in models without a Gaussian process and old ones."""
        return str(self.folder.description.get("distance", FEATURES))

    @property
    def trust(self) -> dict[str, Any]:
        """The largest distance to the training sites, and their elements; empty for models without such limits."""
        value: dict[str, Any] = self.folder.description.get("trust") or {}
        return value

    @property
    def n_folds(self) -> int | None:
        """Number of folds whose held-out sites calibrate a final model; None for a model with a set of its own."""
        found: int | None = self.folder.description["provenance"].get("held_out", {}).get("folds")
        return found

    @property
    def fitted_in_words(self) -> str:
        """How many sites a final model is fitted to, and how its sigma is calibrated."""
        return (
            f"fitted to all {self.training_sites.count('train'):,} sites; sigma calibrated on "
            f"{self.calibration.n_sites:,} held-out sites of {self.n_folds} folds"
        )

    @property
    def seen(self) -> dict[tuple[str, str], float]:
        """Edge energy (eV, median over the training sites) by element and edge, in the order of their indices."""
        return {(s["element"], s["edge"]): s["e0"] for s in self.folder.description["seen"]}

    def unseen(self, elements: npt.NDArray[np.integer], edges: Sequence[str]) -> list[str]:
        """Return each site's element and edge, such as ``Zn K``, if it was not seen in training; otherwise empty.

        Parameters
        ----------
        elements, edges
            Atomic number and edge of each site.
        """
        trained = {kind for kind, n_sites in self._trained.items() if n_sites}
        kinds = [(chemical_symbols[int(z)], edge) for z, edge in zip(elements, edges, strict=True)]
        return ["" if kind in trained else " ".join(kind) for kind in kinds]

    @property
    def _trained(self) -> dict[tuple[str, str], float]:
        """Number of training sites by element and edge, in the order of their indices; 0 if all were held out."""
        return {(s["element"], s["edge"]): s.get("sites", 1) for s in self.folder.description["seen"]}

    def absorbers(self, elements: npt.NDArray[np.integer], edges: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return the index of each site's element and edge, (n_sites,).

        An element or edge that was not seen in training gets the index of the nearest one that was: at the same edge if
        possible, then with the nearest atomic number.

        Parameters
        ----------
        elements, edges
            Atomic number and edge of each site.
        """
        kinds = [(atomic_numbers[symbol], edge, n_sites == 0) for (symbol, edge), n_sites in self._trained.items()]
        numbers: dict[tuple[int, str], int] = {}
        for z, edge in {(int(z), edge) for z, edge in zip(elements, edges, strict=True)}:
            apart = [(untrained, own_edge != edge, abs(own_z - z)) for own_z, own_edge, untrained in kinds]
            numbers[z, edge] = apart.index(min(apart))
        return np.array([numbers[int(z), edge] for z, edge in zip(elements, edges, strict=True)], np.int64)

    @property
    def trained_absorbers(self) -> dict[tuple[str, str], int]:
        """Indices of the elements and edges that were seen in training."""
        return {kind: i for i, (kind, n_sites) in enumerate(self._trained.items()) if n_sites}

    def sample(
        self,
        x: npt.NDArray[np.floating],
        absorbers: Absorbers,
        n_draws: int,
        seed: int,
        keep_draws: bool = False,
        graphs: Graphs | None = None,
    ) -> tuple[Sample, Evidence]:
        """Return mean and spread of the model's draws, before calibration, and the evidence that calibration needs.

        Parameters
        ----------
        x : (n_sites, n_features)
            Features as stored.
        absorbers : (n_sites,)
            Indices of the sites' elements and edges.
        n_draws, seed
            Number of draws, and their seed.
        keep_draws
            Whether to return the draws too.
        graphs
            Graphs of the sites, for networks that take them.
        """
        energies, _ = self.grid
        taken = x if graphs is None else graphs
        drawn = sample(self.members, taken, absorbers, n_draws, seed, self.method == "dropout", keep_draws)
        z = self.members[0].scalers.features(x)
        local = nearest = None
        if self.regression is not None:
            found = self.regression.at(x, absorbers)
            drawn = self.regression.averaged(drawn, found.spectra, energies)
            local = self.regression.local_errors(found.remoteness, absorbers, energies)
            if self.distance == KERNEL:
                nearest = self.regression.nearest(x, found.remoteness)
        if nearest is None:
            differences = mean_differences(z, self.training_sites.features)
            nearest = differences.min(axis=1, initial=np.inf).astype(np.float64)
        steepness, intensity = slopes_and_sizes(drawn.mean, energies)
        return drawn, Evidence(drawn.std, nearest, steepness, local, intensity, absorbers, self.domain.scores(z))

    @cached_property
    def domain(self) -> Domain:
        """What the training sites cover."""
        return Domain(self.training_sites.features, self.trust.get("profile", {}).get("columns", []))

    @cached_property
    def digest(self) -> str:
        """The SHA-256 (hexadecimal) over the description and the numbers of all members and the regression."""
        text, schema = (
            json.dumps(self.folder.description, sort_keys=True, ensure_ascii=False),
            self.folder.schema_version,
        )
        result = hashlib.sha256(text.encode())
        for member in self.members:
            for name, arrays in sorted(member.weights.items()):
                result.update(name.encode())
                for array in arrays:
                    result.update(np.ascontiguousarray(array).tobytes())
            for name in (*SCALERS, SOFTNESS):
                if (values := getattr(member.scalers, name)) is not None:
                    rows = values[0] if schema == 1 and name.startswith("target") else values  # schema 1 has one row
                    result.update(np.ascontiguousarray(rows).tobytes())
            if schema > 1:
                result.update(member.scalers.transform.encode())
        if (regression := self.regression) is not None:
            aligned = [] if regression.aligned is None else [regression.aligned.share]
            result.update(np.array([*regression.kernel.parameters(), regression.share, *aligned]).tobytes())
            of_regression: tuple[npt.NDArray[Any], ...] = (
                regression.landmarks,
                regression.absorbers,
                regression.coefficients,
                *([] if regression.errors is None else [regression.errors]),
            )
            for numbers in of_regression:
                result.update(np.ascontiguousarray(numbers).tobytes())
        return result.hexdigest()
