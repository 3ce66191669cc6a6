"""The elements and edges of the sites in a library, and of which of them a measured spectrum is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.errors import SpectrumError
from xanes_hpc.experiment.compare import Array, Rows
from xanes_hpc.experiment.library import PredictionLibrary, SpectrumLibrary
from xanes_hpc.experiment.measured import held_to
from xanes_hpc.formats.site_lists import SiteChoice, SiteList
from xanes_hpc.spectra import edges
from xanes_hpc.spectra.spectrum import Spectrum
from xanes_hpc.stores.sites import SiteTable
from xanes_hpc.structures.absorbers import element_number

CHOOSE = "choose with `absorber` and `edge`"


@dataclass(frozen=True, repr=False)
class Kind:
    """Sites of one element and edge.

    Attributes
    ----------
    element, edge
        Atomic number and edge.
    rows : (n_sites,)
        Their rows in the library or store.
    e0
        Median of their edge energies, eV; the tabulated energy if none is known.
    """

    element: int
    edge: str
    rows: Rows
    e0: float

    @property
    def in_words(self) -> str:
        """The element and edge, such as ``Fe K``."""
        return f"{chemical_symbols[self.element]} {self.edge}"

    def __repr__(self) -> str:
        return f"<Kind {self.in_words}: {self.rows.size:,} sites at {self.e0:.0f} eV>"


def kinds_of(
    library: PredictionLibrary | SpectrumLibrary,
    sites: SiteChoice | None,
    path: Path,
    absorber: str | None = None,
    edge: str | None = None,
) -> list[Kind]:
    """Return the elements and edges among the sites of a library that can be compared.

    Parameters
    ----------
    library, path
        The spectra, and the store that has them.
    sites
        The sites to compare; by default all.
    absorber, edge
        Only sites of this element symbol and edge.

    Raises
    ------
    FormatError, StoreError
        If the list cannot be read, or names a site that the store does not have.
    SpectrumError
        If no site can be compared, or none is of this element and edge.
    """
    return _asked(kinds_among(library.sites, _chosen_rows(library, sites, path), library.e0), absorber, edge)


def kinds_among(sites: SiteTable, rows: Rows, e0: Array | None = None) -> list[Kind]:
    """Return the elements and edges among rows of a table, whose edge energies are ``e0``, or those in tables."""
    own = [(int(sites.element[i]), sites.edge[i]) for i in rows]
    numbers = {kind: k for k, kind in enumerate(sorted(set(own)))}
    at_row = np.array([numbers[kind] for kind in own], np.int64)
    found = []
    for (element, edge), k in numbers.items():
        here = np.asarray(rows[at_row == k])
        known = np.empty(0) if e0 is None else e0[here][np.isfinite(e0[here])]
        at = float(np.median(known)) if known.size else edges.tabulated(element, edge)
        found.append(Kind(element, edge, here, float("nan") if at is None else at))
    return found


def _asked(kinds: Sequence[Kind], absorber: str | None, edge: str | None) -> list[Kind]:
    number = None if absorber is None else element_number(absorber)
    if not kinds:
        raise SpectrumError("no site has a spectrum that can be compared")
    wanted = [own for own in kinds if number in (None, own.element) and (edge is None or edge.upper() == own.edge)]
    if not wanted:
        asked = " ".join(text for text in (absorber, edge) if text)
        raise SpectrumError(f"no {asked} sites: expected one of {_listed(kinds)}")
    return wanted


def kind_of(spectrum: Spectrum, kinds: Sequence[Kind]) -> Kind:
    """Return the element and edge of a measured spectrum: those that its file names, or at whose energy it rises.

    Raises
    ------
    SpectrumError
        If it is of none of them, or of several as far as can be told.
    """
    if len(kinds) == 1:
        return kinds[0]
    suitable, reasons = list[Kind](), list[str]()
    for own in kinds:
        try:
            held_to(spectrum, own.element, own.edge, own.e0)
            suitable.append(own)
        except SpectrumError as error:
            reasons.append(str(error))
    if len(suitable) == 1:
        return suitable[0]
    if suitable:
        raise SpectrumError(
            f"{spectrum.source}: neither its file nor its energies tell its element; expected one of "
            f"{_listed(suitable)}; {CHOOSE}"
        )
    if spectrum.element is None:
        raise SpectrumError(f"{spectrum.source}: rises at none of the edges of the sites, {_listed(kinds)}")
    named = " ".join(text for text in (chemical_symbols[spectrum.element], spectrum.edge) if text)
    raise SpectrumError(f"{spectrum.source}: expected a spectrum of {_listed(kinds)}, the sites', received {named}")


def selected(
    library: PredictionLibrary | SpectrumLibrary, sites: SiteChoice | None, path: Path, absorber: str | None,
    edge: str | None,
) -> tuple[Rows, int, str]:  # fmt: skip
    """Return the rows to compare, all of one element and edge, with its atomic number and the edge.

    Parameters and errors are those of ``kinds_of``; there is also an error if there are several.
    """
    own = _only(kinds_of(library, sites, path, absorber, edge))
    return own.rows, own.element, own.edge


def rows_of(sites: SiteTable, rows: Rows, absorber: str | None, edge: str | None) -> Rows:
    """Return the rows of one element and edge.

    Raises
    ------
    SpectrumError
        If no row matches, or the rows that match have more than one element or edge.
    """
    return _only(_asked(kinds_among(sites, rows), absorber, edge)).rows


def _only(kinds: Sequence[Kind]) -> Kind:
    if len(kinds) > 1:
        raise SpectrumError(f"expected sites of one element and edge, received {_listed(kinds)}; {CHOOSE}")
    return kinds[0]


def _listed(kinds: Sequence[Kind]) -> str:
    return ", ".join(own.in_words for own in kinds)


def _chosen_rows(library: PredictionLibrary | SpectrumLibrary, sites: SiteChoice | None, path: Path) -> Rows:
    """Return the rows of the listed sites whose spectra can be compared; without a list, of all."""
    if sites is None:
        return library.rows
    rows: npt.NDArray[np.int64] = np.intersect1d(library.rows, library.sites.rows_of(SiteList(sites), path))
    if not rows.size:
        raise SpectrumError(f"{path}: none of the sites in {SiteList(sites)} has a spectrum that can be compared")
    return rows
