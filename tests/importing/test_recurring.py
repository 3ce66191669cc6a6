"""A reason that many inputs share appears once, with advice that fits them all."""

import json

import numpy as np
import pytest
from support.builders import EDGE, run, write, write_spectrum, write_xyz

from xanes_hpc.errors import RecurringError, reworded


def write_shifted(folder, shifts):
    """Write a structure for each shift, with a spectrum whose edge lies that far (eV) below e0."""
    for i, shift in enumerate(shifts):
        write_xyz(folder / "xyz" / f"S{i:02}.xyz")
        energies = np.arange(EDGE - shift - 20, EDGE - shift + 60, 0.4)
        mu = 0.1 + 1 / (1 + np.exp(EDGE - shift - energies))
        write_spectrum(folder / "mu" / f"S{i:02}.txt", np.column_stack([energies, mu]))


def imported(folder, capsys, *words, code=0):
    capsys.readouterr()
    arguments = ["import", folder / "xyz", "--spectra", folder / "mu", "-o", folder / "s.h5", "--overwrite", *words]
    assert run(*arguments) == code
    return capsys.readouterr()


def test_spectra_that_need_nearly_the_same_shift_are_told_once_with_one_that_fits_all(tmp_path, capsys):
    write_shifted(tmp_path, [0.0, *np.linspace(70.0, 76.0, 13)])
    printed = imported(tmp_path, capsys, "--json", tmp_path / "s.json").err
    (line,) = [line for line in printed.splitlines() if line.startswith("skipped: ")]
    assert ": 13 (first: " in line
    assert "--shift 73.0 puts" in line
    summary = json.loads((tmp_path / "s.json").read_text())
    assert (summary["skipped_count"], len(summary["skipped"])) == (13, 13)
    assert summary["skipped"][3]["reason"].count("--shift 71.5") == 1
    assert [one["count"] for one in summary["recurring"]] == [13]
    assert summary["recurring"][0]["shifts_ev"] == pytest.approx([70.0, 76.0], abs=0.1)
    assert "spectra" in imported(tmp_path, capsys, "--shift", 73.0).out


def test_no_shift_is_advised_where_none_fits_all(tmp_path, capsys):
    write_shifted(tmp_path, [0.0, 70.0, 120.0])
    printed = imported(tmp_path, capsys).err
    (line,) = [line for line in printed.splitlines() if line.startswith("skipped: ")]
    assert "no one --shift fits" in line
    assert not any(f"--shift {number}" in line for number in (70, 120, 95))


def test_a_single_spectrum_keeps_its_own_advice(tmp_path, capsys):
    write_shifted(tmp_path, [0.0, 70.0])
    (line,) = [line for line in imported(tmp_path, capsys).err.splitlines() if line.startswith("skipped: ")]
    assert "--shift 70.0" in line
    assert line.endswith("or give --e0")


def test_structures_without_a_spectrum_are_told_once(tmp_path, capsys):
    write_shifted(tmp_path, [0.0])
    for i in range(14):
        write_xyz(tmp_path / "xyz" / f"T{i}.xyz")
    write(tmp_path / "xyz" / "broken.xyz", "not a structure\n")
    lines = [line for line in imported(tmp_path, capsys).err.splitlines() if line.startswith("skipped: ")]
    assert len(lines) == 2
    assert ": 14 (first: " in lines[0]
    assert lines[0].endswith("--keep-unpaired keeps structures without one")
    assert "broken.xyz" in lines[1]


def test_nothing_imported_gives_the_advice_for_all(tmp_path, capsys):
    write_shifted(tmp_path, [70.0, 74.0])
    error = imported(tmp_path, capsys, code=2).err
    assert "all 2 structures were skipped" in error
    assert "--shift 72.0 puts" in error
    assert not (tmp_path / "s.h5").exists()


def test_an_error_keeps_its_advice_when_its_place_is_added():
    error = reworded(RecurringError("fact", "do this", "facts", "do that", 3.0), "a/b: fact")
    assert (str(error), error.kind, error.advice_for_all, error.shift) == (
        "a/b: fact; do this",
        "facts",
        "do that",
        3.0,
    )
