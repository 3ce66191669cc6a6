"""The documentation does what it says: every command and block of code in it is run, page by page."""

import ast
import contextlib
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import numpy as np
import pytest
from ase import Atoms
from ase.io import write as write_atoms
from support.builders import fdmnes_header, run, table, write
from support.places import ROOT

from xanes_hpc.cli.main import cli
from xanes_hpc.importing import demo_data
from xanes_hpc.models.model import Model
from xanes_hpc.prediction.predict import PredictOptions, predict
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structures import StructureStore

WRITTEN = ("accuracy.md", "performance.md")
"""Pages that benchmarks write, with the commands of their own."""
PATHS = [ROOT / "README.md", *(p for p in sorted((ROOT / "docs").glob("*.md")) if p.name not in WRITTEN)]
PAGES = {path.relative_to(ROOT).as_posix(): path for path in PATHS}
ELSEWHERE = (
    "pip ", ".venv/bin/", "git clone", "make ", "python3 -m venv", ". .venv", "eval ", "xyz/", "xanes/", "curl ",
    "srun ",
)  # fmt: skip
"""How lines begin that are run by other tests, by continuous integration, or install and fetch things."""
LONG = (
    "xanes-hpc serve",
    "xanes-hpc tune",
    "xanes-hpc calculate",
    "xanes-hpc train fe.features.h5 --kind xes",
    "xanes-hpc grow",
    "xanes-hpc demo --real",
    "cd .. && xanes-hpc feff ingest",
    "(cd runs",
    "xanes-hpc featurise tmqm.h5 --preset shells",
    "xanes-hpc train tmqm.features.h5 --model graph",
    "xanes-hpc featurise tmqm.h5 --cluster slurm",
)
"""Commands that go on until they are ended, or for long, or take something that is not there; they have other tests."""
QUICK = """
[training]
epochs = 2
batch_size = 32
[uncertainty]
members = 1
[model]
name = "mlp"
hidden = [16]
[broadening]
name = "lorentzian"
core_hole = 1.25
"""
POSCAR = "made\n1.0\n4 0 0\n0 4 0\n0 0 4\nCu O\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n"
SPINEL = """data_spinel
_cell_length_a 8.4
_cell_length_b 8.4
_cell_length_c 8.4
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'F d -3 m :2'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Fe1 Fe 0.125 0.125 0.125 1.0
Fe2 Fe 0.5 0.5 0.5 0.6
Mn2 Mn 0.5 0.5 0.5 0.4
O1 O 0.255 0.255 0.255 1.0
"""
FEFF = """# Abs   Z=29 Rmt= 1.168 Rnm= 1.296 K  shell
# Gam_ch=1.729E+00 H-L exch
#  xsedge+ 50, used to normalize mu           2.0E-04
#  omega    e    k    mu    mu0     chi     @#
"""
PROGRAM = """#!/usr/bin/env python3
import pathlib
name = pathlib.Path("fdmfile.txt").read_text().splitlines()[1].removesuffix("_in.txt")
rows = "".join(f"  {{7097.0 + 0.2 * k:.2f}}  {{0.1 + 0.5 * k:.6E}}\\n" for k in range(376))
pathlib.Path(name + ".txt").write_text({header!r} + rows)
pathlib.Path(name + "_conv.txt").write_text("    Energy    <xanes>\\n" + rows)
pathlib.Path(name + "_bav.txt").write_text("   Have a beautiful day !\\n")
"""


def blocks(text):
    """Commands of a page, those that stand together in one list; lines of a quoted text are joined."""
    found = []
    for block in re.findall(r"(?m)(?:^    \S.*\n?)+", re.sub(r"(?s)```.*?```", "", text)):
        found.append([])
        for line in block.splitlines():
            if found[-1] and found[-1][-1].count("'") % 2:
                found[-1][-1] += f"\n{line}"
            else:
                found[-1].append(line.strip())
    return found


def write_scans(folder, energies, mu):
    """Write scans of a spectrum of iron with the foil behind it, and the foil's own."""
    rng, wide = np.random.default_rng(0), np.arange(6992.0, 7392.0, 0.5)
    spectrum, foil = np.interp(wide, energies, mu / mu[-1]), 0.5 + np.arctan(wide - 7112.0) / np.pi
    head = "# XDI/1.0\n# Element.symbol: Fe\n# Element.edge: K\n# Column.1: energy eV\n"
    for k in range(1, 4):
        noisy = spectrum + 0.002 * rng.standard_normal(wide.size)
        rows = table(np.column_stack([wide, noisy, foil]))
        for name in (f"scans/scan_{k:02d}.xdi", *(["scan.xdi"] if k == 1 else [])):
            write(folder / name, f"{head}# Column.2: mutrans\n# Column.3: murefer\n#---\n{rows}")
        write(folder / f"scan_{k:02d}.dat", "# energy mu\n" + table(np.column_stack([wide, noisy])))
    write(folder / "foil.xdi", f"{head}# Column.2: mutrans\n#---\n" + table(np.column_stack([wide, foil])))


def write_series(folder, store):
    """Write a series of two predicted sites with its table, and both as standards."""
    with PredictionStore(store) as predictions:
        energies = np.arange(6992.0, 7392.0, 0.5)
        ends = [np.interp(energies, predictions.energies + 7112.0, predictions.read("mean", row)) for row in (3, 8)]
    for k in range(6):
        mu = (1.0 - 0.2 * k) * ends[0] + 0.2 * k * ends[1]
        write(folder / "run" / f"s{k + 1}.dat", table(np.column_stack([energies, mu])))
    write(folder / "run.csv", "file,time (s)\n" + "".join(f"s{k + 1}.dat,{0.5 * k}\n" for k in range(6)))
    for k, mu in enumerate(ends):
        write(folder / "standards" / f"standard{k}.dat", table(np.column_stack([energies, mu])))


@pytest.fixture(scope="module")
def stocked(tmp_path_factory):
    """A folder with all files that pages begin with: an Fe set as FDMNES would leave it, a model, and so on."""
    folder = tmp_path_factory.mktemp("stocked")
    made = tmp_path_factory.mktemp("made")
    demo_data.write(made, n=600, seed=3)
    iron = sorted((made / "structures").glob("*_Fe_*.xyz"))
    names = ["ACOMUA_Fe", "ABIHUO_Fe", *(path.stem for path in iron[2:])]
    for path, name in zip(iron, names, strict=True):
        points = np.loadtxt(made / "spectra" / f"{path.stem}.txt")
        for place in ("xyz", "structures"):
            write(folder / place / f"{name}.xyz", path.read_text())
        if path not in iron[-2:]:
            write(folder / "xanes" / f"{name}.txt", fdmnes_header() + table(points))
    every = "\n".join(
        f"{path.read_text().splitlines()[0]}\nCSD_code = QQ{k:04d} | q = 0 | S = 0\n"
        + "\n".join(path.read_text().splitlines()[2:])
        for k, path in enumerate(iron[:12])
    )
    write(folder / "tmQM_X1.xyz.gz", every + "\n")
    write(folder / "tmQM_y.csv", "CSD_code;HL_Gap\n" + "".join(f"QQ{k:04d};0.1\n" for k in range(12)))
    rows = "".join(f"{name},{k % 3},{k % 4}\n" for k, name in enumerate(names))
    write(folder / "properties.csv", f"name,charge,oxidation\n{rows}")
    for name in ("new.xyz", "mine.xyz"):
        shutil.copy(iron[5], folder / name)
    write(folder / "xanes-hpc.toml", QUICK)
    write(folder / "cu_k_edge" / "mp-1" / "POSCAR", POSCAR)
    energies = np.arange(8985.0, 9100.0, 0.5)
    columns = [
        energies,
        energies - 8994.0,
        0 * energies,
        0.5 + np.arctan(energies - 8994.0) / np.pi,
        *2 * [0 * energies],
    ]
    write(folder / "cu_k_edge" / "mp-1" / "FEFF-XANES" / "000_Cu" / "xmu.dat", FEFF + table(np.column_stack(columns)))
    pair = [("Fe", (0, 0, 0)), ("O", (0, 0, 1.7)), ("O", (0, 0, -1.7))]
    two = Atoms([symbol for symbol, _ in pair], [place for _, place in pair])
    write_atoms(folder / "run.traj", [two, two])
    crystal = two + Atoms("FeO", [(4, 0, 0), (4, 0, 1.8)])
    crystal.set_cell([9, 9, 9])
    crystal.set_pbc(True)
    crystal.center()
    write_atoms(folder / "magnetite.cif", crystal)
    write(folder / "spinel.cif", SPINEL)
    write_atoms(made / "drawn.xyz", two, format="xyz")
    assert run("import", made / "drawn.xyz", "--absorber", "Fe", "-o", folder / "drawn.h5") == 0
    for name in ("tmqm", "fe"):
        words = ["import", folder / "xyz", "--spectra", folder / "xanes", "--keep-unpaired"]
        assert run(*words, "-o", folder / f"{name}.h5") == 0
        words = ["featurise", folder / f"{name}.h5", "-o", folder / f"{name}.features.h5"]
        assert run(*words) == 0
        (folder / "quick.toml").write_text(QUICK)
        words = ["train", folder / f"{name}.features.h5", "--config", folder / "quick.toml"]
        assert run(*words, "-o", folder / f"{name}.model") == 0
    shutil.copy(folder / "tmqm.features.h5", folder / "measured.features.h5")
    with FeatureStore(folder / "tmqm.features.h5") as store:
        embedded = {"x": store.read(0, store.n_sites)[:, ::20], "names": np.array(store.sites.name), "source": "MACE"}
    np.savez(folder / "embeddings.npz", **embedded)
    for words in (
        [
            "import",
            folder / "embeddings.npz",
            "--structures",
            folder / "tmqm.h5",
            "-o",
            folder / "embedded.features.h5",
        ],
        ["featurise", folder / "tmqm.h5", "--foreign", folder / "embeddings.npz", "-o", folder / "both.features.h5"],
        ["train", folder / "embedded.features.h5", "--config", folder / "quick.toml", "-o", folder / "embedded.model"],
        ["train", folder / "both.features.h5", "--config", folder / "quick.toml", "-o", folder / "both.model"],
    ):
        assert run(*words) == 0
    with StructureStore(folder / "tmqm.h5") as source:
        options = PredictOptions(draws=4, keep_draws=True)
        predict(Model.open(folder / "tmqm.model"), source, folder / "predictions.h5", options)
        predict(Model.open(folder / "tmqm.model"), source, folder / "conformers.h5", options)
    with PredictionStore(folder / "predictions.h5") as store:
        rows = np.column_stack([store.energies + 7112.0, store.read("mean", 3)])
        write(folder / "populations.csv", "name,weight\n" + "".join(f"{name},1\n" for name in store.sites.name))
    header = "# XDI/1.0\n# Element.symbol: Fe\n# Column.1: energy eV\n# Column.2: norm\n#---\n"
    write(folder / "measured.xdi", header + table(rows))
    write_scans(folder, *rows.T)
    write_series(folder, folder / "predictions.h5")
    write(folder / "tmqm.tune" / "best.toml", QUICK)
    program = write(folder / "fdmnes.py", PROGRAM.format(header=fdmnes_header()))
    program.chmod(0o755)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", [name for name, path in PAGES.items() if blocks(path.read_text("utf-8"))])
def test_every_command_of_a_page_is_run(stocked, tmp_path, monkeypatch, page):
    """Each block in a folder that has all files; of the tutorial all in one, for it makes its own."""
    n_run = 0
    for k, block in enumerate(blocks(PAGES[page].read_text(encoding="utf-8"))):
        if not (k and page == "docs/tutorial.md"):
            place = tmp_path / str(k)
            shutil.copytree(stocked, place)
            monkeypatch.chdir(place)
        for line in block:
            own = line.partition("  #")[0].strip()
            if not own.startswith((*ELSEWHERE, *LONG)):
                for part in own.split(" && "):
                    _run(part.strip(), monkeypatch)
                    n_run += 1
    assert n_run or page in ("docs/page.md", "docs/cli.md", "docs/demo.md")


def _run(command, monkeypatch):
    words = shlex.split(command)
    if words[0] == "cd":
        monkeypatch.chdir(words[1])
    elif words[0] == "cp":
        shutil.copy(next(Path().glob(words[1])), words[2])
    elif words[0] == "ase":
        own = [str(p) for w in words[1:] for p in (sorted(Path().glob(w))[:1] if "*" in w else [w])]
        subprocess.run([sys.executable, "-m", "ase", *own], check=True)
    elif words[0] != "sbatch":  # runs are calculated as soon as they are written
        assert words[0] == "xanes-hpc", command
        own = [str(p) for w in words[1:] for p in (sorted(Path().glob(w)) if "*" in w else [w])]
        if own[0] == "demo":
            own[own.index("-n") + 1] = "60"
        if "--plan" in own:
            own[own.index("--plan") + 1] = "1"
        if own[0] == "select":
            own[own.index("-n") + 1] = "2"
        if {"-o", "--csv", "--fdmnes", "--overwrite"} & set(own) or own[0] in (
            "featurise",
            "train",
            "model",
            "predict",
        ):
            parameters = options_of(own)
            own += [] if "--overwrite" in own or "--overwrite" not in parameters else ["--overwrite"]
        assert run(*own) == 0, command
        if Path("runs/run.sh").exists():
            environment = {"PATH": "/usr/bin:/bin", "FDMNES": str(Path("fdmnes.py").resolve()), "FEFF": "true"}
            subprocess.run(["bash", "runs/run.sh"], check=True, env=environment)


def options_of(words):
    """The options that a command has."""
    command = cli
    while isinstance(command, click.Group):
        command, words = command.get_command(click.Context(command), words[0]), words[1:]
    return {option for parameter in command.params for option in parameter.opts}


def test_blocks_of_toml_are_toml():
    for path in PAGES.values():
        for block in re.findall(r"(?s)```toml\n(.*?)```", path.read_text(encoding="utf-8")):
            assert tomllib.loads(block)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name == "README.md" else [])  # test_main_job.py runs it briefly
        for name, path in PAGES.items()
        if "```python" in path.read_text("utf-8")
    ],
)
def test_blocks_of_python_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    for block in re.findall(r"(?s)```python\n(.*?)```", PAGES[page].read_text(encoding="utf-8")):
        exec(block, scope)


def test_options_keep_their_dashes(tmp_path):
    """Sphinx makes one long dash of two where it is let."""
    scope: dict[str, object] = {}
    exec((ROOT / "docs" / "conf.py").read_text(encoding="utf-8"), scope)
    assert scope["smartquotes"] is False


def test_links_between_pages_lead_somewhere():
    for name, path in PAGES.items():
        for target in re.findall(r"\]\(([^)#:\s]+?)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{name}: {target}"


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    pytest.importorskip("sphinx")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", ROOT / "docs", tmp_path / "site"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--window" in (tmp_path / "site" / "cli.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_notebook_runs_and_shows_what_it_shows(tmp_path, monkeypatch):
    """Its cells, one after another; digits may differ from machine to machine."""
    monkeypatch.chdir(tmp_path)
    cells = json.loads((ROOT / "docs" / "python.ipynb").read_text(encoding="utf-8"))["cells"]
    scope: dict[str, object] = {}
    for cell in (cell for cell in cells if cell["cell_type"] == "code"):
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(tree, "cell", "exec"), scope)
            value = None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), scope)
        shown = {"stream": printed.getvalue(), "execute_result": "" if value is None else repr(value)}
        for output in cell["outputs"]:
            text = "".join(output["text"] if output["output_type"] == "stream" else output["data"]["text/plain"])
            assert _shape(shown.pop(output["output_type"])) == _shape(text)
        assert not any(shown.values())


def _shape(text):
    return re.sub(r"\d+(\.\d+)?", "N", " ".join(text.split()))
