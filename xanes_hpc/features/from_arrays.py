"""From a published set of features and spectra, which has no structures, to a feature store."""

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
from xanes_hpc.stores.standalone import sites_alone, write_standalone
from xanes_hpc.structures.absorbers import element_number

RANGE = "START:STOP in eV, ascending, such as -15:60"


@dataclass(frozen=True)
class FeaturesOptions:
    """What the file does not say of its sites, all of which are alike in it.

    Attributes
    ----------
    element
        Symbol of the absorber.
    edge
        ``K``, ``L3``, …
    energies
        First and last energy of the evenly spaced points, in eV, relative to e0 or absolute; by default the file's.
    e0, shift
        As in ``spectra.edges.place``; eV.
    treatment
        How the spectra were treated, as text of ``records``.
    """

    element: str
    edge: str = "K"
    energies: tuple[float, float] | None = None
    e0: float | None = None
    shift: float | None = None
    treatment: str | None = None


@dataclass(frozen=True)
class FeaturesSummary:
    """What was taken. Energies, from ``energy_start`` to ``energy_stop``, are in eV relative to e0."""

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
        """Plain values, for JSON."""
        return asdict(self)


def import_features(
    source: Path, output: Path, descriptor: Descriptor, options: FeaturesOptions, overwrite: bool = False
) -> FeaturesSummary:
    """Write a feature store from a file of features and spectra; everything is checked before.

    Sites are called by the file's name and their row. The arrays are in memory as a whole.

    Raises
    ------
    FormatError
        If the file cannot be used.
    DescriptorError
        If the features are not as many as the descriptor's.
    SpectrumError
        If the spectra have no energies, or e0 lies outside their range.
    AbsorberError
        If there is no such element.
    StoreError
        If the output stands in the way or cannot be written.
    """
    element = _element(options.element)
    edges.check_given(options.edge, options.e0, options.shift)
    check_output(output, overwrite, sources=[source])
    prefix = _prefix(source)
    arrays = npz.read(source, descriptor.dtype, with_energies=options.energies is None)
    n_sites, n_features = arrays.features.shape
    if n_features != descriptor.n_features:
        raise DescriptorError(
            f"{source}: array x: expected the {descriptor.n_features} features of descriptor {descriptor.name} "
            f"as chosen, received {n_features}; name with --preset or --descriptor the one that made them"
        )
    placed = _placed(source, arrays, element, options)
    write_standalone(
        output,
        sites_alone([f"{prefix}-{row:05d}" for row in range(n_sites)], element, options.edge),
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
    """First and last energy from ``START:STOP``.

    Raises
    ------
    SpectrumError
        If it is not two finite numbers that ascend.
    """
    try:
        start, stop = map(float, text.split(":"))
    except ValueError:
        start = stop = np.nan
    if not (np.isfinite(start) and np.isfinite(stop) and start < stop):
        raise SpectrumError(f"--energies: expected {RANGE}, received {text!r}")
    return start, stop


def _element(symbol: str) -> int:
    number = element_number(symbol)
    if not number:
        raise AbsorberError(f"--element: expected the symbol of an element, such as V, received {symbol!r}")
    return number


def _prefix(source: Path) -> str:
    """The file's name without the marks that end a CSD code (``splits.code``): its sites are no twins by name."""
    if not source.stem.isprintable():
        raise FormatError(f"{source.parent}: a name with control characters: {source.name!r}")
    return re.sub("[_#@]", "-", source.stem)


def _placed(source: Path, arrays: npz.FeatureArrays, element: int, options: FeaturesOptions) -> PlacedSpectrum:
    """What all spectra have in common, and the intensities of the first."""
    dark = np.flatnonzero(~arrays.intensities.any(axis=1))
    if dark.size:
        raise SpectrumError(f"{source}: array y, row {dark[0]}: is zero everywhere")
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
        raise SpectrumError(f"{source}: has no energies (array e): give them with --energies, {RANGE}")
    return arrays.energies
