"""Hydrogen's isotopes, which have symbols of their own."""

HYDROGEN = {"D": 1, "T": 1}
"""Their atomic numbers, by symbol."""
READ = "deuterium (D) or tritium (T) was read as hydrogen"


def notes(n_atoms: int) -> tuple[tuple[str, str], ...]:
    """Return what to note about a structure with this number of such atoms: nothing if there is none."""
    return ((READ, f"{n_atoms:,} {'atom' if n_atoms == 1 else 'atoms'}"),) if n_atoms else ()
