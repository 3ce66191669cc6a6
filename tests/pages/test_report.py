"""The report of a model: a self-contained page with the figures of merit of ``evaluate``."""

import re
from html.parser import HTMLParser

import pytest
from support.builders import run

from xanes_hpc.analysis.evaluate import evaluate
from xanes_hpc.models.model import Model
from xanes_hpc.pages.report import held_out, trained_on
from xanes_hpc.pages.report_card import card
from xanes_hpc.pages.report_merits import merits
from xanes_hpc.stores.predictions import PredictionStore

VOID = {"meta", "img", "br", "link"}


class Checker(HTMLParser):
    """Checks that elements close in order, and collects what the page would fetch."""

    def __init__(self):
        super().__init__()
        self.open, self.fetched, self.ids, self.text = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.open += [] if tag in VOID else [tag]
        given = dict(attributes)
        self.ids += [given["id"]] if "id" in given else []
        self.fetched += [given[name] for name in ("src", "href") if name in given]
        assert tag not in ("script", "link", "iframe")
        assert tag != "img" or given["alt"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def page(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "r.html"
    assert run("report", model, "-o", path, "--most-sites", 6, "--draws", 4) == 0
    checker = Checker()
    checker.feed(path.read_text(encoding="utf-8"))
    return checker


def test_report_is_self_contained(page):
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    for target in page.fetched:
        assert target.startswith("data:image/png;base64,") or target.removeprefix("#") in page.ids
    assert sum(target.startswith("data:") for target in page.fetched) >= 12


def test_report_describes_the_model(page, model):
    text = " ".join(" ".join(page.text).split())
    folder = Model.open(model)
    for word in (
        folder.digest,
        folder.descriptor_hash,
        f"K edge: {folder.path.name}",
        "trained on",
        "Leakage audit",
        "Worst cases",
        "1st shell",
        "[training]",
    ):
        assert word in text


def test_figures_agree_with_evaluate(page, model, small, tmp_path):
    part = held_out(Model.open(model))
    assert part == "test"
    words = ["predict", small / "small.h5", "--model", model, "--draws", 4, "--split", part, "-o", tmp_path / "p.h5"]
    assert run(*words) == 0
    with PredictionStore(tmp_path / "p.h5") as store:
        figures = evaluate(store)
        rows = merits(store, figures)
    assert rows[0][1] == f"{figures['error_percent']['mean']:.2f} %"
    low, high = map(float, re.findall(r"[\d.]+", rows[0][2]))
    assert low < figures["error_percent"]["mean"] < high
    text = " ".join(page.text)
    assert all(value in text and interval in text for _, value, interval in rows)


def test_names_are_not_read_as_html(model, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "xanes_hpc.pages.report.cases",
        lambda store, rows: [("<script>alert(1)</script>", "H<2>", "1 %", "2 %", "a & b")],
    )
    assert run("report", model, "-o", tmp_path / "r.html", "--no-explanation", "--draws", 2) == 0
    text = (tmp_path / "r.html").read_text()
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "r.txt"], "expected a file ending in .html, received 'r.txt'"),
        (["-o", "old.html"], "old.html: already exists"),
        (["-o", "r.html", "--split", "mine"], "no site is in the mine set"),
        (["-o", "r.html", "--store", "none.h5"], "none.h5: no such file or folder"),
    ],
)
def test_invalid_commands(model, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.html").write_text("mine")
    assert run("report", model, *words) == 2
    assert message in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"old.html"}
    assert (tmp_path / "old.html").read_text() == "mine"


def test_missing_features(model, tmp_path, capsys):
    import shutil

    folder = tmp_path / "elsewhere" / "m.model"
    shutil.copytree(model, folder)
    assert trained_on(Model.open(model)).name == "small.features.h5"
    assert run("report", folder, "-o", tmp_path / "r.html") == 2
    error = capsys.readouterr().err
    assert "small.features.h5: missing" in error
    assert "choose another with --store" in error


def test_the_report_tells_what_was_left_out_or_padded(model):
    left_out = {
        "n_sites": 1250, "n_spectra": 1200, "n_short": 30, "n_not_finite": 0,
        "below": {"n_spectra": 7, "most_ev": 5.0, "padded": True},
    }  # fmt: skip
    opened = Model.open(model)
    opened.description["provenance"]["left_out"] = left_out
    facts = card(opened)["Data"]
    assert [n for name, n in facts.items() if "left out" in name or "padded" in name] == ["50", "30", "7"]
