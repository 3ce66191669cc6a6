"""A split from a table: what it says is done, and what it cannot say is refused."""

import numpy as np
import pytest

from xanes_hpc.data.listed_split import listed_split
from xanes_hpc.errors import XanesHpcError
from xanes_hpc.models.training_sites import LEFT_OUT, SETS
from xanes_hpc.stores.sites import SiteTable

NAMES = ["mp-1#0", "mp-1#4", "ACOMUA_C2", "ABIHUO"]
USABLE = np.ones(6, bool)


def tables():
    """Two stores with four and two sites."""
    found = []
    for names in (NAMES, ["two", "three#1"]):
        atoms = np.array([int(name.partition("#")[2] or 0) for name in names])
        rows = np.arange(len(names))
        found.append(SiteTable(names, rows, atoms, rows.astype(np.uint8), ["K"] * len(names), np.ones(len(names))))
    return found


def parts(tmp_path, text, usable=USABLE, rest=None):
    path = tmp_path / "split.csv"
    path.write_text(text)
    sets = listed_split(path, tables(), usable, rest)
    return ["-" if s == LEFT_OUT else SETS[s] for s in sets]


@pytest.mark.parametrize(
    "text",
    [
        "site,part\nmp-1#0,train\nmp-1#4,Train\nACOMUA,validation\nABIHUO,test\ntwo,none\nthree#1,calibration\n",
        "Structure;Atom;Part\nmp-1;0;train\nmp-1;4;train\nACOMUA_C2;0;validation\nABIHUO;0;test\ntwo;0;none\nthree;1;calibration\n",
        "part,structure\ntrain,mp-1\nvalidation,ACOMUA_C2\ntest,ABIHUO\nnone,two\ncalibration,three\n",
    ],
)
def test_sites_get_the_part_that_the_table_says(tmp_path, text):
    assert parts(tmp_path, text) == ["train", "train", "validation", "test", "-", "calibration"]


def test_the_rest_has_a_part_too(tmp_path):
    assert parts(tmp_path, "site,part\nABIHUO,test\n", rest="train") == [*["train"] * 3, "test", *["train"] * 2]
    usable = np.array([True, True, False, True, True, True])
    assert parts(tmp_path, "site,part\nABIHUO,test\n", usable, "train")[2] == "-"
    every = "structure,part\nmp-1,train\nABIHUO,train\ntwo,train\nthree,train\n"
    assert parts(tmp_path, every, usable) == ["train", "train", "-", "train", "train", "train"]


@pytest.mark.parametrize(
    ("text", "rest", "told"),
    [
        ("site,part\nABIHUO,train\nABIHUO,test\n", "train", "line 3: second row of site ABIHUO"),
        ("structure,part\nmp-1,train\nmp-1,test\n", "train", "line 3: second row of site mp-1#0"),
        ("site,part\nABIHUO,train\nZZZ,test\n", "train", "line 3: expected one of the 6 sites"),
        ("site,part\nmp-1,train\n", "train", "line 2: expected one of the 6 sites, received 2 sites"),
        ("structure,atom,part\nmp-1,3,train\n", "train", "line 2: expected one of the 6 sites"),
        ("site,part\nABIHUO,train\n", None, "leaves out 5 sites that could be used, the first mp-1#0"),
        ("site,part\nABIHUO,learn\n", "train", "line 2: part: expected train or"),
        ("site\nABIHUO\n", "train", "line 1: expected columns site and part"),
        ("site,part,part\nABIHUO,train,test\n", "train", "part"),
        ("site,part\nABIHUO,test\n", "test", "part train: expected a site"),
        ("site,part\n,test\n", "test", "line 2: expected a site"),
    ],
)
def test_what_the_table_cannot_say_is_refused(tmp_path, text, rest, told):
    with pytest.raises(XanesHpcError) as refused:
        parts(tmp_path, text, rest=rest)
    assert "split.csv: " in str(refused.value)
    assert told in str(refused.value)


def test_a_part_without_a_usable_site_is_refused(tmp_path):
    usable = np.array([True, True, True, False, True, True])
    with pytest.raises(XanesHpcError, match="part test: expected a site with features and a spectrum"):
        parts(tmp_path, "site,part\nABIHUO,test\n", usable, "train")
