"""Import features that another program made as a feature store: with spectra of their own, or those of structures."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.errors import AbsorberError, FormatError
from xanes_hpc.features.featurise import Progress, featurise
from xanes_hpc.features.foreign import ForeignFeatures, read_foreign
from xanes_hpc.features.from_arrays import FeaturesOptions, element_of, site_names, spectra_of
from xanes_hpc.features.pairing import PairedFeatures
from xanes_hpc.formats.npz import Arrays
from xanes_hpc.runtime.new_file import NewFile
from xanes_hpc.runtime.outputs import check_output
from xanes_hpc.spectra import edges
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.sites import SiteTable
from xanes_hpc.stores.standalone import SharedSpectra, standalone_sites, write_standalone
from xanes_hpc.stores.structures import StructureStore

OF_SITES = ("names", "formulas", "elements", "edges")


@dataclass(frozen=True)
class ForeignSummary:
    """Summary of an import.

    Attributes
    ----------
    source, source_given
        Name of what made the features, and whether the file or the user names it; otherwise it is the file's name.
    digest
        SHA-256 of the file.
    absorbers
        Number of sites by element and edge, such as ``Fe K``.
    spectra, energies
        Number of spectra in the file, and of their energies, which run from ``energy_start`` to ``energy_stop`` in eV
        relative to e0; 0 and NaN without spectra.
    from_file
        What the file says about its sites: names, formulas, elements, edges.
    without_features, unused_rows
        Sites of the structure store without a row, and rows without a site.
    """

    sites: int
    absorbers: dict[str, int]
    features: int
    source: str
    source_given: bool
    digest: str
    descriptor_hash: str
    from_file: tuple[str, ...]
    spectra: int = 0
    energies: int = 0
    energy_start: float | None = None
    energy_stop: float | None = None
    treatment: str | None = None
    without_features: int = 0
    unused_rows: int = 0
    unused_arrays: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def import_foreign(source: Path, output: Path, options: FeaturesOptions, overwrite: bool = False) -> ForeignSummary:
    """Write a feature store from a file of features that another program made, and of spectra if it has some.

    ``options`` fill what the file lacks.

    Raises
    ------
    FormatError
        If the file cannot be read, an array is invalid, or an option contradicts the file.
    AbsorberError
        If the element is unknown.
    SpectrumError
        If an edge is unknown, or spectra have no energies or no edge at e0.
    StoreError
        If the output exists and may not be replaced, or cannot be written.
    """
    check_output(output, overwrite, sources=[source])
    return _written(source, output, options, overwrite)[1]


def import_foreign_in_memory(source: Path, options: FeaturesOptions) -> FeatureStore:
    """Return a feature store in memory; otherwise as ``import_foreign``."""
    return FeatureStore(file=_written(source, None, options, False)[0])


def import_beside(
    source: Path,
    structures: StructureStore,
    output: Path,
    name: str | None = None,
    overwrite: bool = False,
    progress: Progress = lambda done, total: None,
) -> tuple[ForeignSummary, PairedFeatures]:
    """Write a feature store of a structure store's sites, whose features another program made.

    Sites are paired by name. Those without a row stay in the store without features; training and prediction leave
    them out.

    Parameters
    ----------
    name
        Name of what made the features; by default the file's own.

    Raises
    ------
    FormatError
        If the file cannot be read, an array is invalid, or none of its names is that of a site.
    StoreError
        If the output exists and may not be replaced, or cannot be written.
    """
    check_output(output, overwrite, sources=[source, structures.path])
    found = read_foreign(source, name)
    sites = structures.sites
    paired = PairedFeatures(found, sites, structures.path, structures.site_formulas)
    featurise(structures, found.descriptor, output, overwrite, progress, foreign=paired)
    there = sites.take(np.flatnonzero(~paired.without))
    summary = _summary(found, there, without_features=len(paired.missing), unused_rows=len(paired.unused))
    return summary, paired


def _written(
    source: Path, output: Path | None, options: FeaturesOptions, overwrite: bool
) -> tuple[NewFile, ForeignSummary]:
    found = read_foreign(source, options.source)
    if found.arrays is None:
        raise FormatError(f"{source}: expected an .npz file, received a feature store")
    names = found.names or site_names(source, found.n_sites)
    elements, site_edges = _elements(found, options), _edges(found, options)
    sites = standalone_sites(names, elements, site_edges)
    for element, edge in dict.fromkeys(zip(elements.tolist(), site_edges, strict=True)):
        edges.check_given(edge, options.e0, options.shift)
        if options.e0 is None:
            edges.edge_energy(element, edge)
    spectra, intensities = _spectra(found.arrays, sites, options)
    descriptor = found.descriptor
    file = write_standalone(
        output, sites, found.values, descriptor.describe(), descriptor.hash, descriptor.labels, spectra, intensities,
        found.formulas, found.attributes, overwrite, [source],
    )  # fmt: skip
    shared: dict[str, Any] = {}
    if spectra:
        relative = spectra[0].placed.relative
        shared = {
            "spectra": found.n_sites,
            "energies": relative.size,
            "energy_start": float(relative[0]),
            "energy_stop": float(relative[-1]),
            "treatment": spectra[0].placed.spectrum.treatment,
        }
    return file, _summary(found, sites, **shared)


def _spectra(arrays: Arrays, sites: SiteTable, options: FeaturesOptions) -> tuple[list[SharedSpectra], Any]:
    if "y" not in arrays:
        if options.energies is not None:
            raise FormatError(f"{arrays.path}: `energies` are those of spectra, but it has no spectra (array y)")
        return [], None
    return spectra_of(arrays, len(sites), sites.element, sites.edge, options)


def _elements(found: ForeignFeatures, options: FeaturesOptions) -> npt.NDArray[np.uint8]:
    given = None if options.element is None else element_of(options.element)
    if found.elements is None:
        if given is None:
            raise AbsorberError(
                f"{found.path}: does not say of which element its sites are (array elements); set `element`"
            )
        return np.full(found.n_sites, given, np.uint8)
    if given is not None and (found.elements != given).any():
        row = int(np.argmax(found.elements != given))
        raise FormatError(
            f"{found.path}: array elements, row {row}: is {chemical_symbols[found.elements[row]]}, but `element` is "
            f"{options.element}"
        )
    return found.elements


def _edges(found: ForeignFeatures, options: FeaturesOptions) -> list[str]:
    if found.edges is None:
        return [options.edge or "K"] * found.n_sites
    if options.edge is not None and set(found.edges) != {options.edge}:
        row = next(k for k, edge in enumerate(found.edges) if edge != options.edge)
        raise FormatError(f"{found.path}: array edges, row {row}: is {found.edges[row]}, but `edge` is {options.edge}")
    return found.edges


def _summary(found: ForeignFeatures, sites: SiteTable, **others: Any) -> ForeignSummary:
    kinds = Counter(zip(sites.element.tolist(), sites.edge, strict=True))
    return ForeignSummary(
        sites=len(sites),
        absorbers={f"{chemical_symbols[z]} {edge}": n for (z, edge), n in kinds.most_common()},
        features=found.descriptor.width,
        source=found.descriptor.source,
        source_given=found.source_given,
        digest=found.digest,
        descriptor_hash=found.descriptor.hash,
        from_file=tuple(name for name in OF_SITES if getattr(found, name) is not None),
        unused_arrays=() if found.arrays is None else found.arrays.unused,
        **others,
    )
