"""Rows of text read from bytes, against Python's ``float``."""

import numpy as np
import pytest

from xanes_hpc.formats.xyz import SYMBOLS
from xanes_hpc_kernels.text_rows import read_rows


def read(*rows):
    """Return the number of plain rows, and their atomic numbers and coordinates."""
    text = np.frombuffer("".join(f"{row}\n" for row in rows).encode(), np.uint8)
    numbers, positions = np.zeros(len(rows), np.uint8), np.full((len(rows), 3), np.nan)
    n = read_rows(text, SYMBOLS, numbers, positions)
    return n, numbers[:n].tolist(), positions[:n]


def bits(values):
    return np.asarray(values, np.float64).view(np.uint64).tolist()


def test_coordinates_equal_pythons_to_the_last_bit():
    random = np.random.default_rng(0)
    rows = []
    for digits in range(1, 17):
        for _ in range(400):
            whole = int(random.integers(10 ** (digits - 1), 10**digits))
            place = int(random.integers(0, digits + 3))
            text = str(whole).rjust(place + 1, "0")
            text = f"{text[: len(text) - place]}.{text[len(text) - place :]}" if place else text
            rows.append(random.choice(["", "-", "+"]) + text)
    found = [read(f"Fe {text} 0 0") for text in rows]
    plain = [(text, positions[0, 0]) for text, (n, _, positions) in zip(rows, found, strict=True) if n]
    assert len(plain) > 0.9 * len(rows)
    assert bits([value for _, value in plain]) == bits([float(text) for text, _ in plain])


@pytest.mark.parametrize(
    "text", ["0", "-0.0", "5.", ".5", "+.25", "-12.123456789012", "9007199254740991", "0.0000000000000000000001"]
)
def test_plain_spellings(text):
    n, numbers, positions = read(f"  fE\t{text}   1.5 {text}  charge=0.3 ü")
    assert (n, numbers) == (1, [26])
    assert bits(positions[0]) == bits([float(text), 1.5, float(text)])


@pytest.mark.parametrize(
    "row",
    [
        "", "Fe", "Fe 1 2", "Fe 1 2 x", "Fe1 1 2 3", "0 1 2 3", "119 1 2 3", "2.6 1 2 3", "-1 1 2 3", "D 1 2 3",
        "Xx 1 2 3", "Fee 1 2 3", "Fe 1e3 2 3", "Fe 1,5 2 3", "Fe . 2 3", "Fe - 2 3", "Fe 1_0 2 3", "Fe nan 2 3",
        "Fe 1.2.3 2 3", "Fe 9007199254740993 2 3", "Fe 0.00000000000000000000001 2 3", "Fe 1\u00a02 3", "Fé 1 2 3",
        "Fe 1 2 3x", "Fe +-1 2 3",
    ],
)  # fmt: skip
def test_other_rows_are_left_to_python(row):
    n, numbers, _ = read("O 1 2 3", row, "H 1 2 3")
    assert (n, numbers) == (1, [8])


def test_every_element_is_known():
    from ase.data import chemical_symbols

    for z, symbol in enumerate(chemical_symbols[1:], 1):
        for spelling in (symbol, symbol.lower(), symbol.upper()):
            assert read(f"{spelling} 1 2 3")[:2] == (1, [z])
        assert read(f"{z} 1 2 3")[:2] == read(f"0{z} 1 2 3")[:2] == (1, [z])


def test_a_last_row_may_end_with_the_text():
    text = np.frombuffer(b"H 1 2 3\nO -1 2.5 3", np.uint8)
    numbers, positions = np.zeros(3, np.uint8), np.zeros((3, 3))
    assert read_rows(text, SYMBOLS, numbers, positions) == 2
    assert positions[1].tolist() == [-1.0, 2.5, 3.0]
