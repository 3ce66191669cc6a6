"""Stores that studies train on, made once from a structure store and the published sets."""

import hashlib
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from xanes_hpc import descriptors
from xanes_hpc.features.featurise import featurise
from xanes_hpc.features.from_arrays import FeaturesOptions, import_features
from xanes_hpc.formats import split_files
from xanes_hpc.generation.complexes import ComplexOptions, complexes
from xanes_hpc.importing import demo_data
from xanes_hpc.importing.from_files import import_structures
from xanes_hpc.importing.options import ImportOptions
from xanes_hpc.models.training_sites import code
from xanes_hpc.spectra.edges import edge_energy
from xanes_hpc.spectra.spectrum import PlacedSpectrum, Spectrum, treatment
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.properties import SITE_PROPERTIES
from xanes_hpc.stores.spectra import SpectrumTable, read_spectra
from xanes_hpc.stores.structure_writer import create_structures
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.graphs import GraphSettings
from xanes_hpc.structures.rattling import Rattling

SULPHUR_SHIFT = 67.0
"""Shift of ORCA's energies, eV. It brings the first peak of most S spectra to the tabulated edge at 2472 eV."""
COPPER = "cu_k_edge_feff"
LABEL = treatment("synthetic", model=demo_data.LABEL)
VANADIUM_ENERGIES = (-15.0, 60.0)


@dataclass(frozen=True)
class Inputs:
    """The data that studies start from, and the stores made from them.

    Attributes
    ----------
    store
        Structure store with spectra for most studies: the Fe set.
    data
        Folder of the published sets.
    folder
        Folder for the stores that are made.
    n_sites
        Use only this many sites of the store, to check that everything runs.
    """

    store: Path
    data: Path
    folder: Path
    n_sites: int | None = None

    @property
    def structures(self) -> Path:
        """The given store, or a store of its first sites."""
        if self.n_sites is None:
            return self.store
        with StructureStore(self.store) as source:
            return self.some(source, np.arange(min(self.n_sites, source.n_sites)), f"first-{self.n_sites}")

    def features(
        self,
        structures: Path,
        described: str | Mapping[str, Any] = "default",
        rattle: float | None = None,
        properties: Sequence[str] = (),
        graph: bool = False,
    ) -> Path:
        """Featurise a structure store by preset or description, and return the path of the features.

        ``rattle`` moves the atoms at random; ``properties`` are appended to the features; ``graph`` adds graphs.
        """
        rattling = None if rattle is None else Rattling(rattle, seed=1)
        if isinstance(described, str):
            descriptor, name = descriptors.load("wacsf", described), described
        else:
            descriptor = descriptors.from_description(dict(described))
            name = descriptor.hash[:8]
        if properties:
            descriptor, name = descriptors.with_properties(descriptor, properties), f"{name}-properties"
        name += "" if rattle is None else f"-rattled-{rattle:g}"
        name += "-graph" if graph else ""
        with StructureStore(structures) as source:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / f"{_stem(source)}.{name}.features.h5"
            if not _is_of(path, source, descriptor.hash):
                settings = GraphSettings() if graph else None
                featurise(source, descriptor, path, overwrite=True, restart=True, rattling=rattling, graph=settings)
        return path

    def split(self, names: Sequence[str], parts: Sequence[str]) -> Path:
        """Write the part of each site as a table, and return its path, which is named by its content."""
        digest = hashlib.sha256(repr((list(names), list(parts))).encode()).hexdigest()
        path = self.folder / f"split-{digest[:16]}.csv"
        split_files.write(path, names, parts)
        return path

    def without_twins(self, others: Path) -> Path:
        """Return a store without sites that share a CSD code, or a formula except for the absorber, with ``others``."""
        with StructureStore(others) as twins:
            codes, formulas = {code(name) for name in twins.sites.name}, _bare_formulas(twins)
        with StructureStore(self.structures) as source:
            names, own = source.sites.name, _bare_formulas(source)
            kept = [code(n) not in codes and f not in set(formulas) for n, f in zip(names, own, strict=True)]
            return self.some(source, np.flatnonzero(kept), f"without-{others.stem}")

    @property
    def cobalt(self) -> Path:
        """The small Co set: complexes of the Fe set with Co in place of Fe."""
        return self._imported("co_k_edge", "xanes_convolved", ImportOptions())

    @property
    def sulphur(self) -> Path:
        """The S set, calculated with TDDFT."""
        return self._imported("s_k_edge", "xanes", ImportOptions(absorber="first", shift=SULPHUR_SHIFT))

    @property
    def copper(self) -> Path:
        """The Cu set of OmniXAS: oxides, calculated with FEFF 9."""
        path = self.folder / f"{COPPER}.h5"
        if not path.exists():
            with tarfile.open(self.data / COPPER / f"{COPPER}.tar.xz") as archive:
                archive.extractall(self.folder / COPPER, filter="data")
            import_structures([self.folder / COPPER], path, ImportOptions(layout="lightshow"))
        return path

    @property
    def vanadium(self) -> Path:
        """The V set: features of ``xanesnet-2022`` and spectra, without structures."""
        path = self.folder / "v.xanesnet-2022.features.h5"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            options = FeaturesOptions("V", "K", VANADIUM_ENERGIES)
            descriptor = descriptors.load("wacsf", "xanesnet-2022")
            import_features(self.data / "v_k_edge" / "k_edge_v.npz", path, descriptor, options)
        return path

    def generated(self, n: int) -> Path:
        """Generated complexes of Fe with the spectra of the demo's scattering model."""
        path = self.folder / f"generated-{n}.h5"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            e0 = edge_energy(26, "K")
            with create_structures(path) as writer:
                for structure in complexes(n, 0, ComplexOptions(metals=(26,))):
                    spectrum = Spectrum(demo_data.ENERGIES, demo_data.spectrum(structure), treatment=LABEL)
                    writer.append(structure, np.array([0]), "K", [[PlacedSpectrum(spectrum, e0, "tabulated", "e0")]])
        return path

    def _imported(self, name: str, spectra: str, options: ImportOptions) -> Path:
        path, unpacked = self.folder / f"{name}.h5", self.folder / name
        if not path.exists():
            with tarfile.open(self.data / name / f"{name}.tar.xz") as archive:
                archive.extractall(unpacked, filter="data")
            (structures,) = unpacked.rglob("xyz")
            import_structures([structures], path, _with_spectra(options, structures.with_name(spectra)))
        return path

    def some(self, source: StructureStore, rows: np.ndarray, name: str) -> Path:
        """Write a store with some sites of ``source``, which has one site per structure; return its path."""
        path = self.folder / f"{_stem(source)}-{name}.h5"
        if path.exists():
            return path
        table = SpectrumTable.read(source.file)
        of_sites = {name: column[:] for name, column in source.file.get(SITE_PROPERTIES, {}).items()}
        row_of = {source.sites.name[row]: row for row in rows.tolist()}
        self.folder.mkdir(parents=True, exist_ok=True)
        with create_structures(path) as writer:
            for structure, own in source.structures():
                if (row := row_of.get(own.name[0])) is not None:
                    spectra = list(read_spectra(source.file, np.flatnonzero(table.site == row).tolist()))
                    properties = {name: float(values[row]) for name, values in of_sites.items()}
                    structure = replace(structure, properties=structure.properties | properties)
                    writer.append(structure, own.atom, own.edge[0], [spectra])
        return path


def describe(paths: Sequence[Path]) -> str:
    """Describe stores by their numbers of sites, elements and edges."""
    found = []
    for path in paths:
        with FeatureStore(path) as store:
            sites = store.sites
        kinds = sorted({f"{chemical_symbols[z]} {e}" for z, e in zip(sites.element, sites.edge, strict=True)})
        found.append(f"{len(sites):,} sites ({', '.join(kinds)})")
    return ", ".join(found)


def _with_spectra(options: ImportOptions, folder: Path) -> ImportOptions:
    return ImportOptions(absorber=options.absorber, shift=options.shift, spectra=(folder,))


def _bare_formulas(store: StructureStore) -> list[str]:
    """Return each site's formula without the absorber."""
    batch = store.batch(0, store.n_sites)
    found = []
    for structure, atom in zip(batch.site_structures, batch.site_atoms, strict=True):
        numbers = batch.numbers[batch.offsets[structure] : batch.offsets[structure + 1]]
        found.append(" ".join(map(str, np.sort(np.delete(numbers, atom)))))
    return found


def _stem(store: StructureStore) -> str:
    return f"{store.path.stem}-{store.attribute('digest_structures')[:8]}"


def _is_of(path: Path, source: StructureStore, descriptor_hash: str) -> bool:
    if not path.exists():
        return False
    with FeatureStore(path) as store:
        found = store.attribute("source_digest"), store.attribute("descriptor_hash")
    return found == (source.attribute("digest_structures"), descriptor_hash)
