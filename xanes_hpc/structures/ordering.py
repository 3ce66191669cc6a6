"""Make ordered structures of disordered ones: refuse, take the majority, or draw a sample."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from xanes_hpc.errors import ConfigError, FormatError
from xanes_hpc.structures.choices import choices_of
from xanes_hpc.structures.disorder import Disordered, composition, of_atoms
from xanes_hpc.structures.structure import Structure

REFUSE, MAJORITY, SAMPLE = "refuse", "majority", "sample"
MOST_CONFIGURATIONS = 10_000
PARTIAL = "partial occupancies or disorder groups: set `disorder` (majority, or sample N), or make an ordered supercell"
TAKEN = "disordered structures: the majority was taken"


@dataclass(frozen=True)
class Disorder:
    """What to do with disordered structures.

    Attributes
    ----------
    mode
        ``refuse``; ``majority``, which takes of every choice what is most likely; or ``sample``, which draws
        configurations by occupancy.
    n
        Number of configurations to draw.
    seed
        Seed of the draws. They depend on it and on the structure's name only.
    """

    mode: str = REFUSE
    n: int = 0
    seed: int = 0


NO_DISORDER = Disorder()


def parse_disorder(text: str | None, seed: int = 0) -> Disorder:
    """Return what ``refuse``, ``majority`` or ``sample N`` means.

    Raises
    ------
    ConfigError
        If the text is something else.

    Examples
    --------
    >>> parse_disorder("sample 10", seed=3)
    Disorder(mode='sample', n=10, seed=3)
    """
    words = re.split(r"[\s:=]+", (text or REFUSE).strip().lower())
    if words in ([REFUSE], [MAJORITY]):
        return Disorder(words[0], seed=seed)
    if words[0] == SAMPLE and len(words) == 2 and words[1].isdecimal() and 0 < int(words[1]) <= MOST_CONFIGURATIONS:
        return Disorder(SAMPLE, int(words[1]), seed)
    raise ConfigError(
        f"`disorder`: expected refuse, majority or 'sample N' with N from 1 to {MOST_CONFIGURATIONS:,}, "
        f"received {text!r}"
    )


def ordered(found: Disordered, disorder: Disorder) -> Iterator[Structure]:
    """Yield the ordered structures that stand for a disordered one.

    Raises
    ------
    FormatError
        If disorder is refused, occupancies are impossible, no atom is left, or no configuration can be drawn in which
        all atoms are at possible distances.
    """
    if disorder.mode == MAJORITY:
        yield _majority(found)
    elif disorder.mode == SAMPLE:
        from xanes_hpc.structures.configurations import drawn

        yield from drawn(found, disorder.n, disorder.seed)
    else:
        raise FormatError(PARTIAL)


def _majority(found: Disordered) -> Structure:
    """Return the most likely atoms; an atom's weight is how many of its element its choice holds on average."""
    of_cell = choices_of(found)
    present, ties = of_cell.certain.copy(), 0
    weights = np.ones(present.size)
    for choice in of_cell.choices:
        vacancy = 1 - choice.occupancies.sum()
        best = choice.occupancies.max()
        ties += int(np.isclose(np.append(choice.occupancies, vacancy), best, atol=1e-6).sum() > 1)
        if vacancy > best + 1e-6:
            continue
        taken = choice.options[int(np.flatnonzero(choice.occupancies > best - 1e-6)[0])]
        present[taken] = True
        for number in np.unique(found.numbers[taken]):
            own = taken[found.numbers[taken] == number]
            of_all = [
                p * (found.numbers[o] == number).sum() for p, o in zip(choice.occupancies, choice.options, strict=True)
            ]
            weights[own] = sum(of_all) / own.size
    detail = f"{composition(found.numbers[present])} for {composition(found.numbers, found.expected)}"
    if ties:
        detail += f"; the first of equal occupancies in {ties:,} {'place' if ties == 1 else 'places'}"
    structure = of_atoms(of_cell.structure, present, detail, TAKEN, weights[present])
    return replace(structure, described=present)
