"""Import a published set of features and spectra without structures as a feature store."""

import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.descriptors import Descriptor
from xanes_hpc.errors import AbsorberError, DescriptorError, FormatError, SpectrumError
from xanes_hpc.formats import npz
from xanes_hpc.runtime.outputs import check_output
from xanes_hpc.spectra import edges
from xanes_hpc.spectra.spectrum import UNSTATED, PlacedSpectrum, Spectrum
from xanes_hpc.stores.standalone import standalone_sites, write_standalone
from xanes_hpc.structures.absorbers import element_number

RANGE = "START:STOP in eV, ascending, such as -15:60"


@dataclass(frozen=True)
class FeaturesOptions:
    """What the file does not record about its sites; the same for all of them.

    Attributes
    ----------
    element
        Symbol of the absorber.
    edge
        ``K``, ``L3``, …
    energies
        First and last energy of evenly spaced points, in eV, relative to e0 or absolute; by default those of the file.
    e0, shift
        As in ``spectra.edges.place``, in eV.
    treatment
        Treatment of the spectra, as text of ``spectra.spectrum.treatment``.
    """

    element: str
    edge: str = "K"
    energies: tuple[float, float] | None = None
    e0: float | None = None
    shift: float | None = None
    treatment: str | None = None


@dataclass(frozen=True)
class FeaturesSummary:
    """Summary of an import; energies, from ``energy_start`` to ``energy_stop``, are in eV relative to e0."""

    sites: int
    element: str
    edge: str
    features: int
    dtype: str
    descriptor: str
    descriptor_hash: str
    spectra: int
    energies: int
    energy_start: float
    energy_stop: float
    e0: float
    e0_source: str
    treatment: str
    unused_arrays: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def import_features(
    source: Path, output: Path, descriptor: Descriptor, options: FeaturesOptions, overwrite: bool = False
) -> FeaturesSummary:
    """Write a feature store from a file of features and spectra, after checking everything.

    Sites are named after the file and their row. The arrays must fit in memory.

    Raises
    ------
    FormatError
        If the file cannot be read, or its arrays are invalid.
    DescriptorError
        If the number of features is not that of the descriptor.
    SpectrumError
        If the spectra have no energies, or e0 is outside their range.
    AbsorberError
        If the element is unknown.
    StoreError
        If the output exists and may not be replaced, or cannot be written.
    """
    element = _element(options.element)
    edges.check_given(options.edge, options.e0, options.shift)
    check_output(output, overwrite, sources=[source])
    prefix = _prefix(source)
    arrays = npz.read(source, descriptor.dtype, with_energies=options.energies is None)
    n_sites, n_features = arrays.features.shape
    if n_features != descriptor.n_features:
        raise DescriptorError(
            f"{source}: array x: expected {descriptor.n_features} features of the descriptor {descriptor.name}, "
            f"received {n_features}; choose the descriptor that computed them"
        )
    placed = _placed(source, arrays, element, options)
    write_standalone(
        output,
        standalone_sites([f"{prefix}-{row:05d}" for row in range(n_sites)], element, options.edge),
        arrays.features,
        placed,
        arrays.intensities,
        descriptor.describe(),
        descriptor.hash,
        descriptor.labels,
        overwrite,
        [source],
    )
    return FeaturesSummary(
        sites=n_sites,
        element=chemical_symbols[element],
        edge=options.edge,
        features=n_features,
        dtype=descriptor.dtype.name,
        descriptor=descriptor.name,
        descriptor_hash=descriptor.hash,
        spectra=n_sites,
        energies=placed.relative.size,
        energy_start=float(placed.relative[0]),
        energy_stop=float(placed.relative[-1]),
        e0=placed.e0,
        e0_source=placed.e0_source,
        treatment=placed.spectrum.treatment,
        unused_arrays=arrays.unused,
    )


def energy_range(text: str) -> tuple[float, float]:
    """Parse ``START:STOP``; return the first and the last energy.

    Raises
    ------
    SpectrumError
        If the text is not two finite numbers in ascending order.
    """
    try:
        start, stop = map(float, text.split(":"))
    except ValueError:
        start = stop = np.nan
    if not (np.isfinite(start) and np.isfinite(stop) and start < stop):
        raise SpectrumError(f"`energies`: expected {RANGE}, received {text!r}")
    return start, stop


def _element(symbol: str) -> int:
    number = element_number(symbol)
    if not number:
        raise AbsorberError(f"`element`: expected the symbol of an element, such as V, received {symbol!r}")
    return number


def _prefix(source: Path) -> str:
    """Return the file's name without the characters that end a CSD code, so that its sites do not share a code."""
    if not source.stem.isprintable():
        raise FormatError(f"{source.parent}: expected a file name without control characters, received {source.name!r}")
    return re.sub("[_#@]", "-", source.stem)


def _placed(source: Path, arrays: npz.FeatureArrays, element: int, options: FeaturesOptions) -> PlacedSpectrum:
    """Return a spectrum with everything the spectra share, and the intensities of the first."""
    dark = np.flatnonzero(~arrays.intensities.any(axis=1))
    if dark.size:
        raise SpectrumError(f"{source}: array y, row {dark[0]}: all intensities are zero")
    spectrum = Spectrum(
        _energies(source, arrays, options.energies),
        arrays.intensities[0],
        treatment=options.treatment or UNSTATED,
        source=str(source),
    )
    try:
        placed = edges.place(spectrum, element, options.edge, options.e0, options.shift)
    except SpectrumError as error:
        raise SpectrumError(str(error).replace("`absorber`", "`element`")) from None
    return replace(placed, spectrum=replace(spectrum, source=source.name))


def _energies(source: Path, arrays: npz.FeatureArrays, given: tuple[float, float] | None) -> npt.NDArray[np.float64]:
    if given is not None:
        return np.linspace(*given, arrays.intensities.shape[1])
    if arrays.energies is None:
        raise SpectrumError(f"{source}: has no energies (array e); set `energies`: {RANGE}")
    return arrays.energies
