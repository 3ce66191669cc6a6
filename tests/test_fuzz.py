"""Read a few randomly damaged files of each kind; ``make fuzz`` reads many."""

import random
from importlib.util import find_spec
from pathlib import Path

import pytest
from faults import fuzz

from xanes_hpc.errors import XanesHpcError


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    fuzz.prepare(folder)
    return folder


@pytest.mark.parametrize("kind", fuzz.READERS)
def test_damaged_files_are_read_or_refused(prepared, kind):
    if kind == "athena":
        pytest.importorskip("larch.io", reason="Larch is not installed")
    found = fuzz.fuzz(prepared, kind, 4 if kind == "nexus" else 40, seed=1)
    assert found["findings"] == []
    assert found["read"] + found["refused"] > 0


def test_good_files_are_read(prepared, tmp_path):
    """Otherwise the fuzzing would test nothing."""
    for kind, paths in fuzz.seeds(tmp_path).items():
        if kind == "athena" and find_spec("larch") is None:
            continue
        for source in paths:
            for reader in fuzz.READERS[kind]:
                path = tmp_path / f"own-{source.name}"
                path.write_bytes(Path(source).read_bytes())
                try:
                    reader(path, source)
                except XanesHpcError as error:
                    pytest.fail(f"{kind}, {source.name}, {reader.__name__}: {error}")


def test_findings_are_found(prepared, tmp_path, monkeypatch):
    """An exception that is not one of ours, and an error of two lines."""

    def bad(path, source):
        raise ZeroDivisionError("oh")

    def long(path, source):
        raise XanesHpcError("one\ntwo")

    assert fuzz.attempt(bad, tmp_path, tmp_path) == ("refused", "ZeroDivisionError: oh")
    assert "several lines" in fuzz.attempt(long, tmp_path, tmp_path)[1]
    data = bytes(range(256)) * 4
    assert len({fuzz.mutated(data, random.Random(k)) for k in range(50)}) > 40
