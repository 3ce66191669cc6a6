"""Write ``ase.Atoms`` into a structure store."""

from collections import Counter
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from xanes_hpc.errors import AbsorberError, FormatError
from xanes_hpc.formats.ase_atoms import structure_of
from xanes_hpc.formats.site_lists import SiteList
from xanes_hpc.importing.listed_atoms import ListedAtoms
from xanes_hpc.spectra.edges import check_given
from xanes_hpc.stores.structure_writer import create_structures, structures_in_memory
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.absorbers import formula
from xanes_hpc.structures.neighbours import check_distances
from xanes_hpc.structures.sites import chosen_atoms, several


def import_atoms(
    atoms: Any, sites: Any = None, edge: str = "K", output: Path | None = None, overwrite: bool = False
) -> StructureStore:
    """Return a structure store of one or many ``ase.Atoms``.

    Parameters
    ----------
    atoms
        One ``ase.Atoms``, or a sequence of them. A structure's name is ``atoms.info["name"]``, or by default its
        formula; structures with the same name are numbered.
    sites
        Which atoms absorb, as for ``SiteBatch.from_atoms``; or a table of sites, which are found by name.
    edge
        ``K``, ``L3``, …
    output, overwrite
        Structure store to write, and whether to replace an existing one; by default the store lives in memory.

    Raises
    ------
    FormatError
        If ``atoms`` is neither, or a structure cannot be used.
    AbsorberError
        If a site does not exist.
    SpectrumError
        If there is no such edge.

    Examples
    --------
    >>> from ase.build import molecule
    >>> store = import_atoms([molecule("H2O"), molecule("CO2")], sites="O")
    >>> store.sites.name
    ['H2O', 'CO2#1', 'CO2#2']
    """
    check_given(edge, None, None)
    structures = several(atoms)
    if not structures:
        raise FormatError("expected at least one structure, received none")
    names = _names(structures)
    entries: Sequence[Any]
    if isinstance(sites, Path):
        structures, names, entries = _listed(structures, names, sites)
    else:
        entries = [sites] if hasattr(atoms, "get_positions") else _entries(sites, len(structures))
    with create_structures(output, overwrite) as writer:
        for one, name, entry in zip(structures, names, entries, strict=True):
            structure = structure_of(one, name, {})
            if isinstance(structure, FormatError):
                raise FormatError(f"{name}: {structure}")
            chosen = chosen_atoms(structure.numbers, entry)
            check_distances(structure)
            writer.append(structure, chosen, edge, [[] for _ in chosen])
    return structures_in_memory(writer) if output is None else StructureStore(output)


def _listed(structures: Sequence[Any], names: Sequence[str], table: Path) -> tuple[list[Any], list[str], list[Any]]:
    """Return the structures in a table of sites, their names, and their atoms."""
    listed, entries = ListedAtoms(SiteList(table)), []
    for one, name in zip(structures, names, strict=True):
        numbers = np.asarray(one.get_atomic_numbers())
        atoms, by_rule = listed.of(name, numbers.size)
        entries.append(listed.together(name, atoms, chosen_atoms(numbers, None)) if by_rule else atoms)
    if (missing := next(listed.missing(), None)) is not None:
        raise missing
    kept = [k for k, own in enumerate(entries) if len(own)]
    return [structures[k] for k in kept], [names[k] for k in kept], [entries[k] for k in kept]


def _entries(sites: Any, n: int) -> Sequence[Any]:
    if sites is None or isinstance(sites, (str, int, np.integer)):
        return [sites] * n
    entries = list(sites)
    if len(entries) != n:
        raise AbsorberError(f"expected sites for {n} structures, received {len(entries)} entries")
    return entries


def _names(structures: Sequence[Any]) -> list[str]:
    given = [str(one.info.get("name") or "") for one in structures]
    plain = [name or formula(one.get_atomic_numbers()) for name, one in zip(given, structures, strict=True)]
    counts, taken = Counter(plain), set(plain)
    numbers = {name: count(1) for name in counts}
    names = []
    for name in plain:
        if counts[name] > 1:
            names.append(next(free for n in numbers[name] if (free := f"{name}-{n}") not in taken))
            taken.add(names[-1])
        else:
            names.append(name)
    return names
