"""Scans of a sample: calibrate their energies, leave out glitches, and merge them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy.typing as npt

from xanes_hpc.api.arguments import check_arguments
from xanes_hpc.api.inputs import PathLike, is_paths, listed, output_path, paths_of
from xanes_hpc.api.measured import measured_of, named
from xanes_hpc.errors import SpectrumError
from xanes_hpc.experiment.energy import EnergyOptions, correction
from xanes_hpc.experiment.merged import Merged, MergeOptions
from xanes_hpc.experiment.merged_file import merge_files, write
from xanes_hpc.experiment.merging import merge as merge_spectra
from xanes_hpc.experiment.normalised import NormaliseOptions
from xanes_hpc.runtime.outputs import check_output, whole_output
from xanes_hpc.spectra.alignment import LARGEST
from xanes_hpc.spectra.glitches import without_glitches
from xanes_hpc.spectra.spectrum import Spectrum
from xanes_hpc.structures.absorbers import given_element


def calibrate(
    measured: PathLike | Spectrum, by: PathLike = "reference", *, foil: str | None = None, absorber: str | None = None,
    edge: str | None = None,
) -> Spectrum:  # fmt: skip
    """Shift a spectrum so that the edge of a reference sample lies at its tabulated energy.

    Parameters
    ----------
    measured
        The measured spectrum: a file, or a ``Spectrum`` with absolute energies in eV.
    by
        ``reference`` for the reference channel that was measured along, or the file of a foil's scan. Its edge is the
        first clear maximum of the slope.
    foil
        Element and edge of the reference or foil, such as ``"Au L3"``. Default: as in its file, or the sample's.
    absorber, edge
        Element and edge of the sample, if its file does not name them.

    Returns
    -------
    Spectrum
        The shifted spectrum; the last of its ``choices`` tells the shift.

    Raises
    ------
    ConfigError
        If the element of the reference is not known.
    SpectrumError
        If the reference has no edge near the tabulated energy.

    Examples
    --------
    >>> import numpy as np
    >>> import xanes_hpc as xh
    >>> from xanes_hpc.spectra.spectrum import Spectrum
    >>> energies = np.arange(7000.0, 7300.0, 0.5)
    >>> foil = np.arctan((energies - 7113.2) / 1.5)
    >>> scan = Spectrum(energies, np.arctan((energies - 7122.0) / 2.0), element=26, reference=foil)
    >>> round(float(xh.calibrate(scan).energies[0]), 1)
    6998.8
    """
    check_arguments(calibrate, locals())
    options = EnergyOptions(str(by), foil)
    return correction(options, given_element(absorber), edge)(measured_of(measured))


def deglitch(measured: PathLike | Spectrum) -> Spectrum:
    """Leave out the glitches of a spectrum: single points that lie off the curve through their neighbours.

    Parameters
    ----------
    measured
        The measured spectrum: a file or a ``Spectrum``.

    Returns
    -------
    Spectrum
        The spectrum without them; the last of its ``choices`` names their energies.

    Examples
    --------
    >>> import numpy as np
    >>> import xanes_hpc as xh
    >>> from xanes_hpc.spectra.spectrum import Spectrum
    >>> energies = np.arange(7000.0, 7300.0, 0.5)
    >>> wrong = np.where(energies == 7200.0, 0.5, 0.0)
    >>> scan = Spectrum(energies, np.arctan((energies - 7122.0) / 2.0) + wrong, source="scan")
    >>> xh.deglitch(scan).choices[-1][1]
    'scan: at 7200.00 eV'
    """
    check_arguments(deglitch, locals())
    return without_glitches(measured_of(measured))


def merge(
    scans: PathLike | Sequence[PathLike | Spectrum | tuple[npt.ArrayLike, npt.ArrayLike]],
    *,
    calibrate: PathLike = "none",
    foil: str | None = None,
    deglitch: bool = False,
    align: Literal["best", "reference", "sample", "none"] = "best",
    max_shift: float = LARGEST,
    rebin: bool = False,
    step: float | None = None,
    weights: Literal["equal", "noise"] = "equal",
    normalise: Literal["edge-step", "mback", "none"] = "none",
    absorber: str | None = None,
    edge: str | None = None,
    output: PathLike | None = None,
    overwrite: bool = False,
) -> Merged:
    """Merge scans of one sample into one spectrum, with the standard error of the mean as its sigma.

    Parameters
    ----------
    scans
        Files, folders, patterns or Athena projects; or spectra in memory, each a ``Spectrum`` or a tuple of energies in
        eV and intensities.
    calibrate, foil
        ``reference``, or the file of a foil's scan, and its element and edge, as for ``calibrate``: one shift for all
        aligned scans.
    deglitch
        Leave out glitches of each scan.
    align
        Shift each scan to the first one by its reference channel, by the spectrum of the sample, or by the reference
        channel where there is one (``best``).
    max_shift
        Largest shift of a scan, eV.
    rebin, step
        Average onto the field's three regions of energies, or onto even steps in eV. Default: the energies of the first
        scan.
    weights
        Weight scans alike, or by one over the variance of their noise.
    normalise
        Normalise each scan before the average.
    absorber, edge
        Element and edge of the sample. Default: as in the files.
    output
        XDI file to write. By default the result stays in memory.
    overwrite
        Replace an existing output.

    Returns
    -------
    Merged
        The mean (``spectrum``, with ``sigma``), the ``scatter`` of one scan, the ``scans`` with their shifts, and
        those ``left_out`` with their reasons.

    Raises
    ------
    ConfigError
        If an option is not possible.
    SpectrumError
        If no scan can be used, or no two overlap.
    StoreError
        If the output exists.

    Examples
    --------
    >>> import numpy as np
    >>> import xanes_hpc as xh
    >>> from xanes_hpc.spectra.spectrum import Spectrum
    >>> energies, rng = np.arange(7000.0, 7300.0, 0.5), np.random.default_rng(0)
    >>> def scan(shift):
    ...     mu = np.arctan((energies - 7122.0 - shift) / 2.0) + 0.004 * rng.standard_normal(energies.size)
    ...     return Spectrum(energies, mu, source=f"scan {shift:+.1f} eV")
    >>> merged = xh.merge([scan(shift) for shift in (0.0, 0.4, -0.7, 0.2)])
    >>> [round(own.shift, 1) for own in merged.scans]
    [0.0, -0.4, 0.7, -0.2]
    >>> round(float(np.median(merged.scatter)), 3), round(float(np.median(merged.spectrum.sigma)), 3)
    (0.004, 0.002)
    """
    check_arguments(merge, locals())
    options = MergeOptions(
        EnergyOptions(str(calibrate), foil, deglitch),
        align,
        max_shift,
        rebin,
        step,
        weights,
        NormaliseOptions(normalise),
    )
    target = None if output is None else output_path(output)
    if target is not None:
        check_output(target, overwrite)
    given, paths = listed(scans), list[Path]()
    if is_paths(given):
        merged, paths = merge_files(paths_of(given), options, absorber=absorber, edge=edge, to_write=target is not None)
    else:
        if not isinstance(given, Sequence) or not given or isinstance(given, str):
            received = "none" if isinstance(given, Sequence) and not given else type(scans).__name__
            raise SpectrumError(f"`scans`: expected files or spectra, received {received}")
        spectra = [measured_of(own) for own in given]
        merged = merge_spectra(named(spectra, "scan"), options, given_element(absorber), edge)
    if target is not None:
        with whole_output(target, overwrite) as temporary:
            write(temporary, merged, paths)
    return merged
