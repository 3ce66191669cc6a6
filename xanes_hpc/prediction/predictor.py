"""Predict the spectrum of one site of a structure in memory, or the average of several: mean, sigma, and domain."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.descriptors.foreign import Foreign
from xanes_hpc.errors import FormatError, ModelError, SpectrumError
from xanes_hpc.models.model import Model
from xanes_hpc.models.numpy_network import DRAWS
from xanes_hpc.models.trust import NEIGHBOURHOOD, reasons
from xanes_hpc.prediction.average import shared_flag
from xanes_hpc.prediction.predict import edge_energies
from xanes_hpc.prediction.site_features import model_descriptor
from xanes_hpc.spectra.distribution import Distribution
from xanes_hpc.spectra.recipe import Recipe
from xanes_hpc.spectra.spectrum import PlacedSpectrum, Spectrum
from xanes_hpc.spectra.treatment import treat_rows, treatment_after
from xanes_hpc.stores.predictions import scale_draws
from xanes_hpc.stores.sites import SiteTable
from xanes_hpc.structures.absorbers import formula
from xanes_hpc.structures.graph_search import find_graphs
from xanes_hpc.structures.neighbours import neighbour_list
from xanes_hpc.structures.sites import SiteBatch
from xanes_hpc.structures.structure import Structure

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SitePrediction:
    """A site's predicted spectrum.

    Attributes
    ----------
    energies, mean, std : (n_energies,)
        Energies of the model's grid, in eV; the spectrum and its calibrated standard deviation, in ``unit``.
    e0
        Edge energy, eV; NaN if unknown.
    treatment, unit
        As for ``spectra.spectrum.Spectrum``.
    nearest
        Distance to the nearest training site.
    distrust
        Why the prediction is out of domain; empty if it is not.
    distribution
        Distribution of errors in standard deviations.
    """

    energies: Array
    mean: Array
    std: Array
    e0: float
    treatment: str
    unit: str
    nearest: float
    distrust: str
    distribution: Distribution


class SitePredictor:
    """Predicts sites one at a time.

    Parameters
    ----------
    model
        The trained model.
    draws, seed
        Number of Monte Carlo draws, and their seed.

    Raises
    ------
    ModelError
        If this program builds another descriptor than the model's from its description, or another program made
        features of the model.
    """

    def __init__(self, model: Model, draws: int = DRAWS, seed: int = 0) -> None:
        self.model, self.draws, self.seed = model, draws, seed
        self.descriptor = model_descriptor(model)
        if isinstance(self.descriptor, Foreign):
            raise ModelError(
                f"{model.path}: was trained on {self.descriptor.in_words}, which structures do not have; predict "
                "stores or files with them"
            )

    @property
    def properties(self) -> tuple[str, ...]:
        """Names of the properties of a structure that the descriptor needs besides its atoms."""
        return self.descriptor.properties

    @cached_property
    def edges(self) -> dict[str, list[str]]:
        """Edges that the model was trained on, by the element's symbol."""
        found: dict[str, list[str]] = {}
        for element, edge in self.model.trained_absorbers:
            found.setdefault(element, []).append(edge)
        return found

    def predict(self, structure: Structure, atom: int, edge: str, recipe: Recipe | None = None) -> SitePrediction:
        """Predict the spectrum of an atom (0-based) of a structure, and treat it further with a recipe.

        Raises
        ------
        FormatError
            If there is no such atom, or the structure cannot be featurised.
        ModelError
            If the model was not trained on the atom's element and edge.
        SpectrumError
            If the recipe cannot be applied to the model's spectra.
        """
        return self.average(structure, np.array([atom]), np.ones(1), edge, recipe)

    def average(
        self,
        structure: Structure,
        atoms: npt.NDArray[np.int64],
        weights: Array,
        edge: str,
        recipe: Recipe | None = None,
    ) -> SitePrediction:
        """Predict the weighted mean of the spectra of several atoms of one element, as ``prediction.average`` does.

        Parameters
        ----------
        structure, atoms
            A structure, and the indices (from 0) of its atoms, (n_atoms,).
        weights : (n_atoms,)
            Positive weights, such as multiplicities.
        edge, recipe
            As for ``predict``, which lists the errors.
        """
        number = self.absorber(structure, atoms, edge)
        n = atoms.size
        batch = self.batch(structure, atoms)
        elements = np.full(n, number, np.uint8)
        drawn, evidence = self.model.sample(
            self.descriptor.compute(batch), self.model.absorbers(elements, [edge] * n), self.draws, self.seed,
            keep_draws=recipe is not None or n > 1,
            graphs=None if self.model.graph is None else find_graphs(batch, self.model.graph),
        )  # fmt: skip
        sigma = self.model.calibration.sigma(evidence)
        energies, origin = self.model.grid
        target = self.model.description["target"]
        e0 = float(edge_energies(self.model, _table(structure, int(atoms[0]), number, edge))[0])
        nearest = evidence.distance if evidence.distance is not None else np.full(n, np.nan)
        why = reasons(
            self.model.trust, nearest, [formula(structure.numbers)] * n, self.model.unseen(elements, [edge] * n),
            evidence.scores, lambda k: neighbour_list(batch.sites(k, k + 1), NEIGHBOURHOOD).distances.size,
            self.model.distance,
        )  # fmt: skip
        shares = weights / weights.sum()
        mean, std, draws = shares @ drawn.mean, sigma[0], None
        if drawn.draws is not None:
            scaled = [scale_draws(own.astype(np.float64), s) for own, s in zip(drawn.draws, sigma, strict=True)]
            draws = np.tensordot(shares, np.array(scaled), axes=1)
            std = draws.std(axis=0, ddof=1) if n > 1 else std
        found = SitePrediction(
            energies, mean, std, e0, target["treatment"], target["unit"], float(nearest.max()),
            shared_flag(why, np.arange(n)), self.model.calibration.distribution,
        )  # fmt: skip
        if recipe is None or recipe.does_nothing or draws is None:
            return found
        return _treated(found, [mean, *draws], recipe, number, edge, origin, target["kind"])

    def absorber(self, structure: Structure, atoms: npt.NDArray[np.int64], edge: str) -> int:
        """Return the atomic number of absorbers of one element, after a check that they can be predicted.

        Raises
        ------
        FormatError, ModelError
            As ``predict``.
        """
        wrong = atoms[(atoms < 0) | (atoms >= structure.numbers.size)]
        if wrong.size:
            raise FormatError(f"absorber: expected an atom from 0 to {structure.numbers.size - 1}, received {wrong[0]}")
        number = int(structure.numbers[atoms[0]])
        symbol = chemical_symbols[number]
        if edge not in self.edges.get(symbol, ()):
            known = ", ".join(f"{element} {own}" for element, edges in self.edges.items() for own in edges)
            raise ModelError(f"the model was not trained on {symbol} {edge}, only on {known}")
        for name in self.properties:
            if isinstance(structure.properties.get(name), str):
                raise FormatError(f"{name}: expected a number, received {structure.properties[name]!r}")
        return number

    def batch(self, structure: Structure, atoms: npt.NDArray[np.int64]) -> SiteBatch:
        """Return atoms of a structure as the sites of a batch, with the properties that the descriptor needs."""
        known, n = structure.properties, atoms.size
        numbers = {name: known.get(name, np.nan) for name in self.descriptor.properties}
        return SiteBatch(
            numbers=structure.numbers,
            positions=structure.positions,
            offsets=np.array([0, structure.numbers.size]),
            cells=structure.cell[None],
            pbc=structure.pbc[None],
            site_structures=np.zeros(n, np.int64),
            site_atoms=atoms,
            properties={k: np.full(n, np.nan if isinstance(v, str) else v, np.float64) for k, v in numbers.items()},
        )


def _table(structure: Structure, atom: int, number: int, edge: str) -> SiteTable:
    one = np.array([0])
    return SiteTable([structure.name], one, np.array([atom]), np.array([number], np.uint8), [edge], np.ones(1))


def _treated(
    found: SitePrediction, rows: Sequence[Array], recipe: Recipe, number: int, edge: str, origin: str, kind: str
) -> SitePrediction:
    """Return a prediction treated by a recipe, with sigma computed from the treated draws."""
    if origin == "e0" and not np.isfinite(found.e0):
        raise SpectrumError("the edge energy is unknown, so the spectrum cannot be treated")
    spectrum = Spectrum(found.energies, rows[0], kind, found.treatment, found.unit, source="the prediction")
    placed = PlacedSpectrum(spectrum, found.e0, "model", "e0" if origin == "e0" else "absolute")
    done = treat_rows(placed, rows, number, edge, recipe)
    return replace(
        found, mean=done[0], std=done[1:].std(axis=0, ddof=1), treatment=treatment_after(recipe, found.treatment)
    )
