"""Rows of listed sites in a store."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from xanes_hpc.errors import StoreError
from xanes_hpc.stores.sites import SiteTable
from xanes_hpc.structures.listed_sites import ListedSite

NAMES = ["ABEMAX_C33", "WELROW_Fe2#0", "WELROW_Fe2#2", "single", "twin_1", "twin_2"]
ATOMS = [4, 0, 2, 7, 0, 0]


@pytest.fixture
def table():
    n = len(NAMES)
    return SiteTable(NAMES, np.arange(n), np.array(ATOMS), np.full(n, 26, np.uint8), ["K"] * n, np.ones(n))


def rows(table, *sites):
    listed = [ListedSite(f"t.csv: line {k}", *site) for k, site in enumerate(sites, 2)]
    return table.rows_of(listed, Path("s.h5")).tolist()


def test_rows_are_in_the_order_of_the_store(table):
    assert rows(table, ("single",), ("WELROW_Fe2#0",), ("ABEMAX",)) == [0, 1, 3]


@pytest.mark.parametrize(
    ("site", "row"),
    [(("WELROW_Fe2", 2), 2), (("WELROW_Fe2#2",), 2), (("single", 7), 3), (("single#7",), 3), (("ABEMAX", 4), 0)],
)
def test_a_structure_and_an_atom(table, site, row):
    assert rows(table, site) == [row]


@pytest.mark.parametrize(
    ("site", "named"),
    [
        (("WELROW_Fe2", 1), "WELROW_Fe2#0"),
        (("singel",), "single"),
        (("single", 3), "single"),
        (("twin",), "twin_1, twin_2"),
        (("twin", 0), "twin_1"),
    ],
)
def test_unknown_sites(table, site, named):
    with pytest.raises(StoreError, match=rf"^t\.csv: line 3: s\.h5: .*{named}"):
        rows(table, ("ABEMAX",), site)


@pytest.mark.parametrize("twice", [("single",), ("single", 7), ("single#7",)])
def test_a_site_listed_twice(table, twice):
    with pytest.raises(StoreError, match=r"^t\.csv: line 4: second row of site single"):
        rows(table, ("single",), ("ABEMAX",), twice)


def test_a_name_with_other_capital_letters_is_proposed():
    names = [f"AAA{i}_C2H2" for i in range(9)] + ["RIZNAS_C46H44AsF4FeN3O"]
    assert SiteTable.why_none(SimpleNamespace(name=names), "riznas").endswith("expected one of RIZNAS_C46H44AsF4FeN3O")
