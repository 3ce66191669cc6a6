"""Averages of predicted spectra: over the sites of a structure, the frames of a trajectory, or all of a store.

With weights w_i that add up to 1, the mean of an average is sum w_i mean_i. Its draws are sum w_i draw_ik: a draw is
one sampled network, the same for every site, so that errors which sites have in common do not average out. Before,
each site's draws are spread to its calibrated standard deviation.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.errors import ConfigError, FormatError, StoreError
from xanes_hpc.formats.property_tables import PropertyTable
from xanes_hpc.stores.predictions import N_AVERAGED, PredictionStore, create_derived, write_site_columns
from xanes_hpc.stores.sites import SiteTable

BY = ("structure", "frames", "all")
SAME_EDGE = 1e-6
"""eV by which edges may differ without being moved."""


@dataclass(frozen=True)
class Averaged:
    """How many averages of how many sites."""

    n_averages: int
    n_sites: int


@dataclass(frozen=True)
class _Group:
    name: str
    rows: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]


def average(
    store: PredictionStore,
    output: Path,
    by: str = "structure",
    weights: Path | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Averaged:
    """Write averages as predictions.

    Parameters
    ----------
    store
        Predictions with their draws.
    output
        Prediction store to write.
    by
        ``structure``: the sites of one structure; ``frames``: those of all structures whose names differ after the
        ``@`` only; ``all``. Sites of several elements or edges make an average each.
    weights
        Table with the columns ``name`` and ``weight``, of sites or structures; times the weight that a site has in the
        store.

    Raises
    ------
    ConfigError
        If ``by`` is none of these, nothing is a frame, or weights are not positive.
    FormatError
        If the table of weights cannot be read, or has none of a site.
    StoreError
        If the store has no draws, or the output stands in the way.
    """
    if by not in BY:
        raise ConfigError(f"--by {by!r}: expected {', '.join(BY)}")
    if not store.has_draws:
        raise StoreError(f"{store.path}: keeps no draws, which averages are taken of: predict again with --keep-draws")
    sites = store.sites
    if by == "frames" and not any("@" in name for name in sites.name):
        raise ConfigError(f"--by frames: expected structures called NAME@0, NAME@1, …; there is {sites.name[0]}")
    weight = sites.weight * (1.0 if weights is None else _read_weights(weights, sites.name))
    wrong = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
    if wrong.size:
        raise ConfigError(f"weight of {sites.name[wrong[0]]}: expected 0 or more, received {weight[wrong[0]]:g}")
    groups = _groups(store, sites, by, weight)
    first = np.array([group.rows[0] for group in groups])
    table = SiteTable(
        name=[group.name for group in groups],
        structure=sites.structure[first] if by == "structure" else np.full(first.size, -1),
        atom=np.full(first.size, -1),
        element=sites.element[first],
        edge=[sites.edge[i] for i in first],
        weight=np.array([weight[group.rows].sum() for group in groups]),
    )
    e0, formulas, parts = store.read("sites/e0"), store.texts("formula"), store.texts("part")
    distrust, nearest, twins = store.distrust or [""] * len(sites), store.read("sites/nearest"), store.texts("twin")
    own_e0 = np.array([group.weights @ e0[group.rows] for group in groups])
    derivation = json.dumps({"by": by, "weights": "" if weights is None else weights.name})
    with create_derived(output, store, table, overwrite, {"derivation": derivation}) as file:
        own = np.ones(len(sites), np.int64) if store.n_averaged is None else store.n_averaged
        file[N_AVERAGED] = np.array([own[group.rows].sum() for group in groups])
        for k, group in enumerate(groups):
            progress(k, len(groups))
            mean, draws, reference = _averaged(store, group, e0, own_e0[k])
            file["mean"][k], file["draws"][k], file["std"][k] = mean, draws, draws.std(axis=0, ddof=1)
            if reference is not None:
                file["reference"][k] = reference
        write_site_columns(
            file,
            own_e0,
            [_common(formulas, group.rows) for group in groups],
            [_common(parts, group.rows) or "none" for group in groups],
            np.array([nearest[group.rows].max() for group in groups]),
            [_common(twins, group.rows) for group in groups],
            [_flags(distrust, group.rows) for group in groups],
        )
    progress(len(groups), len(groups))
    return Averaged(len(groups), len(sites))


def _read_weights(path: Path, sites: Sequence[str]) -> npt.NDArray[np.float64]:
    """The weight of every site: of its own name, or its structure's."""
    table = PropertyTable(path)
    if "weight" not in table.names:
        raise FormatError(f"{path}: expected a column weight, received {', '.join(table.names)}")
    found = np.empty(len(sites))
    for i, site in enumerate(sites):
        row = table.of(site)
        value = "no row for it" if row is None else row.get("weight", "an empty or odd cell")
        try:
            found[i] = float(value)
        except ValueError:
            raise FormatError(f"{path}: weight of {site}: expected a number, received {value}") from None
        if not 0 <= found[i] < np.inf:
            raise FormatError(f"{path}: weight of {site}: expected 0 or more, received {found[i]:g}")
    if table.n_unused:
        raise FormatError(f"{path}: {table.n_unused:,} rows are of no site or structure there is: expected only such")
    return found


def _groups(store: PredictionStore, sites: SiteTable, by: str, weight: npt.NDArray[np.float64]) -> list[_Group]:
    members: dict[tuple[str, int, str], list[int]] = {}
    for i, (name, element, edge) in enumerate(zip(sites.name, sites.element.tolist(), sites.edge, strict=True)):
        structure = name.rsplit("#", 1)[0]
        base = {"structure": structure, "frames": structure.rsplit("@", 1)[0], "all": store.path.stem}[by]
        members.setdefault((base, element, edge), []).append(i)
    alone = {base: sum(other == base for other, _, _ in members) == 1 for base, _, _ in members}
    groups = []
    for (base, element, edge), found in members.items():
        name = base if alone[base] else f"{base} {chemical_symbols[element]} {edge}"
        rows = np.array(found)
        total = weight[rows].sum()
        if not total > 0:
            raise ConfigError(f"weights of the sites of {name}: expected some above 0, received none")
        groups.append(_Group(name, rows, weight[rows] / total))
    return groups


def _averaged(
    store: PredictionStore, group: _Group, e0: npt.NDArray[np.float64], own_e0: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64] | None]:
    """Mean, draws and reference of a group; sites on a relative grid are moved to the group's edge."""
    energies, relative = store.energies, store.origin == "e0"
    mean, draws, reference = np.zeros(energies.size), np.zeros(1), np.zeros(energies.size)
    for row, share in zip(group.rows.tolist(), group.weights, strict=True):
        move = own_e0 - e0[row] if relative and abs(own_e0 - e0[row]) > SAME_EDGE else 0.0

        def placed(values: npt.NDArray[np.float64], move: float = move) -> npt.NDArray[np.float64]:
            if not move:
                return values
            rows = [np.interp(energies + move, energies, own) for own in np.atleast_2d(values)]
            return np.asarray(np.array(rows).reshape(values.shape))

        own, drawn = store.read("mean", row), store.calibrated_draws(row)
        store.check_finite(np.array([row]), own, drawn)
        mean, draws = mean + share * placed(own), draws + share * placed(drawn)
        if store.has_reference:
            reference = reference + share * placed(store.read("reference", row))
    return mean, draws, reference if store.has_reference else None


def _common(texts: Sequence[str], rows: npt.NDArray[np.int64]) -> str:
    """What all have in common; empty where they differ."""
    found = {texts[i] for i in rows}
    return found.pop() if len(found) == 1 else ""


def _flags(texts: Sequence[str], rows: npt.NDArray[np.int64]) -> str:
    flagged = [texts[i] for i in rows if texts[i]]
    if not flagged or rows.size == 1:
        return flagged[0] if flagged else ""
    return f"{len(flagged)} of {rows.size} sites: {flagged[0]}"
