"""Measured spectra: read and normalise them."""

import os
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from xanes_hpc.api.arguments import annotations_of, check_arguments, check_values
from xanes_hpc.api.inputs import PathLike, is_paths, site_choice
from xanes_hpc.api.spectra import Spectra
from xanes_hpc.errors import ConfigError, SpectrumError, StoreError
from xanes_hpc.experiment.measured import read_experiment
from xanes_hpc.experiment.merged import Merged
from xanes_hpc.experiment.normalised import NormalisedSpectrum, NormaliseOptions, normalised
from xanes_hpc.formats.read_options import ReadOptions, parse_columns
from xanes_hpc.formats.site_lists import SiteChoice
from xanes_hpc.runtime.nearest import did_you_mean
from xanes_hpc.spectra.edge_step import Window
from xanes_hpc.spectra.edges import check
from xanes_hpc.spectra.order import in_order
from xanes_hpc.spectra.spectrum import Spectrum
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.absorbers import given_element


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
    >>> from pathlib import Path
    >>> import xanes_hpc as xh
    >>> _ = Path("scan.dat").write_text("# energy i0 it\\n1 8 8\\n2 8 8\\n3 8 4\\n4 8 4\\n5 8 4\\n")
    >>> xh.read_spectrum("scan.dat", mu="transmission").intensities.round(3).tolist()
    [0.0, 0.0, 0.693, 0.693, 0.693]
    """
    check_arguments(read_spectrum, locals())
    options = ReadOptions(parse_columns(columns), mu, d_spacing, feff_mu)
    options.check()
    return read_experiment(Path(file), options)


def normalise(
    measured: PathLike | Spectrum | tuple[npt.ArrayLike, npt.ArrayLike],
    *,
    method: Literal["edge-step", "mback"] = "edge-step",
    e0: float | None = None,
    pre: Window | None = None,
    post: Window | None = None,
    order: int | None = None,
    flatten: bool = True,
    absorber: str | None = None,
    edge: str | None = None,
) -> NormalisedSpectrum:
    """Normalise a measured spectrum: subtract its pre-edge line and divide by its edge step.

    Parameters
    ----------
    measured
        The measured spectrum: a file, a ``Spectrum``, or a tuple of energies in eV and intensities.
    method
        ``edge-step``, or ``mback`` to fit the spectrum to tabulated absorption first.
    e0
        Edge energy on the spectrum's own scale, in eV. Default: the steepest point of its main rise.
    pre, post
        Windows before and after the edge, in eV from it. Default: from the spectrum's range.
    order
        Degree of the polynomial through the post-edge window. Default: from the window's length.
    flatten
        Subtract the post-edge shape above the edge.
    absorber, edge
        Element and edge for ``mback``. Default: those that the file names.

    Returns
    -------
    NormalisedSpectrum
        The spectrum as read (``raw``) and normalised (``spectrum``), its ``e0``, its ``background`` with the edge
        step and both curves, and what was done (``in_words``).

    Raises
    ------
    SpectrumError
        If the spectrum has no edge, or a window reaches beyond it.

    Examples
    --------
    >>> import numpy as np
    >>> import xanes_hpc as xh
    >>> energies = np.arange(6950.0, 7500.0, 1.0)
    >>> mu = -3.0 + 1e-4 * energies + 0.8 * (np.arctan((energies - 7120.0) / 2.0) / np.pi + 0.5)
    >>> found = xh.normalise((energies, mu))
    >>> round(found.e0), round(found.background.step, 1)
    (7120, 0.8)
    """
    check_arguments(normalise, locals())
    options = NormaliseOptions(method, e0, pre, post, order, flatten)
    return normalised(measured_of(measured), options, given_element(absorber), edge)


def measured_of(value: Any) -> Spectrum:
    """Return the measured spectrum that a value is, names, or holds as energies and intensities.

    Raises
    ------
    SpectrumError
        If it is none of these, or is not usable.
    """
    if isinstance(value, (Merged, NormalisedSpectrum)):
        return value.spectrum
    if isinstance(value, Spectrum):
        return value
    if is_paths(value):
        return read_experiment(Path(value))
    if not isinstance(value, (Sequence, np.ndarray)) or len(value) != 2:
        raise SpectrumError(
            "`measured`: expected a file, a spectrum, or a tuple of energies and intensities, received "
            f"{type(value).__name__}"
        )
    energies, intensities = (_numbers(one) for one in value)
    if energies.ndim != 1 or not energies.size or energies.shape != intensities.shape:
        raise SpectrumError(
            "`measured`: expected energies and the same number of intensities, received shapes "
            f"{energies.shape} and {intensities.shape}"
        )
    source = "the measured spectrum"
    try:
        found = in_order(Spectrum(energies, intensities, source=source))
        check(found)
    except SpectrumError as error:
        reason = str(error).removeprefix(f"{source}: ")
        raise SpectrumError(f"`measured`: its energies or intensities cannot be used: {reason}") from None
    return found


def named(spectra: Sequence[Spectrum], what: str) -> list[tuple[str, Spectrum]]:
    """Return spectra with names: their sources, or ``what`` and a number if these are missing or not all different."""
    sources = [own.source for own in spectra]
    names = sources if len({*sources, ""}) > len(sources) else [f"{what} {k}" for k in range(1, len(spectra) + 1)]
    return list(zip(names, spectra, strict=True))


def _numbers(values: Any) -> npt.NDArray[np.float64]:
    """Return energies or intensities as an array, NaN where they are masked.

    Raises
    ------
    SpectrumError
        If they are not real numbers.
    """
    try:
        found: Any = np.ma.asarray(values)
        if found.dtype.kind not in "biuf":
            raise ValueError
        return np.asarray(found.astype(np.float64).filled(np.nan))
    except (ValueError, TypeError):
        raise SpectrumError(
            f"`measured`: expected energies and intensities as numbers, received {reprlib.repr(values)}"
        ) from None


def options_of(kind: Any, values: Mapping[str, Any]) -> Any:
    """Return options of a kind with these values.

    Raises
    ------
    ConfigError
        If one is unknown, or has another type.
    """
    known = {f.name for f in fields(kind)}
    for name in values:
        if name not in known:
            hint = did_you_mean(name, known, f"expected one of {', '.join(sorted(known))}")
            raise ConfigError(f"unknown option {name!r}{hint}")
    check_values(annotations_of(kind), values)
    return kind(**values)


def comparable(value: Any) -> PredictionStore | StructureStore:
    """Return the store of predictions, or of structures with spectra, that a value is or names.

    Raises
    ------
    StoreError
        If it is neither.
    """
    if isinstance(value, Spectra):
        return value.chosen_store
    if isinstance(value, (PredictionStore, StructureStore)):
        return value
    if not isinstance(value, (str, os.PathLike)):
        raise StoreError(
            "expected predictions, or a structure store with spectra, or the path of one, "
            f"received {type(value).__name__}"
        )
    path = Path(value)
    if hdf5.is_kind(path, "predictions"):
        return PredictionStore(path)
    if hdf5.is_kind(path, "structures"):
        return StructureStore(path)
    hdf5.open_store(path).close()  # raises a more precise error, if there is one
    raise StoreError(f"{path}: expected a prediction store, or a structure store with spectra")


def choice_of(sites: Any) -> SiteChoice | None:
    """Return the sites in a table or with the given names; None for None.

    Raises
    ------
    ConfigError
        If it is neither.
    """
    if sites is not None and (choice := site_choice(sites)) is None:
        raise ConfigError(f"`sites`: expected a table such as 'chosen.csv', or names of sites, received {sites!r}")
    return None if sites is None else choice
