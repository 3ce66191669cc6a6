"""Targets in two parts, beside the plain ones: the shift of a spectrum's edge, and its shape once it is moved back.

The shift is counted from the mean spectrum of the site's element and edge. Where spectra differ mostly by a rigid
shift, as those of oxides do, a mean of spectra smears the edge, and a mean of shapes does not. Both parts come from the
same kernel as the plain spectrum: they are further columns of its coefficients.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xanes_hpc.models.scaling import Absorbers, Array, Scalers
from xanes_hpc.spectra.edge_shift import LARGEST, edge_shifts, moved


@dataclass(frozen=True)
class Aligned:
    """How plain targets, shifts and shapes are made of spectra, and averaged to spectra again.

    Attributes
    ----------
    energies : (n_energies,)
        The model's grid, eV.
    scalers
        Scalers of the targets; shapes are scaled as spectra are.
    share
        Weight of the spectrum from shift and shape in the mean with the plain one.
    """

    energies: npt.NDArray[np.float64]
    scalers: Scalers
    share: float

    @property
    def n_columns(self) -> int:
        """Number of columns: plain spectrum, shift and shape."""
        return 2 * self.energies.size + 1

    def columns(self, y: npt.NDArray[np.floating], absorbers: Absorbers) -> Array:
        """Return scaled spectra, shifts in eV, and scaled shapes, (n_sites, n_columns).

        Parameters
        ----------
        y : (n_sites, n_energies)
            Spectra on the grid.
        absorbers : (n_sites,)
            Indices of the sites' elements and edges.
        """
        scalers, shifts = self.scalers, np.empty(len(y))
        for absorber in np.unique(absorbers):
            own = absorbers == absorber
            scale = float(np.sqrt(np.mean(np.square(scalers.target_scale[absorber]))))
            shifts[own] = edge_shifts(y[own], scalers.target_mean[absorber], scale, self.energies)
        shapes = scalers.targets(moved(y, -shifts, self.energies), absorbers)
        return np.concatenate([scalers.targets(y, absorbers), shifts[:, None].astype(np.float32), shapes], axis=1)

    def joined(self, columns: npt.NDArray[np.floating], absorbers: Absorbers) -> npt.NDArray[np.floating]:
        """Return scaled spectra, (n_sites, n_energies): the mean of plain ones and of shapes moved by their shifts."""
        n = self.energies.size
        mean, scale = self.scalers.target_mean[absorbers], self.scalers.target_scale[absorbers]
        shifts = np.clip(columns[:, n], -LARGEST, LARGEST)
        spectra = moved(columns[:, n + 1 :] * scale + mean, shifts, self.energies)
        return (1.0 - self.share) * columns[:, :n] + self.share * (spectra - mean) / scale
