"""Measured spectra: read them in any form that beamlines write."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from xanes_hpc.api.inputs import PathLike
from xanes_hpc.experiment.measured import read_experiment
from xanes_hpc.formats.read_options import ReadOptions, parse_columns
from xanes_hpc.spectra.spectrum import Spectrum


def read_spectrum(
    file: PathLike,
    *,
    columns: str | Sequence[str | int] | None = None,
    mu: Literal["transmission", "fluorescence", "reference"] | None = None,
    d_spacing: float | None = None,
    feff_mu: Literal["absolute", "normalised"] = "absolute",
) -> Spectrum:
    """Read a spectrum from a file.

    Parameters
    ----------
    file
        XDI, NeXus, an Athena project (``NAME.prj:LABEL``), FEFF, FDMNES, or text of titled columns, which may be
        compressed.
    columns
        Titles or numbers (from 1) of the columns: the energy, and the spectrum or its detector channels, such as
        ``"energy,i0,itrans"``. Default: by their titles.
    mu
        Compute the spectrum from detector channels: ``transmission``, ln(i0/itrans); ``fluorescence``, ifluor/i0;
        ``reference``, ln(itrans/irefer). Default: the file's own spectrum, or the first of these that it allows.
    d_spacing
        Lattice spacing of the monochromator in Å, for files with its angle in place of the energy.
    feff_mu
        Take FEFF's absorption in Å² (``absolute``), or as FEFF normalised it.

    Returns
    -------
    Spectrum
        Energies in ascending order, points at the same energy averaged. Its ``choices`` say what was decided.

    Raises
    ------
    FormatError
        If the file cannot be read, or it is not clear which columns hold the spectrum.
    SpectrumError
        If the spectrum is not usable.

    Examples
    --------
    >>> import xanes_hpc as xh
    >>> _ = open("scan.dat", "w").write("# energy i0 it\\n1 8 8\\n2 8 8\\n3 8 4\\n4 8 4\\n5 8 4\\n")
    >>> xh.read_spectrum("scan.dat", mu="transmission").intensities.round(3).tolist()
    [0.0, 0.0, 0.693, 0.693, 0.693]
    """
    chosen = parse_columns(columns) if isinstance(columns, str) or columns is None else tuple(map(str, columns))
    options = ReadOptions(chosen, mu, d_spacing, feff_mu)
    options.check()
    return read_experiment(Path(file), options)
