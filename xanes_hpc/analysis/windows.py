"""Energy windows: the default ones, the points in them, and their labels."""

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import ConfigError
from xanes_hpc.models.model import Model

Window = tuple[float, float]
WINDOWS: tuple[Window, ...] = ((-3.0, 3.0), (50.0, 56.0))
"""Default windows in eV from the edge: where multiple scattering matters most, and where single scattering does."""


def default_windows(model: Model) -> tuple[Window, ...]:
    """Return ``WINDOWS`` on the model's energy axis; the second moves to the grid's end if the grid is shorter."""
    energies, origin = model.grid
    edge = 0.0 if origin == "e0" else float(np.median(list(model.seen.values())))
    (low, high), width = WINDOWS, WINDOWS[1][1] - WINDOWS[1][0]
    found = [(edge + low[0], edge + low[1]), (edge + high[0], edge + high[1])]
    if found[1][1] > energies[-1]:
        found[1] = (float(energies[-1]) - width, float(energies[-1]))
    return tuple(window for window in found if ((energies >= window[0]) & (energies <= window[1])).any())


def clipped(window: Window, energies: npt.NDArray[np.float64]) -> Window:
    """Return a window clipped to the range of ascending energies."""
    low, high = max(window[0], float(energies[0])), min(window[1], float(energies[-1]))
    return window if low > high else (low, high)


def points_in(window: Window, energies: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return a mask of the energies, (n_energies,), in a window, ends included.

    Raises
    ------
    ConfigError
        If the window holds none of the energies.
    """
    found = (energies >= window[0] - 1e-9) & (energies <= window[1] + 1e-9)
    if not found.any():
        raise ConfigError(
            f"window {window[0]:g} to {window[1]:g} eV holds no energy of the model: expected one within "
            f"{energies[0]:g} to {energies[-1]:g} eV"
        )
    return np.asarray(found)


def in_words(window: Window) -> str:
    """Return a window's label, such as ``-3 to +3 eV``."""
    return f"{window[0]:+g} to {window[1]:+g} eV"
