"""Targets on a model's grid: a cache beside the feature store that may be deleted, with the same order of sites."""

import tempfile
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np
import numpy.typing as npt

from xanes_hpc.spectra.grid import Grid
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.texts import read_text


class TargetStore(hdf5.Store):
    """A target store open for reading."""

    kind = "targets"

    def __init__(
        self, path: Path | None = None, file: h5py.File | None = None,
        folder: "tempfile.TemporaryDirectory[str] | None" = None,
    ) -> None:  # fmt: skip
        super().__init__(path, file)
        self._folder = folder

    def close(self) -> None:
        """Close the store, and remove its temporary folder if it has one."""
        self.file.close()
        if self._folder is not None:
            self._folder.cleanup()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def grid(self) -> Grid:
        """The grid of all targets."""
        energy = self.file["energy"]
        return Grid(energy[:], read_text(energy, "origin"))

    @property
    def e0(self) -> npt.NDArray[np.float64]:
        """Edge energy of every site in eV; NaN for sites without a spectrum."""
        values: npt.NDArray[np.float64] = self.file["e0"][:]
        return values

    @property
    def source_treatment(self) -> str:
        """Treatment of the spectra that the targets were made from."""
        return self.attribute("source_treatment") or self.attribute("treatment")

    def read(self, start: int, stop: int) -> npt.NDArray[np.float32]:
        """Return the targets of sites ``start:stop``, (n_rows, n_energies); NaN for sites without one."""
        return self.read_rows("intensity", start, stop)
