"""Calibrate sigma and the limits of the domain from sites that a model, or the model of a fold, has not seen."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.data.datasets import TrainingData
from xanes_hpc.models.calibration import calibrate, calibrate_without_spread, not_calibrated, typical_of_all
from xanes_hpc.models.domain import Domain, Scores, limits, profile_columns
from xanes_hpc.models.model import Model
from xanes_hpc.models.numpy_network import DRAWS
from xanes_hpc.models.sigma_factors import FEWEST_FOR_FACTORS, Evidence
from xanes_hpc.models.training_sites import REFERENCE_SITES, SETS
from xanes_hpc.models.trust import NEIGHBOURHOOD, describe_trust
from xanes_hpc.training.leave_group_out import LeaveGroupOut

MOST_CALIBRATION_SITES = 5000
RUN = 64
"""Sites of a sample that are next to each other in their store."""


@dataclass(frozen=True)
class HeldOut:
    """Predictions of sites that the predicting model has not seen, before calibration.

    Attributes
    ----------
    reference, mean : (n_sites, n_energies)
        Targets and predicted means.
    evidence
        What is known of each prediction; absorbers are those of the data, whatever their indices in the model.
    scores
        How far the sites are from the model's domain.
    """

    reference: npt.NDArray[np.float64]
    mean: npt.NDArray[np.float64]
    evidence: Evidence
    scores: Scores

    @property
    def n_sites(self) -> int:
        """Number of sites."""
        return len(self.reference)

    @classmethod
    def joined(cls, several: Sequence["HeldOut"]) -> "HeldOut":
        """Return the predictions of all sites."""
        return cls(
            np.concatenate([one.reference for one in several]), np.concatenate([one.mean for one in several]),
            Evidence.joined([one.evidence for one in several]), Scores.joined([one.scores for one in several]),
        )  # fmt: skip


def held_out(
    model: Model, data: TrainingData, name: str, seed: int, most: int = MOST_CALIBRATION_SITES
) -> HeldOut | None:
    """Predict a set of the split that a model has not seen, before calibration; None if it has no sites.

    Sites of an element and edge that the model was not trained on are left out: predictions of such sites are flagged,
    and their errors say nothing about the others.

    Parameters
    ----------
    model, data
        The model, and the data with the set.
    name
        Name of the set.
    seed
        Seed of the draws, and of the order in which chunks are read.
    most
        No further chunk is read once there are as many sites.
    """
    trained = model.trained_absorbers
    own = np.array([trained.get((chemical_symbols[z], edge), -1) for z, edge in data.seen])
    sites = data.sites_in(name)
    sites = replace(sites, chosen=sites.chosen & (own[data.absorbers] >= 0))
    domain = Domain(model.training_sites.features, profile_columns(data.first.features.labels))
    chunks, found, n_sites = sites.chunks, list[HeldOut](), 0
    for i in np.random.default_rng(seed).permutation(len(chunks)):
        x, absorbers, y = sites.read(chunks[i])
        graphs = None if model.graph is None else sites.read_graphs(chunks[i])
        drawn, evidence = model.sample(x, own[absorbers], DRAWS, seed, graphs=graphs)
        scores = domain.scores(model.members[0].scalers.features(x))
        found.append(HeldOut(y.astype(np.float64), drawn.mean, replace(evidence, absorbers=absorbers), scores))
        n_sites += len(x)
        if n_sites >= most:
            break
    return HeldOut.joined(found) if found else None


def calibrated(
    known: HeldOut | None, model: Model, data: TrainingData, every: LeaveGroupOut | None = None
) -> dict[str, Any]:
    """Return calibration and trust of a model for ``model.json``.

    Parameters
    ----------
    known
        Predictions of held-out sites.
    model, data
        The model and its data.
    every
        Leave-group-out errors of the Gaussian process. They say how typical the held-out sites are of all sites. If
        there are too few held-out sites to fit the factors of sigma to, sigma comes from these errors.
    """
    energies, _ = model.grid
    calibration, nearest, beyond = not_calibrated(energies.size), np.empty(0), {}
    sizes = np.sqrt(np.mean(np.square(model.members[0].scalers.target_scale), axis=1))
    n_known = 0 if known is None else known.n_sites
    every = every if every is not None and len(every.errors) >= FEWEST_FOR_FACTORS else None
    if known is not None:
        if every is None or n_known >= FEWEST_FOR_FACTORS:
            calibration = calibrate(known.reference, known.mean, known.evidence, energies, sizes)
        beyond = limits(known.scores, profile_columns(data.first.features.labels))
        nearest = nearest if known.evidence.distance is None else known.evidence.distance
    if every is not None:
        if n_known >= FEWEST_FOR_FACTORS:
            calibration = typical_of_all(calibration, every.errors, every.evidence, every.calibrated)
        else:
            few = None if known is None else (np.abs(known.reference - known.mean), known.evidence)
            calibration = calibrate_without_spread(every.errors, every.evidence, energies, sizes, few)
        nearest = every.evidence.distance if every.evidence.distance is not None else nearest
    trained = np.isin(data.sets, [SETS.index(name) for name in model.training_sites.trained])
    formulas = [f for f, chosen in zip(data.formulas, trained, strict=True) if chosen]
    formulas += [formula for _, formula in model.training_sites.earlier]
    trust = describe_trust(nearest, formulas, beyond, _neighbours(data, trained), n_known)
    return {"calibration": calibration.as_dict(), "trust": trust}


def _neighbours(data: TrainingData, trained: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the numbers of neighbours of the trained sites that have structures, or of a sample of them."""
    counts = [np.empty(0, np.int64)]
    for source in data.sources:
        own = np.flatnonzero(trained[source.first : source.first + source.features.n_sites])
        if own.size > REFERENCE_SITES:  # runs of neighbouring rows, which are read together
            runs = np.array_split(own, own.size // RUN)
            own = np.concatenate([runs[i] for i in np.linspace(0, len(runs) - 1, REFERENCE_SITES // RUN).astype(int)])
        if source.origin is not None:
            counts.append(source.origin.neighbour_counts(own, NEIGHBOURHOOD))
    return np.concatenate(counts)
