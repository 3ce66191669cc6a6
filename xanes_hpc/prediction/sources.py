"""Sources of the sites to predict, stores or structure files, with their sets and reference spectra."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.errors import AbsorberError, ModelError, SpectrumError, StoreError
from xanes_hpc.features.foreign_store import import_foreign_in_memory
from xanes_hpc.features.from_arrays import FeaturesOptions
from xanes_hpc.formats import npz
from xanes_hpc.formats.site_lists import SiteChoice
from xanes_hpc.importing.from_files import import_in_memory
from xanes_hpc.importing.options import ImportOptions, ImportSummary
from xanes_hpc.models.model import Model
from xanes_hpc.spectra.recipe import Recipe
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.site_spectra import AS_STORED, choose_spectra, units_of
from xanes_hpc.stores.sites import SiteTable
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.ordering import NO_DISORDER, Disorder

Store = StructureStore | FeatureStore
KINDS: dict[str, Callable[[Path], Store]] = {"structures": StructureStore, "features": FeatureStore}


@contextmanager
def open_sources(
    sources: Sequence[Path], absorber: str | None = None, edge: str | None = None, sites: SiteChoice | None = None,
    strict: bool = True, disorder: Disorder | None = None, unique: bool = False,
    report: Callable[[ImportSummary], None] = lambda summary: None,
) -> Iterator[Store]:  # fmt: skip
    """Open a structure store or a feature store, or read structure files and folders into memory.

    Parameters
    ----------
    sources
        One store, one ``.npz`` file of features that another program made, or any number of structure files and
        folders.
    absorber, edge
        Only for files: a rule of ``select_absorbers``, for features an element, and the edge, K by default.
    sites
        Only for files: the table or names of the sites to read.
    strict
        Only for files: whether to raise at the first structure that cannot be used instead of skipping it.
    disorder
        Only for files: what to do with partial occupancies and disorder groups, which are refused by default.
    unique
        Only for files: whether to keep one of a crystal's equivalent sites, with their number as its weight.
    report
        Only for files: called with what was read, and what was skipped.

    Raises
    ------
    StoreError
        If a store cannot be used, or is not the only source.
    FormatError
        If no structure of the files can be used; with ``strict``, if one cannot.
    """
    for path in sources:
        if not path.exists():
            raise StoreError(f"{path}: no such file or folder")
    stores = [p for p in sources if p.suffix in (".h5", ".hdf5") or any(hdf5.is_kind(p, kind) for kind in KINDS)]
    stores = [p for p in stores if p.is_file()]
    if arrays := next(filter(npz.recognises, sources), None):
        if len(sources) > 1:
            raise StoreError(f"{arrays}: expected as the only source, received {len(sources)} sources")
        with foreign_in_memory(arrays, absorber, edge) as features:
            yield features
        return
    if not stores:
        options = ImportOptions(
            absorber=absorber, sites=sites, edge=(edge or "K").upper(), strict=strict, disorder=disorder or NO_DISORDER,
            unique=unique,
        )  # fmt: skip
        found, summary = import_in_memory(sources, options)
        with found as store:
            report(summary)
            yield store
        return
    if len(sources) > 1:
        raise StoreError(f"{stores[0]}: expected the store as the only source, received {len(sources)} sources")
    if absorber is not None or edge is not None or disorder is not None or unique:
        raise StoreError(
            f"{stores[0]}: a store already has its sites; `absorber`, `edge`, `disorder` and `unique` are for files of "
            "structures"
        )
    with open_store(stores[0]) as store:
        yield store


def foreign_in_memory(path: Path, absorber: str | None, edge: str | None) -> FeatureStore:
    """Return a store in memory of the features in an ``.npz`` file, which another program made.

    Parameters
    ----------
    absorber, edge
        Element and edge of all sites, if the file does not say.

    Raises
    ------
    FormatError, AbsorberError, SpectrumError
        As ``features.foreign_store.import_foreign``.
    """
    try:
        found = import_foreign_in_memory(path, FeaturesOptions(absorber, edge and edge.upper()))
    except AbsorberError as error:
        raise AbsorberError(str(error).replace("`element`", "`absorber`")) from None
    found.path = path
    return found


def open_store(path: Path) -> Store:
    """Open a structure store or a feature store.

    Raises
    ------
    StoreError
        If it is neither, or cannot be read.
    """
    kind = next((kind for kind in KINDS if hdf5.is_kind(path, kind)), None)
    if kind is None:
        hdf5.open_store(path).close()  # raises a more precise error, if there is one
        raise StoreError(f"{path}: expected a structure or feature store, or structure files")
    return KINDS[kind](path)


def sets_of(model: Model, sites: SiteTable, known: Store) -> list[str]:
    """Return each site's set of the model's split, or ``none``; sites are recognised by name and, if known, formula.

    ``known`` is the store that knows their formulas: of the structures, or else of the features.
    """
    return model.training_sites.sets_of(sites.name, known.site_formulas())


def check_seen(model: Model, sites: SiteTable, force: bool) -> None:
    """Check that the model was trained on the sites' elements and edges, unless ``force`` is set.

    Raises
    ------
    ModelError
        If not; the message names the elements and edges.
    """
    seen = model.seen
    there = sorted({(chemical_symbols[z], edge) for z, edge in zip(sites.element, sites.edge, strict=True)})
    unseen = [f"{element} {edge}" for element, edge in there if (element, edge) not in seen]
    if unseen and not force:
        known = ", ".join(f"{element} {edge}" for element, edge in seen)
        raise ModelError(
            f"{model.path}: was not trained on {', '.join(unseen)}, only on {known}; train on such sites, or predict "
            "with `force` and do not trust the result"
        )


@dataclass(frozen=True)
class References:
    """The spectra of a source that predictions are compared with.

    Attributes
    ----------
    rows
        Row of each site's spectrum; None without references.
    recipe
        The recipe that brings them to the model's treatment.
    why_none
        Why there are no references; empty if there are.
    unit
        Their units after the recipe, with commas between several; empty without references.
    """

    rows: npt.NDArray[np.int64] | None
    recipe: Recipe = AS_STORED
    why_none: str = ""
    unit: str = ""


def references_of(model: Model, source: Store) -> References:
    """Return the reference spectra in a source: of the model's treatment, or else those that its recipe treats."""
    target, why = model.description["target"], "the source has no spectra"
    ways = [(target["treatment"], AS_STORED)]
    if not model.recipe.does_nothing:
        ways.append((target["source_treatment"], model.recipe))
    for treatment, recipe in ways if source.has_spectra else ():
        try:
            rows, table = choose_spectra(source, source.n_sites, target["kind"], treatment)
        except SpectrumError as error:
            why = str(error)
            continue
        units = units_of(table, rows, recipe)
        return References(rows, recipe, unit=", ".join(sorted(units)))
    return References(None, why_none=why)
