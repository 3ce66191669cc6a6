"""Every benchmark runs, at small sizes, and the page has all of them; times do not matter. Most runs are slow."""

import json
import re
import subprocess
import sys

import pytest
from support.places import ROOT

BENCHMARKS = ROOT / "benchmarks"
TITLES = {
    path.stem: title[1]
    for path in sorted(BENCHMARKS.glob("*.py"))
    if (title := re.search(r'^TITLE = "(.+)"$', path.read_text(encoding="utf-8"), re.MULTILINE))
}
"""Of every case, by its name."""
QUICK = ("peak", "broadening")
"""Cases that take a second or two."""


def script(name, *arguments):
    """Standard output and error of a script."""
    command = [sys.executable, BENCHMARKS / name, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def inside(code, *arguments):
    """What a program in the folder of the benchmarks prints last, as JSON."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=BENCHMARKS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def run(*arguments):
    return script("run.py", *arguments)[0]


def sections(names):
    """Headings of a page of these cases; those that take a second or two have no goals."""
    return {TITLES[name] for name in names} | ({"Goals"} if names != QUICK else set())


def headings(page):
    return [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]


IMPORTED = """
import importlib
import json
import sys
modules = [importlib.import_module(name) for name in json.loads(sys.argv[1])]
print(json.dumps([sorted(vars(module)) for module in modules]))
"""


def test_every_module_is_imported_and_every_case_has_its_parts():
    names = [".".join(path.relative_to(BENCHMARKS).with_suffix("").parts) for path in sorted(BENCHMARKS.rglob("*.py"))]
    parts = dict(zip(names, map(set, inside(IMPORTED, json.dumps(names))), strict=True))
    for case in TITLES:
        assert parts[case] >= {"TITLE", "measure", "section"}, case


@pytest.fixture(
    scope="module", params=[QUICK, pytest.param(tuple(TITLES), marks=pytest.mark.slow)], ids=["quick", "all"]
)
def measured(request, small, tmp_path_factory):
    """Results and page of a quick run of some cases, and their names."""
    folder = tmp_path_factory.mktemp("benchmarks")
    results, page = folder / "performance.json", folder / "performance.md"
    words = ["--quick", "--store", small / "small.h5", "--json", results, "--page", page, "--folder", folder]
    run(*words, *(["--only", *request.param] if request.param == QUICK else []))
    return results, page, request.param


def test_every_case_is_in_the_results_and_on_the_page(measured):
    results, page, names = measured
    assert set(json.loads(results.read_text())["cases"]) == set(names)
    assert set(headings(page.read_text())) == sections(names)


def test_nothing_is_left_behind(measured):
    results, page, _ = measured
    assert set(results.parent.iterdir()) == {results, page}


def test_page_is_written_again_from_the_results(measured, tmp_path):
    results, page, _ = measured
    run("--from-json", "--json", results, "--page", tmp_path / "again.md")
    assert (tmp_path / "again.md").read_text() == page.read_text()


def test_part_is_measured_again_and_the_others_kept(measured, tmp_path):
    path, _, names = measured
    before = json.loads(path.read_text())
    results = tmp_path / "performance.json"
    results.write_text(json.dumps(before))
    printed = run("--quick", "--only", "peak", "--json", results)
    assert set(headings(printed)) == sections(names)
    after = json.loads(results.read_text())
    assert [name for name in names if before["cases"][name] != after["cases"][name]] == ["peak"]


def test_kept_page_is_that_of_the_kept_results(tmp_path):
    run("--from-json", "--page", tmp_path / "page.md")
    assert (tmp_path / "page.md").read_text() == (BENCHMARKS.parent / "docs" / "performance.md").read_text()


def test_kept_accuracy_page_is_that_of_the_kept_results(tmp_path):
    script("accuracy.py", "--from-json", "--page", tmp_path / "page.md")
    assert (tmp_path / "page.md").read_text() == (BENCHMARKS.parent / "docs" / "accuracy.md").read_text()


def test_kept_accuracy_results_are_small():
    assert (BENCHMARKS / "results" / "accuracy.json").stat().st_size < 200 * 1024


def test_accuracy_page_without_results(tmp_path):
    script("accuracy.py", "--from-json", "--json", tmp_path / "none.json", "--page", tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text()
    assert page.startswith("# Accuracy\n")
    assert not headings(page)


@pytest.mark.slow
def test_study_is_done_once(small, tmp_path):
    results, page = tmp_path / "accuracy.json", tmp_path / "accuracy.md"
    words = ["--store", small / "small.h5", "--folder", tmp_path / "work", "--epochs", 1, "--json", results]
    words += ["--page", page, "flag", "--seeds", 0]
    _, first = script("accuracy.py", *words)
    before = results.read_text(), page.read_text()
    _, again = script("accuracy.py", *words)
    assert "fold 4 …" in first
    assert "…" not in again
    assert (results.read_text(), page.read_text()) == before
    assert headings(before[1]) == ["Flagged sites"]


SCANNED = """
import json
import numpy as np
from studies import simulated
from xanes_hpc.spectra.spectrum import PlacedSpectrum, Spectrum
simulated.NOISE = simulated.INSTRUMENT = 0.0
energies, width = np.arange(-500.0, 900.0, 0.2), 3.0
rise = lambda e, width: 0.5 + np.arctan(2 * (e - 10) / width) / np.pi
placed = PlacedSpectrum(Spectrum(energies, rise(energies, width)), 7112.0, "given", "e0")
scan = simulated.scan(placed, "x", np.random.default_rng(3))
x = scan.energies - 7112.0
mu = rise(x - simulated.OFFSET, width + simulated.CORE_HOLE)
terms = np.stack([x**0, x, mu, mu * x * (x > 0), mu * x**2 * (x > 0)], axis=1)
found = np.linalg.lstsq(terms, scan.intensities, rcond=None)[0]
print(json.dumps([found[2], np.abs(terms @ found - scan.intensities).max()]))
"""


def test_simulated_scan_is_shifted_broadened_and_on_a_background():
    """The convolution of an arctangent edge with a Lorentzian is an arctangent edge of the sum of their widths."""
    step, deviation = inside(SCANNED)
    assert 0.3 < step < 1.5
    assert deviation < 2e-3 * step


NEIGHBOURS = """
import json
from ase.neighborlist import neighbor_list
from studies.samples import SAMPLES
found = {}
for samples in SAMPLES.values():
    for name, sample in samples.items():
        atoms = sample.structure
        first, lengths = neighbor_list("id", atoms, 2.6)
        counts = {int((first == k).sum()) for k in (atoms.symbols == sample.atoms[0][0]).nonzero()[0]}
        found[name] = [sorted(counts), *map(float, (lengths[first == 0].min(), lengths[first == 0].max()))]
print(json.dumps(found))
"""


def test_structures_of_samples_have_the_published_bonds():
    """Coordination number of the absorber, and its shortest and longest bond, Å."""
    published = {
        "FeO": (6, 2.154, 2.154), "Fe2O3": (6, 1.945, 2.116), "FeOOH": (6, 1.93, 2.10), "FeCO3": (6, 2.144, 2.144),
        "FeS2": (6, 2.264, 2.264), "CuO": (4, 1.951, 1.961), "Cu": (12, 2.556, 2.556),
    }  # fmt: skip
    found = inside(NEIGHBOURS)
    assert found.keys() == published.keys()
    for name, (count, shortest, longest) in published.items():
        assert found[name][0] == [count], name
        assert found[name][1:] == pytest.approx([shortest, longest], abs=0.005), name


@pytest.mark.slow
def test_study_of_simulated_measurements(small, tmp_path):
    results, page = tmp_path / "accuracy.json", tmp_path / "accuracy.md"
    words = ["--store", small / "small.h5", "--folder", tmp_path / "work", "--epochs", 1, "--sites", 40]
    script("accuracy.py", *words, "--json", results, "--page", page, "experiment", "--seeds", 0, "--elements")
    result = json.loads(results.read_text())["studies"]["experiment"]["result"]
    assert [(row["size"], row["seed"]) for row in result["simulated"]] == [(10, 0)]
    assert result["samples"] == []
    assert headings(page.read_text()) == ["Transfer to measured spectra"]
