"""Rows that may be damaged: above the data, cut off at the end of a file, or not continuing the others."""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from xanes_hpc.formats.number_rows import COMMENTS, numbers, numbers_with_commas, split, with_e

CUT = "a last row that was cut off was left out"
FEWEST_COUNTED = 4
FEWEST_COMPARED, MOST_COMPARED = 5, 200
"""Rows with which the last one is compared."""
CLEARLY_FEWER = 2
"""Digits: one number in a hundred ends in as many zeros."""
MISSING = frozenset((
    "na", "n/a", "#n/a", "n.a.", "nan", "null", "none", "nil", "bad", "overflow", "ovf", "inf", "error", "err", "-",
    "--", "?", "*", ".", "", "#value!", "#div/0!", "#num!", "#ref!", "invalid", "undefined",
))  # fmt: skip
"""What stands for a number that is missing."""
LEADING_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eEdD][-+]?\d+)?")
BEGUN = re.compile(r"[-+]?\d*[.,]?\d*([eEdD][-+]?\d*)?")
"""A number, or the beginning of one."""
MANTISSA = re.compile(r"[-+]?(\d*)[.,]?(\d*)([eEdD].*)?")


def without_cut_row(lines: list[str]) -> tuple[list[str], str]:
    """Return the lines of a file that ends within a line, and the last one if it was left out, because it is cut off.

    It is whole if it looks like those above: as many columns, decimals, digits, and an exponent.

    Examples
    --------
    >>> rows = [f"{k}.0 2.17E-02" for k in range(6)]
    >>> without_cut_row([*rows, "6.0 2.1"])[1], without_cut_row([*rows, "6.0 2.19E-02"])[1]
    ('6.0 2.1', '')
    """
    last = lines[-1].strip().replace('"', "") if lines else ""
    if not last or last[0] in COMMENTS:
        return lines, ""
    above = [split(line.replace('"', "")) for line in lines[-1 - MOST_COMPARED : -1] if _is_row(line.replace('"', ""))]
    fields = split(last)
    begun = all(map(BEGUN.fullmatch, fields)) and any(map(str.isdecimal, last))
    if len(above) < 2 or not begun or len(fields) > len(above[-1]):
        return lines, ""
    others = [row[-1] for row in above if len(row) == len(above[-1])]
    if len(fields) < len(above[-1]) or _is_cut(fields[-1], others):
        return lines[:-1], last
    return lines, ""


def _is_row(line: str) -> bool:
    row = numbers(line.strip()) or numbers_with_commas(line.strip())
    return row is not None and len(row) > 1


def _is_cut(text: str, others: Sequence[str]) -> bool:
    """Return True if a number is the beginning of one that is written like others."""
    if len(others) < FEWEST_COMPARED:
        return False
    value = _value(text)
    if value is None:
        return True
    whole, decimals, exponent = _lengths(text)
    forms = [_lengths(other) for other in others]
    if all(own for _, _, own in forms):
        return exponent < min(own for _, _, own in forms)
    digits = [a + b for a, b, own in forms if not own]
    if not digits or exponent or not _is_fewer(whole + decimals, digits):
        return False
    if any(b for _, b, _ in forms):
        return _is_fewer(decimals, [b for _, b, own in forms if not own])
    return value < 0.2 * min(_value(other) or 0.0 for other in others[-FEWEST_COMPARED:])


def _is_fewer(digits: int, others: Sequence[int]) -> bool:
    """Return True if a number has fewer digits than all others, or clearly fewer than most: zeros may be dropped."""
    return digits < min(others) or bool(digits <= np.median(others) - CLEARLY_FEWER)


def _value(text: str) -> float | None:
    """Return the size of a number with a decimal point or comma; None if it is none."""
    try:
        return abs(float(with_e(text.replace(",", "."))))
    except ValueError:
        return None


def _lengths(text: str) -> tuple[int, int, int]:
    """Return the numbers of significant digits before and after the decimal point, and the length of the exponent."""
    found = MANTISSA.match(text)
    if found is None:
        return 0, 0, 0
    return len(found[1].lstrip("0")), len(found[2]), len(found[3] or "")


def is_count(row: Sequence[float], lines: Sequence[str], number: int) -> bool:
    """Return True if a row of fewer numbers than the next counts the rows below it."""
    rows_below = len(lines) - number + 1
    whole = len(row) == 2 and all(value > 0 and value.is_integer() for value in row)
    return whole and row[0] >= FEWEST_COUNTED and 0 <= rows_below - row[0] <= 3


def counts_rows(values: npt.NDArray[np.float64]) -> bool:
    """Return True if the first row is the number of those below, with or without itself, and does not continue them."""
    first = values[0]
    if len(values) - first[0] not in (0, 1) or len(values) <= FEWEST_COUNTED or not (first == np.floor(first)).all():
        return False
    steps = np.abs(np.diff(values[:, 0]))
    return bool(steps[0] > 10 * steps[1:].max())


def damaged_row(
    lines: Sequence[tuple[int, str]], values: npt.NDArray[np.float64], first_line: int
) -> tuple[int, str] | None:
    """Return the first line above the data that is one of its rows, but cannot be read as one; None if none is.

    Such a line begins with a number that continues the first column. It has as many fields as the rows, whatever they
    hold; or it is directly above the data and has no letters. Or it has as many fields, which are numbers and what
    stands for missing ones, or numbers behind a first one that is mistyped.

    Parameters
    ----------
    lines
        Numbers and text of lines above the data that are no comments.
    values
        The data, shape (n_rows, n_columns).
    first_line
        Number of their first line.
    """
    if len(values) < 2 or not lines:
        return None
    first, step = values[0, 0], values[1, 0] - values[0, 0]
    length = abs(values[:, 0].max() - values[:, 0].min()) / abs(step) if step else 0.0
    for number, words in lines:
        parts = split(words)
        like_row = len(parts) == values.shape[1]
        if like_row and _has_wrong_field(parts):
            return number, words
        start = LEADING_NUMBER.match(words)
        if not start or not step:
            continue
        before = (first - float(with_e(start[0]))) / step
        whole = bool(parts) and start[0] == parts[0]
        if not 0 < before < max(len(lines) + 1.5, length if whole and like_row else 0.0):
            continue
        letters = re.search(r"[^\W\d_]", words.replace("E", "").replace("e", ""))
        if like_row or (number == first_line - 1 and not letters):
            return number, words
    return None


def _has_wrong_field(parts: Sequence[str]) -> bool:
    """Return True if the fields of a row are numbers and missing ones, or numbers behind a mistyped one."""
    is_number = [LEADING_NUMBER.fullmatch(part) is not None for part in parts]
    if all(is_number) or not any(is_number):
        return False
    missing = [part.lower() in MISSING or not any(map(str.isalnum, part)) for part in parts]
    mistyped = all(is_number[1:]) and bool(re.match(r"[-+.]?\d", parts[0]))
    return mistyped or all(a or b for a, b in zip(is_number, missing, strict=True))
