"""FEFF's input file ``feff.inp``: a card with its values on each line, then the lines of POTENTIALS and of ATOMS.

FEFF compares the first four letters of a card, in any case; ``*`` begins a comment. The cards are described in the
guide of FEFF 10 (Kas, Vila, Pemmaraju, Tan & Rehr, doi:10.1107/S1600577521008614).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.errors import FormatError
from xanes_hpc.formats import unreadable
from xanes_hpc.structures.cluster import Cluster

EDGES = ("K", "L1", "L2", "L3", "M1", "M2", "M3", "M4", "M5", "N1", "N2", "N3", "N4", "N5", "N6", "N7")
CORE_HOLES = {"rpa": "RPA", "fsr": "FSR", "none": "NONE"}
"""How the core hole is screened: in the random-phase approximation, by relaxed orbitals, or no core hole at all."""
EXCHANGES = {"hedin-lundin": 0, "dirac-hara": 1, "ground-state": 2, "partly-nonlocal": 5}
"""Exchange and correlation potentials, and their numbers on the card EXCHANGE."""
NAME = "feff.inp"
BACKGROUND = 2
"""Exchange potential of the background, on the same card: the ground state's."""
POTENTIALS = ("element", "shell")
KINDS = {"xanes": "XANES", "xes": "XES"}
SCREENING = 4.0
"""Radius within which FEFF screens the core hole, Å: it must hold an atom of each potential."""
MOST_ENERGIES = 450
"""FEFF 10's limit of energies, less those that it adds."""
FIXED = frozenset(("TITL", "EDGE", "CORE", "CONT", "RPAT", "EGRI", "DEBY", "SIG2", "SCRE", "POTE", "ATOM", "END"))
"""Cards that follow from the site and the settings; of the others that are written, a further card takes the place."""


@dataclass(frozen=True)
class Settings:
    """Settings of a calculation.

    Attributes
    ----------
    scf_radius
        Radius of the cluster whose potential is made self-consistent, Å; 0 for overlapped atomic potentials.
    fms_radius
        Radius of the cluster of full multiple scattering, Å.
    core_hole
        One of ``CORE_HOLES``.
    exchange
        One of ``EXCHANGES``.
    energies
        Alternating energies from the Fermi level and steps, eV: (-15, 0.5, 60) is from -15 to 60 in steps of 0.5.
    debye_waller
        Nothing; or the mean square relative displacement of all paths, Å²; or temperature and Debye temperature, K.
    potentials
        ``element`` for a potential for each element; ``shell`` for one each for bonded and other atoms of an element.
    kind
        ``xanes``, or ``xes`` for emission.
    cards
        Further cards, or others in place of those that are written.
    """

    scf_radius: float = 5.0
    fms_radius: float = 6.0
    core_hole: str = "rpa"
    exchange: str = "hedin-lundin"
    energies: tuple[float, ...] = (-15.0, 1.0, -5.0, 0.25, 25.0, 0.5, 60.0)
    debye_waller: tuple[float, ...] = ()
    potentials: str = "element"
    kind: str = "xanes"
    cards: tuple[str, ...] = ()


@dataclass(frozen=True)
class Input:
    """What an input file says of the site that it calculates.

    Attributes
    ----------
    cluster, edge, title
        The atoms around the site, the edge, and the file's title.
    potentials : (n_atoms,) int64
        Number of each atom's potential; the absorber has 0.
    scf_radius, fms_radius, screening
        Radii of the self-consistent potential (0 without), of multiple scattering and of the core hole's screening, Å.
    molecule
        Whether the atoms are all there are, so that each potential is made with the whole molecule.
    kind
        ``xanes`` or ``xes``.
    """

    cluster: Cluster
    potentials: npt.NDArray[np.int64]
    edge: str
    scf_radius: float
    fms_radius: float
    screening: float = SCREENING
    molecule: bool = True
    title: str = ""
    kind: str = "xanes"


def check_settings(settings: Settings) -> None:
    """Check that FEFF accepts the settings.

    Raises
    ------
    FormatError
        If a radius, choice, range of energies or further card is invalid.
    """
    if not 0.0 < settings.fms_radius < np.inf:
        raise FormatError(f"`fms_radius`: expected more than 0 Å, received {settings.fms_radius:g}")
    if not 0.0 <= settings.scf_radius < np.inf:
        raise FormatError(f"`scf_radius`: expected 0 Å or more, received {settings.scf_radius:g}")
    choices: dict[str, Collection[str]] = {
        "core_hole": CORE_HOLES,
        "exchange": EXCHANGES,
        "potentials": POTENTIALS,
        "kind": KINDS,
    }
    for name, known in choices.items():
        if (value := getattr(settings, name)) not in known:
            raise FormatError(f"`{name}` {value!r}: expected {', '.join(known)}")
    n_energies(settings.energies)
    if len(settings.debye_waller) > 2 or not all(0.0 <= v < np.inf for v in settings.debye_waller):
        received = " ".join(f"{value:g}" for value in settings.debye_waller)
        expected = "a mean square displacement in Å², or temperature and Debye temperature in K"
        raise FormatError(f"`debye_waller`: expected {expected}, received {received}")
    for card in settings.cards:
        name = _card(card)
        if not name or not card.isprintable():
            raise FormatError(f"`cards`: expected the name of a card and its values on one line, received {card!r}")
        if name in FIXED:
            raise FormatError(f"`cards` {card!r}: this card is written from the other settings; change those instead")


def n_energies(energies: Sequence[float]) -> int:
    """Return the number of energies of a range.

    Raises
    ------
    FormatError
        If the energies do not ascend, or there are too many for FEFF.

    Examples
    --------
    >>> n_energies((-15, 1, -5, 0.5, 60))
    141
    """
    where = "`energies` " + " ".join(f"{value:g}" for value in energies)
    if len(energies) < 3 or len(energies) % 2 == 0 or not np.isfinite(energies).all():
        raise FormatError(f"{where}: expected energies with a step between each two, such as -15 0.5 60")
    total = 1
    for (start, stop), step in zip(pairwise(energies[::2]), energies[1::2], strict=True):
        if not (step > 0 and stop > start):
            raise FormatError(f"{where}: expected ascending energies and steps above 0, received {start:g} to {stop:g}")
        total += int(np.ceil((stop - start) / step - 1e-6))
    if total > MOST_ENERGIES:
        raise FormatError(f"{where}: expected {MOST_ENERGIES} energies or fewer, received {total:,}")
    return total


def write(calculation: Input, settings: Settings) -> str:
    """Return the text of an input file; the radii are those of the calculation, which may be larger than asked for."""
    one, molecule = calculation, int(calculation.molecule)
    cards = [
        f"TITLE {one.title}",
        f"EDGE {one.edge}",
        "S02 1.0",
        f"COREHOLE {CORE_HOLES[settings.core_hole]}",
        "CONTROL 1 1 1 1 1 1",
        "PRINT 0 0 0 0 0 0",
        f"EXCHANGE {EXCHANGES[settings.exchange]} 0.0 0.0 {BACKGROUND}",
        *([f"SCF {one.scf_radius:.4f} {molecule} 100 0.2 3"] if one.scf_radius else []),
        f"FMS {one.fms_radius:.4f} {molecule}",
        "RPATH -1",
    ]
    if settings.core_hole == "rpa" and one.screening > SCREENING:
        cards.append(f"SCREEN rfms {one.screening:.3f}")
    replaced = {_card(card) for card in settings.cards}
    if "XANE" not in replaced:
        cards += _energies(settings)
    if settings.debye_waller:
        name = "SIG2" if len(settings.debye_waller) == 1 else "DEBYE"
        cards.append(" ".join([name, *(f"{value:g}" for value in settings.debye_waller)]))
    kept = [card for card in cards if _card(card) not in replaced]
    return "\n".join([*kept, *settings.cards, "", *_lines_of(one), "END", ""])


def _energies(settings: Settings) -> list[str]:
    """Return the cards of the energies: FEFF takes those of EGRID, and their kind from the other card."""
    starts = [f"{settings.energies[0]:g}", *["last"] * len(settings.energies)]
    steps = zip(starts, settings.energies[2::2], settings.energies[1::2], strict=False)
    return [
        f"{KINDS[settings.kind]} 4.0",
        "EGRID",
        *(f"e_grid {start} {stop:g} {step:g}" for start, stop, step in steps),
    ]


def _lines_of(calculation: Input) -> list[str]:
    """Return the lines of POTENTIALS and ATOMS."""
    cluster, potentials = calculation.cluster, calculation.potentials
    lines = ["POTENTIALS"]
    for number, count in enumerate(np.bincount(potentials)):
        z = int(cluster.numbers[potentials == number][0])
        lines.append(f"{number} {z} {chemical_symbols[z]} -1 -1 {count}")
    lines.append("ATOMS")
    for position, z, distance, number in zip(
        cluster.positions, cluster.numbers, cluster.distances, potentials, strict=True
    ):
        x, y, w = (f"{value:.7f}" for value in position + 0.0)
        lines.append(f"{x} {y} {w} {number} {chemical_symbols[z]} {distance:.5f}")
    return lines


def _card(line: str) -> str:
    """Return the four letters by which FEFF knows a card."""
    words = line.split()
    return words[0].upper()[:4] if words else ""


def read(path: Path) -> Input:
    """Read the site of an input file.

    Raises
    ------
    FormatError
        If the file cannot be read, or has no absorber or no atoms.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise unreadable(path, error) from None
    cards: dict[str, list[str]] = {}
    tables: dict[str, list[list[str]]] = {"POTE": [], "ATOM": []}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("*")[0].split()
        if not words:
            continue
        if words[0][0].isalpha():
            card = _card(words[0])
            if card == "END":
                break
            cards.setdefault(card, words[1:])
            table = card if card in tables else ""
        elif table:
            try:
                [float(word) for word in words[: 2 if table == "POTE" else 4]]
            except ValueError:
                raise FormatError(f"{path}: line {number}: expected numbers, received {line.strip()[:60]!r}") from None
            tables[table].append(words)
    elements = {int(words[0]): int(words[1]) for words in tables["POTE"] if len(words) > 1}
    atoms = [words for words in tables["ATOM"] if len(words) > 3]
    own = [row for row, words in enumerate(atoms) if int(words[3]) == 0]
    if len(own) != 1 or 0 not in elements:
        raise FormatError(f"{path}: expected one atom with the potential 0, the absorber's, received {len(own)}")
    if missing := {int(words[3]) for words in atoms} - elements.keys():
        raise FormatError(f"{path}: expected potential {min(missing)} of ATOMS in POTENTIALS, received none")
    positions = _first(path, cards, "RMUL", 1.0) * np.array([[float(word) for word in words[:3]] for words in atoms])
    positions -= positions[own[0]]
    order = np.argsort(np.linalg.norm(positions, axis=1), kind="stable")
    order = np.concatenate([[own[0]], order[order != own[0]]])
    numbers = np.array([elements[int(words[3])] for words in atoms])
    return Input(
        Cluster(numbers[order], positions[order]),
        np.array([int(words[3]) for words in atoms])[order],
        _edge(path, cards),
        _first(path, cards, "SCF"),
        _first(path, cards, "FMS"),
        title=" ".join(cards.get("TITL", [])),
        kind="xes" if "XES" in cards else "xanes",
    )


def _first(path: Path, cards: dict[str, list[str]], name: str, default: float = 0.0) -> float:
    """Return the first value of a card, or a default without the card."""
    values = cards.get(name)
    if values is None:
        return default
    try:
        return float(values[0])
    except (IndexError, ValueError):
        raise FormatError(f"{path}: {name}: expected a number, received {' '.join(values) or 'nothing'}") from None


def _edge(path: Path, cards: dict[str, list[str]]) -> str:
    """Return the edge from the card EDGE, or from HOLE, which counts edges."""
    if cards.get("EDGE"):
        word = cards["EDGE"][0].upper()
        if word in EDGES:
            return word
        cards = {"HOLE": [word]}
    word = (cards.get("HOLE") or ["1"])[0]
    if not word.isdecimal() or not 1 <= int(word) <= len(EDGES):
        raise FormatError(f"{path}: EDGE: expected one of {', '.join(EDGES)}, received {word}")
    return EDGES[int(word) - 1]
