"""``calculate``: spectra come into the store; failures, limits and stops cost no more than they must."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from ase.build import molecule
from ase.spacegroup import crystal
from support.builders import contents, fdmnes_header, refused, run
from support.places import ROOT
from support.stored import structure, write_structures

from xanes_hpc.calculations.calculate import Calculations, runs_folder
from xanes_hpc.calculations.fdmnes.program import Fdmnes
from xanes_hpc.calculations.feff.program import Feff
from xanes_hpc.calculations.guarded import LOG, TRIM, run_in
from xanes_hpc.formats import fdmnes_input, feff_input
from xanes_hpc.runtime.outputs import locked_output
from xanes_hpc.stores.spectra import SpectrumTable, read_spectra
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.structure import Structure

SHORT = "-2 1 6"
NAMES = ("ACOMUA", "two; rm -rf", "acomua", "SLOW", "CRASH", "MUTE")
PROGRAM = """#!{python}
# Stand-in for FDMNES, which counts its runs, and is slow, crashes or says nothing for some names.
import os, pathlib, sys, time
name = pathlib.Path("fdmfile.txt").read_text().splitlines()[1].removesuffix("_in.txt")
with open({counts!r}, "a") as stream:
    stream.write(name + "\\n")
kind = os.environ.get("KIND", "")
if name.startswith("SLOW") and "slow" in kind:
    time.sleep(60)
if name.startswith("CRASH") and "crash" in kind:
    print("forrtl: severe (174): SIGSEGV, segmentation fault occurred", flush=True)
    os.kill(os.getpid(), 9)
if name.startswith("MUTE") and "mute" in kind:
    sys.exit(0)
time.sleep(float(os.environ.get("SECONDS_EACH", "0")))
rows = "".join(f"  {{7110.0 + k:.2f}}  {{sum(map(ord, name)) + 0.5 * k:.6E}}\\n" for k in range(9))
pathlib.Path(name + ".txt").write_text({header!r} + rows)
pathlib.Path(name + "_bav.txt").write_text("a log\\n   Have a beautiful day !\\n")
"""


@pytest.fixture
def store(tmp_path):
    entries = [(structure(name, 3, k), [0], "K", [[]]) for k, name in enumerate(NAMES)]
    return write_structures(tmp_path / "s.h5", entries)


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "fdmnes.py"
    counts = str(tmp_path / "counts.txt")
    path.write_text(PROGRAM.format(python=sys.executable, counts=counts, header=fdmnes_header(7112.0)))
    path.chmod(0o755)
    return path


def words(store, program, *more):
    return (
        "calculate", store, "--with", "fdmnes", "--program", program, "--range", SHORT, "--no-convolution",
        "--workers", "2", *more,
    )  # fmt: skip


def runs_of(program):
    path = program.with_name("counts.txt")
    return sorted(path.read_text().split("\n")[:-1]) if path.exists() else []


def stored(store):
    with StructureStore(store) as opened:
        table, names = SpectrumTable.read(opened.file), opened.sites.name
        every = list(read_spectra(opened.file, list(range(opened.n_spectra))))
    return {names[site]: placed.spectrum.intensities[0] for site, placed in zip(table.site, every, strict=True)}


def first_value(name):
    return float(sum(map(ord, name.replace("; ", "__").replace(" ", "_"))))


def test_spectra_come_into_the_store(tmp_path, store, program, capsys):
    assert run(*words(store, program, "--json", tmp_path / "c.json")) == 0
    found = stored(store)
    assert set(found) == set(NAMES)
    assert found["ACOMUA"] == first_value("ACOMUA")
    assert json.loads((tmp_path / "c.json").read_text())["states"] == {"good": 6}
    assert not (tmp_path / "s.fdmnes").exists()
    assert run(*words(store, program)) == 0
    assert "6 spectra" in capsys.readouterr().out
    assert len(runs_of(program)) == 6  # none again
    assert run(*words(store, program, "--replace")) == 0
    assert len(runs_of(program)) == 12


def test_a_site_that_fails_costs_only_itself(tmp_path, store, program, capsys, monkeypatch):
    monkeypatch.setenv("KIND", "slow crash mute")
    assert run(*words(store, program, "--limit", "1.5", "--json", tmp_path / "c.json")) == 0
    said = capsys.readouterr().err
    assert "SLOW: failed: stopped after 1.5 s, the time limit" in said
    assert "CRASH: failed: forrtl: severe (174): SIGSEGV" in said
    assert "MUTE: failed: it wrote nothing" in said
    assert set(stored(store)) == {"ACOMUA", "two; rm -rf", "acomua"}
    assert len(runs_of(program)) == 6
    monkeypatch.setenv("KIND", "")
    folder = tmp_path / "s.fdmnes"
    assert (folder / "CRASH" / LOG).read_text().startswith("forrtl")
    assert run(*words(store, program, "--retry")) == 0
    assert set(stored(store)) == set(NAMES)
    assert len(runs_of(program)) == 9
    assert not folder.exists()


@pytest.mark.parametrize("name", ["calculating", "partition-1"])
def test_calculations_are_not_discarded_while_a_run_is_at_work(tmp_path, store, program, capsys, name):
    folder = tmp_path / "s.fdmnes"
    with StructureStore(store) as opened:
        Calculations.new(opened, Fdmnes(SETTINGS, str(program)))
    with locked_output(folder / name):
        assert "another run is making this output" in refused(capsys, tmp_path, *words(store, program, "--restart"))
        assert (folder / "plan.json").exists()
    assert run(*words(store, program, "--restart")) == 0


@pytest.mark.slow
def test_failed_sites_are_calculated_again_only_on_request(tmp_path, store, program, capsys, monkeypatch):
    monkeypatch.setenv("KIND", "crash")
    with StructureStore(store) as opened:
        calculations = Calculations.new(opened, Fdmnes(SETTINGS, str(program)))
        assert calculations.run(workers=2).states == {"good": 5, "failed": 1}
        monkeypatch.setenv("KIND", "")
        again = calculations.run(workers=2)
        assert (again.states, again.taken_up) == ({"good": 5, "failed": 1}, 6)
        third = calculations.run(workers=2, retry=True)
        assert (third.states, third.taken_up) == ({"good": 6}, 5)
    assert len(runs_of(program)) == 7


SETTINGS = fdmnes_input.Settings(energies=(-2.0, 1.0, 6.0), convolution=False)


@pytest.mark.slow
def test_a_killed_run_continues(tmp_path, store, program, monkeypatch):
    monkeypatch.setenv("SECONDS_EACH", "0.7")
    command = [sys.executable, "-m", "xanes_hpc", *map(str, words(store, program))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    outcomes = tmp_path / "s.fdmnes"
    deadline = time.monotonic() + 60
    while len(list(outcomes.glob("*/outcome.json"))) < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = len(list(outcomes.glob("*/outcome.json")))
    monkeypatch.setenv("SECONDS_EACH", "0")
    time.sleep(1.5)  # what was running has been killed too, or has ended
    assert run(*words(store, program)) == 0
    assert set(stored(store)) == set(NAMES)
    assert len(runs_of(program)) <= 6 + 2
    assert before >= 2


@pytest.mark.slow
def test_settings_of_a_stopped_run_are_held(tmp_path, store, program, capsys, monkeypatch):
    with StructureStore(store) as opened:
        Calculations.new(opened, Fdmnes(SETTINGS, str(program)))
    other = words(store, program, "--radius", "5")
    assert "(radius 6.0, now 5.0)" in refused(capsys, tmp_path, *other)
    assert run(*other, "--restart") == 0
    assert len(runs_of(program)) == 6


@pytest.mark.slow
def test_partitions(tmp_path, store, program, capsys):
    assert run(*words(store, program)[:-2], "--plan", "3", "--sbatch", "--time=01:00:00") == 0
    script = (tmp_path / "s.fdmnes" / "partitions.slurm").read_text()
    assert "#SBATCH --array=0-2" in script
    assert f"calculate {store} --with fdmnes --partition" in script
    assert not runs_of(program)
    follow = ("calculate", store, "--with", "fdmnes", "--workers", "2")
    message = refused(capsys, tmp_path, *follow, "--finalise")
    assert "none of 6 runs is good (6 not started)" in message
    for partition in (2, 0, 1):
        assert run(*follow, "--partition", partition) == 0
    assert len(runs_of(program)) == 6
    assert not stored(store)
    assert "belongs to --plan" in refused(capsys, tmp_path, *follow, "--partition", "1", "--radius", "5")
    assert "`partition` 3" not in refused(capsys, tmp_path, *follow, "--partition", "3")
    assert run(*follow, "--finalise") == 0
    assert set(stored(store)) == set(NAMES)


@pytest.mark.slow
def test_dask_workers_calculate_the_same(tmp_path, store, program):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True) as cluster,
        distributed.Client(cluster) as client,
        StructureStore(store) as opened,
    ):
        calculations = Calculations.new(opened, Fdmnes(SETTINGS, str(program)))
        assert calculations.run(workers=client).states == {"good": 6}
        calculations.finish()
    assert set(stored(store)) == set(NAMES)


@pytest.mark.slow
def test_listed_sites_only(tmp_path, store, program):
    (tmp_path / "sites.csv").write_text("site\nACOMUA\nSLOW\n")
    assert run(*words(store, program, "--sites", tmp_path / "sites.csv")) == 0
    assert set(stored(store)) == {"ACOMUA", "SLOW"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--scf-radius", "4"), "--scf-radius does not belong to --with fdmnes"),
        (("--program", "nosuchprogram"), "--program 'nosuchprogram': no such program"),
        (("--plan", "7"), "expected at most 6, the number of sites"),
        (("--plan", "2", "--partition", "1"), "expected one of --plan, --partition and --finalise"),
        (("--plan", "2", "--partition", "0"), "expected one of --plan, --partition and --finalise"),
        (("--sbatch", "--time=1"), "--sbatch: expected only with --plan"),
        (("--range", "1 2"), "expected energies with a step between each two"),
    ],
)
def test_options_that_cannot_be(tmp_path, store, program, capsys, more, said):
    before = contents(tmp_path)
    assert said in refused(capsys, tmp_path, *words(store, program, *more))
    assert contents(tmp_path) == before


def test_a_partition_without_a_plan(tmp_path, store, capsys):
    follow = ("calculate", store, "--with", "fdmnes", "--partition", "1")
    assert "plan the calculations first" in refused(capsys, tmp_path, *follow)


def test_a_folder_with_other_files_is_not_touched(tmp_path, store, program, capsys):
    folder = tmp_path / "s.fdmnes"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    assert "is a folder with other files" in refused(capsys, tmp_path, *words(store, program))
    assert (folder / "mine.txt").read_text() == "mine"


def test_a_full_disk_costs_only_the_site(store, program, monkeypatch):
    from xanes_hpc.calculations import one_site

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(one_site, "run_in", full)
    task = one_site.Task(store.with_name("site"), "a", structure("a", 3, 0), 0, "K")
    outcome = one_site.calculate_one(task, Fdmnes(SETTINGS, str(program)), None)
    assert (outcome.state, outcome.reason) == ("failed", "no space left on the disk")


def test_a_program_does_not_return_memory_early_as_workers_of_dask_do(tmp_path, monkeypatch):
    monkeypatch.setenv(TRIM, "65536")
    assert run_in(tmp_path, [sys.executable, "-c", f"import os; print(os.environ.get({TRIM!r}))"]) == ""
    assert (tmp_path / LOG).read_text() == "None\n"


@pytest.mark.slow
def test_a_program_and_its_children_end_with_the_limit(tmp_path):
    alive, end = (str(tmp_path / name) for name in ("alive", "end"))
    child = f"import time; open({alive!r}, 'w').close(); time.sleep(1.5); open({end!r}, 'w')"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    assert run_in(tmp_path, [sys.executable, "-c", parent], 1.0) == "stopped after 1 s, the time limit"
    time.sleep(1.5)
    assert os.path.exists(alive)
    assert not os.path.exists(end)


def test_a_program_that_cannot_be_started(tmp_path):
    assert run_in(tmp_path, ["/nosuch/program"]) == ""
    assert "/nosuch/program: cannot be started: no such file" in (tmp_path / LOG).read_text()


def test_feff_that_is_not_installed(tmp_path, store, monkeypatch, capsys):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "feff10" else found(name, *a))
    said = refused(capsys, tmp_path, "calculate", store)
    assert "calculating with FEFF needs feff10, which is not installed: pip install 'xanes-hpc[feff]'" in said


@pytest.mark.parametrize("program", [Feff(), Fdmnes()], ids=["feff", "fdmnes"])
def test_what_every_program_offers(tmp_path, program):
    """The contract of a calculator: its inputs are read back as of the site, and a run not started is said to be so."""
    water = Structure("water", molecule("H2O").numbers.astype(np.uint8), molecule("H2O").positions)
    program.check()
    files = program.files(water, 0, "K", "water")
    assert program.starter in files
    assert all(map(program.is_input, files))
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    state = program.look_at(tmp_path, "water")
    assert state.state == "not started"
    assert program.difference(state, water, 0, "K") == ""
    assert "edge" in program.difference(state, water, 0, "L1")
    moved = Structure("water", water.numbers, water.positions * 1.01)
    assert "positions" in program.difference(state, moved, 0, "K")
    settings = json.loads(json.dumps(program.settings))
    assert type(program).with_settings(settings, program.program) == program
    assert not program.made("xanes", '{"name":"other"}')
    assert runs_folder(tmp_path / "s.h5", program.name).name == f"s.{program.name}"


def water_store(path, turn=0.0):
    atoms = molecule("H2O")
    atoms.rotate(turn, (1, 2, 3))
    atoms.translate((turn / 10.0, 0.0, 1.0))
    positions = Structure("water", atoms.numbers.astype(np.uint8), atoms.positions)
    return write_structures(path, [(positions, [0], "K", [[]])])


FEFF_FAST = ("--scf-radius", "0", "--core-hole", "none", "--energies", "-5 2.5 40", "--workers", "1")


def test_feff_calculates_a_molecule(tmp_path):
    """The same turned and moved: 1e-3 of the step, by FEFF's own digits."""
    pytest.importorskip("feff10")
    found = []
    for turn in (0.0, 40.0):
        path = water_store(tmp_path / f"{turn:g}.h5", turn)
        assert run("calculate", path, *FEFF_FAST) == 0
        with StructureStore(path) as opened:
            found.append(next(read_spectra(opened.file, [0])).spectrum)
    one, other = found
    assert one.energies.size == feff_input.n_energies((-5.0, 2.5, 40.0))
    np.testing.assert_allclose(one.energies, other.energies, atol=1e-3)
    assert np.abs(one.intensities - other.intensities).max() < 1e-3 * one.intensities.max()
    assert json.loads(one.treatment)["core_hole"] == "none"


@pytest.mark.slow
def test_feff_gives_equivalent_sites_of_a_crystal_the_same_spectrum(tmp_path):
    """The two Ti of rutile and their images by another choice of cell: 1e-3 of the step, by FEFF's own digits."""
    pytest.importorskip("feff10")
    cell, places = [4.594, 4.594, 2.959, 90, 90, 90], [(0, 0, 0), (0.3053, 0.3053, 0)]
    atoms = crystal(["Ti", "O"], places, spacegroup=136, cellpar=cell)
    doubled = atoms.repeat((1, 1, 2))
    doubled.rotate(30.0, (1, 2, 3), rotate_cell=True)
    crystals = []
    for name, made in (("rutile", atoms), ("doubled", doubled)):
        cell = np.asarray(made.cell)
        crystals.append(Structure(name, made.numbers.astype(np.uint8), made.positions, cell, made.pbc))
    path = write_structures(tmp_path / "ti.h5", [(crystals[0], [0, 1], "K", [[], []]), (crystals[1], [0], "K", [[]])])
    settings = [*FEFF_FAST, "--scf-radius", "3", "--fms-radius", "4", "--workers", "2"]
    assert run("calculate", path, *settings) == 0
    with StructureStore(path) as opened:
        first, *others = [placed.spectrum for placed in read_spectra(opened.file, [0, 1, 2])]
    for other in others:
        np.testing.assert_allclose(first.energies, other.energies, atol=1e-3)
        assert np.abs(first.intensities - other.intensities).max() < 1e-3 * first.intensities.max()
