"""How structures are imported, and what came of it."""

from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from xanes_hpc.errors import MOST_LISTED, XanesHpcError
from xanes_hpc.importing.selection import Selection
from xanes_hpc.structures.symmetry import SYMPREC

MOST_NAMED = 5


@dataclass(frozen=True)
class ImportOptions:
    """How to import.

    Attributes
    ----------
    absorber
        Rule of ``absorbers.select_absorbers``.
    edge
        ``K``, ``L3``, …
    spectra
        Folders in which spectra are found by their structure's name.
    e0, shift
        As in ``spectra.edges.place``; eV.
    treatment
        How the spectra were treated, as text of ``records``, where the files do not say or are wrong.
    keep_unpaired
        Whether structures without a spectrum are taken as well.
    strict
        Whether the first unusable structure ends the import.
    selection
        Which structures are taken.
    unique
        Whether of a crystal's sites that its symmetry makes equal only one is taken, with how many there are as weight.
    symprec
        Å within which atoms count as at symmetric places.
    properties
        Tables of properties, found by their structure's name; they add to those that structure files tell.
    """

    absorber: str | None = None
    edge: str = "K"
    spectra: tuple[Path, ...] = ()
    e0: float | None = None
    shift: float | None = None
    treatment: str | None = None
    keep_unpaired: bool = False
    strict: bool = False
    selection: Selection = field(default_factory=Selection)
    unique: bool = False
    symprec: float = SYMPREC
    properties: tuple[Path, ...] = ()


@dataclass
class ImportSummary:
    """What was taken and what was not."""

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

    def skip(self, error: XanesHpcError) -> None:
        """Count an unusable item and keep its reason."""
        self.skipped_count += 1
        if len(self.skipped) < MOST_LISTED:
            self.skipped.append({"kind": type(error).__name__, "reason": str(error)})

    def lacks_properties(self, name: str) -> None:
        """Count a structure without a row in a table."""
        self.without_properties += 1
        if len(self.first_without_properties) < MOST_NAMED:
            self.first_without_properties.append(name)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: dict(v) if isinstance(v, Counter) else v for k, v in values.items()}
