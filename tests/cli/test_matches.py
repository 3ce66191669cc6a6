"""What ``match`` prints beside its tables."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from support.shelf import Shelf

from xanes_hpc.cli.matches import Listed, show_one
from xanes_hpc.experiment.held_out import HeldOut
from xanes_hpc.experiment.kinds import Kind
from xanes_hpc.experiment.match import match
from xanes_hpc.experiment.match_options import MatchOptions
from xanes_hpc.experiment.match_set import MatchedSpectrum, Placed


@pytest.mark.parametrize("error", [0.5, 18.0])
def test_mixtures_are_not_passed_off_as_an_explanation(capsys, error):
    shelf, options = Shelf(), MatchOptions(mixture=2)
    spectrum = replace(shelf.measured(3), intensities=shelf.measured(3).intensities + shelf.measured(8).intensities)
    found = match(spectrum, shelf, options)
    assert found.mixtures
    best = replace(found.ranked[0], error_percent=error)
    found = replace(found, ranked=[best, *found.ranked[1:]], held_out=HeldOut(np.linspace(1.0, 7.0, 100)))
    placed = Placed("foil", Kind(26, "K", np.arange(50), 7112.0), SimpleNamespace(e0=7112.0, in_words="as it is"))
    show_one(Listed(MatchedSpectrum(placed, options, found), [""] * 50), [], "")
    told = "mixtures are not compared with held-out spectra" in capsys.readouterr().err
    assert told == (error > 7.0)
