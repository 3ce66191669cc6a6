"""Commas within the numbers of a table: decimal ones, also in quotes, and those that separate thousands."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.number_rows import COMMA_NUMBER, COMMENTS

QUOTED = re.compile(r'"([^"\n]*)"')
CELL = re.compile(r'"([^"\n]*)"|[^,]+')
GROUPED = re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+")
POINTED_GROUPS = re.compile(GROUPED.pattern + r"\.\d*")
BELOW_THOUSAND = re.compile(r"[-+]?\d{1,3}")
POINTED = re.compile(r"[-+]?(\d+\.\d*|\.\d+)([eEdD][-+]?\d+)?")


def without_quotes(path: Path, text: str) -> tuple[str, bool]:
    """Return a text without the quotes around fields, and whether quoted numbers had decimal commas.

    Raises
    ------
    FormatError
        If commas in them separate thousands.
    """
    lines, decimal = text.splitlines(), False
    rows: list[tuple[int, list[str]]] = []
    for i, line in enumerate(lines):
        if '"' not in line:
            rows.append((i + 1, line.split(",")))
            continue
        if line.lstrip()[0] in COMMENTS:
            lines[i] = QUOTED.sub(_without_commas, line)
        elif any(separator in QUOTED.sub("", line) for separator in ";\t"):
            lines[i] = QUOTED.sub(r"\1", line)
        else:
            fields = QUOTED.findall(line)
            decimal = decimal or any("," in field and COMMA_NUMBER.fullmatch(field.strip()) for field in fields)
            rows.append((i + 1, [cell[1] if cell[1] is not None else cell[0] for cell in CELL.finditer(line)]))
            lines[i] = QUOTED.sub(_without_commas, line)
    check_commas(path, rows)
    return "\n".join(lines), decimal


def _without_commas(field: re.Match[str]) -> str:
    return field[1].replace(",", "." if COMMA_NUMBER.fullmatch(field[1].strip()) else " ")


def check_commas(path: Path, rows: Iterable[tuple[int, Sequence[str]]]) -> None:
    """Check that commas in numbers are decimal.

    They separate thousands if all in a column have three digits behind, and other numbers have decimal points, or
    the numbers of the column that have no comma are below 1000.

    Parameters
    ----------
    path
        The file.
    rows
        Line numbers and fields.

    Raises
    ------
    FormatError
        If the commas of a column separate thousands.
    """
    with_commas: dict[int, list[tuple[int, str]]] = {}
    without: dict[int, list[str]] = {}
    pointed = False
    for line, fields in rows:
        for k, field in enumerate(map(str.strip, fields)):
            pointed = pointed or POINTED.fullmatch(field) is not None
            if POINTED_GROUPS.fullmatch(field):
                raise _thousands(path, line, field)
            if "," in field and field.replace(",", "").lstrip("+-").isdecimal():
                with_commas.setdefault(k, []).append((line, field))
            elif field[-1:].isdecimal():
                without.setdefault(k, []).append(field)
    for k, found in with_commas.items():
        if not all(GROUPED.fullmatch(field) for _, field in found):
            continue
        small = without.get(k, [])
        if pointed or (small and all(map(BELOW_THOUSAND.fullmatch, small))):
            raise _thousands(path, *found[0])


def _thousands(path: Path, line: int, field: str) -> FormatError:
    return FormatError(
        f"{path}: line {line}: expected numbers without thousands separators, received {field!r}; "
        "export the file without them"
    )
