"""Folders of materials: the sites that have a spectrum, each with its own."""

import json

import ase.io
import numpy as np
import pytest
from ase import Atoms
from support.builders import refused, run, table, write

from xanes_hpc.stores.spectra import read_spectra
from xanes_hpc.stores.structures import StructureStore

ENERGIES = np.arange(8984.0, 9120.0, 0.5)
HEADER = """# # Abs   Z=29 Rmt= 1.168 Rnm= 1.296 K  shell
# # Gam_ch=1.729E+00 H-L exch
#  xsedge+ 50, used to normalize mu           2.0E-04
#  omega    e    k    mu    mu0     chi     @#
"""


@pytest.fixture
def materials(tmp_path):
    """Two materials: three sites of four Cu have a spectrum; a third folder has none."""
    folder = tmp_path / "set"
    atoms = Atoms("OCu2", [[0, 0, 0], [2, 0, 0], [0, 2, 0]], cell=4 * np.eye(3), pbc=True)
    for name, sites in (("mp-1", (1, 2)), ("mp-2", (2,)), ("mp-3", ())):
        (folder / name).mkdir(parents=True)
        ase.io.write(folder / name / "POSCAR", atoms, format="vasp")
        for site in sites:
            mu = 0.5 + np.arctan((ENERGIES - 8990.0 - site) / 2.0) / np.pi
            zeros = np.zeros_like(mu)
            rows = np.column_stack([ENERGIES, zeros, zeros, mu, zeros, zeros])
            write(folder / name / "FEFF-XANES" / f"{site:03d}_Cu" / "xmu.dat", HEADER + table(rows))
    return folder


def test_exactly_the_sites_with_a_spectrum_are_imported(tmp_path, materials):
    assert run("import", materials, "--layout", "lightshow", "-o", tmp_path / "s.h5") == 0
    with StructureStore(tmp_path / "s.h5") as store:
        assert store.sites.name == ["mp-1#1", "mp-1#2", "mp-2"]
        spectra = list(read_spectra(store.file, [0, 1, 2]))
    assert [s.e0 for s in spectra] == [8979.0] * 3  # the tabulated edge: shifts between sites stay
    steepest = [s.relative[np.argmax(np.gradient(s.spectrum.intensities))] for s in spectra]
    assert steepest == [12.0, 13.0, 13.0]


def test_feffs_own_normalisation(tmp_path, materials):
    assert run("import", materials, "--layout", "lightshow", "--feff-mu", "normalised", "-o", tmp_path / "s.h5") == 0
    with StructureStore(tmp_path / "s.h5") as store:
        assert next(iter(read_spectra(store.file, [0]))).spectrum.intensities.max() == pytest.approx(0.995, abs=0.01)


def test_listed_sites(tmp_path, materials, capsys):
    write(tmp_path / "s.csv", "structure,atom\nmp-1,1\nmp-1,0\nmp-2,1\n")
    words = ["import", materials, "--layout", "lightshow", "--sites", tmp_path / "s.csv", "-o", tmp_path / "s.h5"]
    assert run(*words) == 0
    printed = capsys.readouterr().err
    assert "mp-1#0" in printed
    assert "beside it for atom 1" in printed
    with StructureStore(tmp_path / "s.h5") as store:
        assert (store.sites.name, store.sites.atom.tolist()) == (["mp-1"], [1])
    write(tmp_path / "s.csv", "site\nmp-1\n")
    assert run(*words, "--overwrite") == 0
    with StructureStore(tmp_path / "s.h5") as store:
        assert store.sites.name == ["mp-1#1", "mp-1#2"]


def test_a_site_of_another_element_costs_only_itself(tmp_path, materials, capsys):
    (materials / "mp-1" / "FEFF-XANES" / "001_Cu").rename(materials / "mp-1" / "FEFF-XANES" / "000_Cu")
    assert run("import", materials, "--layout", "lightshow", "-o", tmp_path / "s.h5") == 0
    printed = capsys.readouterr().err
    assert "000_Cu: expected atom 0 of" in printed
    assert "it is O" in printed
    with StructureStore(tmp_path / "s.h5") as store:
        assert (store.sites.name, store.sites.atom.tolist()) == (["mp-1", "mp-2"], [2, 2])


def test_a_folder_without_materials(tmp_path, materials, capsys):
    message = refused(
        capsys, tmp_path, "import", materials / "mp-1" / "FEFF-XANES", "--layout", "lightshow", "-o", tmp_path / "s.h5"
    )
    assert "expected folders ID/POSCAR, found none" in message


def test_folders_that_cannot_be_used_are_named(tmp_path, materials, capsys):
    (materials / "mp-1" / "POSCAR").unlink()
    (materials / "mp-2" / "FEFF-XANES" / "001_Cu").mkdir()
    (materials / "mp-2" / "FEFF-XANES" / "001_Cu" / "xmu.dat").write_text("FEFF stopped")
    (materials / "mp-3" / "FEFF-XANES").write_text("a file")
    (materials / "mp-4").mkdir()
    assert run("import", materials, "--layout", "lightshow", "-o", tmp_path / "s.h5", "--json") == 0
    reasons = [item["reason"] for item in json.loads(capsys.readouterr().out)["skipped"]]
    assert [reason.removeprefix(f"{materials}/").partition(":")[0] for reason in reasons] == [
        "mp-1/POSCAR", "mp-2/FEFF-XANES/001_Cu/xmu.dat", "mp-3/POSCAR",
    ]  # fmt: skip
    with StructureStore(tmp_path / "s.h5") as store:
        assert store.sites.name == ["mp-2"]


def test_two_folders_of_one_atom(tmp_path, materials, capsys):
    folder = materials / "mp-1" / "FEFF-XANES"
    (folder / "01_Cu").mkdir()
    (folder / "01_Cu" / "xmu.dat").write_bytes((folder / "001_Cu" / "xmu.dat").read_bytes())
    assert run("import", materials, "--layout", "lightshow", "-o", tmp_path / "s.h5") == 0
    assert "01_Cu: expected one folder for atom 1, received 001_Cu too" in capsys.readouterr().err
    with StructureStore(tmp_path / "s.h5") as store:
        assert (store.sites.name, store.sites.atom.tolist()) == (["mp-1", "mp-2"], [2, 2])
