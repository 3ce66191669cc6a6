"""What the titles of detector channels mean: the incoming beam, the transmitted one, fluorescence, and a reference.

A title may have words of the beamline in front (``a_i0_1``, ``arr_I0``) and of the electronics behind
(``i_trans_cps``). Names are listed in the order of how exact they are.
"""

import re
from collections.abc import Sequence
from functools import cache

from xanes_hpc.formats.read_options import FLUORESCENCE, REFERENCE, TRANSMISSION

I0, ITRANS, IFLUOR, IREFER = "i0", "itrans", "ifluor", "irefer"
CHANNELS = {
    I0: ("i0", "io", "izero", "ic0", "i0detector", "monitor", "mon"),
    ITRANS: ("itrans", "itransmission", "it", "itr", "trans", "i1", "ic1"),
    IFLUOR: (
        "ifluor", "ifluorescence", "ifluo", "ifl", "iff", "if", "fluor", "fluo", "fluorescence", "pips", "vortex",
        "sdd", "tfy", "pfy", "tey",
    ),
    IREFER: ("irefer", "ireference", "iref", "ir", "refer", "ref", "i2", "ic2"),
}  # fmt: skip
"""Names of detector channels, first in the words of the XDI dictionary."""
CHANNELS_OF = {TRANSMISSION: (I0, ITRANS), FLUORESCENCE: (I0, IFLUOR), REFERENCE: (ITRANS, IREFER)}
STARTS = frozenset(("a", "arr", "sig", "signal", "det", "detector", "scaler", "ct", "cts"))
"""First words of the title of a channel that are no part of its name."""
ENDS = frozenset((
    "a", "na", "ua", "pa", "v", "mv", "amp", "amps", "cps", "cts", "count", "counts", "current", "volt", "volts", "det",
    "detector", "hz", "sum", "total",
))  # fmt: skip
"""Last words of the title of a channel, such as ``It_A``, that are no part of its name."""
CORRECTED, RAW = frozenset(("corr", "corrected", "dtc")), frozenset(("raw", "uncorr", "uncorrected"))
"""Last words that tell whether dead time is corrected."""
EXACT, CORRECTED_RANK, WITH_WORDS, RAW_RANK, ELEMENT = range(5)
BRACKETS = re.compile(r"^([^(\[{]*)[(\[{]([^)\]}]*)[)\]}]?(.*)$")
LONGEST = 200
"""Characters that are read of a title."""


@cache
def _reduced(title: str) -> tuple[str, int]:
    """Return the plain name of a channel without the words around it, and what they say of it."""
    title = title.strip()[:LONGEST].lower()
    words = [word for word in re.split(r"[^a-z0-9]+", BRACKETS.sub(r"\1\3", title)) if word]
    rank = EXACT
    while len(words) > 1 and words[-1] in ENDS | CORRECTED | RAW:
        word = words.pop()
        rank = max(rank, RAW_RANK if word in RAW else CORRECTED_RANK if word in CORRECTED else WITH_WORDS)
    while len(words) > 1 and words[0] in STARTS:
        del words[0]
        rank = max(rank, WITH_WORDS)
    return "".join(words), rank


def channel(title: str) -> str:
    """Return the plain name of a channel without what describes its electronics.

    Examples
    --------
    >>> channel("i_trans_cps"), channel("It_A"), channel("if1"), channel("arr_I0")
    ('itrans', 'it', 'if1', 'i0')
    """
    return _reduced(title)[0]


def _rank(title: str, role: str) -> tuple[int, int] | None:
    """Return how well a title names a channel, lower is better; None if it does not."""
    names = CHANNELS[role]
    name, rank = _reduced(title)
    if name in names:
        return names.index(name), rank
    if (whole := re.sub("[^a-z0-9]", "", title[:LONGEST].lower())) in names:
        return names.index(whole), EXACT
    numbered = re.fullmatch(r"(.+?)[\W_]*(\d+)", name) if role == IFLUOR else None
    if numbered and numbered[1] in names:
        return names.index(numbered[1]), ELEMENT + rank
    if role != IFLUOR and name[-1:].isdecimal() and name[:-1] in names and re.search(r"[\W_]\d$", title.strip()):
        return names.index(name[:-1]), WITH_WORDS
    return None


def is_channel(title: str, role: str) -> bool:
    """Return True if a title is that of a detector channel, or of one of its elements."""
    return _rank(title, role) is not None


def channels_of(titles: Sequence[str], role: str) -> list[int]:
    """Return the columns of a detector channel: one, that with the most exact name, or its numbered elements.

    Elements count where nothing else has the name of their detector.

    Examples
    --------
    >>> channels_of(["energy", "monitor", "i0", "i1"], "i0"), channels_of(["i0", "if1", "if2", "pips"], "ifluor")
    ([2], [1, 2])
    """
    ranks = _ranks(titles, role)
    if not ranks:
        return []
    best = min(ranks, key=lambda i: (ranks[i], i))
    return [i for i, rank in ranks.items() if rank == ranks[best]] if ranks[best][1] >= ELEMENT else [best]


def rivals_of(titles: Sequence[str], role: str) -> list[int]:
    """Return the columns that may be a detector channel besides those taken; not the elements of its own sum.

    Examples
    --------
    >>> rivals_of(["energy", "monitor", "i0", "i1"], "i0"), rivals_of(["if", "if1", "if2", "pips"], "ifluor")
    ([1], [3])
    """
    ranks, found = _ranks(titles, role), channels_of(titles, role)
    own = [(ranks[i][0], ELEMENT) for i in found]
    return [i for i, (name, rank) in ranks.items() if i not in found and (name, min(rank, ELEMENT)) not in own]


def _ranks(titles: Sequence[str], role: str) -> dict[int, tuple[int, int]]:
    return {i: rank for i, title in enumerate(titles) if (rank := _rank(title, role)) is not None}
