"""Draw ordered configurations of a disordered structure, by occupancy.

A crystal is drawn in a supercell: the least one that is ``WIDTH`` wide in every direction, so that no two atoms that a
descriptor sees around a site are images of one another, within ``MOST_ATOMS``. Equivalent choices of a supercell get
their options in proportion to the occupancies, to within one, in random order; the roundings of all configurations
together are in proportion again (systematic sampling). Atoms that come to lie impossibly near are moved apart by
exchanging the options of equivalent choices.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.errors import FormatError
from xanes_hpc.structures.choices import Choice, Choices, choices_of, widths_of
from xanes_hpc.structures.disorder import ROUNDING, Disordered, composition, of_atoms
from xanes_hpc.structures.structure import Structure

DRAWN = "disordered structures: configurations were drawn"
WIDTH = 12.0
"""Least width of a supercell, Å: twice the usual cutoff of descriptors."""
MOST_ATOMS = 2000
"""Most atoms of a supercell; a single cell may have more."""
EXCHANGES = 20
"""Exchanges to try for each choice before a configuration is given up."""
ATTEMPTS = 5
"""Attempts to draw a configuration."""
EXPECTED = "expected disorder groups for atoms that exclude one another"


def drawn(found: Disordered, n: int, seed: int) -> Iterator[Structure]:
    """Yield ``n`` configurations, named ``NAME@0``, ``NAME@1``, … like the frames of a trajectory.

    The first cell of a supercell holds the atoms that the file describes. The note of the first configuration says how
    the mean composition of the cell compares with the expected one.

    Raises
    ------
    FormatError
        If occupancies are impossible, or atoms come to lie impossibly near in every attempt.
    """
    repeats = repeats_of(found)
    of_cell = choices_of(found, repeats)
    _check_compatible(of_cell)
    key = hashlib.blake2b(f"{seed}\0{found.name}".encode(), digest_size=16).digest()
    generator = np.random.default_rng(int.from_bytes(key, "little"))
    kinds: dict[tuple[int, ...], list[int]] = {}
    for k, choice in enumerate(of_cell.choices):
        kinds.setdefault(choice.kind, []).append(k)
    starts = {kind: (generator.random() + generator.permutation(n) / n) % 1.0 for kind in kinds}
    bits: list[npt.NDArray[np.uint8]] = []  # a bit an atom: there may be many atoms and configurations
    counts = np.zeros(of_cell.certain.size)
    for i in range(n):
        for attempt in range(ATTEMPTS):
            own = {kind: float(start[i]) if attempt == 0 else generator.random() for kind, start in starts.items()}
            there = _configuration(of_cell, kinds, own, generator)
            if there is not None:
                break
        else:
            raise FormatError(
                f"configuration {i}: some atoms are impossibly near in each of {ATTEMPTS} draws; {EXPECTED}"
            )
        bits.append(np.packbits(there))
        counts += there
    numbers, mean = of_cell.structure.numbers, counts / (n * math.prod(repeats))
    cells = f"{n:,} of {' × '.join(map(str, repeats))} cells" if found.pbc.all() else f"{n:,}"
    detail = f"{cells}, with {composition(numbers, mean)} for {composition(found.numbers, found.expected)}"
    for i in range(n):
        present = np.unpackbits(bits[i], count=counts.size).astype(np.bool_)
        structure = of_atoms(of_cell.structure, present, detail if i == 0 else "", DRAWN)
        yield replace(structure, name=f"{found.name}@{i}", described=present[: found.numbers.size])


def _check_compatible(of_cell: Choices) -> None:
    """Raise an error if atoms are impossibly near one another that, by their occupancies, are there together.

    Raises
    ------
    FormatError
        If so.
    """
    expected, together = of_cell.certain.astype(np.float64), np.full(of_cell.certain.size, -1)
    options = 0
    for choice in of_cell.choices:
        for occupancy, option in zip(choice.occupancies, choice.options, strict=True):
            expected[option] += occupancy
            together[option] = options
            options += 1
    first, second = of_cell.near.T
    one_option = (together[first] >= 0) & (together[first] == together[second])
    wrong = np.flatnonzero(one_option | (expected[first] + expected[second] > 1 + ROUNDING))
    if wrong.size:
        i, j = of_cell.near[wrong[0]]
        elements = " and ".join(chemical_symbols[of_cell.structure.numbers[k]] for k in (i, j))
        raise FormatError(
            f"{elements} are {of_cell.apart[wrong[0]]:.3f} Å apart, closer than any bond, with occupancies "
            f"{expected[i]:g} and {expected[j]:g}; {EXPECTED}"
        )


def repeats_of(found: Structure) -> tuple[int, ...]:
    """Return how often a crystal's cell is repeated along each vector; once without a complete cell."""
    if not found.pbc.all():
        return (1, 1, 1)
    widths = widths_of(found.cell)
    if not widths.min() > 0:
        return (1, 1, 1)
    repeats = [min(MOST_ATOMS, max(1, math.ceil(WIDTH / width - 1e-9))) for width in widths]
    while max(repeats) > 1 and math.prod(repeats) * found.numbers.size > MOST_ATOMS:
        k = max((k for k in range(3) if repeats[k] > 1), key=lambda k: repeats[k] * widths[k])
        repeats[k] -= 1
    return tuple(repeats)


def _configuration(
    of_cell: Choices, kinds: dict[tuple[int, ...], list[int]], starts: dict[tuple[int, ...], float],
    generator: np.random.Generator,
) -> npt.NDArray[np.bool_] | None:  # fmt: skip
    """Return which atoms are there, or None if some are impossibly near."""
    choices, taken = of_cell.choices, np.zeros(len(of_cell.choices), np.int64)
    for kind, members in kinds.items():
        taken[members] = generator.permutation(_options(choices[members[0]], len(members), starts[kind]))
    present = of_cell.certain.astype(np.int64)  # how many options have the atom
    for choice, option in zip(choices, taken.tolist(), strict=True):
        _add(present, choice, option, 1)
    if not of_cell.near.size:
        return present > 0
    owners: dict[int, list[int]] = {}
    for k, choice in enumerate(choices):
        for atom in np.unique(np.concatenate(choice.options)).tolist():
            owners.setdefault(atom, []).append(k)
    clashes = _clashes(of_cell, present)
    for _ in range(EXCHANGES * (len(choices) + 10)):
        if not clashes.size:
            return present > 0
        pair = clashes[generator.integers(len(clashes))]
        movable = [k for atom in pair.tolist() for k in owners.get(atom, [])]
        if not movable:
            return None
        k = movable[generator.integers(len(movable))]
        equivalent = kinds[choices[k].kind]
        other = equivalent[generator.integers(len(equivalent))]
        if other == k and len(equivalent) > 1:
            continue
        moved = [k] if other == k else [k, other]
        before = [int(taken[m]) for m in moved]
        after = before[::-1] if other != k else [int(_options(choices[k], 1, generator.random())[0])]
        _replace(present, choices, taken, moved, after)
        now = _clashes(of_cell, present)
        if len(now) > len(clashes):
            _replace(present, choices, taken, moved, before)
        else:
            clashes = now
    return None if clashes.size else present > 0


def _options(choice: Choice, n: int, start: float) -> npt.NDArray[np.int64]:
    """Return the options of ``n`` equivalent choices, ascending, in proportion to the occupancies; the last is none.

    The proportions are exact in the mean over ``start``, 0 to 1.
    """
    limits = np.cumsum(choice.occupancies)
    if math.isclose(limits[-1], 1.0, abs_tol=1e-9):
        limits[-1] = math.inf
    return np.searchsorted(limits, (np.arange(n) + start) / n, side="right").astype(np.int64)


def _add(present: npt.NDArray[np.int64], choice: Choice, option: int, by: int) -> None:
    if option < len(choice.options):
        present[choice.options[option]] += by


def _replace(
    present: npt.NDArray[np.int64], choices: tuple[Choice, ...], taken: npt.NDArray[np.int64],
    moved: list[int], options: list[int],
) -> None:  # fmt: skip
    for k, option in zip(moved, options, strict=True):
        _add(present, choices[k], int(taken[k]), -1)
        _add(present, choices[k], option, 1)
        taken[k] = option


def _clashes(of_cell: Choices, present: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return of_cell.near[(present[of_cell.near] > 0).all(axis=1)]
