"""What ``import`` reports: counts, skipped items and their reasons, choices, and JSON."""

import json

import numpy as np
import pytest
from support.builders import (
    edge_step,
    frame,
    run,
    table,
    write,
    write_spectrum,
    write_xyz,
)


def test_summary_counts_and_reasons(tmp_path, capsys):
    write_xyz(tmp_path / "xyz" / "A.xyz")
    write_xyz(tmp_path / "xyz" / "B.xyz", [("Co", 0, 0, 0), ("O", 0, 0, 1.6), ("N", 0, 1.8, 0)])
    write_xyz(tmp_path / "xyz" / "C.xyz", [("C", 0, 0, 0)])
    write(tmp_path / "xyz" / "D.xyz", frame() + frame([("Qq", 0, 0, 0)]) + frame())
    assert run("import", tmp_path / "xyz", "-o", tmp_path / "out.h5") == 0
    printed = capsys.readouterr()
    lines = dict(line.split(maxsplit=1) for line in printed.out.splitlines()[1:])
    assert lines["structures"].strip() == "4 (9 atoms)"
    assert lines["sites"].strip() == "4 at the K edge (3 Fe, 1 Co)"
    assert lines["skipped"].strip() == "2"
    skipped = [line for line in printed.err.splitlines() if line.startswith("skipped: ")]
    assert len(skipped) == 2
    assert "C.xyz: expected exactly one transition metal as the absorber, found 0 in C; choose with --abs" in skipped[0]
    assert skipped[1].endswith("D.xyz: line 7: unknown element 'Qq'")
    assert printed.err.splitlines()[-1] == f"Next: xanes-hpc featurise {tmp_path}/out.h5"


def test_long_lists_of_skipped_items_are_shortened(tmp_path, capsys):
    write_xyz(tmp_path / "xyz" / "A.xyz")
    for k in range(14):
        write_xyz(tmp_path / "xyz" / f"bad{k:02d}.xyz", [("C", 0, 0, 0)])
    assert run("import", tmp_path / "xyz", "-o", tmp_path / "out.h5") == 0
    error = capsys.readouterr().err
    assert error.count("skipped: ") == 10
    assert "… and 4 more; --json lists them" in error


def test_json_into_a_file(tmp_path, capsys):
    write_xyz(tmp_path / "A.xyz")
    assert run("import", tmp_path / "A.xyz", "--json", tmp_path / "s.json", "-o", tmp_path / "out.h5") == 0
    summary = json.loads((tmp_path / "s.json").read_text())
    assert (summary["output"], summary["structures"]) == (f"{tmp_path}/out.h5", 1)
    assert "structures" in capsys.readouterr().out


@pytest.mark.parametrize("before", [True, False])
def test_json_without_a_file_may_come_anywhere(tmp_path, capsys, before):
    source = write_xyz(tmp_path / "A.xyz")
    words = ["--json", source] if before else [source, "--json"]
    assert run("import", "-o", tmp_path / "out.h5", *words) == 0
    assert json.loads(capsys.readouterr().out)["structures"] == 1


@pytest.mark.parametrize("n", [1, 2])
def test_what_was_chosen_is_said_in_a_line_for_each_kind(tmp_path, capsys, n):
    for name in "AB"[:n]:
        write_xyz(tmp_path / "xyz" / f"{name}.xyz")
        rows = np.column_stack([edge_step(), edge_step()[:, 1]])
        write(tmp_path / "mu" / f"{name}.dat", "# energy mu norm\n" + table(rows))
    assert run("import", tmp_path / "xyz", "--spectra", tmp_path / "mu", "-o", tmp_path / "s.h5") == 0
    first = "A.dat: mu, norm; read mu, the first"
    said = f"2 (first: {first})" if n == 2 else first
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Note: ")]
    assert lines == [f"Note: files have several columns that may be the spectrum: {said}"]


def test_the_most_frequent_reasons_are_shown_if_nothing_is_imported(tmp_path, capsys):
    write_xyz(tmp_path / "xyz" / "A.xyz")
    for name in "BCD":
        write_xyz(tmp_path / "xyz" / f"{name}.xyz", [("Fe", 0, 0, 0), ("Fe", 0, 0, 4)])
    write_spectrum(tmp_path / "mu" / "B.txt")
    assert run("import", tmp_path / "xyz", "--spectra", tmp_path / "mu", "-o", tmp_path / "s.h5") == 2
    message = capsys.readouterr().err
    main, spectra = message.index("as the absorber: 3 (first: "), message.index("no spectrum for A in")
    assert main < spectra
    assert f"{tmp_path}/mu/B.txt is there, but B was skipped: choose its --absorber" in message
