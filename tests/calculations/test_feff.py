"""FEFF: inputs of sites, states of runs, and the spectra that ``calculate`` and ``feff ingest`` bring into a store."""

import json
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk, molecule
from support.builders import refused, run, table, write
from support.stored import write_structures

from xanes_hpc.calculations.feff.cluster import calculation_of
from xanes_hpc.calculations.feff.program import Feff
from xanes_hpc.calculations.ingest import look_at
from xanes_hpc.calculations.program import State
from xanes_hpc.errors import FormatError
from xanes_hpc.formats import feff_input
from xanes_hpc.formats.feff_input import Settings
from xanes_hpc.stores.spectra import SpectrumTable, read_spectra
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.structure import Structure

WATER = Structure("water", molecule("H2O").numbers.astype(np.uint8), molecule("H2O").positions)
COPPER = bulk("Cu", "fcc", a=3.61)
CRYSTAL = Structure(
    "copper", COPPER.numbers.astype(np.uint8), COPPER.positions, np.asarray(COPPER.cell), np.ones(3, np.bool_)
)
BY_HAND = """title by hand
hole 4 1.0
* scf 5
rmultiplier 2.0
potentials
1 1 H
0 8 O
atoms
0.4 0 0 1
0 0 0 0 O
end
"""
FAST = Settings(scf_radius=0.0, core_hole="none", energies=(-5.0, 5.0, 40.0))


def cards(structure, settings=FAST, atom=0, edge="K"):
    """Return the cards of a site's input by name, and its lines of potentials and atoms."""
    text = Feff(settings).files(structure, atom, edge, "a")["feff.inp"]
    before, _, after = text.partition("POTENTIALS\n")
    potentials, _, atoms = after.partition("ATOMS\n")
    lines = (line.split() for line in before.splitlines() if line)
    return (
        {words[0]: words[1:] for words in lines},
        [line.split() for line in potentials.splitlines()],
        [line.split() for line in atoms.splitlines() if line != "END"],
    )


def test_the_input_of_a_molecule(tmp_path):
    found, potentials, atoms = cards(WATER, Settings(scf_radius=4.0, debye_waller=(300.0, 500.0)))
    assert found["COREHOLE"] == ["RPA"]
    assert found["SCF"][:2] == ["4.0000", "1"]
    assert found["FMS"] == ["6.0000", "1"]
    assert found["DEBYE"] == ["300", "500"]
    assert [words[:2] for words in potentials] == [["0", "8"], ["1", "1"]]
    assert len(atoms) == 3
    assert atoms[0][:4] == ["0.0000000", "0.0000000", "0.0000000", "0"]


def test_a_crystal_is_cut_with_whole_shells():
    """The third shell of copper is at 4.42 Å; a radius within a rounding of it takes it whole."""
    found, potentials, atoms = cards(CRYSTAL, replace(FAST, fms_radius=3.61 * np.sqrt(1.5) - 1e-5))
    assert float(found["FMS"][0]) == pytest.approx(3.61 * np.sqrt(1.5) + 0.01, abs=1e-3)
    assert found["FMS"][1] == "0"
    assert [words[:2] for words in potentials] == [["0", "29"], ["1", "29"]]
    distances = np.array([float(words[5]) for words in atoms])
    shells = np.sqrt(np.arange(1, 8) / 2.0) * 3.61
    assert all(np.abs(shells - d).min() < 1e-4 for d in distances[1:])
    n_atoms = [12, 6, 24, 12, 24, 8, 48]
    for shell, n in zip(shells[shells <= distances.max() + 1e-4], n_atoms, strict=False):
        assert (np.abs(distances - shell) < 1e-4).sum() == n


def test_potentials_by_shell():
    carbonyl = Structure(
        "x",
        np.array([26, 6, 8, 6, 8], np.uint8),
        np.array([[0, 0, 0], [1.8, 0, 0], [2.95, 0, 0], [0, 4, 0], [0, 5.15, 0]]),
    )
    assert [words[1] for words in cards(carbonyl)[1]] == ["26", "6", "8"]
    by_shell = cards(carbonyl, replace(FAST, potentials="shell"))
    assert [words[1] for words in by_shell[1]] == ["26", "6", "8", "6"]
    assert [words[3] for words in by_shell[2]] == ["0", "1", "2", "3", "2"]


def test_a_far_element_is_within_the_potential_and_the_screening():
    far = Structure("x", np.array([26, 8, 17], np.uint8), np.array([[0, 0, 0], [2.0, 0, 0], [5.0, 0, 0.0]]))
    assert float(cards(far, replace(FAST, core_hole="rpa"))[0]["SCREEN"][1]) > 5.0
    assert float(cards(far, replace(FAST, scf_radius=4.0))[0]["SCF"][0]) > 5.0
    hydrogen = replace(far, numbers=np.array([26, 8, 1], np.uint8))  # FEFF moves it outwards
    assert float(cards(hydrogen, replace(FAST, scf_radius=4.0))[0]["SCF"][0]) > 5.3
    assert len(cards(far, replace(FAST, fms_radius=4.0))[1]) == 2  # chlorine has no part in the scattering
    both = cards(far, replace(FAST, scf_radius=5.5, fms_radius=4.0))
    assert [words[1] for words in both[1]] == ["26", "8", "17"]
    assert float(both[0]["FMS"][0]) > 5.0


@pytest.mark.parametrize(
    ("structure", "edge", "settings", "said"),
    [
        (WATER, "L23", FAST, "FEFF has no edge L23; it has K, L1"),
        (Structure("x", np.array([26], np.uint8), np.zeros((1, 3))), "K", FAST, "there is none nearby"),
        (
            Structure("x", np.array([26, 8], np.uint8), np.array([[0, 0, 0], [9.0, 0, 0]])), "K", FAST,
            "expected another atom within 6 Å of the absorber",
        ),
        (Structure("x", np.array([26, 8], np.uint8), np.array([[0, 0, 0], [0.6, 0, 0]])), "K", FAST, "0.600 Å apart"),
        (Structure("x", np.array([103, 8], np.uint8), np.array([[0, 0, 0], [2.6, 0, 0]])), "K", FAST, "up to Es"),
        (CRYSTAL, "K", replace(FAST, fms_radius=25.0), "FEFF takes 4,000 atoms, received"),
        (replace(WATER, numbers=np.array([1, 8, 1], np.uint8)), "L3", FAST, "H has no L3 edge in XrayDB; it has K"),
    ],
)  # fmt: skip
def test_sites_that_feff_cannot_calculate(structure, edge, settings, said):
    with pytest.raises(FormatError) as error:
        calculation_of(structure, 0, edge, "a", settings)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"fms_radius": 0.0}, "`fms_radius`: expected more than 0 Å"),
        ({"scf_radius": -1.0}, "`scf_radius`: expected 0 Å or more"),
        ({"core_hole": "some"}, "`core_hole` 'some': expected rpa, fsr, none"),
        ({"exchange": "lda"}, "`exchange` 'lda': expected hedin-lundin"),
        ({"energies": (0.0, -1.0, 5.0)}, "expected ascending energies and steps above 0"),
        ({"energies": (0.0, 1.0)}, "expected energies with a step between each two"),
        ({"energies": (0.0, 0.01, 60.0)}, "expected 450 energies or fewer, received 6,001"),
        ({"debye_waller": (1.0, 2.0, 3.0)}, "`debye_waller`: expected a mean square displacement"),
        ({"cards": ("EDGE L3",)}, "this card is written from the other settings"),
        ({"cards": ("",)}, "expected the name of a card"),
    ],
)
def test_invalid_settings(settings, said):
    with pytest.raises(FormatError) as error:
        Feff(replace(FAST, **settings)).check()
    assert said in str(error.value)


def test_a_further_card_replaces_ours():
    found = cards(WATER, replace(FAST, cards=("XANES 4 0.04 0.1", "NLEG 2")))[0]
    assert found["XANES"] == ["4", "0.04", "0.1"]
    assert found["NLEG"] == ["2"]
    assert "EGRID" not in found


def test_an_input_is_read_back(tmp_path):
    calculation = calculation_of(CRYSTAL, 0, "L3", "copper", replace(FAST, kind="xes"))
    path = write(tmp_path / "feff.inp", feff_input.write(calculation, replace(FAST, kind="xes")))
    found = feff_input.read(path)
    assert (found.edge, found.kind, found.title, found.scf_radius) == ("L3", "xes", "copper", 0.0)
    np.testing.assert_array_equal(found.cluster.numbers, calculation.cluster.numbers)
    np.testing.assert_allclose(found.cluster.positions, calculation.cluster.positions, atol=1e-6)


def test_an_input_by_others(tmp_path):
    found = feff_input.read(write(tmp_path / "feff.inp", BY_HAND))
    assert (found.edge, found.scf_radius) == ("L3", 0.0)
    assert found.cluster.numbers.tolist() == [8, 1]
    np.testing.assert_allclose(found.cluster.positions, [[0, 0, 0], [0.8, 0, 0]])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("0 0 0 0 O", "", "one atom with the potential 0, the absorber's, received 0"),
        ("0.4 0 0 1", "0.4 0 x 1", "line 9: expected numbers, received '0.4 0 x 1'"),
        ("0.4 0 0 1", "0.4 0 0 2", "expected potential 2 of ATOMS in POTENTIALS"),
        ("hole 4", "hole 40", "EDGE: expected one of K"),
    ],
)
def test_inputs_that_cannot_be_read(tmp_path, old, new, said):
    with pytest.raises(FormatError) as error:
        feff_input.read(write(tmp_path / "feff.inp", BY_HAND.replace(old, new)))
    assert said in str(error.value)


ENERGIES = np.arange(538.0, 590.0, 0.5)
HEADER = """# water                                                        FEFF 10.0.0
# Abs   Z= 8 Rmt= 1.168 Rnm= 1.296 K  shell
#  xsedge+ 50, used to normalize mu           2.3515E-04
#  omega    e    k    mu    mu0     chi     @#
"""


@pytest.fixture
def runs(tmp_path):
    """Write water and its run, as if FEFF had finished it."""
    write_structures(tmp_path / "w.h5", [(WATER, [0], "K", [[]])])
    assert run("feff", "write", tmp_path / "w.h5", "-o", tmp_path / "runs") == 0
    above = ENERGIES - 544.0
    k = np.sign(above) * np.sqrt(np.abs(above) / 3.81)
    mu = np.arctan(above) / np.pi + 0.5
    zeros = np.zeros_like(mu)
    write(tmp_path / "runs/water/xmu.dat", HEADER + table(np.column_stack([ENERGIES, above, k, mu, zeros, zeros])))
    write(tmp_path / "runs/water/log1.dat", "Convergence reached in 9 iterations.\n")
    return tmp_path / "runs"


def spectra(store):
    with StructureStore(store) as opened:
        table_ = SpectrumTable.read(opened.file)
        return table_, list(read_spectra(opened.file, list(range(opened.n_spectra))))


def test_runs_elsewhere_are_read_into_the_store(tmp_path, runs, capsys):
    assert run("feff", "ingest", runs, tmp_path / "w.h5") == 0
    table_, (placed,) = spectra(tmp_path / "w.h5")
    assert json.loads(table_.treatment[0]) == {
        "name": "feff", "program": "FEFF 10.0.0", "scf_radius": 5.0, "fms_radius": 6.0, "core_hole": "rpa",
        "exchange": "hedin-lundin", "potentials": "element",
    }  # fmt: skip
    assert placed.e_cut == pytest.approx(544.0 - placed.e0, abs=0.02)
    assert Feff().made("xanes", table_.treatment[0])
    assert not Feff(FAST).made("xanes", table_.treatment[0])
    assert run("feff", "write", tmp_path / "w.h5", "-o", tmp_path / "more", "--missing") == 2
    assert "all 1 sites have a calculated spectrum already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoilt", "text", "state", "said"),
    [
        ("log1.dat", "no end\n", State.FAILED, "the potential did not converge"),
        ("xmu.dat", None, State.UNFINISHED, ""),
        ("feff.inp", None, State.FAILED, "feff.inp: cannot be read"),
        ("settings.json", "[", State.GOOD, ""),
    ],
)
def test_states_of_runs(runs, spoilt, text, state, said):
    path = runs / "water" / spoilt
    path.unlink() if text is None else path.write_text(text)
    found = look_at(Feff(), runs / "water", "water")
    assert (found.state, said in found.reason) == (state, True)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("# POT  Non-SCF, screened core-hole", "xmu.dat is of another input: its SCF radius is 0 Å, expected 5 Å"),
        ("# POT  SCF 100  4.0000   1, screened core-hole", "its SCF radius is 4 Å, expected 5 Å"),
        ("FMS rfms= 3.0000", "its FMS radius is 3 Å, expected 6 Å"),
        ("# POT  SCF 100  5.0000   1, screened core-hole\n# FMS rfms= 6.0000", ""),
    ],
)
def test_a_spectrum_of_another_input_is_not_good(runs, line, said):
    path = runs / "water/xmu.dat"
    path.write_text(f"# {line}\n" + path.read_text())
    found = look_at(Feff(), runs / "water", "water")
    assert (found.state, found.reason) == (State.FAILED if said else State.GOOD, found.reason if said else "")
    assert said in found.reason


def test_the_words_of_feff_for_a_failed_module(runs):
    (runs / "water/xmu.dat").unlink()
    log = "some\n Cannot find all representative atoms\n Increase FMS radius and rerun.\n In subroutine FMS\n"
    (runs / "water/run.log").write_text(log + "\nfeff10: stage 'screen' failed (exit code: 1): worker exited\n")
    found = look_at(Feff(), runs / "water", "water")
    assert found.state is State.FAILED
    assert found.reason == (
        "module screen: Cannot find all representative atoms Increase FMS radius and rerun. In subroutine FMS"
    )


def test_a_module_that_gave_up_is_quoted_rather_than_the_crash_of_the_next(runs):
    (runs / "water/xmu.dat").unlink()
    log = (
        " Bad counts found repeatedly - pot will exit now.\n Done with module: potentials.\n"
        "forrtl: severe (29): file not found, unit 3, file pot.bin\n"
        "Image              PC                Routine            Line        Source\n"
        "_feff10.abi3.so    00007F0DE37EC124  Unknown               Unknown  Unknown\n"
    )
    end = "\nfeff10: stage 'screen' failed (exit code: 29): worker exited\n"
    (runs / "water/run.log").write_text(log + end)
    found = look_at(Feff(), runs / "water", "water")
    assert found.reason == "module screen: Bad counts found repeatedly - pot will exit now."
    (runs / "water/run.log").write_text(log.partition("\n")[2] + end)
    found = look_at(Feff(), runs / "water", "water")
    assert found.reason.endswith("file pot.bin")


def test_runs_of_other_sites_are_refused(tmp_path, runs, capsys):
    text = (runs / "water/feff.inp").read_text()
    (runs / "water/feff.inp").write_text(text.replace("0.7632390", "0.8632390", 1))
    assert "its positions differ" in refused(capsys, tmp_path, "feff", "ingest", runs, tmp_path / "w.h5")
    (runs / "water/feff.inp").write_text(text.replace("EDGE K", "EDGE L1"))
    assert "its edge is L1, expected K" in refused(capsys, tmp_path, "feff", "ingest", runs, tmp_path / "w.h5")
