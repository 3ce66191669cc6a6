"""How to read spectrum files that leave a choice."""

from collections.abc import Sequence
from dataclasses import dataclass

from xanes_hpc.errors import FormatError

TRANSMISSION, FLUORESCENCE, REFERENCE = MODES = ("transmission", "fluorescence", "reference")
EXAMPLES = {TRANSMISSION: "energy,i0,itrans", FLUORESCENCE: "energy,i0,ifluor", REFERENCE: "energy,itrans,irefer"}
ABSOLUTE, NORMALISED = FEFF_MU = ("absolute", "normalised")


@dataclass(frozen=True)
class ReadOptions:
    """How to read spectrum files.

    Attributes
    ----------
    columns
        Titles or numbers (from 1) of the columns to read: the energy, and the spectrum or its detector channels, as in
        ``("energy", "i0", "itrans")``. By default they are found by their titles.
    mu
        What the spectrum is computed from: ``transmission``, ln(i0/itrans); ``fluorescence``, ifluor/i0, with several
        fluorescence channels added up; ``reference``, ln(itrans/irefer). By default the file's own spectrum, or else
        the first of these that its columns allow. The first two also hold for raw counts in NeXus, by default as the
        file's mode says, or as one of the two rises.
    d_spacing
        Lattice spacing in Å of the monochromator, for files with its angle in place of the energy; overrides the one
        that a file gives.
    feff_mu
        ``absolute`` for FEFF's absorption in Å², ``normalised`` for its own normalisation.
    """

    columns: tuple[str, ...] = ()
    mu: str | None = None
    d_spacing: float | None = None
    feff_mu: str = ABSOLUTE

    def chosen(self) -> list[str]:
        """Return the names of the options that choose what is read of a table."""
        return [name for name in ("columns", "mu", "d_spacing") if getattr(self, name)]

    def check(self) -> None:
        """Check the values.

        Raises
        ------
        FormatError
            If one is not possible.
        """
        if self.mu is not None and self.mu not in MODES:
            raise FormatError(f"`mu` {self.mu!r}: expected one of {', '.join(MODES)}")
        if self.feff_mu not in FEFF_MU:
            raise FormatError(f"`feff_mu` {self.feff_mu!r}: expected one of {', '.join(FEFF_MU)}")
        if self.d_spacing is not None and not 0.1 < self.d_spacing < 100.0:
            raise FormatError(
                f"`d_spacing`: expected a lattice spacing in Å, such as 3.1356, received {self.d_spacing:g}"
            )
        if not self.columns:
            return
        listed = ",".join(self.columns)
        if len(self.columns) < 2 or "" in self.columns:
            raise FormatError(
                f"`columns` {listed!r}: expected the energy and a spectrum or its channels, such as energy,i0,itrans"
            )
        if len(set(self.columns)) < len(self.columns):
            raise FormatError(f"`columns` {listed!r}: expected different columns")
        if self.mu is not None and (len(self.columns) < 3 or (len(self.columns) > 3 and self.mu != FLUORESCENCE)):
            raise FormatError(f"`columns` {listed!r}: expected for {self.mu} columns like {EXAMPLES[self.mu]}")


def parse_columns(columns: str | Sequence[str | int] | None) -> tuple[str, ...]:
    """Return columns given as a text such as ``energy,i0,itrans`` or as a list; none for None."""
    if columns is None:
        return ()
    return tuple(str(word).strip() for word in (columns.split(",") if isinstance(columns, str) else columns))


AS_FOUND = ReadOptions()
