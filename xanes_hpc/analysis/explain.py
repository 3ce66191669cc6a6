"""Explain predictions by features, shells of neighbours, angles and single atoms.

Two measures are computed in energy windows: the change of a prediction when features are permuted among sites
(``permutation_importance``), and the contribution of each group of features at a site (``group_contributions``).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from xanes_hpc.analysis.contributions import atom_contributions, group_contributions
from xanes_hpc.analysis.explanation import SECTIONS, Explanation, Section
from xanes_hpc.analysis.feature_groups import FeatureGroup, by_angle, by_distance, by_kind, feature_groups
from xanes_hpc.analysis.mean_model import MeanModel, check_features
from xanes_hpc.analysis.permutation import Importance, permutation_importance
from xanes_hpc.analysis.shells import RadialHistogram, Shell, find_shells, radial_histogram
from xanes_hpc.analysis.windows import Window, clipped, default_windows, in_words, points_in
from xanes_hpc.descriptors.base import Descriptor
from xanes_hpc.errors import ConfigError, ModelError
from xanes_hpc.models.kernels import Matern, importance
from xanes_hpc.models.model import Model
from xanes_hpc.prediction.site_features import features_of, model_descriptor
from xanes_hpc.prediction.sources import Store, check_seen, references_of, sets_of
from xanes_hpc.spectra.grid import Grid
from xanes_hpc.stores.site_spectra import gridded
from xanes_hpc.stores.sites import SiteTable
from xanes_hpc.structures.listed_sites import ListedSite

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Progress = Callable[[int, int, str], None]

FEWEST_SITES = 2


@dataclass(frozen=True)
class ExplainOptions:
    """Options of an explanation.

    Attributes
    ----------
    windows
        Energy windows on the model's energy axis, in eV; by default ``default_windows``.
    sites
        The sites to use, a ``formats.site_lists.SiteList``; None for all.
    split
        Use only sites of this split of the training data; None for all.
    most_sites
        Largest number of sites; a random sample is drawn if there are more.
    repeats
        Number of permutations of each group.
    seed
        Seed of all random choices.
    shap_sites
        Number of sites with Shapley values, in addition to ``atoms_of``.
    background
        Number of background sites for Shapley values.
    atoms_of
        Names of sites for which contributions of atoms are computed.
    shells
        Ends of the shells, Å; by default the minima of the radial histogram.
    permuted
        Sections of the explanation whose features are permuted; with none, only Shapley values are computed.
    """

    windows: tuple[Window, ...] = ()
    sites: Iterable[ListedSite] | None = None
    split: str | None = None
    most_sites: int = 300
    repeats: int = 5
    seed: int = 0
    shap_sites: int = 0
    background: int = 20
    atoms_of: tuple[str, ...] = ()
    shells: tuple[float, ...] = ()
    permuted: tuple[str, ...] = SECTIONS


def explain(
    models: Sequence[Model],
    source: Store,
    options: ExplainOptions | None = None,
    progress: Progress = lambda done, total, note: None,
) -> Explanation:
    """Explain the predictions of models for the sites of a store.

    Parameters
    ----------
    models
        Models with the same descriptor and grid, for example trained with different seeds.
    source
        Structures or features of the sites. If they have spectra, increases in error are computed as well.
    options
        Windows, numbers of sites and repeats, and what to compute.

    Raises
    ------
    ConfigError
        If a window holds no energy of the grid, shells do not ascend, or `permuted` names no section.
    ModelError
        If models differ in descriptor or grid, were not trained on the sites' elements, or there are too few sites.
    StoreError
        If a store cannot be read, lacks a named site, or has no structures although ``atoms_of`` needs them.
    """
    options = options or ExplainOptions()
    model = models[0]
    _check_alike(models)
    _check_sections(options.permuted)
    windows, masks = _windows(model, options)
    descriptor = model_descriptor(model)
    _check_shells(options.shells, descriptor.cutoff)
    groups = feature_groups(descriptor.meanings)
    every = source.sites
    named = np.array([every.find(name, source.path) for name in options.atoms_of], np.int64)
    with source.open_structures()[0] as structures:
        if named.size and structures is None:
            raise ModelError(f"{source.path}: holds features without structures; `atoms_of` needs structures")
        if named.size and not descriptor.cutoff:
            raise ModelError(f"{model.path}: another program made all its features; `atoms_of` needs some of our own")
        features = features_of(model, source)
        rows = _chosen(model, source, every, structures or source, features.without, options)
        if (bare := named[features.without[named]]).size:
            raise ModelError(f"{source.path}: {every.name[bare[0]]} has no features")
        check_seen(model, every.take(np.union1d(rows, named)), False)
        sites = every.take(rows)
        histogram = None
        if options.permuted and structures is not None and descriptor.cutoff > 0:
            histogram = radial_histogram(structures, rows, descriptor.cutoff)
        shells = _shells(histogram, options, descriptor) if options.permuted else []
        ranges = [(shell.name, shell.start, shell.stop) for shell in shells]
        sections = {"groups": groups, "kinds": by_kind(groups)}
        sections |= {"shells": by_distance(groups, ranges), "angles": by_angle(groups)}
        importances: dict[str, Importance] = {}
        if together := {name: own for name, own in sections.items() if name in options.permuted}:
            references = _references(model, structures if structures is not None else source, rows, every)
            x = features.read(rows)
            importances = _importances(models, x, sites, together, masks, references, options, progress)
        shapley, atoms = None, []
        explained = np.concatenate([named, rows[: options.shap_sites]])
        if explained.size:
            background = np.sort(np.random.default_rng(options.seed).permutation(rows)[: options.background])
            shapley = group_contributions(
                models, masks, every.take(explained), _features(features.read, explained), features.read(background),
                groups, options.seed, lambda done, total: progress(done, total, "Shapley values"),
            )  # fmt: skip
        if structures is not None and shapley is not None:
            atoms = [
                atom_contributions(descriptor, structures, row, groups, shapley.values[k])
                for k, row in enumerate(named.tolist())
            ]
    found = {name: Section(section, importances.get(name)) for name, section in sections.items()}
    return Explanation(
        windows, **found, shell_ends=shells, histogram=histogram, n_sites=rows.size,
        n_networks=sum(len(own.members) for own in models), shapley=shapley, atoms=atoms,
        scales=_scales(models),
        models=tuple(own.path.resolve().name for own in models), absorbers=tuple(model.seen),
    )  # fmt: skip


def _scales(models: Sequence[Model]) -> Array | None:
    """Return each feature's fraction of the distances in the processes' kernels, or None if none has learned scales."""
    processes = [model.regression for model in models]
    found = [importance(p.kernel, p.landmarks) for p in processes if p is not None and isinstance(p.kernel, Matern)]
    return np.mean(found, axis=0) if found else None


def _importances(
    models: Sequence[Model],
    x: npt.NDArray[np.floating],
    sites: SiteTable,
    sections: Mapping[str, list[FeatureGroup]],
    masks: Sequence[npt.NDArray[np.bool_]],
    references: Array | None,
    options: ExplainOptions,
    progress: Progress,
) -> dict[str, Importance]:
    """Return the importance of each section of groups, with the networks of all models.

    Each section is computed by itself, so that its figures do not depend on the others.
    """
    found: dict[str, list[Importance]] = {name: [] for name in sections}
    total, done = len(models) * options.repeats * sum(map(len, sections.values())), 0
    for k, model in enumerate(models):
        mean = MeanModel(model, x, model.absorbers(sites.element, sites.edge))
        note = "permuting features" + (f", model {k + 1} of {len(models)}" if len(models) > 1 else "")
        for name, groups in sections.items():
            report = _within(progress, done, total, note)
            own = permutation_importance(mean, groups, masks, references, options.repeats, options.seed, report)
            found[name].append(own)
            done += options.repeats * len(groups)
    return {name: _joined(parts) for name, parts in found.items()}


def _check_sections(names: Sequence[str]) -> None:
    if unknown := [name for name in names if name not in SECTIONS]:
        raise ConfigError(f"`permuted`: expected some of {', '.join(SECTIONS)}, received {unknown[0]!r}")


def _windows(model: Model, options: ExplainOptions) -> tuple[tuple[Window, ...], list[npt.NDArray[np.bool_]]]:
    """Return the windows, with the whole range last, and a mask of the model's energies for each."""
    energies, _ = model.grid
    chosen = [clipped(window, energies) for window in options.windows or default_windows(model)]
    if len(set(chosen)) < len(chosen):
        twice = next(window for k, window in enumerate(chosen) if window in chosen[:k])
        raise ConfigError(f"`windows`: expected each window once, received {in_words(twice)} twice")
    windows = (*chosen, (float(energies[0]), float(energies[-1])))
    return windows, [points_in(window, energies) for window in windows]


def _check_shells(ends: Sequence[float], cutoff: float) -> None:
    if ends and not cutoff:
        raise ConfigError("`shells`: another program made all features of the model, so they have no distances")
    if ends and any(b <= a for a, b in pairwise((0.0, *ends, cutoff))):
        given = ", ".join(f"{end:g}" for end in ends)
        raise ConfigError(f"`shells`: expected ascending distances below {cutoff:g} Å, received {given}")


def _features(read: Callable[[Rows], npt.NDArray[np.floating]], rows: Rows) -> npt.NDArray[np.floating]:
    """Return the features of rows in any order, (n_rows, n_features)."""
    ascending, places = np.unique(rows, return_inverse=True)
    return read(ascending)[places]


def _check_alike(models: Sequence[Model]) -> None:
    for k, other in enumerate(models):
        check_features(other)
        if any(other.digest == before.digest for before in models[:k]):
            raise ModelError(f"{other.path}: model listed twice; name each model once")
    for other in models[1:]:
        if other.descriptor_hash != models[0].descriptor_hash:
            raise ModelError(f"{other.path}: descriptor differs from that of {models[0].path}")
        if other.description["grid"] != models[0].description["grid"]:
            raise ModelError(f"{other.path}: energy grid differs from that of {models[0].path}")


def _chosen(
    model: Model,
    source: Store,
    sites: SiteTable,
    known: Store,
    without: npt.NDArray[np.bool_],
    options: ExplainOptions,
) -> Rows:
    """Return the rows of the sites with features among which these are permuted, ascending."""
    rows, of = np.arange(len(sites)), ""
    if options.sites is not None:
        rows, of = sites.rows_of(options.sites, source.path), f" in {options.sites}"
    if options.split is not None:
        sets = sets_of(model, sites, known)
        rows = rows[[sets[row] == options.split for row in rows]]
        of += f" in set {options.split!r} of {model.path}; the store has {', '.join(dict.fromkeys(sets))}"
    rows = rows[~without[rows]]
    if rows.size < FEWEST_SITES:
        raise ModelError(f"expected at least {FEWEST_SITES} sites to permute features among, received {rows.size}{of}")
    if rows.size > options.most_sites:
        rows = np.sort(np.random.default_rng(options.seed).choice(rows, options.most_sites, replace=False))
    return rows


def _references(model: Model, spectra: Store, rows: Rows, every: SiteTable) -> Array | None:
    found = references_of(model, spectra)
    if found.rows is None:
        return None
    values, _ = gridded(spectra, found.rows[rows], Grid(*model.grid), every.take(rows), found.recipe)
    return values.astype(np.float64)


def _shells(histogram: RadialHistogram | None, options: ExplainOptions, descriptor: Descriptor) -> list[Shell]:
    if not descriptor.cutoff:
        return []
    if histogram is None:
        empty = np.array([0.0, descriptor.cutoff])
        histogram = RadialHistogram(empty, np.zeros(2), np.zeros(2))
    return find_shells(histogram, options.shells)


def _joined(parts: Sequence[Importance]) -> Importance:
    """Join the importances of several models along networks."""
    return Importance(*(np.concatenate([getattr(part, n) for part in parts]) for n in ("change", "error_increase")))


def _within(progress: Progress, before: int, total: int, note: str) -> Callable[[int, int], None]:
    """Return a report of the progress of one of several tasks, with ``before`` steps done already."""

    def report(done: int, _: int) -> None:
        progress(before + done, total, note)

    return report
