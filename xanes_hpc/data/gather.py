"""Gather the data of a training run from stores: targets on one grid, groups, and the split."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xanes_hpc.config.sections import RunConfig
from xanes_hpc.data.clusters import clusters
from xanes_hpc.data.datasets import Source, TrainingData
from xanes_hpc.data.left_out import LeftOut
from xanes_hpc.data.listed_split import listed_split
from xanes_hpc.data.splits import split
from xanes_hpc.data.target_plan import Pairs, plan_targets
from xanes_hpc.data.targets import prepare
from xanes_hpc.errors import ConfigError, ModelError, SpectrumError
from xanes_hpc.models.architectures import on_graphs
from xanes_hpc.models.training_sites import code
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.targets import TargetStore
from xanes_hpc.structures.absorbers import reduced_formula

BY_FORMULA = ("formula", "reduced-formula")


def gather(run: RunConfig, pairs: Pairs, augmented: Sequence[FeatureStore] = ()) -> TrainingData:
    """Return the sites of several feature stores, divided into the sets of the split.

    Parameters
    ----------
    run
        The configuration.
    pairs
        Feature stores, each with the store of its sites' spectra.
    augmented
        Feature stores of rattled structures, each with the sites of one of the other feature stores.

    Raises
    ------
    ModelError
        If the stores have different descriptors, or the model needs graphs and they have none, or different ones.
    ConfigError
        If the sites cannot be split as configured, stores share sites, or augmented features are not those of rattled
        structures with the same sites.
    SpectrumError
        If no grid or treatment fits the spectra of all stores.
    """
    first = pairs[0][0]
    for store, _ in (*pairs[1:], *((store, None) for store in augmented)):
        expected, received = (s.attribute("descriptor_hash") for s in (first, store))
        if received != expected:
            raise ModelError(
                f"{store.path}: expected features from the same descriptor as {first.path} (hash {expected}), received "
                f"hash {received}"
            )
    for store, _ in pairs:
        if store.rattled:
            raise ConfigError(
                f"{store.path}: features of rattled structures; give them with `augment`, beside the plain features"
            )
    for store in augmented:
        if not store.rattled:
            raise ConfigError(
                f"{store.path}: expected features of rattled structures for `augment`, received plain features; "
                "rattle the structures first (`rattle`)"
            )
    if on_graphs(run.model.name, run.model.parameters):
        _check_graphs(run, [*(store for store, _ in pairs), *augmented])
    _check_apart([store for store, _ in pairs])
    owners = [_owner(store, pairs) for store in augmented]
    with ExitStack() as opened:
        plan, sources, start = plan_targets(pairs, run.target, run.recipe), [], 0
        left_out = None if plan.moves_edges else plan.left_out()
        if left_out is not None:
            _check(left_out, run, pairs)
        prepared = prepare(plan)
        for i, ((store, origin), targets) in enumerate(zip(pairs, prepared, strict=True)):
            opened.callback(targets.close)
            own = tuple(extra for extra, owner in zip(augmented, owners, strict=True) if owner == i)
            sources.append(Source(store, targets, start, own, origin))
            start += store.n_sites
        if left_out is None:
            left_out = plan.left_out([targets.e0 for targets in prepared])
            _check(left_out, run, pairs)
        data = _split(run, pairs, sources, left_out)
        opened.pop_all()  # ``data`` closes them
    return data


def _check_graphs(run: RunConfig, stores: Sequence[FeatureStore]) -> None:
    wanted = stores[0].graph
    for store in stores:
        if store.graph is None:
            raise ModelError(
                f"{store.path}: model {run.model.name} expects the graphs of the sites, received features alone; "
                "featurise the structures again, with graphs (`graph`)"
            )
        if store.graph != wanted:
            assert wanted is not None
            raise ModelError(
                f"{store.path}: expected graphs as in {stores[0].path} ({wanted.in_words}), received others "
                f"({store.graph.in_words})"
            )


def _check(left_out: LeftOut, run: RunConfig, pairs: Pairs) -> None:
    try:
        left_out.check(run.target.most_left_out)
    except SpectrumError as error:
        raise SpectrumError(f"{pairs[0][1].path}: {error}") from None


def _split(run: RunConfig, pairs: Pairs, sources: list[Source], left_out: LeftOut) -> TrainingData:
    tables = [source.features.sites for source in sources]
    names = [name for table in tables for name in table.name]
    kinds = [(int(z), edge) for table in tables for z, edge in zip(table.element, table.edge, strict=True)]
    has_target = np.concatenate([_has_target(source.features, source.targets) for source in sources])
    if not has_target.any():
        raise SpectrumError(f"{pairs[0][1].path}: no site has a spectrum that is finite after its treatment")
    usable = has_target & ~np.concatenate([source.features.without_features for source in sources])
    if not usable.any():
        raise SpectrumError(f"{pairs[0][0].path}: no site with features has a spectrum")
    left_out = left_out.with_usable(int(has_target.sum()), int((has_target & ~usable).sum()))
    formulas = _formulas(pairs, run)
    seen = sorted({kind for kind, has_target in zip(kinds, usable, strict=True) if has_target})
    number = {kind: i for i, kind in enumerate(seen)}
    absorbers = np.array([number.get(kind, 0) for kind in kinds], np.int64)
    if run.split.file is None:
        sets = split(_groups(run, sources, usable, names, formulas), usable, run.split, run.training.seed)
    else:
        sets = listed_split(Path(run.split.file), tables, usable, run.split.rest)
    return TrainingData(sources, names, formulas, absorbers, seen, sets, left_out)


def _groups(
    run: RunConfig, sources: list[Source], usable: npt.NDArray[np.bool_], names: list[str], formulas: list[str]
) -> list[str]:
    match run.split.group:
        case "cluster":
            return clusters(sources, usable, run.training.feature_transform, run.training.seed)
        case "formula":
            return [formula or name for formula, name in zip(formulas, names, strict=True)]
        case "reduced-formula":
            return [reduced_formula(formula) or name for formula, name in zip(formulas, names, strict=True)]
        case "structure":
            return [
                f"{i} {row}" for i, source in enumerate(sources) for row in source.features.sites.structure.tolist()
            ]
        case "code":
            return [code(name) for name in names]
    return names


def _check_apart(stores: Sequence[FeatureStore]) -> None:
    """Refuse stores that share sites, which could end up in several sets of the split."""
    for i, store in enumerate(stores):
        for other in stores[:i]:
            digest = store.attribute("source_digest")
            in_memory = store.in_memory or other.in_memory
            if store is other or (not in_memory and store.path.samefile(other.path)):
                raise ConfigError(f"{store.path}: expected stores with different sites, received this store twice")
            if digest and digest == other.attribute("source_digest"):
                twice = _keys(store) & _keys(other)
                if twice:
                    structure, atom, edge = min(twice)
                    raise ConfigError(
                        f"{store.path}: expected no sites of {other.path}, received {len(twice):,} of them (the first: "
                        f"structure {structure}, atom {atom}, edge {edge})"
                    )


def _keys(store: FeatureStore) -> set[tuple[int, int, str]]:
    sites = store.sites
    return {*zip(sites.structure.tolist(), sites.atom.tolist(), sites.edge, strict=True)}


def _owner(store: FeatureStore, pairs: Pairs) -> int:
    digests = [pair[0].attribute("source_digest") for pair in pairs]
    if not store.attribute("source_digest") or store.attribute("source_digest") not in digests:
        raise ConfigError(
            f"{store.path}: expected the sites of one of the plain feature stores, received other sites; "
            "rattle the structures of one of them"
        )
    return digests.index(store.attribute("source_digest"))


def _has_target(features: FeatureStore, targets: TargetStore) -> npt.NDArray[np.bool_]:
    return np.concatenate([
        np.isfinite(targets.read(start, start + features.chunk_rows)).all(axis=1)
        for start in range(0, features.n_sites, features.chunk_rows)
    ])  # fmt: skip


def _formulas(pairs: Pairs, run: RunConfig) -> list[str]:
    formulas: list[str] = []
    for store, source in pairs:
        formulas += source.site_formulas()
        if source is store and run.split.group in BY_FORMULA and len(pairs) == 1 and not any(formulas):
            raise ConfigError(
                f'{store.path}: no structures, so no formulas to group by; set [split] group = "cluster" or "none"'
            )
    return formulas
