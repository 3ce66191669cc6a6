"""Molecular dynamics: frames, temperature, seeds, failures, and resuming after a stop."""

import json

import numpy as np
import pytest
from ase.build import molecule
from support.builders import refused, run, write, write_xyz

from xanes_hpc.calculations.sample import SampleOptions, journal_path, sample
from xanes_hpc.errors import ConfigError
from xanes_hpc.importing.from_atoms import import_atoms
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structures import StructureStore

SHORT = ["--frames", 3, "--equilibration", 20, "--interval", 5, "--workers", 1]


def xyz(path, atoms, comment=""):
    return write_xyz(path, [(s, *p) for s, p in zip(atoms.symbols, atoms.positions, strict=True)], comment)


@pytest.fixture
def store(tmp_path):
    """Water and ammonium, their first atoms sites."""
    xyz(tmp_path / "xyz" / "water.xyz", molecule("H2O"))
    ammonium = molecule("CH4")
    ammonium.symbols[0] = "N"
    xyz(tmp_path / "xyz" / "ammonium.xyz", ammonium, "charge=1 spin=0")
    assert run("import", tmp_path / "xyz", "--absorber", "first", "-o", tmp_path / "s.h5") == 0
    return tmp_path / "s.h5"


def digest(path):
    with StructureStore(path) as found:
        return found.attribute("digest_structures")


def test_frames_are_structures(store, tmp_path, capsys):
    assert run("structures", "sample", store, *SHORT, "-o", tmp_path / "f.h5") == 0
    assert "2 sampled, 6 frames" in capsys.readouterr().out
    with StructureStore(store) as before, StructureStore(tmp_path / "f.h5") as found:
        first = {one.name: one for one, _ in before.structures()}
        assert found.sites.name == [f"{name}@{k}" for name in ("ammonium", "water") for k in range(3)]
        assert found.sites.atom.tolist() == [0] * 6
        assert "gfn2_valence" in found.property_names
        seen = set()
        for frame, _ in found.structures():
            rest = first[frame.name.partition("@")[0]]
            np.testing.assert_array_equal(frame.numbers, rest.numbers)
            moves = np.linalg.norm(frame.positions - rest.positions, axis=1)
            assert 0.001 < moves.max() < 1.0
            assert frame.properties["temperature"] == 300.0
            assert frame.properties.get("charge") == rest.properties.get("charge")
            seen.add(frame.properties["gfn2_energy"])
        assert len(seen) == 6
    assert not journal_path(tmp_path / "f.h5").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"xyz", "s.h5", "f.h5"}


@pytest.mark.slow
def test_a_seed_decides_and_the_number_of_processes_does_not(store, tmp_path):
    words = ["structures", "sample", store, *SHORT[:-1]]
    assert run(*words, 1, "-o", tmp_path / "a.h5") == 0
    assert run(*words, 2, "-o", tmp_path / "b.h5") == 0
    assert run(*words, 1, "--seed", 1, "-o", tmp_path / "c.h5") == 0
    assert digest(tmp_path / "a.h5") == digest(tmp_path / "b.h5") != digest(tmp_path / "c.h5")
    write(tmp_path / "list.csv", "site\nwater\n")
    assert run(*words, 1, "--sites", tmp_path / "list.csv", "-o", tmp_path / "d.h5") == 0
    with StructureStore(tmp_path / "a.h5") as every, StructureStore(tmp_path / "d.h5") as own:
        same = {one.name: one.positions for one, _ in every.structures()}
        assert own.n_structures == 3
        for one, _ in own.structures():
            np.testing.assert_array_equal(one.positions, same[one.name])


@pytest.mark.parametrize("temperature", [100.0, 600.0])
def test_frames_have_the_temperature(temperature):
    """The mean kinetic temperature, and how much the distance of water's hydrogens varies, which grows with it."""
    water = molecule("H2O")
    options = SampleOptions(temperature, frames=50, equilibration=100, interval=8, friction=0.1)
    with import_atoms(water, "O") as source, sample(source, None, options, workers=1) as found:
        assert found.summary.mean_temperature == pytest.approx(temperature, rel=0.2)
        positions = np.array([one.positions for one, _ in found.structures()])
    apart = np.linalg.norm(positions[:, 1] - positions[:, 2], axis=1)
    assert apart.std() == pytest.approx(0.03 * (temperature / 100) ** 0.5, rel=0.4)  # Å
    masses = water.get_masses() / water.get_masses().sum()
    np.testing.assert_allclose(np.einsum("a,fac->fc", masses, positions - water.positions), 0.0, atol=1e-9)


@pytest.mark.slow
def test_average_by_frames(store, model, tmp_path):
    """The predictions of frames are averaged into one for each structure."""
    assert run("structures", "sample", store, *SHORT, "-o", tmp_path / "f.h5") == 0
    words = ["--model", model, "--draws", 4, "--keep-draws", "--force"]
    assert run("predict", tmp_path / "f.h5", *words, "-o", tmp_path / "p.h5") == 0
    assert run("average", tmp_path / "p.h5", "--by", "frames", "-o", tmp_path / "mean.h5") == 0
    with PredictionStore(tmp_path / "mean.h5") as averages:
        assert averages.sites.name == ["ammonium", "water"]
        assert averages.n_averaged.tolist() == [3, 3]


def test_failures_are_listed_and_left_out(tmp_path, capsys):
    xyz(tmp_path / "xyz" / "good.xyz", molecule("H2O"))
    xyz(tmp_path / "xyz" / "odd.xyz", molecule("H2O"), "charge=1 spin=0")
    xyz(tmp_path / "xyz" / "near.xyz", molecule("H2O"), "charge=6")
    assert run("import", tmp_path / "xyz", "--absorber", "O", "-o", tmp_path / "s.h5") == 0
    assert run("structures", "sample", tmp_path / "s.h5", *SHORT, "-o", tmp_path / "f.h5", "--json") == 0
    printed = capsys.readouterr()
    assert "failed: odd: 9 electrons cannot have a total spin of 0" in printed.err
    assert "failed: near: frame 0: the bond between atoms 0 and" in printed.err
    assert json.loads(printed.out[printed.out.index("{") :])["failed_count"] == 2
    with StructureStore(tmp_path / "f.h5") as found:
        assert found.sites.name == ["good@0", "good@1", "good@2"]


def test_a_stopped_run_is_resumed(store, tmp_path, capsys):
    words = ["structures", "sample", store, *SHORT, "-o", tmp_path / "f.h5"]
    journal = journal_path(tmp_path / "f.h5")

    def stop(done, total, note):
        raise KeyboardInterrupt

    options = SampleOptions(frames=3, equilibration=20, interval=5)
    with StructureStore(store) as source, pytest.raises(KeyboardInterrupt):
        sample(source, tmp_path / "f.h5", options, False, 1, stop)
    assert len(journal.read_text().splitlines()) == 2
    line = refused(capsys, tmp_path, *words, "--temperature", 400)
    assert "f.h5.sampling.jsonl: belongs to a run with other settings" in line
    capsys.readouterr()
    assert run(*words, "--json") == 0
    assert json.loads(capsys.readouterr().out)["taken_up"] == 1
    assert run(*words[:-1], tmp_path / "whole.h5") == 0
    assert digest(tmp_path / "f.h5") == digest(tmp_path / "whole.h5")
    assert not journal.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--temperature", "0"], "--temperature: expected a number above 0 K, received 0"),
        (["--temperature", "nan"], "--temperature: expected a number above 0 K, received nan"),
        (["--frames", "0"], "--frames: expected 1 to 2147483647, received 0"),
        (["--interval", "0"], "--interval: expected 1 to 2147483647, received 0"),
        (["--equilibration", "-1"], "--equilibration: expected 0 to 2147483647, received -1"),
        (["--timestep", "-1"], "--timestep: expected a number above 0 fs, received -1"),
        (["--seed", "-1"], "--seed: expected 0 to 2147483647, received -1"),
        (["--method", "pm7"], "--method 'pm7': expected gfn2, gfn1"),
        (["--workers", "0"], "0 is not in the range x>=1"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(store, tmp_path, capsys, words, message):
    capsys.readouterr()
    assert run("structures", "sample", store, *words, "-o", tmp_path / "f.h5") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert {path.name for path in tmp_path.iterdir()} == {"xyz", "s.h5"}


def test_missing_tblite_names_the_extra(store, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with StructureStore(store) as source:
        with pytest.raises(ConfigError, match=r"needs tblite.*pip install 'xanes-hpc\[relax\]'"):
            sample(source, tmp_path / "f.h5")
