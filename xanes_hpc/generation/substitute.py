"""Exchange an element in the structures of a store, and write the new structures into another."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ase.data import chemical_symbols

from xanes_hpc.errors import ConfigError, FormatError, StoreError, first_reasons, note_reason
from xanes_hpc.generation.exchange import atoms_to_replace, exchanged
from xanes_hpc.spectra.edges import edge_energy
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.structure_writer import create_structures, structures_in_memory
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.neighbours import check_distances


@dataclass(frozen=True)
class SubstituteOptions:
    """What to exchange, and how.

    Attributes
    ----------
    old, new
        Atomic number of the element to replace, and those of the elements to take its place: each makes a structure of
        its own.
    scale_bonds, even
        As for ``exchange.exchanged``.
    donors_of
        Replace only atoms bonded to this element (atomic number); None for all.

    Raises
    ------
    ConfigError
        If an element takes its own place, or there is none.
    """

    old: int
    new: tuple[int, ...]
    scale_bonds: bool = False
    even: bool = False
    donors_of: int | None = None

    def __post_init__(self) -> None:
        if not self.new:
            raise ConfigError("`new`: expected at least one element, received none")
        if self.old in self.new:
            raise ConfigError(f"`new`: expected other elements than {chemical_symbols[self.old]}, received it too")


@dataclass
class Substituted:
    """Numbers of structures: written, written with another charge or without their spin, and left out.

    ``without`` counts those that have no atom to replace, ``skipped_count`` those that could not be changed, for the
    reasons in ``skipped``.
    """

    written: int = 0
    without: int = 0
    charges_changed: int = 0
    spins_dropped: int = 0
    skipped_count: int = 0
    skipped: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)


def substitute(
    store: StructureStore,
    output: Path | None,
    options: SubstituteOptions,
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> StructureStore:
    """Write the structures of a store with an element exchanged, and return their store with a ``summary``, open.

    Sites are those of the original, also where the absorber is exchanged; spectra are not copied.

    Parameters
    ----------
    store
        Structures to change.
    output
        Structure store to write; None keeps it in memory.
    options
        What to exchange.
    overwrite
        Whether to replace the output.

    Raises
    ------
    StoreError
        If no structure has the element, or the output exists or cannot be written.
    """
    if output is not None:
        hdf5.check_store(output, overwrite, [store.path])
    found, total = Substituted(), store.n_structures
    with create_structures(output, overwrite, [store.path]) as writer:
        for done, (structure, sites) in enumerate(store.structures(), 1):
            atoms = atoms_to_replace(structure, options.old, options.donors_of)
            found.without += not atoms.size
            for new in options.new if atoms.size else ():
                try:
                    edge = sites.only_edge()
                    made = exchanged(structure, atoms, new, options.scale_bonds, options.even)
                    check_distances(made)
                    for atom in sites.atom.tolist():
                        edge_energy(int(made.numbers[atom]), edge)
                except ValueError as error:
                    found.skipped_count += 1
                    note_reason(
                        found.skipped, error if isinstance(error, FormatError) else f"{structure.name}: {error}"
                    )
                    continue
                writer.append(made, sites.atom, edge, [[] for _ in sites.name], sites.weight)
                found.written += 1
                found.charges_changed += made.properties["charge"] != structure.properties.get("charge", 0.0)
                found.spins_dropped += "spin" in structure.properties and "spin" not in made.properties
            progress(done, total)
        if not found.written:
            bonded = "" if options.donors_of is None else f" bonded to {chemical_symbols[options.donors_of]}"
            none = f"no structure has {chemical_symbols[options.old]}{bonded}"
            listed = first_reasons(found.skipped, found.skipped_count) or none
            raise StoreError(f"{store.path}: nothing to exchange: {listed}")
    made_store = structures_in_memory(writer) if output is None else StructureStore(output)
    made_store.summary = found
    return made_store
