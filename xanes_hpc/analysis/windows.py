"""Windows of energy: those that are looked at by default, which points lie in them, and how they are told."""

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import ConfigError
from xanes_hpc.models.model import Model

Window = tuple[float, float]
WINDOWS: tuple[Window, ...] = ((-3.0, 3.0), (50.0, 56.0))
"""eV about the edge: where multiple scattering counts most, and where single scattering does."""


def default_windows(model: Model) -> tuple[Window, ...]:
    """Windows about the edge as the model's grid counts: those of ``WINDOWS``, or its ends where it is shorter."""
    energies, origin = model.grid
    edge = 0.0 if origin == "e0" else float(np.median(list(model.seen.values())))
    (low, high), width = WINDOWS, WINDOWS[1][1] - WINDOWS[1][0]
    found = [(edge + low[0], edge + low[1]), (edge + high[0], edge + high[1])]
    if found[1][1] > energies[-1]:
        found[1] = (float(energies[-1]) - width, float(energies[-1]))
    return tuple(window for window in found if ((energies >= window[0]) & (energies <= window[1])).any())


def clipped(window: Window, energies: npt.NDArray[np.float64]) -> Window:
    """A window as far as ascending energies go."""
    low, high = max(window[0], float(energies[0])), min(window[1], float(energies[-1]))
    return window if low > high else (low, high)


def points_in(window: Window, energies: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which of the energies (n_energies,) lie in a window, its ends included.

    Raises
    ------
    ConfigError
        If none does.
    """
    found = (energies >= window[0] - 1e-9) & (energies <= window[1] + 1e-9)
    if not found.any():
        raise ConfigError(
            f"window {window[0]:g} to {window[1]:g} eV: holds none of the model's energies, {energies[0]:g} to "
            f"{energies[-1]:g} eV"
        )
    return np.asarray(found)


def in_words(window: Window) -> str:
    """Such as ``-3 to +3 eV``."""
    return f"{window[0]:+g} to {window[1]:+g} eV"
