"""Relaxing structures by GFN2-xTB: results, failures, and resuming after a stop."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase.build import molecule
from support import deadly
from support.builders import refused, run, write, write_xyz

from xanes_hpc.calculations.relax import RelaxOptions, journal_path, relax
from xanes_hpc.calculations.xtb import Relaxed, relax_one
from xanes_hpc.errors import ConfigError
from xanes_hpc.importing.from_files import import_structures
from xanes_hpc.importing.options import ImportOptions
from xanes_hpc.jobs.processes import processes
from xanes_hpc.jobs.tasks import results
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.structure import Structure

FEW = RelaxOptions(fmax=0.1)


def xyz(name, atoms, comment="", moved=0.0):
    positions = atoms.positions + np.random.default_rng(len(name)).normal(0, moved, atoms.positions.shape)
    return [(s, *p) for s, p in zip(atoms.symbols, positions, strict=True)], comment


@pytest.fixture
def store(tmp_path):
    """Write displaced water, methanethiol and ammonium, each atom a site."""
    folder = tmp_path / "xyz"
    write_xyz(folder / "water.xyz", *xyz("water", molecule("H2O"), moved=0.08))
    write_xyz(folder / "thiol.xyz", *xyz("thiol", molecule("CH3SH"), moved=0.05))
    ammonium = molecule("CH4")
    ammonium.symbols[0] = "N"
    write_xyz(folder / "ammonium.xyz", *xyz("ammonium", ammonium, "charge=1 spin=0", moved=0.05))
    import_structures([folder], tmp_path / "s.h5", ImportOptions(absorber="all"))
    return tmp_path / "s.h5"


def positions(path, name):
    with StructureStore(path) as found:
        (structure, sites) = next((s, t) for s, t in found.structures() if s.name == name)
        return structure, sites


def test_relaxed_structures(store, tmp_path):
    with StructureStore(store) as source:
        done = relax(source, tmp_path / "r.h5", FEW, workers=2)
    assert (done.relaxed, done.failed_count) == (3, 0)
    assert 0.02 < done.largest_move < 1.0
    water, sites = positions(tmp_path / "r.h5", "water")
    bonds = np.linalg.norm(water.positions[1:] - water.positions[0], axis=1)
    np.testing.assert_allclose(bonds, 0.96, atol=0.01)  # Å, from GFN2-xTB
    assert water.properties["gfn2_fmax"] <= 0.1
    assert water.properties["gfn2_energy"] == pytest.approx(-137.97, abs=0.05)  # eV: -5.0703 Hartree
    before, own = positions(store, "water")
    assert (sites.atom.tolist(), sites.name, sites.edge) == (own.atom.tolist(), own.name, own.edge)
    np.testing.assert_array_equal(water.numbers, before.numbers)
    ammonium, _ = positions(tmp_path / "r.h5", "ammonium")
    assert (ammonium.properties["charge"], ammonium.properties["spin"]) == (1.0, 0.0)
    np.testing.assert_allclose(np.linalg.norm(ammonium.positions[1:] - ammonium.positions[0], axis=1), 1.03, atol=0.02)
    assert not journal_path(tmp_path / "r.h5").exists()


def test_only_listed_sites_and_their_structures(store, tmp_path):
    write(tmp_path / "s.csv", "structure,atom\nwater,2\nammonium,0\nwater,0\n")
    words = ["relax", store, "--fmax", 0.1, "--workers", 1, "--sites", tmp_path / "s.csv", "-o", tmp_path / "r.h5"]
    assert run(*words) == 0
    with StructureStore(tmp_path / "r.h5") as found:
        assert list(zip(found.sites.name, found.sites.atom.tolist(), strict=True)) == [
            ("ammonium", 0), ("water#0", 0), ("water#2", 2)
        ]  # fmt: skip
    water, _ = positions(tmp_path / "r.h5", "water")
    assert water.properties["gfn2_energy"] == pytest.approx(-137.97, abs=0.05)


def test_failures_are_listed_and_left_out(tmp_path, capsys):
    folder = tmp_path / "xyz"
    write_xyz(folder / "good.xyz", *xyz("good", molecule("H2O")))
    write_xyz(folder / "odd.xyz", *xyz("odd", molecule("H2O"), "charge=1 spin=0"))
    write_xyz(folder / "slow.xyz", *xyz("slow", molecule("CH3SH"), moved=0.15))
    assert run("import", folder, "-o", tmp_path / "s.h5", "--absorber", "first") == 0
    words = ["relax", tmp_path / "s.h5", "-o", tmp_path / "r.h5", "--steps", 3, "--workers", 1]
    assert run(*words, "--json", tmp_path / "r.json") == 0
    printed = capsys.readouterr()
    assert "failed: odd: 9 electrons cannot have a total spin of 0" in printed.err
    assert "failed: slow: not converged: forces above 0.05 eV/Å after 3 steps" in printed.err
    assert json.loads((tmp_path / "r.json").read_text())["failed_count"] == 2
    with StructureStore(tmp_path / "r.h5") as found:
        assert [s.name for s, _ in found.structures()] == ["good"]
    assert run(*words, "--overwrite", "--keep-unconverged") == 0
    assert "1 relaxed, 1 kept unconverged after 3 steps" in capsys.readouterr().out
    with StructureStore(tmp_path / "r.h5") as found:
        assert [s.name for s, _ in found.structures()] == ["good", "slow"]


def test_a_structure_with_several_edges_costs_only_itself(store, tmp_path):
    with h5py.File(store, "a") as file:
        edges = file["sites/edge"][()]
        edges[0] = b"L"
        file["sites/edge"][...] = edges
    with StructureStore(store) as source:
        done = relax(source, tmp_path / "r.h5", FEW, workers=2)
    assert (done.relaxed, done.failed_count) == (2, 1)
    assert "has sites at several edges (K, L)" in done.failed[0]


@pytest.mark.parametrize(
    ("properties", "why"),
    [
        ({"charge": "plus one"}, "charge: expected a multiple of 1, received 'plus one'"),
        ({"charge": 0.4}, "charge: expected a multiple of 1, received 0.4"),
        ({"spin": 0.7}, "spin: expected a multiple of 0.5, received 0.7"),
        ({"spin": "high"}, "spin: expected a multiple of 0.5, received 'high'"),
    ],
)
def test_invalid_charges(properties, why):
    water = molecule("H2O")
    structure = Structure("w", water.numbers.astype("u1"), water.positions, properties=properties)
    assert relax_one(structure, "gfn2", 0.05, 10).failed == why


def test_a_crash_affects_only_its_own_structure():
    names = ["a", "bb", "dies", "dddd", "eeeee", "dies too", "ggggggg"]
    structures = [Structure(name, np.zeros(1, "u1"), np.zeros((1, 3))) for name in names]
    found = dict(results(processes(2), iter(enumerate(structures)), deadly.task, lambda: Relaxed(failed="ended")))
    assert sorted(found) == list(range(7))
    for k, name in enumerate(names):
        if "dies" in name:
            assert found[k].failed == "ended"
        else:
            assert (found[k].failed, found[k].steps) == ("", len(name))


def is_alive(pid):
    """Return whether a process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def refused_meanwhile(capsys, *words):
    """Return the error of a run while another writes the same output."""
    capsys.readouterr()
    assert run(*words) == 2
    return capsys.readouterr().err


def test_a_killed_run_is_resumed(tmp_path, capsys):
    folder = tmp_path / "xyz"
    for k in range(6):
        write_xyz(folder / f"m{k}.xyz", *xyz("x" * k, molecule("CH3SH"), moved=0.1))
    assert run("import", folder, "-o", tmp_path / "s.h5", "--absorber", "S") == 0
    words = ["relax", str(tmp_path / "s.h5"), "-o", str(tmp_path / "r.h5"), "--workers", "1", "--fmax", "0.01"]
    journal = journal_path(tmp_path / "r.h5")
    process = subprocess.Popen([sys.executable, "-m", "xanes_hpc", *words], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (journal.exists() and journal.read_bytes().count(b"\n") > 2):
        time.sleep(0.01)
    assert "r.h5.relaxing.jsonl: in use by another run" in refused_meanwhile(capsys, *words)
    children = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    process.kill()
    process.wait()
    assert children
    while any(Path(f"/proc/{pid}/cmdline").exists() and is_alive(pid) for pid in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    done = [json.loads(line) for line in journal.read_text().splitlines()[1:]]
    assert 1 <= len(done) < 6
    with journal.open("a") as stream:
        stream.write('{"row": 5, "posi')
    shutil.copy(journal, tmp_path / "copy.jsonl")
    line = refused(capsys, tmp_path, *words[:-1], "0.02")
    assert "r.h5.relaxing.jsonl: belongs to a run with other settings (fmax 0.01, now 0.02)" in line
    assert "start anew with --overwrite" in line
    assert run(*words[:-1], "0.5", "--overwrite", "--json") == 0
    assert json.loads(capsys.readouterr().out)["taken_up"] == 0
    shutil.copy(tmp_path / "copy.jsonl", journal)
    assert run(*words, "--overwrite", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["relaxed"], summary["taken_up"]) == (6, len(done))
    with h5py.File(tmp_path / "r.h5") as file:
        for one in done:
            start = file["structures/offsets"][one["row"]]
            np.testing.assert_array_equal(file["atoms/positions"][start : start + 6], one["positions"])
    assert not journal.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--fmax", "nan"], "--fmax: expected a force above 0 eV/Å, received nan"),
        (["--fmax", "-1"], "--fmax: expected a force above 0 eV/Å, received -1"),
        (["--method", "pm7"], "--method 'pm7': expected gfn2, gfn1"),
        (["-o", "s.h5", "--overwrite"], "s.h5: is one of the inputs; name another output"),
        (["--steps", "0"], "0 is not in the range x>=1"),
    ],
)
def test_invalid_commands(store, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    before = store.read_bytes()
    assert run("relax", "s.h5", *(["-o", "r.h5"] if "-o" not in words else []), *words) == 2
    assert message in capsys.readouterr().err
    assert store.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"s.h5", "xyz"}


def test_a_damaged_journal(store, tmp_path, capsys):
    write(journal_path(tmp_path / "r.h5"), "{}\nno json\n")
    assert run("relax", store, "-o", tmp_path / "r.h5") == 2
    assert "r.h5.relaxing.jsonl: damaged; delete it" in capsys.readouterr().err


def test_missing_tblite_names_the_extra(store, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with StructureStore(store) as source:
        with pytest.raises(ConfigError, match=r"needs tblite.*pip install 'xanes-hpc\[relax\]'"):
            relax(source, tmp_path / "r.h5")


def test_no_output_if_all_fail(tmp_path, capsys):
    write_xyz(tmp_path / "xyz" / "odd.xyz", *xyz("odd", molecule("H2O"), "charge=1 spin=0"))
    write_xyz(tmp_path / "xyz" / "even.xyz", *xyz("even", molecule("H2O"), "charge=0 spin=0.5"))
    assert run("import", tmp_path / "xyz", "-o", tmp_path / "s.h5", "--absorber", "O") == 0
    assert run("relax", tmp_path / "s.h5", "-o", tmp_path / "r.h5") == 2
    assert (
        "s.h5: no structure could be relaxed: even: 10 electrons cannot have a total spin of 0.5; odd: 9 electrons"
        in capsys.readouterr().err
    )
    assert {path.name for path in tmp_path.iterdir()} == {"xyz", "s.h5"}


def test_what_xtb_knows_of_the_electrons_is_kept(store, tmp_path):
    with StructureStore(store) as source:
        relax(source, tmp_path / "r.h5", FEW, workers=2)
    water, _ = positions(tmp_path / "r.h5", "water")
    assert -14.0 < water.properties["gfn2_homo"] < -11.0  # eV; the ionisation energy of water is 12.6 eV
    assert water.properties["gfn2_lumo"] > water.properties["gfn2_homo"] + 5.0
    assert water.properties["gfn2_dipole"] == pytest.approx(2.3, abs=0.4)  # Debye; measured 1.85, and GFN2 exceeds it
    with StructureStore(tmp_path / "r.h5") as found:
        batch = found.batch(0, found.n_sites, ("gfn2_charge", "gfn2_valence"))
        names = found.sites.name
    charges = dict(zip(names, batch.properties["gfn2_charge"].tolist(), strict=True))
    valences = dict(zip(names, batch.properties["gfn2_valence"].tolist(), strict=True))
    assert charges["water#0"] == pytest.approx(-2 * charges["water#1"], abs=0.02)
    assert sum(value for name, value in charges.items() if name.startswith("ammonium")) == pytest.approx(1.0, abs=1e-4)
    assert valences["water#0"] == pytest.approx(1.85, abs=0.15)
    assert run("featurise", tmp_path / "r.h5", "--property", "gfn2_charge") == 0
