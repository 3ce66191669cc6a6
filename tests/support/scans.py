"""A scan of a beamline, with the counts of every detector, and the absorption that they give.

Arrays are per point, (n_points,); energies are in eV.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from support.builders import write
from xanes_hpc.spectra.spectrum import Spectrum

N = 40
ENERGY = 7090.0 + 2.0 * np.arange(N)
I0 = 1e5 + 100.0 * np.arange(N)
MU = 0.3 + 1.0 / (1.0 + np.exp(-(ENERGY - 7115.0)))
ITRANS, IFLUOR = I0 * np.exp(-MU), 0.2 * MU * I0
IREFER = ITRANS * np.exp(-2 * MU)
SCAN = np.stack([ENERGY, I0, ITRANS, IFLUOR, IREFER], axis=1)
TITLES = ("energy", "i0", "itrans", "ifluor", "irefer")


def scan(path: Path, titles: Sequence[str] = TITLES, rows: npt.ArrayLike = SCAN, separator: str = "  ") -> Path:
    """Write rows of numbers below a line of titles, and return the file."""
    lines = [separator.join(f"{value:.12g}" for value in row) for row in np.asarray(rows)]
    return write(path, f"# {separator.join(titles)}\n" + "\n".join(lines) + "\n")


def holds(found: Spectrum, mu: npt.ArrayLike = MU, energies: npt.ArrayLike = ENERGY) -> bool:
    """Assert that a spectrum has these intensities and energies."""
    np.testing.assert_allclose(found.energies, energies, rtol=1e-9)
    np.testing.assert_allclose(found.intensities, mu, rtol=1e-8)
    return True


def told(found: Spectrum) -> dict[str, str]:
    """Return what was chosen in reading, with the last detail of each kind."""
    return dict(found.choices)
