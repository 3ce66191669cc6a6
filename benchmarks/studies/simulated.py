"""Measurements made from calculated spectra, as a beamline would give them, in a store."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import fftconvolve
from scipy.special import voigt_profile

from xanes_hpc.experiment.normalised import normalised
from xanes_hpc.spectra.edges import place
from xanes_hpc.spectra.spectrum import PlacedSpectrum, Spectrum
from xanes_hpc.stores.spectra import SpectrumTable, read_spectra
from xanes_hpc.stores.structure_writer import create_structures
from xanes_hpc.stores.structures import StructureStore

Array = npt.NDArray[np.float64]

OFFSET = 2.3
"""How much higher the energies of the beamline are than those of the calculation, eV."""
CORE_HOLE, INSTRUMENT = 0.8, 1.2
"""Full widths at half maximum of the further Lorentzian and of the Gaussian, eV."""
NOISE = 0.003
"""Standard deviation of each point, as a fraction of the edge step."""
ENERGIES = np.concatenate([np.arange(-150, -30, 5.0), np.arange(-30, 80, 0.5), np.arange(80, 500, 4.0)])
"""Energies of a scan, eV from the calculation's e0."""
FINE = np.linspace(-400.0, 800.0, 12_001)
"""Energies at which spectra are broadened, eV; an odd number, so that a profile has its centre at one."""
LEVEL, DAMPED = 25.0, 20.0
"""Beyond its end, a calculated spectrum goes on to its mean over its last ``LEVEL`` eV, within some ``DAMPED`` eV."""


def simulated(source: StructureStore, rows: npt.NDArray[np.integer], path: Path) -> Path:
    """Write a store of some sites of ``source``, each with a measurement made from its calculated spectrum."""
    if path.exists():
        return path
    table, chosen, rng = SpectrumTable.read(source.file), set(rows.tolist()), np.random.default_rng(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    with create_structures(path) as writer:
        for row, (structure, own) in enumerate(source.structures()):
            if row in chosen:
                (calculated,) = read_spectra(source.file, np.flatnonzero(table.site == row).tolist())
                measured = normalised(scan(calculated, own.name[0], rng)).spectrum
                writer.append(structure, own.atom, own.edge[0], [[place(measured, int(own.element[0]), own.edge[0])]])
    return path


def scan(calculated: PlacedSpectrum, name: str, rng: np.random.Generator) -> Spectrum:
    """Return a scan of a sample with this calculated spectrum: shifted, broadened, on a background, with noise.

    With x = E / 1000 eV, it is a + b x + step (1 + c x + d x² above the edge) mu(E) + noise, with random a to d and
    step.
    """
    energies, mu = calculated.relative, calculated.spectrum.intensities
    level = float(mu[energies > energies[-1] - LEVEL].mean())
    past = np.maximum(FINE - energies[-1], 0.0)
    inside = np.interp(FINE, energies, mu)
    whole = (level + (inside - level) * np.exp(-past / DAMPED)) / level
    profile = voigt_profile(FINE - FINE.mean(), INSTRUMENT / np.sqrt(8 * np.log(2)), CORE_HOLE / 2)
    broad = whole[0] + fftconvolve(whole - whole[0], profile / profile.sum(), mode="same")
    x = ENERGIES / 1000
    step, a, b, c, d = rng.uniform([0.3, -0.5, -1.5, -0.8, 0.0], [1.5, 2.0, -0.3, -0.2, 0.5])
    curve = 1 + np.where(x > 0, c * x + d * x**2, 0.0)
    noise = rng.normal(scale=NOISE, size=x.size)
    signal = a + b * x + step * (curve * np.interp(ENERGIES - OFFSET, FINE, broad) + noise)
    return Spectrum(ENERGIES + calculated.e0, signal, absolute=True, source=name)
