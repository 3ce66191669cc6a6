"""Import a published set of features and spectra without structures as a feature store.

The file has arrays ``x`` (n_sites, n_features), ``y`` (n_sites, n_energies) and optionally ``e`` (n_energies).
"""

import re
from collections.abc import Sequence
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
from xanes_hpc.spectra.spectrum import UNSTATED, Spectrum
from xanes_hpc.stores.standalone import SharedSpectra, standalone_sites, write_standalone
from xanes_hpc.structures.absorbers import element_number

RANGE = "START:STOP in eV, ascending, such as -15:60"


@dataclass(frozen=True)
class FeaturesOptions:
    """What the file does not record about its sites; the same for all of them.

    A file of foreign features may record everything but the treatment of its spectra.

    Attributes
    ----------
    element
        Symbol of the absorber.
    edge
        ``K``, ``L3``, …; by default K.
    energies
        First and last energy of evenly spaced points, in eV, relative to e0 or absolute; by default those of the file.
    e0, shift
        As in ``spectra.edges.place``, in eV.
    treatment
        Treatment of the spectra, as text of ``spectra.spectrum.treatment``.
    source
        Name of what made foreign features.
    """

    element: str | None = None
    edge: str | None = None
    energies: tuple[float, float] | None = None
    e0: float | None = None
    shift: float | None = None
    treatment: str | None = None
    source: str | None = None


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

    Sites are named after the file and their row.

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
    element, edge = element_of(options.element or ""), options.edge or "K"
    edges.check_given(edge, options.e0, options.shift)
    check_output(output, overwrite, sources=[source])
    names = site_names(source, 0)
    arrays = npz.Arrays(source)
    if not ("x" in arrays and "y" in arrays):
        raise FormatError(f"{source}: expected arrays x (features) and y (spectra), received {arrays.in_words}")
    features = arrays.numbers("x", ("n_sites", "n_features"), descriptor.dtype)
    n_sites, n_features = features.shape
    if n_features != descriptor.n_features:
        raise DescriptorError(
            f"{source}: array x: expected {descriptor.n_features} features of the descriptor {descriptor.name}, "
            f"received {n_features}; choose the descriptor that computed them"
        )
    spectra, intensities = spectra_of(arrays, n_sites, np.full(n_sites, element), [edge] * n_sites, options)
    names = site_names(source, n_sites)
    write_standalone(
        output, standalone_sites(names, element, [edge] * n_sites), features, descriptor.describe(), descriptor.hash,
        descriptor.labels, spectra, intensities, overwrite=overwrite, sources=[source],
    )  # fmt: skip
    placed = spectra[0].placed
    return FeaturesSummary(
        sites=n_sites,
        element=chemical_symbols[element],
        edge=edge,
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


def element_of(symbol: str) -> int:
    """Return the atomic number of the element given for all sites.

    Raises
    ------
    AbsorberError
        If there is no such element.
    """
    number = element_number(symbol)
    if not number:
        raise AbsorberError(f"`element`: expected the symbol of an element, such as V, received {symbol!r}")
    return number


def site_names(source: Path, n_sites: int) -> list[str]:
    """Return names of sites that have none: the file's and a number.

    Characters that end a CSD code are left out, so that the sites do not share a code.

    Raises
    ------
    FormatError
        If the file's name has control characters.
    """
    if not source.stem.isprintable():
        raise FormatError(f"{source.parent}: expected a file name without control characters, received {source.name!r}")
    prefix = re.sub("[_#@]", "-", source.stem)
    return [f"{prefix}-{row:05d}" for row in range(n_sites)]


def spectra_of(
    arrays: npz.Arrays,
    n_sites: int,
    elements: npt.NDArray[np.integer[Any]],
    site_edges: Sequence[str],
    options: FeaturesOptions,
) -> tuple[list[SharedSpectra], npz.Numbers]:
    """Return what the spectra of each element and edge share, and the intensities of all sites.

    Parameters
    ----------
    arrays
        The file, with an array ``y``, and ``e`` unless the options have energies.
    n_sites
        Expected number of spectra.
    elements, site_edges : (n_sites,)
        Atomic numbers and edges.

    Raises
    ------
    FormatError
        If an array is invalid.
    SpectrumError
        If the spectra have no energies, one is zero everywhere, or e0 is outside their range.
    """
    source, float64 = arrays.path, np.dtype(np.float64)
    intensities = arrays.numbers("y", ("n_sites", "n_energies"), float64)
    if len(intensities) != n_sites:
        raise FormatError(f"{source}: expected as many rows in y as in x, received {len(intensities)} and {n_sites}")
    if options.energies is not None:
        energies = np.linspace(*options.energies, intensities.shape[1])
    elif "e" in arrays:
        energies = arrays.numbers("e", ("n_energies",), float64)[:]
    else:
        raise SpectrumError(f"{source}: has no energies (array e); set `energies`: {RANGE}")
    if energies.size != intensities.shape[1]:
        raise FormatError(
            f"{source}: expected as many energies in e as y has columns, received {energies.size} and "
            f"{intensities.shape[1]}"
        )
    for start, values in intensities.blocks():
        dark = np.flatnonzero(~values.any(axis=1))
        if dark.size:
            raise SpectrumError(f"{source}: array y, row {start + dark[0]}: all intensities are zero")
    kinds: dict[tuple[int, str], list[int]] = {}
    for row, kind in enumerate(zip(elements.tolist(), site_edges, strict=True)):
        kinds.setdefault(kind, []).append(row)
    found = []
    for (element, edge), rows in kinds.items():
        first = intensities[rows[:1]][0]
        spectrum = Spectrum(energies, first, treatment=options.treatment or UNSTATED, source=str(source))
        try:
            e0 = edges.edge_energy(element, edge) if options.e0 is None else options.e0
            spectrum = replace(spectrum, absolute=edges.is_absolute(spectrum, e0))  # in eV, never in keV
            placed = edges.place(spectrum, element, edge, options.e0, options.shift)
        except SpectrumError as error:
            raise SpectrumError(str(error).replace("`absorber`", "`element`")) from None
        placed = replace(placed, spectrum=replace(placed.spectrum, source=source.name))
        found.append(SharedSpectra(np.array(rows, np.int64), placed))
    return found, intensities
