"""Sites by a table, or by names, in Python."""

from pathlib import Path

import pytest
from ase import Atoms
from support.builders import write

import xanes_hpc as xh
from xanes_hpc.errors import ConfigError, FormatError, StoreError
from xanes_hpc.stores.structures import StructureStore

ROWS = [3, 17, 40]


@pytest.fixture(scope="session")
def names(small):
    with StructureStore(small / "small.h5") as store:
        return [store.sites.name[row] for row in ROWS]


@pytest.fixture
def table(tmp_path, names):
    return write(tmp_path / "s.csv", "site\n" + "\n".join(names[::-1]) + "\n")


def test_import(small, names, table):
    for sites in (table, str(table), names):
        assert sorted(xh.import_structures(small / "structures", sites=sites).sites.name) == sorted(names)


def test_atoms_by_a_table(tmp_path):
    two = Atoms("FeOFe", [(0, 0, 0), (0, 0, 1.6), (0, 1.7, 1.6)], info={"name": "two"})
    one = Atoms("FeO", [(0, 0, 0), (0, 0, 1.6)], info={"name": "one"})
    other = Atoms("CoO", [(0, 0, 0), (0, 0, 1.6)], info={"name": "other"})
    path = write(tmp_path / "s.csv", "site\none\ntwo#2\n")
    store = xh.import_structures([two, other, one], sites=path)
    assert list(zip(store.sites.name, store.sites.atom.tolist(), strict=True)) == [("two", 2), ("one", 0)]
    write(path, "site\none\nthree\n")
    with pytest.raises(FormatError, match="line 3: no structure three"):
        xh.import_structures([one], sites=path)


def test_a_list_of_rules_for_atoms_is_no_list_of_names():
    atoms = [Atoms("FeO", [(0, 0, 0), (0, 0, 1.6)]), Atoms("CoO", [(0, 0, 0), (0, 0, 1.6)])]
    assert xh.import_structures(atoms, sites=["Fe", "O"]).sites.atom.tolist() == [0, 1]


def test_predict(small, model, names, table):
    predictor = xh.load_model(model)
    for source in (small / "small.h5", small / "small.features.h5"):
        assert predictor.predict(source, sites=table, draws=2).sites == names
        assert predictor.predict(source, sites=names, draws=2).sites == names
    assert sorted(predictor.predict(small / "structures", sites=names, draws=2).sites) == sorted(names)
    with pytest.raises(StoreError, match="a store already has its sites"):
        predictor.predict(small / "small.h5", sites="Fe")
    with pytest.raises(StoreError, match="no site 'nobody'"):
        predictor.predict(small / "small.h5", sites=["nobody"])


def test_predict_to_a_file(small, model, names, tmp_path):
    assert xh.predict(small / "small.h5", model, sites=names, draws=2, output=tmp_path / "p.h5").sites == names


def test_spectra(predicted, names, table, tmp_path):
    spectra = xh.Spectra.open(predicted)
    assert spectra[Path(table)].sites == names
    assert spectra[names[::-1]].sites == names[::-1]
    some = spectra[:2]
    with pytest.raises(StoreError, match=r"s\.csv: line 2: "):
        some[Path(table)]


def test_match_and_broaden(small, predicted, names, table):
    spectra = xh.Spectra.open(predicted)[names[0]]
    for chosen in (table, names):
        found = xh.match((spectra.energies, spectra.mean[0]), predicted, absorber="Cu", sites=chosen)
        assert found.n_compared == 1
        assert xh.broaden(predicted, "gaussian", gaussian=1.0, sites=chosen).sites == names
        assert xh.broaden(small / "small.h5", "gaussian", gaussian=1.0, sites=chosen).n_spectra == len(names)
    with pytest.raises(ConfigError, match="`sites`: expected a table"):
        xh.broaden(predicted, "gaussian", gaussian=1.0, sites="Fe")


def test_featurise_takes_all_sites_of_a_store(small, names):
    with pytest.raises(StoreError, match="a store already has its sites"):
        xh.featurise(small / "small.h5", sites=names)
