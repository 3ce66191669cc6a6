"""Average predicted spectra over the sites of a structure, the frames of a trajectory, or a whole store.

With weights w_i that sum to 1, the mean of an average is sum w_i mean_i, and its draws are sum w_i draw_ik. Draw k is
the same sampled network for every site, so errors that sites have in common do not average out. Each site's draws are
scaled to its calibrated standard deviation first.
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
"""Difference of edge energies, in eV, below which spectra are not shifted."""


@dataclass(frozen=True)
class Averaged:
    """Number of averages written, and of sites averaged."""

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
    """Write a prediction store of averages.

    Parameters
    ----------
    store
        Predictions with their draws.
    output
        Prediction store to write.
    by
        ``structure`` averages the sites of each structure, ``frames`` those of all structures whose names differ only
        after the ``@``, ``all`` the whole store. Different elements and edges are averaged separately.
    weights
        Table with the columns ``name`` and ``weight``, by site or structure. These weights multiply those in the store.
    overwrite
        Whether to replace an existing output.
    progress
        Called with averages done and in all.

    Raises
    ------
    ConfigError
        If ``by`` is unknown, no structure is a frame, a weight is negative, or all weights of an average are 0.
    FormatError
        If the table of weights cannot be read, lacks a site, or has rows that match none.
    StoreError
        If the store has no draws, or the output exists or cannot be written.
    """
    if by not in BY:
        raise ConfigError(f"`by` {by!r}: expected {', '.join(BY)}")
    if not store.has_draws:
        raise StoreError(f"{store.path}: has no draws to average; predict again and keep the draws (`keep_draws`)")
    sites = store.sites
    if by == "frames" and not any("@" in name for name in sites.name):
        raise ConfigError(
            f"`by` 'frames': expected structures named NAME@0, NAME@1, … as in a trajectory, received {sites.name[0]}"
        )
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
    e0, formulas, sets = store.read("sites/e0"), store.texts("formula"), store.texts("part")
    distrust, nearest, twins = store.reasons, store.read("sites/nearest"), store.texts("twin")
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
            [_common(sets, group.rows) or "none" for group in groups],
            np.array([nearest[group.rows].max() for group in groups]),
            [_common(twins, group.rows) for group in groups],
            [shared_flag(distrust, group.rows) for group in groups],
        )
    progress(len(groups), len(groups))
    return Averaged(len(groups), len(sites))


def _read_weights(path: Path, sites: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return the weight of every site: that of its own name, or of its structure's."""
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
        raise FormatError(
            f"{path}: expected only names of sites or structures in the store, received {table.n_unused:,} others"
        )
    return found


def _groups(store: PredictionStore, sites: SiteTable, by: str, weight: npt.NDArray[np.float64]) -> list[_Group]:
    """Return the groups of sites to average, each of one element and edge, with weights that sum to 1."""
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
            raise ConfigError(f"weights of the sites of {name}: expected at least one above 0, received none")
        groups.append(_Group(name, rows, weight[rows] / total))
    return groups


def _averaged(
    store: PredictionStore, group: _Group, e0: npt.NDArray[np.float64], own_e0: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64] | None]:
    """Return a group's mean, draws and reference; on a relative grid, sites are first shifted to the group's e0."""
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
    """Return the text that all rows share; empty if they differ."""
    found = {texts[i] for i in rows}
    return found.pop() if len(found) == 1 else ""


def shared_flag(texts: Sequence[str], rows: npt.NDArray[np.int64]) -> str:
    """Return why an average is out of domain: how many of its sites are, and the reason of the first."""
    flagged = [texts[i] for i in rows if texts[i]]
    if not flagged or rows.size == 1:
        return flagged[0] if flagged else ""
    return f"{len(flagged)} of {rows.size} sites: {flagged[0]}"
