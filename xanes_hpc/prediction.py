"""From a model and structures, features or files to a prediction store."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc import descriptors
from xanes_hpc.config import LARGEST, Recipe
from xanes_hpc.errors import ModelError, SpectrumError, StoreError
from xanes_hpc.featurise import defaults_taken, describe_sites
from xanes_hpc.import_options import ImportOptions
from xanes_hpc.importing import import_structures
from xanes_hpc.inference import n_draws
from xanes_hpc.spectra.edges import edge_energy
from xanes_hpc.spectra.grid import Grid
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.models import ModelFolder
from xanes_hpc.stores.predictions import create_predictions, write_site_columns
from xanes_hpc.stores.sites import SiteTable
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.stores.targets import choose_spectra, gridded
from xanes_hpc.trust import reasons

ROWS_AT_ONCE = 512
Progress = Callable[[int, int], None]
Store = StructureStore | FeatureStore


@dataclass(frozen=True)
class PredictOptions:
    """How to predict.

    Attributes
    ----------
    draws
        Monte Carlo draws, of all members of the model together; an ensemble without dropout has one of each member.
    seed
        Of the draws.
    keep_draws
        Whether the store keeps every draw.
    part
        Only sites that had this part in training: ``train``, ``validation``, ``calibration``, ``test``.
    force
        Whether elements and edges the model has not seen are predicted all the same.
    spectra
        Structure store with the references, where it is not the source itself or the one that the source names; it
        must hold the same structures.
    """

    draws: int = 100
    seed: int = 0
    keep_draws: bool = False
    part: str | None = None
    force: bool = False
    spectra: Path | None = None


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


def predict(
    model: ModelFolder,
    source: Store,
    output: Path,
    options: PredictOptions | None = None,
    overwrite: bool = False,
    progress: Progress = lambda done, total: None,
) -> str:
    """Write predictions of a source's sites, with references where it has spectra of the model's kind and treatment.

    Returns
    -------
    str
        Why there are no references; empty where there are some.

    Raises
    ------
    ModelError
        If the features are of another descriptor, or an element or edge is new to the model.
    StoreError
        If a store cannot be read or written.
    """
    options = options or PredictOptions()
    if options.draws < 2:
        raise ModelError(f"draws: expected at least 2, received {options.draws}")
    if not 0 <= options.seed <= LARGEST:
        raise ModelError(f"seed: expected 0 to {LARGEST}, received {options.seed}")
    behind, missing = _structures_behind(source, options.spectra)
    with behind as structures:
        made_from = [source.path, *([structures.path] if structures is not None else [])]
        hdf5.check_store(output, overwrite, made_from)
        read = features_of(model, source)
        sites = sites_of(source)
        formulas = structures.site_formulas() if structures is not None else [""] * len(sites)
        parts = model.training_sites.parts_of(sites.name, formulas)
        rows = np.arange(len(sites))
        if options.part is not None:
            rows = rows[[p == options.part for p in parts]]
            if not rows.size:
                raise ModelError(f"none of the sites was in the {options.part} part of {model.path}")
        chosen = sites.take(rows)
        check_seen(model, chosen, options.force, ", or add --force and do not trust the result")
        spectra = structures if structures is not None else source
        references, recipe, why_none = _references(model, spectra, len(sites))
        grid = Grid(*model.grid)
        digest = structures.attribute("digest_structures") if structures is not None else ""
        e0, nearest = _model_e0(model, chosen), np.empty(rows.size)
        absorbers, calibration = model.absorbers(chosen.element, chosen.edge), model.calibration
        dropout = model.method == "dropout"
        with create_predictions(
            output, model, chosen, n_draws(model.members, options.draws, dropout), options.seed, digest,
            references is not None, options.keep_draws, overwrite,
        ) as file:  # fmt: skip
            for start in range(0, rows.size, ROWS_AT_ONCE):
                progress(start, rows.size)
                here = slice(start, min(start + ROWS_AT_ONCE, rows.size))
                x = read(rows[here])
                drawn, evidence = model.sample(x, absorbers[here], options.draws, options.seed, options.keep_draws)
                nearest[here] = evidence.distance
                file["mean"][here] = drawn.mean
                file["std"][here] = calibration.sigma(evidence)
                if drawn.draws is not None:
                    file["draws"][here] = drawn.draws
                if references is not None:
                    some = chosen.take(np.arange(here.start, here.stop))
                    values, own_e0 = gridded(spectra, references[rows[here]], grid, some, recipe)
                    file["reference"][here] = values
                    e0[here] = np.where(np.isfinite(own_e0), own_e0, e0[here])
            own = [formulas[i] for i in rows]
            write_site_columns(
                file, e0, own, [parts[i] for i in rows], nearest, model.training_sites.twins_of(chosen.name, own),
                reasons(model.trust, nearest, own, model.unseen(chosen.element, chosen.edge)),
            )  # fmt: skip
        progress(rows.size, rows.size)
    return missing or why_none


def sites_of(source: Store) -> SiteTable:
    """All sites of a structure or feature store."""
    return source.sites if isinstance(source, FeatureStore) else source.sites()


def features_of(model: ModelFolder, source: Store) -> Callable[[npt.NDArray[np.int64]], npt.NDArray[np.floating]]:
    """What reads, or computes, features in the model's descriptor, of ascending rows of a store's sites.

    Raises
    ------
    ModelError
        If the store's features are of another descriptor.
    """
    return _Features(model, source).read


class _Features:
    """Features of a source's sites in the model's descriptor: read from a feature store, or computed."""

    def __init__(self, model: ModelFolder, source: Store) -> None:
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
        self._descriptor = descriptors.from_description(spec["description"])
        if self._descriptor.hash != spec["hash"]:
            raise ModelError(
                f"{model.path}: its descriptor is {spec['hash']}, "
                f"this program builds {self._descriptor.hash} from its description"
            )
        if self._descriptor.properties:
            defaults_taken(source, self._descriptor)

    def read(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.floating]:
        """Features of ascending rows, (n_rows, n_features).

        Raises
        ------
        StoreError
            If one is NaN or infinite; names the site.
        """
        low, high = int(rows[0]), int(rows[-1]) + 1
        if isinstance(self._source, FeatureStore):
            x = self._source.read(low, high)[rows - low]
        else:
            x = describe_sites(self._descriptor, self._source, low, high)[rows - low]
        finite = np.isfinite(x).all(axis=1)
        if not finite.all():
            site = int(rows[np.argmin(finite)])
            raise StoreError(f"{self._source.path}: site {site} has NaN or infinite features: featurise it again")
        return x


def _structures_behind(
    source: Store, spectra: Path | None
) -> tuple["nullcontext[StructureStore | None] | StructureStore", str]:
    """The structure store behind a source; for a feature store without one None, and why."""
    if isinstance(source, FeatureStore):
        if spectra is not None:
            return source.open_source(spectra), ""
        try:
            return source.open_source(), ""
        except StoreError as error:
            return nullcontext(None), "" if source.has_spectra else str(error)
    if spectra is None:
        return nullcontext(source), ""
    other = StructureStore(spectra)
    if other.attribute("digest_structures") != source.attribute("digest_structures"):
        other.file.close()
        raise StoreError(f"{spectra}: holds other structures than {source.path}: its spectra are of other sites")
    return other, ""


def check_seen(model: ModelFolder, sites: SiteTable, force: bool, advice: str = "") -> None:
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


def _model_e0(model: ModelFolder, sites: SiteTable) -> npt.NDArray[np.float64]:
    """Edge energy that training spectra of the site's element and edge had, else XrayDB's; NaN where neither."""
    known: dict[tuple[int, str], float] = {}
    for z, edge in zip(sites.element.tolist(), sites.edge, strict=True):
        if (z, edge) not in known:
            try:
                known[z, edge] = model.seen.get((chemical_symbols[z], edge)) or edge_energy(z, edge)
            except SpectrumError:
                known[z, edge] = np.nan
    return np.array([known[z, edge] for z, edge in zip(sites.element.tolist(), sites.edge, strict=True)])


def _references(model: ModelFolder, source: Store, n_sites: int) -> tuple[npt.NDArray[np.int64] | None, Recipe, str]:
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
