"""One calculated spectrum out of a store: which site is meant."""

import pytest
from builders import run
from stored import structure, write_structures

from xanes_hpc.errors import StoreError
from xanes_hpc.experiments import read_calculated
from xanes_hpc.stores.structures import StructureStore


@pytest.fixture
def store(tmp_path):
    taken = [
        (structure("ACOMUA_C36(1+)", 4, 0), [0], "K", [[]]),
        (structure("BACDEF_a", 5, 1), [0], "K", [[]]),
        (structure("BACDEF_b", 5, 2), [0], "K", [[]]),
        (structure("plain", 5, 3), [0, 2], "K", [[], []]),
    ]
    return write_structures(tmp_path / "s.h5", taken)


@pytest.mark.parametrize(("name", "row"), [("ACOMUA_C36(1+)", 0), ("ACOMUA", 0), ("BACDEF_b", 2), ("plain#2", 4)])
def test_a_site_by_its_name_or_code(store, name, row):
    with StructureStore(store) as opened:
        assert opened.sites().find(name, store) == row


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("BACDEF", r"s\.h5: 2 sites 'BACDEF': there are BACDEF_a, BACDEF_b$"),
        ("plain", r"s\.h5: 2 sites 'plain': there are plain#0, plain#2$"),
        ("ACO", r"s\.h5: no site 'ACO': there are ACOMUA_C36\(1\+\), BACDEF_a, BACDEF_b, plain#0, plain#2$"),
        (None, r"s\.h5: 5 sites: choose one with --site; there are ACOMUA"),
    ],
)
def test_a_site_that_is_not_told(store, name, message):
    with pytest.raises(StoreError, match=message):
        read_calculated(store, name)


def test_options_of_other_sources_are_refused(store, tmp_path, capsys):
    assert run("fit-broadening", store, store, "--absorber", "Fe") == 2
    assert "--absorber applies to a spectrum's file" in capsys.readouterr().err
