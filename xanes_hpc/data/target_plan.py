"""Plan the targets of a training run: choose one spectrum per site, and the grid for all of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from xanes_hpc.config.sections import TargetConfig
from xanes_hpc.data.left_out import LeftOut, left_out
from xanes_hpc.errors import SpectrumError
from xanes_hpc.spectra.grid import Grid, regular, shared_range, spanned_range
from xanes_hpc.spectra.recipe import Recipe
from xanes_hpc.spectra.spectrum import treatment_name
from xanes_hpc.spectra.treatment import check_kind, treatment_after
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.site_spectra import AS_STORED, NONE, choose_spectra, units_of
from xanes_hpc.stores.spectra import Ranges, read_ranges, read_steps
from xanes_hpc.stores.structures import StructureStore

Pairs = Sequence[tuple[FeatureStore, StructureStore | FeatureStore]]
"""Feature stores, each with the store of its sites' spectra."""


@dataclass(frozen=True)
class TargetPlan:
    """How the spectra of stores become targets on one grid.

    Attributes
    ----------
    pairs
        The stores.
    rows
        Row of each site's spectrum, one array per pair; ``NONE`` for sites without one.
    ranges
        Ranges of the spectra of the sites that have one, one per pair.
    kinds
        Kind of the spectra, one per pair.
    treatment, unit
        The stored spectra's own, which all stores share.
    grid, recipe
        The grid, and what to apply to spectra before resampling.
    """

    pairs: Pairs
    rows: Sequence[npt.NDArray[np.int64]]
    ranges: Sequence[Ranges]
    kinds: Sequence[str]
    treatment: str
    unit: str
    grid: Grid
    recipe: Recipe

    @property
    def moves_edges(self) -> bool:
        """Whether the recipe gives spectra another e0, which is known only once they are treated."""
        return _moves_edges(self.recipe)

    def left_out(self, e0: Sequence[npt.NDArray[np.float64]] | None = None) -> LeftOut:
        """Return the sites that the grid leaves out.

        Parameters
        ----------
        e0
            Edge energies of each pair's sites, eV, if the recipe moves them.
        """
        found = []
        for i, ranges in enumerate(self.ranges):
            if e0 is not None:
                ranges = ranges.with_e0(e0[i][self.rows[i] != NONE])
            found.append((*ranges.on_scale(self.grid.origin), ranges.n_points))
        first, last, n_points = (np.concatenate(values) for values in zip(*found, strict=True))
        return left_out(self.grid, sum(rows.size for rows in self.rows), first, last, n_points)


def plan_targets(pairs: Pairs, config: TargetConfig, recipe: Recipe = AS_STORED) -> TargetPlan:
    """Choose one spectrum per site, and the grid: the configured one, or by default the range that nearly all share.

    The default step is the finest of the stores' own near the edge.

    Raises
    ------
    SpectrumError
        If the spectra cannot be chosen or brought to one grid, or differ in treatment or unit.
    """
    chosen = [choose_spectra(source, store.n_sites, config.kind, config.treatment) for store, source in pairs]
    for (_, source), (rows, table) in zip(pairs, chosen, strict=True):
        _check_one_unit(source, units_of(table, rows, recipe), config.kind)
    first = [int(rows[rows != NONE][0]) for rows, _ in chosen]
    of_each = [(table.treatment[row], table.unit[row]) for row, (_, table) in zip(first, chosen, strict=True)]
    for (store, _), (treatment, unit) in zip(pairs, of_each, strict=True):
        if (treatment, unit) != of_each[0]:
            expected, received = (f"{treatment_name(t)} in {u}" for t, u in (of_each[0], (treatment, unit)))
            raise SpectrumError(
                f"{store.path}: expected the treatment and unit of {pairs[0][0].path} ({expected}), received {received}"
            )
    check_kind(config.kind, recipe)
    try:
        treatment_after(recipe, of_each[0][0])
    except SpectrumError as error:
        raise SpectrumError(f"{pairs[0][1].path}: {error}") from None
    if _moves_edges(recipe) and None in (config.start, config.stop, config.step):
        raise SpectrumError(
            f"normalisation.e0 {recipe.normalisation.e0} moves the edges, so the range that spectra share is unknown; "
            "give [target] start, stop and step"
        )
    sources, there = [source for _, source in pairs], [rows[rows != NONE] for rows, _ in chosen]
    ranges = [read_ranges(source.file, rows) for source, rows in zip(sources, there, strict=True)]
    grid = _grid(sources, there, ranges, config)
    kinds = [table.kind[row] for row, (_, table) in zip(first, chosen, strict=True)]
    return TargetPlan(pairs, [rows for rows, _ in chosen], ranges, kinds, *of_each[0], grid, recipe)


def _check_one_unit(source: StructureStore | FeatureStore, units: Counter[str], kind: str) -> None:
    if len(units) > 1:
        listed = ", ".join(f"{n:,} {unit}" for unit, n in units.most_common(6))
        raise SpectrumError(
            f"{source.path}: several units of {kind}: {listed}; give [normalisation] name, such as edge-step, to bring "
            "them to one, or import those of each unit into a store of their own"
        )


def _moves_edges(recipe: Recipe) -> bool:
    return recipe.normalisation.e0 != "stored"


def _grid(
    sources: Sequence[StructureStore | FeatureStore], rows: Sequence[npt.NDArray[np.int64]],
    ranges: Sequence[Ranges], config: TargetConfig,
) -> Grid:  # fmt: skip
    start, stop, step = config.start, config.stop, config.step
    if start is None or stop is None:
        of_each = [_own_range(source, own, config) for source, own in zip(sources, ranges, strict=True)]
        starts, stops = (np.array(ends) for ends in zip(*of_each, strict=True))
        first, last = int(np.argmax(starts)), int(np.argmin(stops))
        if config.below is not None:
            first = int(np.argmin(starts))
        if config.above is not None:
            last = int(np.argmax(stops))
        start = start if start is not None else float(starts[first])
        stop = stop if stop is not None else float(stops[last])
        if start >= stop:
            raise SpectrumError(
                f"the stores' spectra share no energy range: those of {sources[first].path} begin at {start:g} eV, "
                f"those of {sources[last].path} end at {stop:g} eV; give [target] start and stop"
            )
    if step is None:
        own = [read_steps(source.file, those) for source, those in zip(sources, rows, strict=True)]
        step = min(float(np.median(steps)) for steps in own)
    return replace(regular(start, stop, step, config.origin), below=config.below, above=config.above)


def _own_range(source: StructureStore | FeatureStore, ranges: Ranges, config: TargetConfig) -> tuple[float, float]:
    """Return the range of energies that a store's spectra share, or span at ends where they are padded; eV."""
    starts, stops = ranges.on_scale(config.origin)
    shared, spanned = shared_range(starts, stops), spanned_range(starts, stops)
    start = (shared if config.below is None else spanned)[0]
    stop = (shared if config.above is None else spanned)[1]
    if start >= stop:
        raise SpectrumError(
            f"{source.path}: the spectra share no energy range (they begin at {starts.min():g} to {starts.max():g} eV "
            f"and end at {stops.min():g} to {stops.max():g} eV); give [target] start, stop and step"
        )
    return start, stop
