"""``fdmnes write`` and ``fdmnes ingest``: folders that run, the states of runs, and their spectra in the store."""

import json
import os
import shutil
import subprocess
from dataclasses import replace

import h5py
import numpy as np
import pytest
from support.builders import contents, fdmnes_header, refused, run, table
from support.stored import structure, write_structures

from xanes_hpc.calculations.fdmnes.program import Fdmnes
from xanes_hpc.calculations.ingest import look_at
from xanes_hpc.calculations.program import State
from xanes_hpc.calculations.write import MOST_TASKS, Cluster, script
from xanes_hpc.formats import fdmnes_input
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.spectra import SpectrumTable, read_spectra
from xanes_hpc.stores.structures import StructureStore

SHORT = "-2 1 6"
N_ROWS = 9
E0 = 7112.0
PROGRAM = """#!/usr/bin/env python3
# Stand-in for FDMNES: reads fdmfile.txt, and writes spectra with a number derived from the site's name.
import pathlib, sys
name = pathlib.Path("fdmfile.txt").read_text().splitlines()[1].removesuffix("_in.txt")
lines = [line.partition("!")[0].strip() for line in pathlib.Path(name + "_in.txt").read_text().splitlines()]
absorber = lines[lines.index("Molecule") + 1 + int(lines[lines.index("Absorber") + 1])].split()[0]
number = sum(map(ord, name))
edge = {{"8": 543.1}}.get(absorber, 7112.0)
rows = "".join(f"  {{edge - 2.0 + k:.2f}}  {{number + 0.5 * k:.6E}}\\n" for k in range({n_rows}))
pathlib.Path(name + ".txt").write_text({header!r}.replace("26", absorber).replace("7112.000", f"{{edge:.3f}}") + rows)
pathlib.Path(name + "_conv.txt").write_text("    Energy    <xanes>\\n" + rows)
pathlib.Path(name + "_bav.txt").write_text("a log\\n" * 2000 + "   Have a beautiful day !\\n")
"""


@pytest.fixture
def store(tmp_path):
    """Write three structures with four sites and no spectra, whose names trouble shells and file systems."""
    entries = [
        (structure("ACOMUA_C36(1+)", 4, 0), [0], "K", [[]]),
        (structure("two; rm -rf", 5, 1), [0, 2], "K", [[], []]),
        (structure("acomua_c36(1+)", 3, 2), [0], "K", [[]]),
    ]
    return write_structures(tmp_path / "s.h5", entries)


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "fdmnes.py"
    path.write_text(PROGRAM.format(n_rows=N_ROWS, header=fdmnes_header(E0)))
    path.chmod(0o755)
    return path


def calculated(tmp_path, store, program, *options):
    """Write the store's runs, and run them by their own script."""
    assert run("fdmnes", "write", store, "-o", tmp_path / "runs", "--range", SHORT, *options) == 0
    subprocess.run(["bash", "runs/run.sh"], cwd=tmp_path, env={**os.environ, "FDMNES": str(program)}, check=True)
    return tmp_path / "runs"


def summary(capsys, *arguments):
    capsys.readouterr()
    assert run("fdmnes", "ingest", *arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


def spectra(store):
    """Return (site, treatment, placed spectrum) of every spectrum."""
    with StructureStore(store) as opened:
        table_, names = SpectrumTable.read(opened.file), opened.sites.name
        every = list(read_spectra(opened.file, list(range(opened.n_spectra))))
    return [
        (names[site], text, placed)
        for site, text, placed in zip(table_.site, table_.treatment, every, strict=True)
    ]  # fmt: skip


def test_each_site_has_a_folder_with_its_own_atoms(tmp_path, store):
    assert (
        run("fdmnes", "write", store, "-o", tmp_path / "runs", "--radius", 5.5, "--scf", "--keyword", "N_self 50") == 0
    )
    rows = (tmp_path / "runs" / "runs.csv").read_text().splitlines()
    assert rows[0] == "folder,site,element,edge"
    folders, sites = zip(*(row.split(",")[:2] for row in rows[1:]), strict=True)
    assert sites == ("ACOMUA_C36(1+)", "two; rm -rf#0", "two; rm -rf#2", "acomua_c36(1+)")
    assert folders == ("ACOMUA_C36(1+)", "two__rm_-rf_0", "two__rm_-rf_2", "acomua_c36(1+)_2")
    with StructureStore(store) as opened:
        expected = list(opened.structures_at(np.arange(4)))
    for folder, (own, atom) in zip(folders, expected, strict=True):
        starter = (tmp_path / "runs" / folder / "fdmfile.txt").read_text().split()
        assert starter == ["1", f"{folder}_in.txt"]
        found = fdmnes_input.read(tmp_path / "runs" / folder / starter[1])
        assert (found.absorber, found.output, found.edge) == (atom, folder, "K")
        assert (found.settings.radius, found.settings.scf) == (5.5, True)
        assert found.settings.keywords == (("N_self", ("50",)),)
        np.testing.assert_array_equal(found.structure.positions, own.positions)
        np.testing.assert_array_equal(found.structure.numbers, own.numbers)


def test_the_script_is_valid_and_covers_all_folders(tmp_path, store, program):
    runs = calculated(tmp_path, store, program)
    subprocess.run(["bash", "-n", str(runs / "run.sh")], check=True)
    for log in runs.glob("*/*_bav.txt"):
        log.unlink()
    done = []
    for task in range(3):
        slurm = {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_COUNT": "3", "SLURM_SUBMIT_DIR": str(runs)}
        subprocess.run(
            ["bash", "run.sh"], cwd=runs, env={**os.environ, **slurm, "FDMNES": str(program)}, check=True
        )  # fmt: skip
        done.append({log.parent.name for log in runs.glob("*/*_bav.txt")})
    assert [len(some) for some in done] == [2, 3, 4]


def test_the_script_skips_successful_runs(tmp_path, store, program):
    runs = calculated(tmp_path, store, program)
    spoilt = next(runs.glob("two*_0"))
    next(spoilt.glob("*_bav.txt")).write_text("killed")
    before = {path: path.stat().st_mtime_ns for path in runs.glob("*/*_bav.txt")}
    subprocess.run(["bash", "run.sh"], cwd=runs, env={**os.environ, "FDMNES": str(program)}, check=True)
    again = {path.parent.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert again == {spoilt.name}


def test_the_script_refuses_to_run_elsewhere(tmp_path, store):
    run("fdmnes", "write", store, "-o", tmp_path / "runs")
    elsewhere = {**os.environ, "SLURM_SUBMIT_DIR": str(tmp_path)}
    done = subprocess.run(
        ["bash", "runs/run.sh"], cwd=tmp_path, env=elsewhere, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "submit run.sh from its own folder" in done.stderr


def test_the_script_has_the_given_options():
    text = script(5000, Fdmnes(program="/opt/fdmnes"), Cluster(("--partition=long", "--mem=8G"), 40))
    assert f"#SBATCH --array=0-{MOST_TASKS - 1}%40\n" in text
    assert "#SBATCH --partition=long\n#SBATCH --mem=8G\n" in text
    assert "${FDMNES:-/opt/fdmnes}" in text
    assert "#SBATCH --array=0-2%3\n" in script(3, Fdmnes(), Cluster())


def test_runs_are_read_into_the_store(tmp_path, store, program, capsys):
    runs = calculated(tmp_path, store, program)
    assert run("featurise", store, "--preset", "xanesnet-49") == 0
    found = summary(capsys, runs, store)
    assert found["runs"] == {"good": 4}
    assert found["spectra"] == {"new": 8, "replaced": 0, "already_there": 0, "differing": []}
    every = spectra(store)
    names = ("ACOMUA_C36(1+)", "two; rm -rf#0", "two; rm -rf#2", "acomua_c36(1+)")
    found = [(site, text.count("fdmnes-conv")) for site, text, _ in every]
    assert found == [(name, broad) for name in names for broad in (0, 1)]
    folders = [row.split(",")[0] for row in (runs / "runs.csv").read_text().splitlines()[1:]]
    for (_, text, placed), folder in zip(every, np.repeat(folders, 2), strict=True):
        number = sum(map(ord, folder))
        np.testing.assert_allclose(placed.spectrum.intensities, number + 0.5 * np.arange(N_ROWS))
        np.testing.assert_allclose(placed.relative, np.arange(-2.0, 7.0))
        assert (placed.e0, placed.e0_source, placed.energy_origin) in (
            (E0, "file", "absolute"),
            (543.1, "file", "absolute"),
        )
        assert placed.spectrum.unit == ("Mbarn" if text == "none" else "arbitrary")
    with FeatureStore(tmp_path / "s.features.h5") as features, features.open_source() as source:  # still valid
        assert source.n_spectra == 8


def test_reading_runs_again_changes_nothing(tmp_path, store, program, capsys):
    runs = calculated(tmp_path, store, program)
    summary(capsys, runs, store)
    before = contents(tmp_path)
    again = summary(capsys, runs, store)
    assert again["spectra"] == {"new": 0, "replaced": 0, "already_there": 8, "differing": []}
    assert contents(tmp_path) == before


def test_a_different_spectrum_replaces_only_on_request(tmp_path, store, program, capsys):
    runs = calculated(tmp_path, store, program)
    summary(capsys, runs, store)
    first = next(runs.glob("ACOMUA*/*).txt"))
    first.write_text(first.read_text().replace("7114.00", "7114.01"))
    kept = store.read_bytes()
    found = summary(capsys, runs, store)
    assert found["spectra"] == {
        "new": 0, "replaced": 0, "already_there": 7,
        "differing": ["ACOMUA_C36(1+).txt: ACOMUA_C36(1+) already has a different xanes spectrum of treatment 'none'"],
    }  # fmt: skip
    assert store.read_bytes() == kept
    assert run("fdmnes", "ingest", runs, store) == 0
    assert "ACOMUA_C36(1+) already has a different xanes spectrum of treatment 'none'" in capsys.readouterr().err
    found = summary(capsys, runs, store, "--replace")
    assert found["spectra"] == {"new": 0, "replaced": 1, "already_there": 7, "differing": []}
    every = spectra(store)
    assert sorted(site for site, _, _ in every) == sorted(2 * [site for site, text, _ in every if text == "none"])
    (changed,) = [p for site, text, p in every if site == "ACOMUA_C36(1+)" and text == "none"]
    assert changed.spectrum.energies[4] == 7114.01


def test_runs_that_are_not_good_are_listed_and_left_out(tmp_path, store, program, capsys):
    runs = calculated(tmp_path, store, program)
    a, b, c, d = (runs / row.split(",")[0] for row in (runs / "runs.csv").read_text().splitlines()[1:])
    next(a.glob("*_bav.txt")).write_text("killed in the middle")
    raw = b / f"{b.name}.txt"
    raw.write_text("".join(raw.read_text().splitlines(keepends=True)[:-2]))
    for path in c.glob("two*"):
        if path.name.endswith("_in.txt"):
            continue
        path.unlink()
    (c / "fdmnes_error.txt").write_text("\n  The keyword Radis is not\n  known !\n")
    (d / "fdmnes_error.txt").write_text("from a run before this one")  # stays after a good run
    found = summary(capsys, runs, store)
    assert found["runs"] == {"unfinished": 2, "failed": 1, "good": 1}
    assert found["not_good"] == [
        f"{a.name}: unfinished: {a.name}_bav.txt does not end with 'Have a beautiful day !'",
        f"{b.name}: unfinished: {b.name}.txt has 7 rows, expected 9 from its energy range",
        f"{c.name}: failed: The keyword Radis is not known !",
    ]
    assert {site for site, _, _ in spectra(store)} == {"acomua_c36(1+)"}


def spoil(name):
    """Return a function that spoils a good run's folder, by name."""

    def no_header(folder):
        path = folder / f"{folder.name}.txt"
        path.write_text(path.read_text().replace("= E_edge", "? E_edge"))

    def no_broadened(folder):
        (folder / f"{folder.name}_conv.txt").unlink()

    def no_numbers(folder):
        (folder / f"{folder.name}.txt").write_text("Energy <xanes>\n")

    def not_begun(folder):
        for path in folder.glob(f"{folder.name}*"):
            if not path.name.endswith("_in.txt"):
                path.unlink()

    def no_input(folder):
        (folder / f"{folder.name}_in.txt").unlink()

    def no_starter(folder):
        (folder / "fdmfile.txt").unlink()

    def two_inputs(folder):
        (folder / "fdmfile.txt").write_text("2\na_in.txt\nb_in.txt\n")

    def died(folder):
        (folder / f"{folder.name}_bav.txt").write_text("a log without its end")
        (folder / "fdmnes_error.txt").write_text("Segmentation fault")

    return {
        f.__name__: f for f in (no_header, no_broadened, no_numbers, not_begun, no_input, no_starter, two_inputs, died)
    }[name]


@pytest.mark.parametrize(
    ("how", "state", "said"),
    [
        ("no_header", State.FAILED, "ACOMUA_C36(1+).txt: line 1: expected '= E_edge, Z, …'"),
        ("no_broadened", State.UNFINISHED, "ACOMUA_C36(1+)_conv.txt is missing"),
        ("no_numbers", State.FAILED, "ACOMUA_C36(1+).txt: no row of two or more numbers"),
        ("not_begun", State.NOT_STARTED, ""),
        ("no_input", State.FAILED, "ACOMUA_C36(1+)_in.txt: cannot be read: no such file"),
        ("no_starter", State.FAILED, "fdmfile.txt: cannot be read: no such file"),
        ("two_inputs", State.FAILED, "one input file, received 2 files"),
        ("died", State.FAILED, "Segmentation fault"),
    ],
)
def test_states_of_runs(tmp_path, store, program, how, state, said):
    folder = calculated(tmp_path, store, program) / "ACOMUA_C36(1+)"
    assert look_at(Fdmnes(), folder, "a").state is State.GOOD
    spoil(how)(folder)
    found = look_at(Fdmnes(), folder, "a")
    assert (found.state, said in found.reason) == (state, True)
    assert bool(found.reason) == bool(said)


def test_looking_only_does_not_change_the_store(tmp_path, store, program, capsys):
    runs = calculated(tmp_path, store, program)
    before = contents(tmp_path)
    assert summary(capsys, runs, store, "--look-only")["runs"] == {"good": 4}
    assert contents(tmp_path) == before


def test_folders_without_a_table_are_named_after_their_sites(tmp_path, store, program, capsys):
    runs = calculated(tmp_path, store, program)
    (runs / "runs.csv").unlink()
    found = summary(capsys, runs, store)
    assert found["runs"] == {"good": 1, "of another site": 3}
    assert {line.rpartition(" ")[2] for line in found["not_good"]} == {
        "acomua_c36(1+)_2", "two__rm_-rf_0", "two__rm_-rf_2"
    }  # fmt: skip
    found = summary(capsys, runs / "ACOMUA_C36(1+)", store)
    assert found["runs"] == {"good": 1}
    assert {site for site, _, _ in spectra(store)} == {"ACOMUA_C36(1+)"}


def test_runs_of_other_structures_are_refused(tmp_path, store, program, capsys):
    runs = calculated(tmp_path, store, program)
    path = next(runs.glob("ACOMUA*/*_in.txt"))
    text = path.read_text()
    for old, new, said in (
        ("Absorber\n1", "Absorber\n2", "its absorber is atom 1, expected atom 0 of ACOMUA_C36(1+)"),
        ("\n8 ", "\n16 ", "its elements differ from those of ACOMUA_C36(1+)"),
        ("\n26 0.0 0.0 0.0", "\n26 0.0 0.0 0.1", "its positions differ from those of ACOMUA_C36(1+)"),
        ("Edge\nK", "Edge\nl3", "its edge is L3, expected K of ACOMUA_C36(1+)"),
        ("Molecule", "Crystal", "it is a crystal, expected a molecule as in the store"),
    ):
        assert old in text
        path.write_text(text.replace(old, new))
        found = summary(capsys, runs, store)
        assert (found["runs"]["of another site"], len(found["not_good"])) == (1, 1)
        assert said in found["not_good"][0]
        assert "ACOMUA_C36(1+)" not in {site for site, _, _ in spectra(store)}


def test_a_run_whose_input_names_a_cif_is_held_to_its_absorber(tmp_path, store, program, capsys):
    runs = calculated(tmp_path, store, program)
    for path in runs.glob("*/*_in.txt"):
        text = path.read_text()
        begin, end = text.index("Molecule"), text.index("Convolution")
        text = text[:begin] + "CIF_FILE\n somewhere.cif\n" + text[end:]
        path.write_text(text.replace("Edge\nK", "edge\nk"))
    path = next(runs.glob("ACOMUA*/ACOMUA*+).txt"))
    path.write_text(path.read_text().replace(" 26 ", " 27 ", 1).replace("7112.000", "7709.000", 1))
    found = summary(capsys, runs, store)
    assert (found["runs"], found["not_compared"]) == ({"good": 3, "of another site": 1}, 3)
    assert "its absorber is Co; expected Fe of ACOMUA_C36(1+)" in found["not_good"][0]


def test_only_sites_without_a_spectrum_are_written(tmp_path, store, program, capsys):
    runs = calculated(tmp_path, store, program)
    next(runs.glob("two*_2/*_bav.txt")).unlink()
    summary(capsys, runs, store)
    assert run("fdmnes", "write", store, "-o", tmp_path / "more", "--missing") == 0
    assert [row.split(",")[1] for row in (tmp_path / "more" / "runs.csv").read_text().splitlines()[1:]] == [
        "two; rm -rf#2"
    ]  # fmt: skip
    line = refused(capsys, tmp_path, "fdmnes", "write", store, "-o", runs, "--overwrite")
    assert "runs: holds results of FDMNES (" in line
    assert line.endswith("); ingest them, and choose another --output")
    shutil.rmtree(runs)
    summary(capsys, calculated(tmp_path, store, program), store)
    assert "all 4 sites have a calculated spectrum" in refused(
        capsys, tmp_path, "fdmnes", "write", store, "-o", tmp_path / "none", "--missing"
    )


def test_pairs_of_edges_and_emission(tmp_path, program, capsys):
    """L23 spectra have two columns, and emission has its own file."""
    store = write_structures(tmp_path / "l.h5", [(structure("A", 3), [0], "L23", [[]])])
    runs = calculated(tmp_path, store, program, "--emission")
    energies = np.arange(705.0, 714.0)
    header = fdmnes_header(707.0, titles="    Energy    <xanes>_L2 <xanes>_L3").replace("26  1  1", "26  2  3")
    header = header.replace("-2.9E+00  1  1  7.8E+03", "-2.9E+00  2  1  7.20E+02  7.07E+02")
    (runs / "A" / "A.txt").write_text(
        header + table(np.column_stack([energies, energies * 0 + 1.0, energies * 0 + 2.0]))
    )
    (runs / "A" / "A_xes_conv.txt").write_text("Energy <xes>\n" + table(np.column_stack([energies, energies])))
    (runs / "A" / "A_conv.txt").write_text("Energy <xanes>\n" + table(np.column_stack([energies, energies])))
    assert summary(capsys, runs, store)["spectra"]["new"] == 3
    assert sorted(p.spectrum.kind for _, _, p in spectra(store)) == ["xanes", "xanes", "xes"]


def test_unsuitable_folders_and_options(tmp_path, store, capsys):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine.txt").write_text("mine")
    write = ("fdmnes", "write", store, "-o", tmp_path / "runs")
    assert "already exists" in refused(capsys, tmp_path, *write)
    assert "will not be replaced" in refused(capsys, tmp_path, *write, "--overwrite")
    assert "expected a folder of FDMNES runs, received no such folder" in refused(
        capsys, tmp_path, "fdmnes", "ingest", tmp_path / "no", store
    )
    assert "runs: no FDMNES runs found" in refused(capsys, tmp_path, "fdmnes", "ingest", tmp_path / "runs", store)
    (tmp_path / "runs" / "runs.csv").write_text("a,b\n1,2\n")
    assert "expected columns folder, site" in refused(capsys, tmp_path, "fdmnes", "ingest", tmp_path / "runs", store)
    assert "range 'x': expected numbers" in refused(
        capsys, tmp_path, "fdmnes", "write", store, "-o", tmp_path / "r", "--range", "x"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--program", " "], "--program: expected the name or path of a program, received ' '"),
        (["--sbatch", "foo"], "sbatch: expected an option such as --time=02:00:00, received 'foo'"),
        (["--sbatch", "--time=1\nrm -rf x"], "sbatch: expected an option such as"),
        (["--keyword", "N_self 5\nRadius 3"], "keyword N_self: expected its values on one line"),
        (["--keyword", "N_self 5", "--keyword", "n_self 6"], "keyword n_self: expected once, received twice"),
        (["--sites", "none.csv"], "none.csv: lists no sites"),
        (["--sites", "other.csv"], "other.csv: line 2: s.h5: no site 'x'"),
    ],
)
def test_sites_that_cannot_be_written(tmp_path, store, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "none.csv").write_text("site\n")
    (tmp_path / "other.csv").write_text("site\nx\n")
    assert message in refused(capsys, tmp_path, "fdmnes", "write", "s.h5", "-o", "runs", *words)


@pytest.mark.parametrize("text", ["\ufeffsite;score\nACOMUA_C36(1+);1\n", "score\tsite\n2\tACOMUA_C36(1+)\n"])
def test_tables_of_sites_as_spreadsheets_write_them(tmp_path, store, text):
    (tmp_path / "s.csv").write_text(text, encoding="utf-8")
    assert run("fdmnes", "write", store, "-o", tmp_path / "runs", "--sites", tmp_path / "s.csv") == 0
    assert len((tmp_path / "runs" / "runs.csv").read_text().splitlines()) == 2


def test_a_program_with_blanks_in_its_path(tmp_path, store, program, capsys):
    (tmp_path / "my programs").mkdir()
    program.rename(tmp_path / "my programs" / "fdmnes")
    words = ("--range", SHORT, "--program", tmp_path / "my programs" / "fdmnes")
    assert run("fdmnes", "write", store, "-o", tmp_path / "runs", *words) == 0
    subprocess.run(["bash", "runs/run.sh"], cwd=tmp_path, check=True)
    assert summary(capsys, tmp_path / "runs", store)["runs"] == {"good": 4}


def test_no_run_is_good(tmp_path, store, capsys):
    run("fdmnes", "write", store, "-o", tmp_path / "runs")
    said = refused(capsys, tmp_path, "fdmnes", "ingest", tmp_path / "runs", store)
    assert said.endswith("none of 4 runs is good (4 not started); first of them: ACOMUA_C36(1+): not started")


def test_a_failure_in_the_middle_leaves_the_store_as_it_was(tmp_path, store, program, capsys, monkeypatch):
    runs = calculated(tmp_path, store, program)
    monkeypatch.setattr(
        "xanes_hpc.stores.spectra.append_spectra", lambda *a: (_ for _ in ()).throw(OSError(28, "full"))
    )
    assert "no space left" in refused(capsys, tmp_path, "fdmnes", "ingest", runs, store)
    with h5py.File(store) as file:
        assert file["spectra/site"].shape == (0,)


@pytest.fixture
def mixed(tmp_path):
    """A store of a good site, a slab, and a site at an edge that FDMNES does not have."""
    slab = replace(structure("slab", 4, 1), cell=8 * np.eye(3), pbc=np.array([True, True, False]))
    entries = [("good", structure("good", 4, 0), "K"), ("slab", slab, "K"), ("odd", structure("odd", 4, 2), "O1")]
    return write_structures(tmp_path / "s.h5", [(own, [0], edge, [[]]) for _, own, edge in entries])


def test_sites_that_fdmnes_cannot_handle_are_skipped(tmp_path, mixed, capsys):
    assert run("fdmnes", "write", mixed, "-o", tmp_path / "runs", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["folders"], found["skipped_count"]) == (["good"], 2)
    assert [reason.partition(":")[0] for reason in found["skipped"]] == ["slab", "odd"]
    assert (tmp_path / "runs" / "runs.csv").read_text() == "folder,site,element,edge\ngood,good,Fe,K\n"
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"good", "run.sh", "runs.csv"}


def test_a_site_that_fdmnes_cannot_handle_stops_a_strict_run(tmp_path, mixed, capsys):
    line = refused(capsys, tmp_path, "fdmnes", "write", mixed, "-o", tmp_path / "runs", "--strict")
    assert line.startswith("slab: periodic in 2 of three directions")


@pytest.mark.parametrize("starter", [" 1\nb\0ad_in.txt\n", " 1\n" + "x" * 5000])
def test_a_starter_with_an_impossible_name_costs_only_its_run(tmp_path, store, program, capsys, starter):
    runs = calculated(tmp_path, store, program)
    (runs / "two__rm_-rf_0" / "fdmfile.txt").write_text(starter)
    found = summary(capsys, runs, store)
    assert found["runs"] == {"good": 3, "failed": 1}
    assert found["not_good"][0].startswith("two__rm_-rf_0: failed: ")
    assert len(found["not_good"][0]) < 250


def test_a_table_of_runs_that_cannot_be_read(tmp_path, store, capsys):
    run("fdmnes", "write", store, "-o", tmp_path / "runs")
    (tmp_path / "runs" / "runs.csv").write_bytes(b"\xff\xfe")
    assert "runs.csv: cannot be read: " in refused(capsys, tmp_path, "fdmnes", "ingest", tmp_path / "runs", store)
