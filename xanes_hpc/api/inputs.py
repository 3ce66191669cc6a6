"""The inputs that the functions behind ``import xanes_hpc`` accept: paths, ``ase.Atoms`` and open stores."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from xanes_hpc.errors import ConfigError, FormatError, StoreError
from xanes_hpc.formats import npz
from xanes_hpc.formats.site_lists import SiteChoice
from xanes_hpc.importing.from_atoms import import_atoms
from xanes_hpc.importing.from_files import import_in_memory
from xanes_hpc.importing.options import ImportOptions
from xanes_hpc.models.folder import refuse_part_of_model
from xanes_hpc.prediction.sources import Store, foreign_in_memory, open_store
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.hdf5 import SIGNATURE
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.ordering import parse_disorder

PathLike = str | os.PathLike[str]
AnyStore = TypeVar("AnyStore", StructureStore, FeatureStore, PredictionStore)
KINDS = {StructureStore: "a structure store", FeatureStore: "a feature store", PredictionStore: "a prediction store"}


def paths_of(paths: PathLike | Iterable[PathLike] | None) -> list[Path]:
    """Return one path or several as a list; an empty list for None.

    Examples
    --------
    >>> paths_of("a.xyz")
    [PosixPath('a.xyz')]
    >>> paths_of(None)
    []
    """
    if paths is None:
        return []
    return [Path(paths)] if isinstance(paths, (str, os.PathLike)) else [Path(path) for path in paths]


def output_path(output: PathLike) -> Path:
    """Return the path of an output.

    Raises
    ------
    StoreError
        If it is a file of a model folder.

    Examples
    --------
    >>> output_path("a.h5")
    PosixPath('a.h5')
    """
    path = Path(output)
    refuse_part_of_model(path)
    return path


def listed(value: Any) -> Any:
    """Return an iterator's items, such as those of ``Path.glob``, as a list, and any other value unchanged.

    Examples
    --------
    >>> listed(iter(["a.xyz", "b.xyz"]))
    ['a.xyz', 'b.xyz']
    >>> listed("a.xyz")
    'a.xyz'
    """
    return list(value) if isinstance(value, Iterator) else value


def is_paths(value: Any) -> bool:
    """Return True if a value is a path or a non-empty sequence of paths."""
    if isinstance(value, (str, os.PathLike)):
        return True
    return isinstance(value, Sequence) and bool(value) and all(isinstance(one, (str, os.PathLike)) for one in value)


def site_choice(sites: Any) -> SiteChoice | None:
    """Return the table, or the names, by which ``sites`` chooses; None if it is a rule or an index.

    Examples
    --------
    >>> site_choice("chosen.csv"), site_choice(["WELROW", "ABEMAX#3"]), site_choice("Fe")
    (PosixPath('chosen.csv'), ('WELROW', 'ABEMAX#3'), None)
    """
    if isinstance(sites, os.PathLike) or (isinstance(sites, str) and "." in sites):
        return Path(sites)
    if isinstance(sites, (list, tuple)) and sites and all(isinstance(one, str) for one in sites):
        return tuple(sites)
    return None


def opened(
    source: Any, sites: Any = None, edge: str | None = None, disorder: str | None = None, seed: int = 0
) -> tuple[Store, SiteChoice | None]:
    """Return a store of sites, and which of them to take: a given store, one at a path, or one made from structures.

    Parameters
    ----------
    source
        A store or its path, structure files and folders, or one or more ``ase.Atoms``.
    sites
        Absorbers of structures: a rule such as ``"Fe"`` or ``"all"``, or an index (0-based); for ``ase.Atoms`` also a
        list of indices. Default: the structure's only transition metal. For all sources a table of sites, and for files
        and stores also a list of names.
    edge
        Edge of structures: ``K`` (the default), ``L3``, …
    disorder, seed
        What to do with disordered structures in files, as for ``structures.ordering.parse_disorder``.

    Raises
    ------
    StoreError
        If a store is missing, damaged or of another kind, or a choice that is for structures is given for a store.
    ConfigError
        If ``disorder`` is unknown.
    FormatError
        If structures cannot be used.
    AbsorberError
        If a structure has no such absorber.
    """
    source, choice = listed(source), site_choice(sites)
    if isinstance(source, (StructureStore, FeatureStore)):
        _refuse_choice(sites if choice is None else None, edge, disorder, str(source.path))
        return source, choice
    of_files = parse_disorder(disorder, seed)
    if not is_paths(source):
        if disorder is not None:
            raise ConfigError("`disorder`: expected structure files, received structures in memory")
        return import_atoms(source, choice if isinstance(choice, Path) else sites, (edge or "K").upper()), None
    paths = paths_of(source)
    if len(paths) == 1 and _is_hdf5(paths[0]):
        _refuse_choice(sites if choice is None else None, edge, disorder, str(paths[0]))
        return open_store(paths[0]), choice
    if len(paths) == 1 and npz.recognises(paths[0]):
        return foreign_in_memory(paths[0], None if choice is not None else rule_of(sites), edge), choice
    options = ImportOptions(
        absorber=rule_of(sites), sites=choice, edge=(edge or "K").upper(), strict=True, disorder=of_files
    )
    store, summary = import_in_memory(paths, options)
    store.summary = summary
    return store, None


def opened_structures(
    source: Any, sites: Any = None, edge: str | None = None, disorder: str | None = None, seed: int = 0
) -> StructureStore:
    """Return a structure store; like ``opened``, but refuse feature stores, and a choice among a store's sites.

    Raises
    ------
    StoreError
        If the source is a feature store, ``sites`` is given for a store, or as for ``opened``.
    """
    store, choice = opened(source, sites, edge, disorder, seed)
    if choice is not None:
        _refuse_choice(sites, edge, disorder, str(store.path))
    if not isinstance(store, StructureStore):
        raise StoreError(f"{store.path}: expected structures, received a feature store")
    return store


def store_of(kind: type[AnyStore], value: Any, name: str) -> AnyStore:
    """Return a store of one kind: the given one, or the one at a path.

    Parameters
    ----------
    kind
        The class of the store.
    value
        A store, or its path.
    name
        The parameter that holds the value, for the error.

    Raises
    ------
    StoreError
        If the value is something else, or the store is missing, damaged or of another kind.
    """
    if isinstance(value, kind):
        return value
    if isinstance(value, (str, os.PathLike)):
        return kind(Path(value))
    received = next((words for other, words in KINDS.items() if isinstance(value, other)), type(value).__name__)
    hint = "; featurise it first" if kind is FeatureStore and isinstance(value, StructureStore) else ""
    raise StoreError(f"`{name}`: expected {KINDS[kind]} or its path, received {received}{hint}")


def rule_of(sites: Any) -> str | None:
    """Return ``sites`` as a rule that selects absorbers in files; None for the default, a table or names.

    Raises
    ------
    FormatError
        If it is neither a string nor an index.
    """
    if sites is None or site_choice(sites) is not None:
        return None
    if isinstance(sites, str):
        return sites
    if isinstance(sites, int):
        return str(sites)
    raise FormatError(
        f"`sites`: expected a rule such as 'Fe' or 'all', an index, a table or names of sites, received {sites!r}"
    )


def _refuse_choice(sites: Any, edge: str | None, disorder: str | None, where: str) -> None:
    if sites is not None or edge is not None or disorder is not None:
        raise StoreError(f"{where}: a store already has its sites; `sites`, `edge` and `disorder` are for structures")


def _is_hdf5(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(len(SIGNATURE)) == SIGNATURE
    except OSError:
        return path.suffix in (".h5", ".hdf5")  # opening it raises the store's own error
