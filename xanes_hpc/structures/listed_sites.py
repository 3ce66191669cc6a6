"""Sites that a list names."""

import re
from typing import NamedTuple

SITE_OF_A_STRUCTURE = re.compile(r"(.+)#(\d{1,18})", re.DOTALL)


class ListedSite(NamedTuple):
    """A site that a list names: by its own name, or by its structure and atom, counted from 0."""

    where: str
    """Where the list names it, for errors: ``chosen.csv: line 3``."""
    name: str
    atom: int | None = None

    @property
    def site(self) -> str:
        """The site's name, as in a structure with several sites if the atom is known."""
        return self.name if self.atom is None else f"{self.name}#{self.atom}"

    @property
    def structure_and_atom(self) -> tuple[str, int | None]:
        """The structure's name and the atom, which may be in the site's name; None if it is nowhere.

        Examples
        --------
        >>> ListedSite("", "WELROW#3").structure_and_atom, ListedSite("", "WELROW").structure_and_atom
        (('WELROW', 3), ('WELROW', None))
        """
        found = SITE_OF_A_STRUCTURE.fullmatch(self.name)
        if self.atom is not None or found is None:
            return self.name, self.atom
        return found[1], int(found[2])
