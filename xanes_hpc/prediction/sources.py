"""What predictions are made of: structures, features or files, with the features that a model takes and references."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc import descriptors
from xanes_hpc.descriptors.base import Descriptor
from xanes_hpc.errors import ModelError, SourceError, SpectrumError, StoreError
from xanes_hpc.features.featurise import describe_sites
from xanes_hpc.features.plan import defaults_taken
from xanes_hpc.importing.from_files import import_structures
from xanes_hpc.importing.options import ImportOptions
from xanes_hpc.models.model import Model
from xanes_hpc.spectra.recipe import Recipe
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.site_spectra import choose_spectra
from xanes_hpc.stores.sites import SiteTable
from xanes_hpc.stores.structures import StructureStore

Store = StructureStore | FeatureStore
FARTHEST_READ = 16
"""Rows that lie farther apart are read on their own."""


@contextmanager
def open_sources(sources: Sequence[Path], absorber: str | None = None, edge: str | None = None) -> Iterator[Store]:
    """One structure store, one feature store, or a temporary store of structure files and folders.

    Raises
    ------
    StoreError
        If a store cannot be used, or stands among other sources.
    FormatError
        If no structure of the files can be used.
    """
    for path in sources:
        if not path.exists():
            raise StoreError(f"{path}: no such file or folder")
    kinds = ("structures", "features")
    stores = [p for p in sources if p.suffix in (".h5", ".hdf5") or any(hdf5.is_kind(p, kind) for kind in kinds)]
    stores = [p for p in stores if p.is_file()]
    if stores:
        if len(sources) > 1:
            raise StoreError(f"{stores[0]}: a store must be the only source, received {len(sources)}")
        if absorber is not None or edge is not None:
            raise StoreError(f"{stores[0]}: a store has its sites already; --absorber and --edge are for files")
        kind = next((k for k in kinds if hdf5.is_kind(stores[0], k)), None)
        if kind is None:
            hdf5.open_store(stores[0]).close()  # says what is wrong, if anything is
            raise StoreError(f"{stores[0]}: expected a structure or feature store, or structure files")
        with StructureStore(stores[0]) if kind == "structures" else FeatureStore(stores[0]) as store:
            yield store
        return
    with tempfile.TemporaryDirectory(prefix="xanes-hpc-") as folder:
        path = Path(folder) / "structures.h5"
        edge = (edge or "K").upper()
        import_structures(sources, path, ImportOptions(absorber=absorber, edge=edge, strict=True, lasting=False))
        with StructureStore(path) as store:
            yield store


def sites_of(source: Store) -> SiteTable:
    """All sites of a structure or feature store."""
    return source.sites if isinstance(source, FeatureStore) else source.sites()


def model_descriptor(model: Model) -> Descriptor:
    """The descriptor whose features a model takes.

    Raises
    ------
    ModelError
        If this program builds another one from its description.
    """
    spec = model.description["descriptor"]
    found = descriptors.from_description(spec["description"])
    if found.hash != spec["hash"]:
        raise ModelError(
            f"{model.path}: its descriptor is {spec['hash']}, this program builds {found.hash} from its description"
        )
    return found


def features_of(model: Model, source: Store) -> Callable[[npt.NDArray[np.int64]], npt.NDArray[np.floating]]:
    """What reads, or computes, features in the model's descriptor, of ascending rows of a store's sites.

    Raises
    ------
    ModelError
        If the store's features are of another descriptor.
    """
    return _Features(model, source).read


class _Features:
    """Features of a source's sites in the model's descriptor: read from a feature store, or computed."""

    def __init__(self, model: Model, source: Store) -> None:
        spec = model.description["descriptor"]
        self._source = source
        if isinstance(source, FeatureStore):
            if source.rattled:
                raise ModelError(f"{source.path}: its structures were rattled: predict from the plain features")
            found = source.attribute("descriptor_hash")
            if found != spec["hash"]:
                raise ModelError(
                    f"{source.path}: its features are of descriptor {found}, "
                    f"the model {model.path} takes {spec['hash']}; "
                    "featurise with the model's descriptor, or predict from the structure store"
                )
            return
        self._descriptor = model_descriptor(model)
        if self._descriptor.properties:
            defaults_taken(source, self._descriptor)

    def read(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.floating]:
        """Features of ascending rows, (n_rows, n_features).

        Raises
        ------
        StoreError
            If one is NaN or infinite; names the site.
        """
        runs = np.split(rows, np.flatnonzero(np.diff(rows) > FARTHEST_READ) + 1)
        x = np.concatenate([self._between(int(run[0]), int(run[-1]) + 1)[run - run[0]] for run in runs])
        finite = np.isfinite(x).all(axis=1)
        if not finite.all():
            site = int(rows[np.argmin(finite)])
            raise StoreError(f"{self._source.path}: site {site} has NaN or infinite features: featurise it again")
        return x

    def _between(self, low: int, high: int) -> npt.NDArray[np.floating]:
        if isinstance(self._source, FeatureStore):
            return self._source.read(low, high)
        return describe_sites(self._descriptor, self._source, low, high)


def structures_behind(
    source: Store, spectra: Path | None
) -> tuple["nullcontext[StructureStore | None] | StructureStore", str]:
    """The structure store behind a source; for a feature store without one None, and why."""
    if isinstance(source, FeatureStore):
        if spectra is not None:
            return source.open_source(spectra), ""
        try:
            return source.open_source(), ""
        except SourceError as error:
            return nullcontext(None), "" if source.has_spectra else str(error)
    if spectra is None:
        return nullcontext(source), ""
    other = StructureStore(spectra)
    if other.attribute("digest_structures") != source.attribute("digest_structures"):
        other.file.close()
        raise StoreError(f"{spectra}: holds other structures than {source.path}: its spectra are of other sites")
    return other, ""


def parts_of(model: Model, sites: SiteTable, structures: StructureStore | None) -> list[str]:
    """The part of training that each site had, or ``NO_PART``; known by formula too where structures are at hand."""
    formulas = structures.site_formulas() if structures is not None else [""] * len(sites)
    return model.training_sites.parts_of(sites.name, formulas)


def check_seen(model: Model, sites: SiteTable, force: bool, advice: str = "") -> None:
    """Refuse sites of elements and edges that a model has not seen, unless it is forced.

    Raises
    ------
    ModelError
        Naming them.
    """
    seen = model.seen
    there = sorted({(chemical_symbols[z], edge) for z, edge in zip(sites.element, sites.edge, strict=True)})
    unseen = [f"{element} {edge}" for element, edge in there if (element, edge) not in seen]
    if unseen and not force:
        known = ", ".join(f"{element} {edge}" for element, edge in seen)
        raise ModelError(
            f"{model.path}: has not seen {', '.join(unseen)} in training (it has seen {known}); train with such sites"
            + advice
        )


def references_of(model: Model, source: Store, n_sites: int) -> tuple[npt.NDArray[np.int64] | None, Recipe, str]:
    """Row of each site's spectrum that is of the model's kind and treatment, or becomes so by the model's recipe.

    Also that recipe; None where the source has no such spectra, and why.
    """
    plain = Recipe()
    if isinstance(source, FeatureStore) and not source.has_spectra:
        return None, plain, "the source has no spectra"
    if not source.file["spectra/site"].shape[0]:
        return None, plain, "the source has no spectra"
    target = model.description["target"]
    try:
        return choose_spectra(source, n_sites, target["kind"], target["treatment"])[0], plain, ""
    except SpectrumError as error:
        recipe = model.recipe
        if recipe.does_nothing:
            return None, plain, str(error)
    try:
        rows, _ = choose_spectra(source, n_sites, target["kind"], target["source_treatment"])
    except SpectrumError as error:
        return None, plain, str(error)
    return rows, recipe, ""
