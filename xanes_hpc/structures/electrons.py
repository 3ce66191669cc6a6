"""Count the electrons of a structure: charge, total spin, and which charges make their number even."""

import numpy as np
import numpy.typing as npt

from xanes_hpc.structures.structure import Structure


def charge_of(structure: Structure) -> int:
    """Return the charge (e) in a structure's property ``charge``; 0 without one.

    Raises
    ------
    ValueError
        If it is not a whole number.
    """
    return _whole(structure, "charge", 1) or 0


def unpaired_of(structure: Structure) -> int | None:
    """Return the number of unpaired electrons, twice the total spin in the property ``spin``; None without one.

    Raises
    ------
    ValueError
        If the spin is not a multiple of 0.5.
    """
    return _whole(structure, "spin", 2)


def n_electrons(numbers: npt.NDArray[np.integer], charge: int) -> int:
    """Return the number of electrons of atoms with these atomic numbers and this charge (e).

    Examples
    --------
    >>> n_electrons(np.array([8, 1, 1, 1]), 1)
    10
    """
    return int(numbers.astype(np.int64).sum()) - charge


def even_charge(numbers: npt.NDArray[np.integer], charge: int) -> int:
    """Return the charge nearest to ``charge`` that makes the number of electrons even.

    Of two equally near ones it is the one nearer to 0, and 1 in place of 0.

    Examples
    --------
    >>> even_charge(np.array([8, 1, 1]), 0), even_charge(np.array([7, 1, 1, 1, 1]), 0)
    (0, 1)
    >>> even_charge(np.array([7, 1, 1]), -2)
    -1
    """
    if n_electrons(numbers, charge) % 2 == 0:
        return charge
    return charge - 1 if charge > 0 else charge + 1


def _whole(structure: Structure, name: str, times: int) -> int | None:
    """Return a property multiplied by ``times`` as an integer; None if the structure lacks it.

    Raises
    ------
    ValueError
        If the product is not an integer, or the property is text.
    """
    value = structure.properties.get(name)
    if value is None:
        return None
    if isinstance(value, str) or not np.isfinite(value) or abs(times * value - round(times * value)) > 1e-6:
        raise ValueError(f"{name}: expected a multiple of {1 / times:g}, received {value!r}")
    return round(times * value)
