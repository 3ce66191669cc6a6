"""How a predicted spectrum changes when each atom of its structure is left out."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xanes_hpc.analysis.mean_model import MeanModel
from xanes_hpc.prediction.predictor import SitePredictor
from xanes_hpc.structures.neighbours import neighbour_list
from xanes_hpc.structures.structure import Structure

MOST_ATOMS = 400
"""Largest number of atoms that are left out, nearest first."""
ATOMS_AT_ONCE = 1 << 20
"""Largest number of atoms in the copies of a structure that are described at once."""


@dataclass(frozen=True)
class AtomEffects:
    """Changes of a predicted spectrum.

    Attributes
    ----------
    atoms : (n_atoms,)
        Indices of atoms within the descriptor's cutoff, nearest first; of an atom and its periodic images, the atom.
    distances : (n_atoms,)
        Distance of each, or of its nearest image, from the absorber, Å.
    effects : (n_atoms, n_energies)
        Mean of the networks' spectra, minus that of the structure without the atom and its images.
    """

    atoms: npt.NDArray[np.int64]
    distances: npt.NDArray[np.float64]
    effects: npt.NDArray[np.float64]


def atom_effects(predictor: SitePredictor, structure: Structure, atom: int, edge: str) -> AtomEffects:
    """Return the effect of each atom on the predicted spectrum of an atom (0-based) of a structure.

    The spectra are those without dropout and without further broadening.

    Raises
    ------
    FormatError, ModelError
        As ``SitePredictor.predict``.
    """
    number = predictor.absorber(structure, np.array([atom]), edge)
    site = predictor.batch(structure, np.array([atom]))
    near = neighbour_list(site, predictor.descriptor.cutoff)
    order = np.argsort(near.distances, kind="stable")
    order = order[near.atoms[order] != atom]
    atoms, first = np.unique(near.atoms[order], return_index=True)
    nearest_first = np.argsort(first)[:MOST_ATOMS]
    atoms, distances = atoms[nearest_first].astype(np.int64), near.distances[order][first[nearest_first]]
    at_once = max(1, ATOMS_AT_ONCE // structure.numbers.size)
    described = [predictor.descriptor.compute(site)] + [
        predictor.descriptor.compute(site.without_each(atoms[start : start + at_once]))
        for start in range(0, atoms.size, at_once)
    ]
    x = np.concatenate(described)
    own = predictor.model.absorbers(np.array([number], np.uint8), [edge])
    spectra = MeanModel(predictor.model, x, np.repeat(own, len(x))).spectra().mean(axis=0)
    return AtomEffects(atoms, distances, spectra[0] - spectra[1:])
