"""Named structures that several tests use."""

import numpy as np
from ase import Atoms
from ase.build import bulk, fcc111, graphene, molecule, nanotube
from ase.spacegroup import crystal


def ferrocene_like():
    """Return Fe between two five-membered rings of C and H, with N, S and Cl around it: 24 atoms without symmetry."""
    rng = np.random.default_rng(7)
    positions, symbols = [[0.0, 0.0, 0.0]], ["Fe"]
    for z in (-1.65, 1.65):
        for i in range(5):
            angle = 2 * np.pi * i / 5
            positions += [[1.2 * np.cos(angle), 1.2 * np.sin(angle), z], [2.3 * np.cos(angle), 2.3 * np.sin(angle), z]]
            symbols += ["C", "H"]
    positions += [[4.1, 0.3, 0.2], [-3.2, 3.4, 0.1], [0.2, -4.9, 1.8]]
    symbols += ["N", "S", "Cl"]
    return Atoms(symbols, positions=np.array(positions) + rng.normal(0, 0.03, (len(symbols), 3)))


def rutile():
    return crystal(["Ti", "O"], basis=[(0, 0, 0), (0.3, 0.3, 0)], spacegroup=136, cellpar=[4.6, 4.6, 2.95, 90, 90, 90])


def quartz():
    basis = [(0.4697, 0, 1 / 3), (0.4133, 0.2672, 0.7855)]
    return crystal(["Si", "O"], basis=basis, spacegroup=152, cellpar=[4.916, 4.916, 5.4054, 90, 90, 120])


def haematite():
    basis = [(0, 0, 0.3553), (0.3059, 0, 0.25)]
    return crystal(["Fe", "O"], basis=basis, spacegroup=167, cellpar=[5.038, 5.038, 13.772, 90, 90, 120])


def skutterudite():
    basis = [(0.25, 0.25, 0.25), (0.0, 0.335, 0.158)]
    return crystal(["Co", "Sb"], basis=basis, spacegroup=204, cellpar=[9.04, 9.04, 9.04, 90, 90, 90])


def slab():
    return fcc111("Pt", size=(2, 2, 3), vacuum=6.0)


def sheet_without_third_vector():
    atoms = graphene()
    atoms.cell[2] = 0.0
    atoms.pbc = (True, True, False)
    return atoms


def chain():
    return Atoms("FeO", positions=[[0, 0, 0], [1.9, 0.3, 0]], cell=[[3.8, 0, 0], [0, 0, 0], [0, 0, 0]], pbc=(1, 0, 0))


def shifted_out_of_its_cell():
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    atoms.positions += [[31.0, -17.0, 5.0], [-40.0, 2.0, 80.0]]
    return atoms


def flat_triclinic():
    """Return a cell whose first two vectors are almost parallel, so that images with large indices are near."""
    return Atoms(
        "CuO",
        positions=[[0, 0, 0], [1.2, 0.9, 1.0]],
        cell=[[3.0, 0, 0], [8.6, 1.9, 0], [-4.0, 3.3, 2.6]],
        pbc=True,
    )


NAMED = {
    "fcc copper": lambda: bulk("Cu", "fcc", a=3.61),
    "bcc iron": lambda: bulk("Fe", "bcc", a=2.866),
    "hcp cobalt": lambda: bulk("Co", "hcp", a=2.507, c=4.069),
    "diamond": lambda: bulk("C", "diamond", a=3.567),
    "rock salt": lambda: bulk("NaCl", "rocksalt", a=5.64),
    "caesium chloride": lambda: bulk("CsCl", "cesiumchloride", a=4.123),
    "zincblende": lambda: bulk("ZnS", "zincblende", a=5.41),
    "wurtzite": lambda: bulk("ZnO", "wurtzite", a=3.25, c=5.2),
    "rutile": rutile,
    "quartz": quartz,
    "haematite": haematite,
    "skutterudite": skutterudite,
    "platinum slab": slab,
    "graphene without a third vector": sheet_without_third_vector,
    "nanotube": lambda: nanotube(5, 0, length=1),
    "chain with one vector": chain,
    "out of its cell": shifted_out_of_its_cell,
    "almost parallel vectors": flat_triclinic,
    "benzene": lambda: molecule("C6H6"),
    "one atom": lambda: Atoms("Fe"),
}
"""Functions that build the systems, by name."""
