"""A library of made spectra, and measured spectra made of its sites."""

import numpy as np

from xanes_hpc.experiment import compare
from xanes_hpc.spectra.spectrum import Spectrum

GRID = np.linspace(-15.0, 60.0, 76)
E0 = 7112.0


class Shelf(compare.Library):
    """A library of synthetic spectra: an edge, and peaks at different energies for each site."""

    def __init__(self, n_sites=50, with_std=True, origin="e0", seed=1):
        rng = np.random.default_rng(seed)
        self.energies, self.origin = GRID if origin == "e0" else GRID + E0, origin
        self.names = [f"S{k}" for k in range(n_sites)]
        self.e0 = np.full(n_sites, E0)
        self.e0[::5] += 0.75
        places, heights = rng.uniform(0, 50, (n_sites, 5)), rng.uniform(0.1, 0.8, (n_sites, 5))
        self.places, self.heights = places, heights
        self.mean = np.array([self.curve(k, GRID) for k in range(n_sites)])
        self.std = rng.uniform(0.01, 0.1, (n_sites, 1)) * (0.2 + self.mean) if with_std else None
        self.reads = 0

    def curve(self, k, relative):
        step = 0.5 + np.arctan(relative / 2.0) / np.pi
        peaks = np.exp(-0.5 * ((relative[:, None] - self.places[k]) / 3.0) ** 2)
        return step + peaks @ self.heights[k]

    def read(self, rows):
        self.reads += 1
        assert (np.diff(rows) > 0).all()
        return self.mean[rows], None if self.std is None else self.std[rows]

    def measured(self, k, factor=1.0, shift=0.0):
        """Return site k as measured, at energies finer than the grid's and beyond its ends."""
        fine = np.linspace(-25.0, 70.0, 1901)
        return Spectrum(self.e0[k] + fine + shift, self.curve(k, fine) / factor, absolute=True, source="measured")


def mixed(shelf, shares):
    rows = [(shelf.curve(k, np.linspace(-25.0, 70.0, 1901)), share) for k, share in shares.items()]
    y = sum(share * curve for curve, share in rows)
    return Spectrum(E0 + np.linspace(-25.0, 70.0, 1901), 3.0 * y, absolute=True, source="measured")
