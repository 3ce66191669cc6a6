"""Lightshow's folders with the calculations of other programs than FEFF."""

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import make_supercell
from ase.units import Bohr, Hartree
from support.builders import refused, run, table, write

from xanes_hpc.stores.spectra import read_spectra
from xanes_hpc.stores.structures import StructureStore

E0 = 4966.0
RELATIVE = np.arange(-15.0, 60.0, 0.25)
CELL = 4.6 * np.eye(3)
ATOMS = Atoms("OTi2", [[0, 0, 0], [2.3, 0, 0], [0, 2.3, 0]], cell=CELL, pbc=True)
NOTHING = np.zeros_like(RELATIVE)


def step(at):
    return 0.5 + np.arctan((RELATIVE - at) / 2.0) / np.pi


def xspectra(folder, atom, at=3.0):
    header = "# Final state angular momentum:   1\n# Broadening parameter (in eV):    0.890\n"
    header += "# Absorbing atom type (xiabs):   1\n# Energy (eV)   sigma\n"
    for k in (1, 2, 3):
        rows = np.column_stack([RELATIVE, k * step(at)])
        write(folder / "XSpectra" / f"{atom:03d}_Ti" / f"dipole{k}" / "xanes.dat", header + table(rows))


def ocean(folder, number, at=3.0):
    header = "#   iter=  200   gam= 0.01837466E+00   kpref= 0.1E+01\n#   Energy  Spect  Spect(0)  SPKK  SPKK(0)\n"
    for k in (1, 2, 3):
        write(folder / "OCEAN" / f"photon{k}", "dipole\n")
        rows = np.column_stack([RELATIVE, NOTHING, k * step(at), NOTHING, NOTHING])
        write(folder / "OCEAN" / "CNBSE" / f"absspct_Ti.{number:04d}_1s_{k:02d}", header + table(rows))


def exciting(folder, atom, at=3.0, place=None, tevout="true", unit=1.0, offset=100.0):
    own = folder / "EXCITING" / f"{atom:03d}_Ti"
    place = ATOMS.get_scaled_positions()[atom] if place is None else place
    vectors = "".join(f"<basevect>{' '.join(map(str, row))}</basevect>" for row in CELL / Bohr)
    coords = f'<atom coord="0.1 0.1 0.1"/><atom coord="{" ".join(map(str, place))}"/>'
    structure = f'<crystal scale="1.0">{vectors}</crystal><species speciesfile="O.xml"><atom coord="0 0 0"/></species>'
    structure += f'<species speciesfile="Ti.xml">{coords}</species>'
    xs = f'<xs tevout="{tevout}"><BSE xasspecies="2" xasatom="2"/></xs>'
    write(own / "input.xml", f"<input><structure>{structure}</structure>{xs}</input>")
    for k in (1, 2, 3):
        rows = np.column_stack([(RELATIVE + E0 - offset) / unit, NOTHING, k * step(at), NOTHING])
        text = "# Version: x\n#\n" + "".join(" ".join(f"{value:.9f}" for value in row) + "\n" for row in rows)
        write(own / "EPSILON" / f"EPSILON_BSE-singlet-TDA-BAR_SCR-full_OC{k}{k}.OUT", text)
    write(own / "EPSILON" / "EPSILON_BSE-singlet-TDA-BAR_SCR-full_OC12.OUT", "# off the diagonal\n1 2 3 4\n2 3 4 5\n")


def vasp(folder, atom, at=3.0, excited=None, offset=100.0):
    own = folder / "VASP" / f"{atom:03d}_Ti"
    own.mkdir(parents=True)
    large = make_supercell(ATOMS, np.diag([2, 1, 1]))
    place = ATOMS.positions[atom if excited is None else excited] + CELL[0]
    first = int(np.argmin(np.linalg.norm(large.positions - place, axis=1)))
    ase.io.write(own / "POSCAR", large[[first, *(k for k in range(len(large)) if k != first)]], format="vasp")
    title = (
        "  frequency dependent {} DIELECTRIC FUNCTION (independent particle, no local field effects) density-density\n"
    )
    titles = "     E(ev)      X         Y         Z        XY        YZ        ZX\n" + 70 * "-" + "\n"
    rows = np.column_stack([RELATIVE + E0 - offset, *(k * step(at) for k in (1, 2, 3)), NOTHING, NOTHING, NOTHING])
    text = "a line\n" + title.format("IMAGINARY") + titles + table(rows) + " \n" + title.format("REAL") + titles
    write(own / "OUTCAR", text + table(rows))


def imported(tmp_path, *options):
    words = ("import", tmp_path / "set", "--layout", "lightshow", "-o", tmp_path / "s.h5", "--overwrite", *options)
    assert run(*words) == 0
    with StructureStore(tmp_path / "s.h5") as store:
        return store.sites.name, list(read_spectra(store.file, range(store.n_spectra)))


@pytest.fixture
def material(tmp_path):
    folder = tmp_path / "set" / "mp-1"
    folder.mkdir(parents=True)
    ase.io.write(folder / "POSCAR", ATOMS, format="vasp")
    return folder


@pytest.mark.parametrize("make", [xspectra, ocean])
def test_energies_from_the_fermi_level_are_placed_at_the_edge(tmp_path, material, capsys, make):
    """Every direction counts alike, and a note says that shifts between sites are lost."""
    make(material, 1)
    make(material, 2, at=5.0)
    names, spectra = imported(tmp_path)
    assert names == ["mp-1#1", "mp-1#2"]
    assert [s.e0 for s in spectra] == [E0, E0]
    for spectrum, at in zip(spectra, (3.0, 5.0), strict=True):
        np.testing.assert_allclose(spectrum.relative, RELATIVE, atol=1e-3)
        np.testing.assert_allclose(spectrum.spectrum.intensities, 2 * step(at), atol=1e-5)
    assert "Fermi level" in capsys.readouterr().err


@pytest.mark.parametrize("make", [exciting, vasp])
def test_energies_far_from_the_edge_need_a_shift(tmp_path, material, capsys, make):
    make(material, 1)
    make(material, 2, at=5.0)
    message = refused(capsys, tmp_path, "import", tmp_path / "set", "--layout", "lightshow", "-o", tmp_path / "s.h5")
    assert "--shift" in message
    names, spectra = imported(tmp_path, "--shift", 100)
    assert names == ["mp-1#1", "mp-1#2"]
    for spectrum, at in zip(spectra, (3.0, 5.0), strict=True):
        np.testing.assert_allclose(spectrum.relative, RELATIVE, atol=1e-3)
        np.testing.assert_allclose(spectrum.spectrum.intensities, 2 * step(at), atol=1e-5)


def test_the_real_part_is_not_taken_for_an_empty_imaginary_one(tmp_path, material, capsys):
    vasp(material, 1)
    path = material / "VASP" / "001_Ti" / "OUTCAR"
    text = path.read_text()
    path.write_text(text[: text.index("E(ev)")] + "\n" + text[text.index(" frequency dependent REAL") :])
    words = ("import", tmp_path / "set", "--layout", "lightshow", "-o", tmp_path / "s.h5", "--shift", 100)
    assert str(path) in refused(capsys, tmp_path, *words)


def test_excitings_energies_may_be_in_hartree(tmp_path, material):
    exciting(material, 1, tevout="false", unit=Hartree)
    _, (spectrum,) = imported(tmp_path, "--shift", 100)
    np.testing.assert_allclose(spectrum.relative, RELATIVE, atol=1e-3)


def test_a_calculation_of_another_atom_costs_only_its_site(tmp_path, material, capsys):
    vasp(material, 1)
    vasp(material, 2, excited=1)
    names, _ = imported(tmp_path, "--shift", 100)
    assert names == ["mp-1"]
    assert "expected a calculation of atom 2 of mp-1" in capsys.readouterr().err
    exciting(material, 1)
    exciting(material, 2, place=(0.3, 0.3, 0.3))
    names, _ = imported(tmp_path, "--shift", 100, "--calculation", "exciting")
    assert names == ["mp-1"]


@pytest.mark.parametrize("make", [xspectra, ocean])
def test_a_missing_direction_costs_only_its_site(tmp_path, material, capsys, make):
    make(material, 1)
    make(material, 2)
    pattern = {xspectra: "XSpectra/002_Ti/dipole3/xanes.dat", ocean: "OCEAN/CNBSE/absspct_Ti.0002_1s_03"}[make]
    (material / pattern).unlink()
    assert imported(tmp_path)[0] == ["mp-1"]
    assert "directions of polarisation" in capsys.readouterr().err


def test_which_calculation_is_taken(tmp_path, material, capsys):
    xspectra(material, 1)
    ocean(material, 2)
    words = ("import", tmp_path / "set", "--layout", "lightshow", "-o", tmp_path / "s.h5")
    assert "--calculation: expected one of ocean, xspectra" in refused(capsys, tmp_path, *words)
    _, (spectrum,) = imported(tmp_path, "--calculation", "ocean")
    assert "of several calculations one was taken: ocean; also there: xspectra" in capsys.readouterr().err
    assert spectrum.spectrum.source == "mp-1/OCEAN/CNBSE/absspct_Ti.0002_1s_01"
    assert "--calculation" in refused(
        capsys, tmp_path, "import", material / "POSCAR", "--calculation", "ocean", *words[-2:]
    )


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (xspectra, "XSpectra/001_Ti/dipole1/xanes.dat"), (ocean, "OCEAN/CNBSE/absspct_Ti.0001_1s_01"),
        (exciting, "EXCITING/001_Ti/EPSILON/EPSILON_BSE-singlet-TDA-BAR_SCR-full_OC11.OUT"),
        (vasp, "VASP/001_Ti/OUTCAR"), (exciting, "EXCITING/001_Ti/input.xml"), (vasp, "VASP/001_Ti/POSCAR"),
    ],
)  # fmt: skip
def test_damaged_files_are_named(tmp_path, material, capsys, make, name):
    make(material, 1)
    (material / name).write_text("no such thing\n")
    words = ("import", tmp_path / "set", "--layout", "lightshow", "-o", tmp_path / "s.h5", "--shift", 0)
    assert str(material / name) in refused(capsys, tmp_path, *words)
