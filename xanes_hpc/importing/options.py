"""The options of an import, and its summary."""

import re
from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from xanes_hpc.errors import MOST_LISTED, RecurringError, SpectrumError, XanesHpcError, note_reason
from xanes_hpc.formats.read_options import AS_FOUND, ReadOptions
from xanes_hpc.formats.site_lists import SiteChoice
from xanes_hpc.importing.recurring import Recurring
from xanes_hpc.importing.selection import Selection
from xanes_hpc.structures.ordering import NO_DISORDER, Disorder
from xanes_hpc.structures.symmetry import SYMPREC

MOST_NAMED = 5
"""Largest number of structures that the summary names as missing from the property tables."""
MOST_DETAILS, MOST_REASONS = 1_000, 3
"""Largest numbers of details of a choice that are kept, and of reasons that an error shows."""
NUMBER = re.compile(r"-?\d+(\.\d+)?")
END = re.compile(r"[;:]|, (found|received)\b")
"""What ends the words that reasons of a kind share."""


@dataclass(frozen=True)
class ImportOptions:
    """The options of an import.

    Attributes
    ----------
    absorber
        Rule that selects absorbers, as for ``absorbers.select_absorbers``.
    sites
        Table or names of the sites, as for ``formats.site_lists.SiteList``; the rule is for those without an atom.
    edge
        ``K``, ``L3``, …
    spectra
        Folders of spectrum files, which are found by structure name.
    e0, shift
        Edge energy of all spectra, and what to add to their energies, as for ``spectra.edges.place``; eV.
    treatment
        Treatment of the spectra, as returned by ``spectra.spectrum.parse_treatment``; overrides what their files say.
    keep_unpaired
        Whether to keep structures without a spectrum.
    only_paired
        Whether to keep only the sites that have a spectrum.
    spectra_suffix
        What may follow a structure's name in the name of its spectrum file, besides the usual endings: ``_mine.dat``.
    strict
        Whether to raise at the first unusable structure instead of skipping it.
    selection
        Which structures to import.
    unique
        Whether to keep one of the sites that a crystal's symmetry makes equivalent, with their number as weight.
    symprec
        Tolerance of the symmetry search, Å.
    disorder
        What to do with structures that have partial occupancies or disorder groups.
    properties
        Tables of properties by structure name; they override the properties in structure files.
    layout
        ``lightshow`` for folders of materials as in ``importing.lightshow``: the sites are the atoms with a spectrum.
    calculation
        Whose spectra to take of a layout: ``feff``, ``vasp``, ``ocean``, ``exciting`` or ``xspectra``; by default
        FEFF's, or those of the only program that has any.
    reading
        How to read spectrum files that leave a choice.
    """

    absorber: str | None = None
    sites: SiteChoice | None = None
    edge: str = "K"
    spectra: tuple[Path, ...] = ()
    e0: float | None = None
    shift: float | None = None
    treatment: str | None = None
    keep_unpaired: bool = False
    only_paired: bool = False
    spectra_suffix: tuple[str, ...] = ()
    strict: bool = False
    selection: Selection = field(default_factory=Selection)
    unique: bool = False
    symprec: float = SYMPREC
    disorder: Disorder = NO_DISORDER
    properties: tuple[Path, ...] = ()
    layout: str | None = None
    calculation: str | None = None
    reading: ReadOptions = AS_FOUND


def kind_of(reason: str) -> str:
    """Return what a reason shares with others of its kind: without the file, what was found, and the advice.

    Examples
    --------
    >>> kind_of("a/b.xyz: expected one absorber, found 2: Fe (atom 0), Fe (atom 2); choose one")
    'expected one absorber'
    """
    _, _, text = reason.partition(": ") if ": " in reason else ("", "", reason)
    while ": " in text and " " not in text.partition(": ")[0]:  # the structure's name
        text = text.partition(": ")[2]
    return NUMBER.sub("…", text[: found.start()] if (found := END.search(text)) else text)


@dataclass
class ImportSummary:
    """Counts of what was imported, skipped and excluded."""

    structures: int = 0
    sites: int = 0
    spectra: int = 0
    atoms: int = 0
    files: int = 0
    ignored_files: int = 0
    unused_spectra: int = 0
    without_properties: int = 0
    first_without_properties: list[str] = field(default_factory=list)
    properties_replaced: Counter[str] = field(default_factory=Counter)
    unused_properties: int = 0
    not_selected: Counter[str] = field(default_factory=Counter)
    properties_left_out: Counter[str] = field(default_factory=Counter)
    skipped_count: int = 0
    skipped: list[dict[str, str]] = field(default_factory=list)
    elements: Counter[str] = field(default_factory=Counter)
    e0_sources: Counter[str] = field(default_factory=Counter)
    treatments: Counter[str] = field(default_factory=Counter)
    units: Counter[str] = field(default_factory=Counter)
    skipped_alone: list[str] = field(default_factory=list)
    recurring: list[Recurring] = field(default_factory=list)
    choices: dict[str, dict[str, Any]] = field(default_factory=dict)
    kinds: dict[str, list[Any]] = field(default_factory=dict)
    """Of each kind of reason that does not recur as such: its count, and the first."""

    def choose(self, what: str, detail: str, n: int = 1) -> None:
        """Count ``n`` choices of a kind that were made in reading, and keep the first ``MOST_DETAILS`` details."""
        found = self.choices.setdefault(what, {"count": 0, "first": detail, "details": []})
        found["count"] += n
        if len(found["details"]) < MOST_DETAILS:
            found["details"].append(detail)

    def skip(self, error: XanesHpcError) -> None:
        """Count an unusable item and keep its reason."""
        self.skipped_count += 1
        if len(self.skipped) < MOST_LISTED:
            kind = SpectrumError if isinstance(error, RecurringError) else type(error)
            self.skipped.append({"kind": kind.__name__, "reason": str(error)})
        if not isinstance(error, RecurringError):
            note_reason(self.skipped_alone, error)
            shared = kind_of(str(error))
            if shared in self.kinds or len(self.kinds) < MOST_DETAILS:
                self.kinds.setdefault(shared, [0, str(error)])[0] += 1
            return
        known = next((one for one in self.recurring if one.kind == error.kind), None)
        if known is None:
            known = Recurring(error.kind, str(error), str(error.args[0]), error.advice_for_all)
            self.recurring.append(known)
        known.add(error)

    def reasons(self) -> tuple[list[str], int]:
        """Return the reasons why inputs were skipped, those that recur once, and the number of all such reasons."""
        n_alone = self.skipped_count - sum(one.count for one in self.recurring)
        return [*map(str, self.recurring), *self.skipped_alone], len(self.recurring) + n_alone

    def main_reasons(self) -> str:
        """Return the most frequent reasons why inputs were skipped, with their counts."""
        found = [(one.count, str(one)) for one in self.recurring]
        for kind, (n, first) in self.kinds.items():
            found.append((n, first if n == 1 else f"{kind}: {n:,} (first: {first})"))
        found.sort(key=lambda one: -one[0])
        others = self.skipped_count - sum(n for n, _ in found[:MOST_REASONS])
        return "; ".join([text for _, text in found[:MOST_REASONS]] + ([f"{others:,} others"] if others else []))

    def count_missing_properties(self, name: str) -> None:
        """Count a structure without a row in a table."""
        self.without_properties += 1
        if len(self.first_without_properties) < MOST_NAMED:
            self.first_without_properties.append(name)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        also_in_skipped = ("skipped_alone", "kinds")
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in also_in_skipped}
        plain = {k: dict(v) if isinstance(v, Counter) else v for k, v in values.items()}
        return plain | {"recurring": [one.as_values() for one in self.recurring]}
