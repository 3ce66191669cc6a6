"""Every benchmark runs, at small sizes, and the page has all of them. Times are not looked at."""

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


def script(name, *arguments):
    """Standard output and error of a script."""
    command = [sys.executable, BENCHMARKS / name, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def run(*arguments):
    return script("run.py", *arguments)[0]


def headings(page):
    return [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]


@pytest.fixture(scope="module")
def measured(small, tmp_path_factory):
    """Results and page of a quick run of everything."""
    folder = tmp_path_factory.mktemp("benchmarks")
    results, page = folder / "performance.json", folder / "performance.md"
    run("--quick", "--store", small / "small.h5", "--json", results, "--page", page, "--folder", folder)
    return results, page


def test_every_case_is_in_the_results_and_on_the_page(measured):
    results, page = measured
    assert set(json.loads(results.read_text())["cases"]) == set(TITLES)
    assert set(headings(page.read_text())) == {"Goals", *TITLES.values()}


def test_nothing_is_left_behind(measured):
    results, page = measured
    assert set(results.parent.iterdir()) == {results, page}


def test_page_is_written_again_from_the_results(measured, tmp_path):
    results, page = measured
    run("--from-json", "--json", results, "--page", tmp_path / "again.md")
    assert (tmp_path / "again.md").read_text() == page.read_text()


def test_part_is_measured_again_and_the_others_kept(measured, tmp_path):
    before = json.loads(measured[0].read_text())
    results = tmp_path / "performance.json"
    results.write_text(json.dumps(before))
    printed = run("--quick", "--only", "peak", "--json", results)
    assert set(headings(printed)) == {"Goals", *TITLES.values()}
    after = json.loads(results.read_text())
    assert [name for name in TITLES if before["cases"][name] != after["cases"][name]] == ["peak"]


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
