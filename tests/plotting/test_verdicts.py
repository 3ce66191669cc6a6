"""Figures say what their spectra are worth: whether a site explains them, and which sites are out of domain."""

from dataclasses import replace

import numpy as np
import pytest
from support.shelf import GRID, Shelf

from xanes_hpc.experiment.calculated import Calculated
from xanes_hpc.experiment.fit_broadening import fit_broadening
from xanes_hpc.experiment.held_out import HeldOut
from xanes_hpc.experiment.match import match
from xanes_hpc.plotting.experiment import best_matches, fitted_spectrum, matched_spectra
from xanes_hpc.spectra.spectrum import PlacedSpectrum, Spectrum

HELD_OUT = HeldOut(np.linspace(1.0, 7.0, 100))


@pytest.fixture
def found():
    """A match that 100 held-out spectra are better than."""
    shelf = Shelf()
    own = match(shelf.measured(3), shelf)
    return replace(own, ranked=[replace(own.ranked[0], error_percent=18.0), *own.ranked[1:]], held_out=HELD_OUT)


def text_of(path):
    return " ".join(path.read_text().split())


def test_a_match_that_explains_nothing_says_so_in_its_figure(found, tmp_path):
    distrust = [""] * 50
    distrust[found.ranked[1].row] = "unlike the training set"
    matched_spectra(found, "foil", tmp_path / "a.svg", "Fe K edge", distrust)
    text = text_of(tmp_path / "a.svg")
    assert "No site explains this spectrum: " in text
    assert text.count("out of domain") == 1
    matched_spectra(replace(found, held_out=None), "foil", tmp_path / "b.svg", "Fe K edge")
    assert not any(words in text_of(tmp_path / "b.svg") for words in ("explains", "out of domain"))


def test_each_of_several_matches_has_its_verdict(found, tmp_path):
    distrust = [""] * 50
    distrust[found.ranked[0].row] = "unlike the training set"
    ordinary = replace(found, held_out=None)
    best_matches([("foil", found), ("complex", ordinary)], tmp_path / "a.svg", "", distrust)
    text = text_of(tmp_path / "a.svg")
    assert text.count("error 18.0 %, unexplained, out of domain") == text.count("error 18.0 %, out of domain") == 1
    assert "Poor: 75 % or more of the held-out spectra" in text
    best_matches([("complex", ordinary)], tmp_path / "b.svg")
    assert "Poor" not in text_of(tmp_path / "b.svg")


def test_a_fit_that_explains_nothing_says_so_in_its_figure(tmp_path):
    mu = np.where(GRID > 3.0, 1.0, 0.0) + np.exp(-0.5 * ((GRID - 20.0) / 3.0) ** 2)
    own = Calculated("c", PlacedSpectrum(Spectrum(GRID, mu, source="c"), 7112.0, "file", "e0", e_cut=-5.0), 26, "K")
    fitted = fit_broadening(own, Spectrum(GRID + 7112.0, mu, absolute=True, source="m"))
    for verdict in ("", "this site does not explain this spectrum"):
        fitted_spectrum(replace(fitted, verdict=verdict), "c", "m", tmp_path / "f.svg", "Fe K edge")
        assert ("This site does not explain this spectrum" in text_of(tmp_path / "f.svg")) == bool(verdict)
