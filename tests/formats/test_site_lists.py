"""Tables of sites."""

import gzip

import pytest

from xanes_hpc.errors import FormatError
from xanes_hpc.formats.site_lists import SiteList


def listed(path):
    return [(site.name, site.atom) for site in SiteList(path)]


@pytest.mark.parametrize(
    ("text", "sites"),
    [
        ("site\nWELROW#0\nABEMAX\n", [("WELROW#0", None), ("ABEMAX", None)]),
        ("structure,atom\nWELROW,0\nWELROW,12\n", [("WELROW", 0), ("WELROW", 12)]),
        ("rank;Site;note\n1;A;x\n\n;;\n2;B;y\n", [("A", None), ("B", None)]),
        ("\ufeffATOM\tStructure\r\n3.0\t A \r\n", [("A", 3)]),
        ("site,structure,atom\nX,A,-1\n", [("X", None)]),
        ('site\n"A, B"\n', [("A, B", None)]),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_tables(tmp_path, text, sites, packed):
    path = tmp_path / ("s.csv.gz" if packed else "s.csv")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    assert listed(path) == sites
    assert listed(path) == sites


def test_names():
    assert [(site.name, site.where) for site in SiteList(("A", "B#1"))] == [("A", "`sites`"), ("B#1", "`sites`")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\na\n", "line 1: expected a column site, or columns structure and atom (from 0), received name"),
        ("structure\na\n", "line 1: expected a column site, or columns structure and atom (from 0)"),
        ("", "line 1: expected"),
        ("\n", "line 1: expected"),
        ("site\n", "lists no sites"),
        ("site,x\n,1\n", "line 2: expected a site"),
        ("structure,atom\nA,-1\n", "line 2: atom: expected an index, counted from 0, received '-1'"),
        ("structure,atom\nA,Fe\n", "line 2: atom"),
        ("structure,atom\nA,0.5\n", "line 2: atom"),
        ("structure,atom\nA,\n", "line 2: atom"),
        ("structure,atom\nA,99999999999999999999\n", "line 2: atom"),
        ("structure,atom\nA,0,3\n", "line 2: expected 2 columns, received 3"),
        ("site,Site\nA,B\n", "line 1: expected one column site"),
        ("site\n\0\n", "line 2: expected a site, received '\\x00'"),
        (None, "cannot be read"),
    ],
)
def test_tables_that_are_refused(tmp_path, text, message):
    if text is not None:
        (tmp_path / "s.csv").write_text(text)
    with pytest.raises(FormatError) as error:
        listed(tmp_path / "s.csv")
    assert str(error.value).startswith(f"{tmp_path}/s.csv: {message}")
    assert "\n" not in str(error.value)
