"""Made spectra, predictions broadened, shifted, on a background and noisy: site, shift and width are found again."""

import numpy as np
import pytest

from xanes_hpc.experiment.calculated import Calculated
from xanes_hpc.experiment.compare import Library
from xanes_hpc.experiment.fit_broadening import fit_broadening
from xanes_hpc.experiment.fit_curve import FitOptions
from xanes_hpc.experiment.match import match
from xanes_hpc.experiment.match_options import MatchOptions
from xanes_hpc.experiment.normalised import NormaliseOptions, normalised
from xanes_hpc.spectra.broadening import broaden
from xanes_hpc.spectra.recipe import BroadeningConfig
from xanes_hpc.spectra.spectrum import PlacedSpectrum, Spectrum

E0, SHIFT, WIDTH = 7112.0, 1.3, 1.5
GRID = np.linspace(-15.0, 60.0, 226)
MEASURED = np.concatenate([np.arange(-150.0, -20.0, 4.0), np.arange(-20.0, 60.0, 0.4), np.arange(60.0, 500.0, 4.0)])


class Sites(Library):
    """Predictions of sites that differ in edge, white line and further peaks."""

    def __init__(self, n_sites=12):
        rng = np.random.default_rng(3)
        self.energies, self.origin = GRID, "e0"
        self.names, self.e0 = [f"S{k}" for k in range(n_sites)], np.full(n_sites, E0)
        self.mean = np.array([self.curve(rng) for _ in range(n_sites)])

    def curve(self, rng):
        edge = rng.uniform(5.0, 10.0)
        found = 0.5 + np.arctan((GRID - edge) / 1.0) / np.pi
        for place in (edge + 2.0, *rng.uniform(edge + 6.0, 45.0, 3)):
            found += rng.uniform(0.1, 0.6) * np.exp(-0.5 * ((GRID - place) / rng.uniform(1.2, 3.0)) ** 2)
        return found - found[0]

    def read(self, rows):
        return self.mean[rows], 0.02 + 0.0 * self.mean[rows]

    def calculated(self, k):
        return Calculated(self.names[k], PlacedSpectrum(Spectrum(GRID, self.mean[k]), E0, "store", "e0"), 26, "K")

    def measured(self, k, noise=0.005):
        own = self.calculated(k)
        mu = broaden([own.placed], [26], ["K"], BroadeningConfig("gaussian", gaussian=WIDTH))[0]
        relative = MEASURED - SHIFT
        mu = np.interp(relative, GRID, mu, left=0.0)
        mu += noise * np.random.default_rng(k).normal(size=mu.size)
        background = -3.0 - 4e-4 * relative - 2e-4 * np.maximum(relative, 0.0)
        return Spectrum(E0 + MEASURED, 0.4 * (mu + background), absolute=True, source="made")


@pytest.mark.parametrize("k", [0, 3, 5, 8, 11])
def test_site_shift_and_width_are_found_again(k):
    sites = Sites()
    measured = sites.measured(k)
    ranked = match(normalised(measured).spectrum, sites, MatchOptions(max_shift=3.0)).ranked
    assert ranked[0].site == f"S{k}"
    assert abs(ranked[0].shift - SHIFT) <= GRID[1] - GRID[0]
    for baseline, own in (("none", NormaliseOptions(post=(70.0, 480.0))), ("background", NormaliseOptions())):
        options = FitOptions(BroadeningConfig("gaussian", gaussian=1.0), baseline=baseline)
        found = fit_broadening(sites.calculated(k), measured, options, own)
        assert found.parameters["shift"].value == pytest.approx(SHIFT, abs=0.05)
        assert found.parameters["gaussian"].value == pytest.approx(
            WIDTH, abs=0.15 if baseline == "background" else 0.25
        )
        assert found.unexplained_percent < 5.0
        assert found.warnings == ()


def test_a_clean_spectrum_has_the_same_widths_with_either_treatment_of_its_background():
    sites, own = Sites(), NormaliseOptions(post=(70.0, 480.0))
    for k in range(3):
        widths = [
            fit_broadening(
                sites.calculated(k), sites.measured(k, 0.0),
                FitOptions(BroadeningConfig("gaussian", gaussian=1.0), baseline=baseline), own,
            ).parameters["gaussian"].value
            for baseline in ("none", "background")
        ]  # fmt: skip
        assert widths[0] == pytest.approx(widths[1], abs=0.01)
