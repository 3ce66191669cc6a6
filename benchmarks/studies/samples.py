"""Measured crystals whose absorber has one crystallographic site, with their published structures, in a store."""

from dataclasses import dataclass
from pathlib import Path

from ase import Atoms
from ase.data import atomic_numbers
from ase.spacegroup import crystal

from xanes_hpc.experiment.measured import read_experiment
from xanes_hpc.experiment.normalised import normalised
from xanes_hpc.formats.ase_atoms import structure_of
from xanes_hpc.spectra.edges import edge_energy, place
from xanes_hpc.stores.structure_writer import create_structures
from xanes_hpc.structures.structure import Structure

EDGE = "K"
WYCKOFF = "Wyckoff, Crystal Structures 1 (1963)"


@dataclass(frozen=True)
class Sample:
    """A measured crystal.

    Attributes
    ----------
    file
        The measured spectrum.
    source
        Where the structure is published.
    group, cell
        Number of the space group, and lattice constants in Å and degrees.
    atoms
        Element and fractional coordinates of each atom of the asymmetric unit; the first one absorbs.
    """

    file: str
    source: str
    group: int
    cell: tuple[float, ...]
    atoms: tuple[tuple[str, float, float, float], ...]

    @property
    def structure(self) -> Atoms:
        """The atoms of the cell."""
        symbols, basis = [atom[0] for atom in self.atoms], [atom[1:] for atom in self.atoms]
        return crystal(symbols, basis, spacegroup=self.group, cellpar=self.cell)


SAMPLES = {
    "Fe": {
        "FeO": Sample(
            "Fe_FeO_rt_01.xdi", WYCKOFF, 225, (4.307, 4.307, 4.307, 90, 90, 90),
            (("Fe", 0, 0, 0), ("O", 0.5, 0.5, 0.5)),
        ),
        "Fe2O3": Sample(
            "Fe_Fe2O3_rt_01.xdi", "Blake et al., Am. Mineral. 51, 123 (1966)", 167,
            (5.038, 5.038, 13.772, 90, 90, 120), (("Fe", 0, 0, 0.3553), ("O", 0.3059, 0, 0.25)),
        ),
        "FeOOH": Sample(
            "Fe_goethite_xanes_003.xdi", "Gualtieri & Venturelli, Am. Mineral. 84, 895 (1999)", 62,
            (9.951, 3.0178, 4.5979, 90, 90, 90),
            (
                ("Fe", 0.8539, 0.25, 0.0477), ("O", 0.1991, 0.25, 0.706), ("O", 0.053, 0.25, 0.1987),
                ("H", 0.08, 0.25, 0.4),
            ),
        ),
        "FeCO3": Sample(
            "Fe_siderite_xanes_001.xdi", "Effenberger et al., Z. Kristallogr. 156, 233 (1981)", 167,
            (4.6916, 4.6916, 15.3796, 90, 90, 120), (("Fe", 0, 0, 0), ("C", 0, 0, 0.25), ("O", 0.2743, 0, 0.25)),
        ),
        "FeS2": Sample(
            "Fe_FeS2_rt_01.xdi", "Brostigen & Kjekshus, Acta Chem. Scand. 23, 2186 (1969)", 205,
            (5.4179, 5.4179, 5.4179, 90, 90, 90), (("Fe", 0, 0, 0), ("S", 0.3848, 0.3848, 0.3848)),
        ),
    },
    "Cu": {
        "CuO": Sample(
            "Cu_CuO_tenorite_13K_01.xdi", "Åsbrink & Norrby, Acta Crystallogr. B 26, 8 (1970)", 15,
            (4.6837, 3.4226, 5.1288, 90, 99.54, 90), (("Cu", 0.25, 0.25, 0), ("O", 0, 0.4184, 0.25)),
        ),
        "Cu": Sample("Cu_cu_metal_rt.xdi", WYCKOFF, 225, (3.615, 3.615, 3.615, 90, 90, 90), (("Cu", 0, 0, 0),)),
    },
}  # fmt: skip
"""Samples by element and formula."""


def measured(element: str, data: Path, path: Path) -> Path:
    """Write a store of the samples of an element, each with its measured spectrum, normalised, from the tabulated edge.

    Parameters
    ----------
    element
        The element.
    data
        Folder of the published sets.
    path
        The store; kept if it is there.
    """
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    number = atomic_numbers[element]
    with create_structures(path) as writer:
        for name, sample in SAMPLES[element].items():
            spectrum = normalised(read_experiment(data / "measured" / sample.file)).spectrum
            structure = structure_of(sample.structure, name, {})
            assert isinstance(structure, Structure)
            absorber = (structure.numbers == number).nonzero()[0][:1]
            writer.append(structure, absorber, EDGE, [[place(spectrum, number, EDGE, edge_energy(number, EDGE))]])
    return path
