"""Reading one measured spectrum, or one calculated spectrum of a store by its site's name."""

import numpy as np
import pytest
from support.builders import edge_step, run, table, write
from support.stored import structure, write_structures

from xanes_hpc.errors import FormatError, StoreError
from xanes_hpc.experiment.calculated import read_calculated
from xanes_hpc.experiment.measured import read_experiment
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structures import StructureStore


@pytest.fixture
def store(tmp_path):
    entries = [
        (structure("ACOMUA_C36(1+)", 4, 0), [0], "K", [[]]),
        (structure("BACDEF_a", 5, 1), [0], "K", [[]]),
        (structure("BACDEF_b", 5, 2), [0], "K", [[]]),
        (structure("plain", 5, 3), [0, 2], "K", [[], []]),
    ]
    return write_structures(tmp_path / "s.h5", entries)


@pytest.mark.parametrize(("name", "row"), [("ACOMUA_C36(1+)", 0), ("ACOMUA", 0), ("BACDEF_b", 2), ("plain#2", 4)])
def test_site_by_name_or_code(store, name, row):
    with StructureStore(store) as opened:
        assert opened.sites.find(name, store) == row


def test_a_scan_with_descending_energies_is_reversed(tmp_path):
    points = edge_step()
    up, down = (write(tmp_path / f"{name}.txt", table(rows)) for name, rows in (("up", points), ("down", points[::-1])))
    first, second = read_experiment(up), read_experiment(down)
    np.testing.assert_array_equal(first.energies, second.energies)
    np.testing.assert_array_equal(first.intensities, second.intensities)
    mixed = read_experiment(write(tmp_path / "mixed.txt", table(points[[0, 2, 1, *range(3, len(points))]])))
    np.testing.assert_array_equal(mixed.energies, first.energies)
    np.testing.assert_array_equal(mixed.intensities, first.intensities)
    twice = write(tmp_path / "twice.txt", table(np.concatenate([points, points])))
    with pytest.raises(FormatError, match=r"twice\.txt: energies go back from .* expected a single scan"):
        read_experiment(twice)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("BACDEF", r"s\.h5: 2 sites match 'BACDEF'; expected one of BACDEF_a, BACDEF_b$"),
        ("plain", r"s\.h5: 2 sites match 'plain'; expected one of plain#0, plain#2$"),
        ("ACO", r"s\.h5: no site 'ACO'; expected one of ACOMUA_C36\(1\+\)$"),
        ("xyz", r"s\.h5: no site 'xyz'; expected one of ACOMUA_C36\(1\+\), BACDEF_a, BACDEF_b, plain#0, plain#2$"),
        (None, r"s\.h5: holds 5 sites \(ACOMUA.*choose one with `site`"),
    ],
)
def test_unknown_and_ambiguous_sites(store, name, message):
    with pytest.raises(StoreError, match=message):
        read_calculated(store, name)


def test_options_that_do_not_apply_to_the_source_are_refused(store, tmp_path, capsys):
    assert run("fit-broadening", store, store, "--absorber", "Fe") == 2
    assert "--absorber applies to a spectrum's file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("items", "start", "message"),
    [
        ("# Element.symbol: Cu\n# Element.edge: K\n", 7050.0, "expected a spectrum of Fe K, the site's, received Cu K"),
        (
            "# Element.symbol: Fe\n# Element.edge: L3\n",
            7050.0,
            "expected a spectrum of Fe K, the site's, received Fe L3",
        ),
        ("", 7000.0, "ends 13 eV below the Fe K edge at 7112 eV"),
    ],
)
def test_a_measured_spectrum_is_held_to_the_sites(predicted, tmp_path, capsys, items, start, message):
    rows = table(np.column_stack([start + np.arange(100.0), np.arange(100.0) ** 2]))
    text = f"# XDI/1.0\n# Column.1: energy eV\n# Column.2: xmu\n{items}#---\n{rows}"
    path = write(tmp_path / "e.xdi", text)
    with PredictionStore(predicted) as store:
        name = store.sites.name[store.sites.element.tolist().index(26)]
    assert run("match", path, predicted, "--absorber", "Fe") == 2
    assert f"e.xdi: {message}" in capsys.readouterr().err
    assert run("fit-broadening", predicted, path, "--site", name) == 2
    assert f"e.xdi: {message}" in capsys.readouterr().err
