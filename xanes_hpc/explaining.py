"""What predictions rest on: features by their meaning, shells of neighbours, angles, and down to single atoms.

For windows of energy it is told by how much a prediction changes when features are dealt out anew among sites
(``permutation_importance``), and what each group of features adds to it (``shap_values``).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from xanes_hpc import descriptors
from xanes_hpc.atom_shares import atom_shares
from xanes_hpc.descriptors.base import Descriptor
from xanes_hpc.errors import ConfigError, ModelError
from xanes_hpc.explanation import AtomShares, Explanation, Section, ShapleyValues, Window
from xanes_hpc.feature_groups import RADIAL, FeatureGroup, feature_groups, joined, within
from xanes_hpc.permutation_importance import Importance, MeanModel, permutation_importance
from xanes_hpc.prediction_sources import Store, check_seen, features_of, references_of, sites_of, structures_behind
from xanes_hpc.shap_values import shapley_values
from xanes_hpc.shells import RadialHistogram, Shell, find_shells, radial_histogram
from xanes_hpc.spectra.grid import Grid
from xanes_hpc.stores.models import ModelFolder
from xanes_hpc.stores.sites import SiteTable
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.stores.targets import gridded

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Progress = Callable[[int, int, str], None]

WINDOWS: tuple[Window, ...] = ((-3.0, 3.0), (50.0, 56.0))
"""eV about the edge: where multiple scattering counts most, and where single scattering does."""
FEWEST_SITES = 2


@dataclass(frozen=True)
class ExplainOptions:
    """How predictions are explained.

    Attributes
    ----------
    windows
        Energies, as the model's grid counts them, in eV; by default ``default_windows``.
    part
        Only sites that had this part when the model was trained; None for all.
    most_sites
        Of more, so many are drawn.
    repeats
        How often features are dealt out anew.
    seed
        Of all that is drawn.
    shap_sites
        For how many of the sites Shapley values are found, beside those of ``atoms_of``.
    background
        Sites that they are told against.
    atoms_of
        Names of sites whose atoms are told of.
    shells
        Ends of the shells, Å; by default minima of the radial histogram.
    """

    windows: tuple[Window, ...] = ()
    part: str | None = None
    most_sites: int = 300
    repeats: int = 5
    seed: int = 0
    shap_sites: int = 0
    background: int = 20
    atoms_of: tuple[str, ...] = ()
    shells: tuple[float, ...] = ()


def explain(
    models: Sequence[ModelFolder],
    source: Store,
    options: ExplainOptions | None = None,
    progress: Progress = lambda done, total, note: None,
) -> Explanation:
    """Explain what models make of a source's sites.

    Parameters
    ----------
    models
        Models of one descriptor and grid, such as of several seeds.
    source
        Structures or features of the sites; where they have spectra, errors are told of too.
    options
        How.

    Raises
    ------
    ConfigError
        If a window holds no energy of the grid, shells do not ascend, or shap is needed and not installed.
    ModelError
        If models differ in descriptor or grid, have not seen the sites' elements, or there are too few sites.
    StoreError
        If a store cannot be read, has no site of a name, or no structures where atoms are asked for.
    """
    options = options or ExplainOptions()
    model = models[0]
    _check_alike(models)
    energies, _ = model.grid
    chosen = [_clipped(window, energies) for window in options.windows or default_windows(model)]
    if len(set(chosen)) < len(chosen):
        raise ConfigError("windows: expected each once, received one twice")
    windows = (*chosen, (float(energies[0]), float(energies[-1])))
    masks = [_mask(energies, window) for window in windows]
    descriptor = descriptors.from_description(model.description["descriptor"]["description"])
    if any(b <= a for a, b in pairwise((0.0, *options.shells, descriptor.cutoff))):
        given = ", ".join(f"{end:g}" for end in options.shells)
        raise ConfigError(f"shells: expected distances that ascend, below {descriptor.cutoff:g} Å, received {given}")
    groups = feature_groups(descriptor.meanings)
    every = sites_of(source)
    named = np.array([every.find(name, source.path) for name in options.atoms_of], np.int64)
    with structures_behind(source, None)[0] as structures:
        if named.size and structures is None:
            raise ModelError(f"{source.path}: has features only: atoms are told of structures")
        rows = _chosen(model, every, structures, options)
        check_seen(model, every.take(np.union1d(rows, named)), False)
        read = features_of(model, source)
        x, sites = read(rows), every.take(rows)
        references = _references(model, structures if structures is not None else source, rows, every)
        histogram = None if structures is None else radial_histogram(structures, rows, descriptor.cutoff)
        shells = _shells(histogram, options, descriptor)
        sections = [groups, _by_kind(groups), _by_shell(groups, shells), _by_angle(groups)]
        together = [group for section in sections for group in section]
        parts = []
        for k, own in enumerate(models):
            mean = MeanModel(own, x, own.absorbers(sites.element, sites.edge))
            told = _noted(progress, "dealing out" + (f", model {k + 1} of {len(models)}" if len(models) > 1 else ""))
            parts.append(permutation_importance(mean, together, masks, references, options.repeats, options.seed, told))
        shapley, atoms = None, []
        explained = np.concatenate([named, rows[: options.shap_sites]])
        if explained.size:
            background = np.sort(np.random.default_rng(options.seed).permutation(rows)[: options.background])
            shapley = _shapley(models, read, every, explained, background, groups, masks, options, progress)
        if structures is not None and shapley is not None:
            atoms = [
                _atoms(descriptor, structures, int(row), every.name[row], groups, shapley.values[k])
                for k, row in enumerate(named)
            ]
    found = [Section(g, i) for g, i in zip(sections, _cut(parts, [len(s) for s in sections]), strict=True)]
    n_networks = sum(len(own.members) for own in models)
    of_groups, of_kinds, of_shells, of_angles = found
    return Explanation(
        windows, of_groups, of_kinds, of_shells, of_angles, shells, histogram, rows.size, n_networks, shapley,
        atoms,
    )  # fmt: skip


def default_windows(model: ModelFolder) -> tuple[Window, ...]:
    """Windows about the edge as the model's grid counts: those of ``WINDOWS``, or its ends where it is shorter."""
    energies, origin = model.grid
    edge = 0.0 if origin == "e0" else float(np.median(list(model.seen.values())))
    (low, high), width = WINDOWS, WINDOWS[1][1] - WINDOWS[1][0]
    found = [(edge + low[0], edge + low[1]), (edge + high[0], edge + high[1])]
    if found[1][1] > energies[-1]:
        found[1] = (float(energies[-1]) - width, float(energies[-1]))
    return tuple(window for window in found if ((energies >= window[0]) & (energies <= window[1])).any())


def _check_alike(models: Sequence[ModelFolder]) -> None:
    for k, other in enumerate(models):
        if any(other.digest == before.digest for before in models[:k]):
            raise ModelError(f"{other.path}: is the same model as one before: it would count twice")
    for other in models[1:]:
        if other.descriptor_hash != models[0].descriptor_hash:
            raise ModelError(f"{other.path}: has another descriptor than {models[0].path}")
        if other.description["grid"] != models[0].description["grid"]:
            raise ModelError(f"{other.path}: has other energies than {models[0].path}")


def _clipped(window: Window, energies: Array) -> Window:
    """A window as far as the model's energies go."""
    low, high = max(window[0], float(energies[0])), min(window[1], float(energies[-1]))
    return window if low > high else (low, high)


def _mask(energies: Array, window: Window) -> npt.NDArray[np.bool_]:
    found = (energies >= window[0] - 1e-9) & (energies <= window[1] + 1e-9)
    if not found.any():
        raise ConfigError(
            f"window {window[0]:g} to {window[1]:g} eV: holds none of the model's energies, {energies[0]:g} to "
            f"{energies[-1]:g} eV"
        )
    return np.asarray(found)


def _chosen(model: ModelFolder, sites: SiteTable, structures: StructureStore | None, options: ExplainOptions) -> Rows:
    """Rows of the sites that features are dealt out among, ascending."""
    rows, of = np.arange(len(sites)), ""
    if options.part is not None:
        formulas = structures.site_formulas() if structures is not None else [""] * len(sites)
        parts = model.training_sites.parts_of(sites.name, formulas)
        rows = rows[[part == options.part for part in parts]]
        of = f" of the {options.part} part of {model.path} (parts here: {', '.join(dict.fromkeys(parts))})"
    if rows.size < FEWEST_SITES:
        raise ModelError(f"expected {FEWEST_SITES} sites or more{of} to deal features out among, there are {rows.size}")
    if rows.size > options.most_sites:
        rows = np.sort(np.random.default_rng(options.seed).choice(rows, options.most_sites, replace=False))
    return rows


def _references(model: ModelFolder, spectra: Store, rows: Rows, every: SiteTable) -> Array | None:
    found, recipe, _ = references_of(model, spectra, len(every))
    if found is None:
        return None
    return gridded(spectra, found[rows], Grid(*model.grid), every.take(rows), recipe)[0].astype(np.float64)


def _shells(histogram: RadialHistogram | None, options: ExplainOptions, descriptor: Descriptor) -> list[Shell]:
    if histogram is None:
        empty = np.array([0.0, descriptor.cutoff])
        histogram = RadialHistogram(empty, np.zeros(2), np.zeros(2))
    return find_shells(histogram, options.shells)


def _by_kind(groups: Sequence[FeatureGroup]) -> list[FeatureGroup]:
    kinds = dict.fromkeys(group.kind for group in groups)
    return [joined([g for g in groups if g.kind == kind], kind) for kind in kinds]


def _by_shell(groups: Sequence[FeatureGroup], shells: Sequence[Shell]) -> list[FeatureGroup]:
    radial = [group for group in groups if group.kind in RADIAL]
    return [joined(filter(within(s.start, s.stop), radial), s.name) for s in shells]


def _by_angle(groups: Sequence[FeatureGroup]) -> list[FeatureGroup]:
    angles = dict.fromkeys((g.angle, g.half_width) for g in groups if np.isfinite(g.angle))
    return [
        joined([g for g in groups if (g.angle, g.half_width) == own], f"{own[0]:.0f}° ± {own[1]:.0f}°", *own)
        for own in sorted(angles)
    ]


def _cut(parts: Sequence[Importance], sizes: Sequence[int]) -> list[Importance]:
    """Importances of several models as one, and cut into sections."""
    names, ends = ("change", "error_increase"), np.cumsum(sizes)[:-1]
    columns = [np.split(np.concatenate([getattr(part, n) for part in parts]), ends, axis=-1) for n in names]
    return [Importance(change, increase) for change, increase in zip(*columns, strict=True)]


def _noted(progress: Progress, note: str) -> Callable[[int, int], None]:
    def told(done: int, total: int) -> None:
        progress(done, total, note)

    return told


def _shapley(
    models: Sequence[ModelFolder], read: Callable[[Rows], npt.NDArray[np.floating]], every: SiteTable, rows: Rows,
    background: Rows, groups: Sequence[FeatureGroup], masks: Sequence[npt.NDArray[np.bool_]], options: ExplainOptions,
    progress: Progress,
) -> ShapleyValues:  # fmt: skip
    """Shapley values of sites, each against background sites told to be of its own element and edge."""
    there = read(background)
    values, bases, outputs = [], [], []
    for k, row in enumerate(rows.tolist()):
        own = np.array([row])
        x, site = read(own), every.take(own)

        def windows(features: npt.NDArray[np.floating], site: SiteTable = site) -> Array:
            found = []
            for model in models:
                absorbers = np.repeat(model.absorbers(site.element, site.edge), len(features))
                found.append(MeanModel(model, features, absorbers).spectra().mean(axis=0))
            mean = np.mean(found, axis=0)
            return np.stack([mean[:, mask].mean(axis=1) for mask in masks], axis=1)

        progress(k, rows.size, "Shapley values")
        own_values, base = shapley_values(windows, x, there, groups, seed=options.seed)
        values.append(own_values[0])
        bases.append(base)
        outputs.append(windows(x)[0])
    progress(rows.size, rows.size, "Shapley values")
    names = [every.name[row] for row in rows.tolist()]
    return ShapleyValues(names, np.array(values), np.array(bases), np.array(outputs))


def _atoms(
    descriptor: Descriptor,
    structures: StructureStore,
    row: int,
    name: str,
    groups: Sequence[FeatureGroup],
    values: Array,
) -> AtomShares:
    """What each atom adds, from the values (n_windows, n_groups) of its site."""
    batch = structures.batch(row, row + 1, descriptor.properties)
    shares = atom_shares(descriptor, batch)
    of_groups = np.stack([_of_group(shares[:, group.columns]) for group in groups], axis=1)
    found = values @ of_groups.T
    return AtomShares(
        name, batch.numbers, batch.positions, int(batch.site_atoms[0]), found, values.sum(axis=1) - found.sum(axis=1)
    )


def _of_group(shares: Array) -> Array:
    """Shares (n_atoms,) in a group of features: the mean of those that some atom has."""
    some = shares[:, shares.sum(axis=0) > 0]
    return np.asarray(some.mean(axis=1)) if some.shape[1] else np.zeros(len(shares))
