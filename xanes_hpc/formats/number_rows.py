"""Rows of numbers in text: separators, decimal commas, Fortran's exponents, and why a row cannot be read.

Separators are commas, semicolons, tabs or blanks. Exponents may be written as in Fortran (``1.5D-03``), and decimals
with a comma (``7112,5``) where commas do not separate columns. A comment may follow a row.
"""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

SEPARATORS = ";,\t"
COMMENTS = "#%!"
"""First characters of comments."""
FORTRAN_NUMBER = re.compile(r"([-+]?[\d.]+)[dD]([-+]?\d+)")
COMMA_NUMBER = re.compile(r"[-+]?(\d+,?\d*|,\d+)([eEdD][-+]?\d+)?")
THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?:([.,'\s])\d{3}(?:\1\d{3})*)(?:(?!\1)[.,]\d*)?")
"""Numbers with thousands separators; decimals are possible, too."""
COMMENT = re.compile(r"\s[#!](\s.*)?$")


def split(text: str) -> list[str]:
    """Return the fields of a row, between its separators.

    Examples
    --------
    >>> split("7112,5; 0,3;"), split("7112.5  0.3")
    (['7112,5', '0,3'], ['7112.5', '0.3'])
    """
    for separator in SEPARATORS:
        if separator in text:
            return [part.strip() for part in text.rstrip(separator + " ").split(separator)]
    return text.split()


def numbers(text: str) -> list[float] | None:
    """Return the numbers of a row with or without a comment behind; None if it is none.

    Examples
    --------
    >>> numbers("7112.5 1.5D-03 # pt"), numbers("7112.5 N/A")
    ([7112.5, 0.0015], None)
    """
    found = _numbers(split(text))
    if found is None and (bare := COMMENT.sub("", text)) != text:
        found = _numbers(split(bare))
        return found if found and len(found) > 1 else None
    return found


def _numbers(parts: Sequence[str]) -> list[float] | None:
    for write in (str, with_e):
        try:
            return [float(write(part)) for part in parts]
        except ValueError:
            continue
    return None


def numbers_with_commas(text: str) -> list[float] | None:
    """Return the numbers of a row whose decimals have commas; None if it is none."""
    if "," not in text or "." in text:
        return None
    separator = ";" if ";" in text else "\t" if "\t" in text.strip() else None
    parts = [part.strip() for part in text.rstrip("; \t").split(separator)]
    if not all(COMMA_NUMBER.fullmatch(part) for part in parts):
        return None
    return [float(with_e(part.replace(",", "."))) for part in parts]


def plain_numbers(lines: Sequence[str], n_columns: int) -> npt.NDArray[np.float64] | None:
    """Return rows of numbers and nothing else, quickly; None if they are not plain or have other columns."""
    separator = next((separator for separator in SEPARATORS if separator in lines[0]), None)
    try:
        values = np.loadtxt(lines, np.float64, comments=None, delimiter=separator, ndmin=2)
    except ValueError:
        return None
    return values if values.shape[1] == n_columns else None


def with_e(number: str) -> str:
    """Return a number with Fortran's D exponent written with an E."""
    return FORTRAN_NUMBER.sub(r"\1e\2", number)


def why_unreadable(text: str) -> str:
    """Return in words why a row is not one of two or more numbers.

    Examples
    --------
    >>> why_unreadable("8900;0.3;;8900"), why_unreadable("8900.0;201,580"), why_unreadable("[8900, 0.3]")
    ('field 3 is empty', "'201,580' has a thousands separator", "'[8900' is no number")
    """
    separator = next((separator for separator in ";\t," if separator in text), None)
    parts = [part.strip() for part in text.split(separator)]
    for k, part in enumerate(parts, 1):
        if not part:
            return f"field {k} is empty"
        if _numbers([part]) is None and THOUSANDS.fullmatch(part) and not COMMA_NUMBER.fullmatch(part):
            return f"{part[:40]!r} has a thousands separator"
    wrong = next((part for part in parts if _numbers([part]) is None), "")
    pointed = next((part for part in parts if "." in part and _numbers([part]) is not None), "")
    if THOUSANDS.fullmatch(wrong):
        return f"{wrong[:40]!r} has a thousands separator"
    if pointed and COMMA_NUMBER.fullmatch(wrong):
        return f"{wrong[:40]!r} has a decimal comma, {pointed[:40]!r} a point"
    if wrong:
        return f"{wrong[:40]!r} is no number"
    return "it has a single number"
