"""Rows of text, an element's symbol or atomic number and three coordinates, read from bytes.

A coordinate of up to 15 digits, or a few more if they are below 2^53, is a whole number divided by a power of ten up to
10^22. Both are exact in double precision, so that the quotient is rounded once, as in Python's ``float`` (Clinger,
doi:10.1145/93548.93557). Everything else is left to Python.
"""

from typing import Any

import numpy as np

from xanes_hpc_kernels._jit import exact_inline, inline, kernel
from xanes_hpc_kernels.types import Bytes, Floats, Ints

LARGEST = 2**53
"""Whole numbers below this are exact."""
POWERS = np.array([10.0**k for k in range(23)])
SPACE, TAB, NEW_LINE, PLUS, MINUS, POINT, ZERO, NINE = 32, 9, 10, 43, 45, 46, 48, 57
MOST = 118
"""The largest atomic number."""
A, Z, CASE = 97, 122, 32
"""The first and the last small letter, and the bit that capital letters lack."""
LETTERS = Z - A + 2
"""Letters of the alphabet, and none."""


@exact_inline
def _quotient(whole: Any, power: Any, negative: Any) -> Any:
    value = float(whole) / power
    return -value if negative else value


@inline
def _after_blanks(text_b: Any, at: Any) -> Any:
    while at < text_b.size and (text_b[at] == SPACE or text_b[at] == TAB):
        at += 1
    return at


@inline
def _letter(text_b: Any, at: Any) -> Any:
    """Return the number of a letter, from 1; 0 for anything else."""
    if at >= text_b.size:
        return 0
    small = text_b[at] | CASE
    return int(small) - A + 1 if A <= small <= Z and text_b[at] >= A - CASE else 0


@kernel
def read_rows(text_b: Bytes, elements_k: Ints, numbers_a: Ints, positions_ac: Floats) -> int:
    """Read a row for every atom, and return how many rows are plain; the others are not read.

    Parameters
    ----------
    text_b
        The text, rows of which end with a new line.
    elements_k : (``LETTERS``²,)
        Atomic number of the symbol with letters k // ``LETTERS`` and k % ``LETTERS``; 0 without one.
    numbers_a, positions_ac
        Written: atomic numbers and coordinates.
    """
    at = 0
    for a in range(numbers_a.size):
        at = _after_blanks(text_b, at)
        first, second = _letter(text_b, at), _letter(text_b, at + 1)
        number = int(elements_k[first * LETTERS + second])
        at += (first != 0) + (second != 0)
        if first == 0:
            number = 0
            while at < text_b.size and ZERO <= text_b[at] <= NINE and number <= MOST:
                number = 10 * number + (text_b[at] - ZERO)
                at += 1
        if not 0 < number <= MOST:
            return a
        for c in range(3):
            begin = at
            at = _after_blanks(text_b, at)
            if at == begin or at >= text_b.size:
                return a
            negative = text_b[at] == MINUS
            if negative or text_b[at] == PLUS:
                at += 1
            whole, n_digits, decimals, in_decimals = np.int64(0), 0, 0, False
            while at < text_b.size:
                byte = text_b[at]
                if ZERO <= byte <= NINE:
                    whole = 10 * whole + (byte - ZERO)
                    n_digits += 1
                    decimals += in_decimals
                    if whole >= LARGEST:
                        return a
                elif byte == POINT and not in_decimals:
                    in_decimals = True
                else:
                    break
                at += 1
            if n_digits == 0 or decimals >= POWERS.size:
                return a
            if at < text_b.size and text_b[at] != SPACE and text_b[at] != TAB and text_b[at] != NEW_LINE:
                return a
            positions_ac[a, c] = _quotient(whole, POWERS[decimals], negative)
        numbers_a[a] = number
        while at < text_b.size and text_b[at] != NEW_LINE:
            at += 1
        at += 1
    return numbers_a.size
