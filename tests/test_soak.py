"""Inject every fault once into every stage, at a small size; ``make soak`` injects many."""

import pytest
from faults import soak


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("soak")
    soak.prepare(folder, 2000)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("stage", soak.STAGES)
@pytest.mark.parametrize("fault", soak.FAULTS)
def test_nothing_is_lost(prepared, fault, stage):
    found = soak.inject(prepared, [fault], [stage], 1, seed=1)
    assert [line for tally in found.values() for line in tally.lost] == []


@pytest.mark.slow
def test_losses_are_found(prepared):
    """An unfinished output, and one that differs."""
    stage = soak.STAGES["featurise"]
    whole = soak.fingerprint(prepared / "whole" / stage.output)
    with soak.copied(prepared, stage) as folder:
        output = folder / stage.output
        output.write_bytes((prepared / "whole" / stage.output).read_bytes()[:5000])
        assert "x: unfinished f.h5: " in soak.check(stage, folder, whole, "x")
        output.write_bytes((prepared / "whole" / "y.h5").read_bytes())
        assert "x: f.h5 differs from" in soak.check(stage, folder, whole, "x")
