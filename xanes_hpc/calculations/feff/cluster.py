"""Which atoms FEFF calculates with for a site, and which of them share a potential."""

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols, covalent_radii

from xanes_hpc.errors import FormatError, SpectrumError
from xanes_hpc.formats.feff_input import EDGES, SCREENING, Input, Settings
from xanes_hpc.spectra.edges import edge_energy
from xanes_hpc.structures.bonds import NEAR
from xanes_hpc.structures.cluster import WIDEST, Cluster, cut_cluster, whole_shells
from xanes_hpc.structures.neighbours import check_distances
from xanes_hpc.structures.structure import Structure

BEYOND = 2.0
"""Atoms so far outside the cluster (Å) still overlap with its atoms in FEFF's muffin-tin potentials."""
BEHIND, BEHIND_HYDROGEN = 0.1, 0.35
"""A radius that is to hold an atom is larger than its distance by this, Å. FEFF counts a hydrogen atom as inside only
some 0.2 Å farther out."""
MOST_ATOMS, MOST_POTENTIALS, HEAVIEST = 4000, 31, 99
"""FEFF 10's limits: atoms of the file, potentials beside the absorber's, atomic number."""


def calculation_of(structure: Structure, atom: int, edge: str, title: str, settings: Settings) -> Input:
    """Return what FEFF calculates for a site: a cluster of whole shells, and the potentials of its atoms.

    Raises
    ------
    FormatError
        If FEFF or the element has no such edge, FEFF has no such element, atoms are impossibly near, the absorber is
        alone, or the cluster has more atoms or potentials than FEFF takes.
    """
    if edge not in EDGES:
        raise FormatError(f"{structure.name}: FEFF has no edge {edge}; it has {', '.join(EDGES)}")
    check_distances(structure)
    asked = max(settings.scf_radius, settings.fms_radius)
    whole = cut_cluster(structure, atom, asked + BEYOND + 2 * WIDEST)
    distances = whole.distances
    if not (distances[1:] <= settings.fms_radius).any():
        nearest = f"the nearest is {distances[1]:.2f} Å away" if distances.size > 1 else "there is none nearby"
        expected = f"expected another atom within {settings.fms_radius:g} Å of the absorber"
        raise FormatError(f"{structure.name}: {expected}; {nearest}")
    fms = whole_shells(distances, max(settings.fms_radius, _first_of_each(whole, asked)))
    cluster = _with_representatives(whole, whole_shells(distances, asked + BEYOND), fms)
    if (heaviest := int(cluster.numbers.max())) > HEAVIEST:
        limit, received = (chemical_symbols[z] for z in (HEAVIEST, heaviest))
        raise FormatError(f"{structure.name}: FEFF takes elements up to {limit}, received {received}")
    try:
        edge_energy(int(structure.numbers[atom]), edge)
    except SpectrumError as error:
        raise FormatError(f"{structure.name}: {str(error).removesuffix('; give `e0`')}") from None
    if cluster.numbers.size > MOST_ATOMS:
        received = f"{cluster.numbers.size:,} within {asked + BEYOND:g} Å"
        raise FormatError(
            f"{structure.name}: FEFF takes {MOST_ATOMS:,} atoms, received {received}; choose smaller radii"
        )
    potentials = _potentials(cluster, settings.potentials)
    least = _nearest_of_each(cluster, potentials)
    if (n := int(potentials.max())) > MOST_POTENTIALS:
        raise FormatError(
            f"{structure.name}: FEFF takes {MOST_POTENTIALS} potentials, received {n}; choose `potentials` element"
        )
    scf = whole_shells(distances, max(settings.scf_radius, least)) if settings.scf_radius else 0.0
    return Input(
        cluster, potentials, edge, scf, fms, max(SCREENING, least), not structure.pbc.any(), title, settings.kind
    )


def _first_of_each(cluster: Cluster, radius: float) -> float:
    """Return the radius, Å, that holds an atom of each element that has one within a radius."""
    near = cluster.numbers[1:][cluster.distances[1:] <= radius]
    first = np.unique(near, return_index=True)[1]
    return float(cluster.distances[1:][first].max())


def _with_representatives(cluster: Cluster, radius: float, fms: float) -> Cluster:
    """Return the atoms within a radius, but for elements of which none is in the cluster of multiple scattering."""
    distances = cluster.distances
    scattering = np.unique(cluster.numbers[1:][distances[1:] <= fms])
    kept = (distances <= radius) & np.isin(cluster.numbers, scattering)
    kept[0] = True
    return Cluster(cluster.numbers[kept], cluster.positions[kept])


def _potentials(cluster: Cluster, by: str) -> npt.NDArray[np.int64]:
    """Return the number of each atom's potential: 0 for the absorber, others are counted outwards."""
    radii = covalent_radii[cluster.numbers]
    bonded = (cluster.distances < NEAR * (radii[0] + radii)) & (by == "shell")
    keys = list(zip(cluster.numbers[1:].tolist(), bonded[1:].tolist(), strict=True))
    order = {key: number for number, key in enumerate(dict.fromkeys(keys), 1)}
    return np.array([0, *(order[key] for key in keys)])


def _nearest_of_each(cluster: Cluster, potentials: npt.NDArray[np.int64]) -> float:
    """Return the radius, Å, that holds an atom of each potential, as FEFF's modules for the potentials need."""
    first = np.unique(potentials, return_index=True)[1]
    reach = np.where(cluster.numbers[first] == 1, BEHIND_HYDROGEN, BEHIND)
    return float((cluster.distances[first] + reach).max())
