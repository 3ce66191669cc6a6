"""``grow``: rounds that select, calculate, train and measure, up to the end that is asked for, whatever stops them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from support.builders import fdmnes_header, refused, run
from support.places import ROOT
from support.stored import structure, write_structures

from xanes_hpc.calculations.calculate import Calculations
from xanes_hpc.campaigns.course import Course, Round, read_course
from xanes_hpc.campaigns.grow import FEATURES, POOL, Growth, grow
from xanes_hpc.campaigns.settings import load_campaign
from xanes_hpc.errors import ConfigError, StoreError
from xanes_hpc.model_selection import cross_validation
from xanes_hpc.models.model import Model
from xanes_hpc.prediction.select_first import select_first
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.spectra import SpectrumTable
from xanes_hpc.stores.structures import StructureStore

N_SITES = 40
PROGRAM = """#!{python}
# Stand-in for FDMNES: an edge whose position and height follow from the atoms, and a failure for one name.
import math, os, pathlib, sys, time
name = pathlib.Path("fdmfile.txt").read_text().splitlines()[1].removesuffix("_in.txt")
with open({counts!r}, "a") as stream:
    stream.write(name + "\\n")
time.sleep(float(os.environ.get("SECONDS_EACH", "0")))
if name == "s7":
    sys.exit(1)
text = pathlib.Path(name + "_in.txt").read_text()
number = sum(map(ord, text)) % 97 / 97.0
rows = "".join(
    f"  {{7092.0 + k:.2f}}  {{1.0 + math.atan((k - 20.0 - 4.0 * number) / 2.0) / math.pi * (1.5 + number):.6E}}\\n"
    for k in range(91)
)
pathlib.Path(name + ".txt").write_text({header!r} + rows)
pathlib.Path(name + "_bav.txt").write_text("   Have a beautiful day !\\n")
"""
TOML = """
[campaign]
pool = "pool.h5"
start = 12
batch = 6
held_out = 8
preset = "xanesnet-49"
folds = 0
seed = {seed}

[budget]
sites = 32

[calculate]
with = "fdmnes"
program = "{program}"
energies = [-20.0, 1.0, 70.0]
convolution = false
workers = 2

[train]
epochs = 2
members = 1
gaussian_process = {ridge}
"""


@pytest.fixture
def campaign(tmp_path):
    entries = [(structure(f"s{k}", 4 + k % 5, k), [0], "K", [[]]) for k in range(N_SITES)]
    write_structures(tmp_path / "pool.h5", entries)
    program = tmp_path / "fdmnes.py"
    text = PROGRAM.format(python=sys.executable, counts=str(tmp_path / "counts.txt"), header=fdmnes_header(7112.0))
    program.write_text(text)
    program.chmod(0o755)
    (tmp_path / "c.toml").write_text(TOML.format(seed=1, program=program, ridge="true"))
    return tmp_path / "c.toml"


def calculated(campaign):
    return campaign.with_name("counts.txt").read_text().split()


def changed(campaign, old, new):
    text = campaign.read_text()
    assert old in text
    campaign.write_text(text.replace(old, new))


@pytest.mark.slow
def test_a_campaign_spends_its_budget(campaign, capsys):
    assert run("grow", campaign, "--json", campaign.with_name("c.json")) == 0
    folder = campaign.with_suffix(".campaign")
    course = read_course(folder)
    assert course.ended == "its budget of 32 sites is spent"
    assert [len(r.selected) for r in course.rounds] == [12, 6, 6]
    assert len(course.held_out) == 8
    chosen = [*course.held_out, *(name for r in course.rounds for name in r.selected)]
    assert len(set(chosen)) == 32  # none twice, and no held-out site is ever trained on
    assert sorted(calculated(campaign)) == sorted(chosen)
    failed = [line for r in course.rounds for line in r.failed]
    assert [line.startswith("s7: ") for line in failed] == [True] * ("s7" in chosen)
    assert course.rounds[-1].n_known == 24 - ("s7" in chosen and "s7" not in course.held_out)
    assert all(0.0 < r.median <= r.hardest and 0.0 < r.error <= r.hardest for r in course.rounds)
    assert all(0.0 <= r.flagged <= 100.0 and r.sigma > 0.0 and r.seconds > 0.0 for r in course.rounds)
    page = (folder / "course.html").read_text()
    assert "Ended: its budget of 32 sites is spent." in page
    assert page.count("<tr><td>") == 3
    assert (folder / "course.png").stat().st_size > 5000
    found = json.loads(campaign.with_name("c.json").read_text())
    assert found["ended"] == course.ended
    assert str(folder / "round-002" / "model") in capsys.readouterr().out


@pytest.mark.slow
def test_a_finished_campaign_goes_on_with_a_larger_budget(campaign):
    grow(load_campaign(campaign))
    before = calculated(campaign)
    grow(load_campaign(campaign))
    assert calculated(campaign) == before
    changed(campaign, "sites = 32", "sites = 36")
    course = grow(load_campaign(campaign))
    assert [len(r.selected) for r in course.rounds] == [12, 6, 6, 4]
    assert len(calculated(campaign)) == len(before) + 4


@pytest.mark.slow
def test_a_campaign_stops_at_its_goal(campaign):
    changed(campaign, "[budget]", "[stop]\nerror = 90.0\nflagged = 100.0\n\n[budget]")
    course = grow(load_campaign(campaign))
    assert len(course.rounds) == 1
    assert "is at most 90 %" in course.ended


def test_sites_of_held_out_structures_are_never_candidates(campaign):
    entries = [(structure(f"s{k}", 5, k), [0, 1], "K", [[], []]) for k in range(4)]
    settings = load_campaign(campaign)
    settings.folder.mkdir()
    write_structures(settings.folder / POOL, entries)
    course = Course({}, ["s1#0"], [Round(0, ["s2#1"])])
    growth = Growth(settings, course, print, print, print)
    assert growth._candidates().tolist() == [0, 1, 4, 6, 7]  # not s1's two sites, nor the selected one


def test_the_first_round_covers_the_pool_unless_chance_is_asked_for(campaign, tmp_path):
    chosen = {}
    for strategy in ("coverage", "chance"):
        changed(campaign, "seed = 1", f'seed = 1\nstrategy = "{strategy}"')
        settings = load_campaign(campaign)
        settings.folder.mkdir()
        growth = Growth(settings, Course(settings.values), print, print, print)
        growth._prepare()
        folder = growth.folder_of(0)
        folder.mkdir()
        chosen[strategy] = growth._selected(0, folder)
        with FeatureStore(settings.folder / FEATURES) as store:
            found = select_first(store, 12, strategy, 2, growth._candidates())
        assert chosen[strategy] == [one.site for one in found]
        assert not set(chosen[strategy]) & set(growth.course.held_out)
        settings.folder.rename(tmp_path / strategy)
        changed(campaign, f'\nstrategy = "{strategy}"', "")
    assert chosen["coverage"] != chosen["chance"]


@pytest.mark.slow
def test_a_pool_may_be_exhausted(campaign):
    changed(campaign, "sites = 32", "sites = 100")
    changed(campaign, "batch = 6", "batch = 30")
    course = grow(load_campaign(campaign))
    assert [len(r.selected) for r in course.rounds] == [12, 20]
    assert course.ended == "the pool has no further sites"


@pytest.mark.slow
def test_a_campaign_that_is_killed_twice_ends_as_one_that_is_not(campaign, tmp_path):
    whole = grow(load_campaign(campaign))
    n_calculated = len(calculated(campaign))
    campaign.with_suffix(".campaign").rename(tmp_path / "whole")
    campaign.with_name("counts.txt").unlink()
    command = [sys.executable, "-m", "xanes_hpc", "grow", str(campaign)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "SECONDS_EACH": "0.1"}
    for until in (5, 22):  # in the first calculations, and after the first round
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        counts = campaign.with_name("counts.txt")
        while not counts.exists() or len(calculated(campaign)) < until:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    again = grow(load_campaign(campaign))
    assert again.held_out == whole.held_out
    assert [r.selected for r in again.rounds] == [r.selected for r in whole.rounds]
    assert [r.error for r in again.rounds] == pytest.approx([r.error for r in whole.rounds], rel=1e-5)
    assert len(calculated(campaign)) <= n_calculated + 2 * 2


class Killed(BaseException):
    """Raised where a process is to die."""


@pytest.mark.parametrize("at", ["as the spectra are stored", "as the cost is recorded", "as the folder is deleted"])
def test_a_kill_after_the_spectra_are_stored_loses_no_cost_and_no_failure(campaign, monkeypatch, at):
    names = ["s1", "s2", "s7"]
    settings = load_campaign(campaign)
    settings.folder.mkdir()
    write_structures(settings.folder / POOL, [(structure(f"s{k}", 4 + k % 5, k), [0], "K", [[]]) for k in range(10)])
    growth = Growth(settings, Course({}), print, print, print)
    folder = growth.folder_of(0)
    folder.mkdir()
    finish, seconds = Calculations.finish, []

    def finished_then_killed(self, *arguments, **options):
        seconds.extend(json.loads(p.read_text())["seconds"] for p in self.folder.glob("*/outcome.json"))
        finish(self, *arguments, **options)
        raise Killed

    def killed_on_the_way(path, **options):
        (path / "plan.json").unlink()
        raise Killed

    with monkeypatch.context() as patched:
        if at == "as the spectra are stored":
            patched.setattr(Calculations, "finish", finished_then_killed)
        elif at == "as the cost is recorded":
            patched.setattr("xanes_hpc.campaigns.grow.whole_output", _killed)
        else:
            patched.setattr("xanes_hpc.campaigns.grow.shutil.rmtree", killed_on_the_way)
        with pytest.raises(Killed):
            growth._calculated(folder, names)
    cost, failed = growth._calculated(folder, names)
    assert len(calculated(campaign)) == len(names)  # none twice
    assert cost > 0.0
    assert not seconds or cost == pytest.approx(sum(seconds))
    assert [line.split(":")[0] for line in failed] == ["s7"]
    with StructureStore(settings.folder / POOL) as pool:
        assert SpectrumTable.read(pool.file).site.tolist() == [1, 2]
    assert not list(settings.folder.glob("*.fdmnes"))
    assert growth._calculated(folder, names) == (cost, failed)


@pytest.mark.slow
def test_a_kill_before_a_round_is_recorded_loses_nothing_of_it(campaign, monkeypatch):
    whole = grow(load_campaign(campaign))
    shutil.rmtree(campaign.with_suffix(".campaign"))
    campaign.with_name("counts.txt").unlink()
    for _ in range(2):
        with monkeypatch.context() as patched:
            patched.setattr("xanes_hpc.campaigns.grow.train", _killed)
            with pytest.raises(Killed):
                grow(load_campaign(campaign))
    course = grow(load_campaign(campaign))
    assert len(calculated(campaign)) == course.n_calculated
    assert [r.failed for r in course.rounds] == [r.failed for r in whole.rounds]
    assert all(r.seconds > 0.0 for r in course.rounds)


@pytest.mark.slow
def test_few_sites_are_trained_on_with_folds_and_all_are_fitted(campaign, monkeypatch):
    changed(campaign, "folds = 0", "folds = 3")
    changed(campaign, "sites = 32", "sites = 20")
    with monkeypatch.context() as patched:
        patched.setattr("xanes_hpc.model_selection.cross_validation._final", _killed)
        with pytest.raises(Killed):
            grow(load_campaign(campaign))
    trained = []

    def train(run, pairs, output, *rest, **options):
        trained.append(output.name)
        return whole(run, pairs, output, *rest, **options)

    whole = cross_validation.train
    with monkeypatch.context() as patched:
        patched.setattr(cross_validation, "train", train)
        course = grow(load_campaign(campaign))
    assert trained == ["final.model"]  # the stopped folds were kept
    folder = campaign.with_suffix(".campaign") / "round-000"
    model, (only,) = Model.open(folder / "model"), course.rounds
    assert model.training_sites.count("train") == model.calibration.n_sites == only.n_known >= 10
    assert not (folder / "folds").exists()


def _killed(*arguments, **options):
    raise Killed


@pytest.mark.slow
def test_other_settings_are_refused(campaign, capsys, tmp_path):
    grow(load_campaign(campaign))
    changed(campaign, "batch = 6", "batch = 5")
    said = refused(capsys, tmp_path, "grow", campaign)
    assert "has rounds with other settings ([campaign] batch 6, now 5)" in said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("pool =", "pol =", "expected pool, the structure store"),
        ('pool = "pool.h5"', 'pool = "no.h5"', "pool: no such file"),
        ("[budget]", "[budgte]", "unknown key 'budgte'; did you mean 'budget'?"),
        ("batch = 6", "batch = 0", "batch: expected 1 or more, received 0"),
        ("folds = 0", "folds = 1", "folds: expected 2 or more, or 0 for none, received 1"),
        ("batch = 6", 'batch = "6"', "batch: expected a whole number, received '6'"),
        ("sites = 32", "sites = 12", "sites: expected 20 or more"),
        ("seed = 1", 'strategy = "luck"', "strategy: expected one of"),
        ('with = "fdmnes"', 'with = "vasp"', "with: expected feff or fdmnes, received 'vasp'"),
        ("convolution = false", "convolve = false", "unknown key 'convolve'; did you mean 'convolution'?"),
        ("energies = [-20.0, 1.0, 70.0]", "energies = [1.0]", "expected energies with a step between each two"),
        ("workers = 2", "workers = 0", "workers: expected a whole number, 1 or more, received 0"),
        ("workers = 2", "limit = -1", "limit: expected a time above 0 s"),
        ("workers = 2", 'cluster = "cloud"', "cluster: expected one of local"),
        ('preset = "xanesnet-49"', 'preset = "xanesnet"', "[campaign]: preset: no descriptor has a preset 'xanesnet'"),
        ("[train]", "[stop]\nerror = -1\n[train]", "[stop]: error: expected 0 or more, in %, received -1"),
        ("[train]", "[stop]\nflagged = 101\n[train]", "[stop]: flagged: expected 0 to 100, in %, received 101"),
        ("epochs = 2", "epoch = 2", "[train]: unknown setting 'epoch'; did you mean"),
        ("epochs = 2", "epoch = 2", "unknown setting 'epoch'; did you mean 'epochs'?"),
        ("[train]", "[other]", "unknown key 'other'"),
        ("held_out = 8", "held_out = 8\nbatches = 2", "unknown key 'batches'; did you mean 'batch'?"),
    ],
)
def test_wrong_settings_are_named(campaign, capsys, tmp_path, old, new, said):
    changed(campaign, old, new)
    assert said in refused(capsys, tmp_path, "grow", campaign)
    assert not campaign.with_suffix(".campaign").exists()


def test_a_pool_that_is_too_small(campaign, capsys, tmp_path):
    changed(campaign, "start = 12", "start = 36")
    changed(campaign, "sites = 32", "sites = 50")
    assert run("grow", campaign) == 2
    assert "expected at least 44 sites, the first round and the held-out ones, received 40" in capsys.readouterr().err


def test_a_course_is_read_back(tmp_path):
    course = Course(
        {"a": {"b": 1}}, ["x"], [Round(0, ["y"], ["z: failed"], 1, 3600.0, 5.0, 4.0, 9.0, 2.0, 3.0)], "done"
    )
    course.write(tmp_path)
    assert read_course(tmp_path) == course
    assert (course.hours, course.n_calculated) == (1.0, 2)
    (tmp_path / "course.json").write_text("{")
    with pytest.raises(StoreError, match="cannot be read"):
        read_course(tmp_path)
    assert read_course(tmp_path / "none") is None


def test_the_program_must_be_there(campaign):
    changed(campaign, "fdmnes.py", "none.py")
    with pytest.raises(ConfigError, match="no such program"):
        grow(load_campaign(campaign))
