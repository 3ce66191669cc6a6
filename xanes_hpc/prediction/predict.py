"""Predict the spectra of a source's sites into a prediction store, made in parts as ``jobs.run`` describes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.errors import SpectrumError
from xanes_hpc.jobs import run
from xanes_hpc.jobs.parts import Parts, PartsFolder
from xanes_hpc.models.domain import Scores
from xanes_hpc.models.model import Model
from xanes_hpc.models.trust import NEIGHBOURHOOD, reasons
from xanes_hpc.prediction.plan import PredictionPlan, PredictOptions, opened_plan, planned_options
from xanes_hpc.prediction.sources import Store, open_sources
from xanes_hpc.runtime import threads
from xanes_hpc.runtime.new_file import NewFile
from xanes_hpc.spectra.edges import edge_energy
from xanes_hpc.spectra.grid import Grid
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.part_files import Part, new_part
from xanes_hpc.stores.predictions import (
    PredictionStore,
    create_predictions,
    gather_site_columns,
    write_site_columns,
)
from xanes_hpc.stores.site_spectra import gridded
from xanes_hpc.stores.sites import SiteTable

__all__ = ["ROWS_AT_ONCE", "PredictOptions", "PredictionJob", "edge_energies", "planned_job", "predict"]

ROWS_AT_ONCE = 256
"""Number of sites that a thread predicts at a time."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class PredictionJob:
    """The job of predicting a source's sites in parts; see ``jobs.run.Job``."""

    plan: PredictionPlan
    output: Path

    @property
    def opening(self) -> "PredictionOpening":
        """Paths from which another process can open this job again."""
        return PredictionOpening(self.plan.model.path.resolve(), self.plan.source.path.resolve(), self.output.resolve())

    def check(self, overwrite: bool) -> None:
        """Raise an error if the output exists and may not be replaced, or is one of the inputs."""
        behind = [] if self.plan.structures is None else [self.plan.structures.path]
        hdf5.check_store(self.output, overwrite, [self.plan.source.path, *behind])

    def make(self, folder: Parts, numbers: range, made: Callable[[int], None], progress: Progress) -> None:
        """Make the parts that are not complete yet.

        Raises
        ------
        StoreError
            If the source is damaged.
        FormatError
            If a structure cannot be featurised.
        OSError
            If a part cannot be written.
        """
        bounds, tables = self.plan.bounds, self.plan.tables
        first, total = bounds[numbers.start], bounds[numbers.stop] - bounds[numbers.start]
        predict_rows = _Rows(self.plan)
        for number in numbers:
            start, stop = bounds[number : number + 2]
            if not folder.is_whole(number, tables, stop - start):
                with new_part(folder.part(number), tables, stop - start, folder.plan_digest) as part:
                    predict_rows.fill(part, start, stop, lambda row: progress(row - first, total))
            made(number)
        progress(total, total)

    @contextmanager
    def begin(self, folder: PartsFolder, overwrite: bool) -> Iterator[NewFile]:
        """Create the output without the datasets made in parts, and yield it to be filled."""
        plan = self.plan
        with create_predictions(
            self.output, plan.attributes, plan.model.grid, plan.sites, overwrite, folder.whole
        ) as file:
            yield file
            gather_site_columns(file, [folder.part(number) for number in range(len(plan.bounds) - 1)])


@dataclass(frozen=True)
class PredictionOpening:
    """Paths of a model, a source and a planned output, from which another process opens the job."""

    model: Path
    source: Path
    output: Path

    def open(self) -> tuple[PredictionJob, ExitStack]:
        """Open the job, and return it with the stack that closes its stores."""
        with ExitStack() as opened:
            source = opened.enter_context(open_sources([self.source]))
            job, _ = opened.enter_context(planned_job(Model.open(self.model), source, self.output))
            return job, opened.pop_all()


class _Rows:
    """Predict the rows of a plan and write them to parts."""

    def __init__(self, plan: PredictionPlan) -> None:
        self._plan, self._grid = plan, Grid(*plan.model.grid)
        self._read = plan.features.read
        self._spectra = plan.structures if plan.structures is not None else plan.source
        self._absorbers = plan.model.absorbers(plan.sites.element, plan.sites.edge)

    def fill(self, part: Part, start: int, stop: int, progress: Callable[[int], None]) -> None:
        plan, model = self._plan, self._plan.model
        sites = plan.sites.take(np.arange(start, stop))
        e0, nearest, scores = edge_energies(model, sites), np.empty(stop - start), dict[int, Scores]()
        n_rows, at_once = stop - start, ROWS_AT_ONCE * threads.count()

        def block(first: int) -> None:
            here = slice(first, min(first + ROWS_AT_ONCE, n_rows))
            own_e0 = self._predict(part, here, start + first, nearest, scores)
            e0[here] = np.where(np.isfinite(own_e0), own_e0, e0[here])

        with threads.serial_algebra():
            for begin in range(0, n_rows, at_once):
                progress(start + begin)
                # The same blocks on any number of threads, so that results are the same to the last bit.
                threads.each(range(begin, min(begin + at_once, n_rows), ROWS_AT_ONCE), block)
        for store in (plan.source, plan.structures):
            if store is not None:
                store.check_unchanged()
        formulas, parts = plan.known_of(start, stop)
        unseen = model.unseen(sites.element, sites.edge)
        write_site_columns(
            part.file, e0, formulas, parts, nearest, model.training_sites.twins_of(sites.name, formulas),
            reasons(
                model.trust, nearest, formulas, unseen, Scores.joined([scores[row] for row in sorted(scores)]),
                None if plan.structures is None else lambda i: self._neighbours(start + i),
                model.distance,
            ),
        )  # fmt: skip

    def _neighbours(self, row: int) -> int:
        """Return the number of neighbours of the site at a row of the plan."""
        structures = self._plan.structures
        assert structures is not None
        return int(structures.neighbour_counts(self._plan.rows[row : row + 1], NEIGHBOURHOOD)[0])

    def _predict(
        self, part: Part, here: slice, row: int, nearest: npt.NDArray[np.float64], scores: dict[int, Scores]
    ) -> npt.NDArray[np.float64]:
        """Fill rows of a part, starting at a row of the plan; return the references' e0, NaN without one."""
        plan, options = self._plan, self._plan.options
        chosen = np.arange(row, row + here.stop - here.start)
        drawn, evidence = plan.model.sample(
            self._read(plan.rows[chosen]), self._absorbers[chosen], options.draws, options.seed, options.keep_draws,
            plan.features.graphs(plan.rows[chosen]),
        )  # fmt: skip
        nearest[here] = evidence.distance
        if evidence.scores is not None:
            scores[row] = evidence.scores
        part.rows["mean"][here] = drawn.mean
        part.rows["std"][here] = plan.model.calibration.sigma(evidence)
        if drawn.draws is not None:
            part.rows["draws"][here] = drawn.draws
        if plan.references is None:
            return np.full(chosen.size, np.nan)
        values, own_e0 = gridded(
            self._spectra, plan.references[chosen], self._grid, plan.sites.take(chosen), plan.recipe
        )
        part.rows["reference"][here] = values
        return own_e0


def predict(
    model: Model,
    source: Store,
    output: Path,
    options: PredictOptions | None = None,
    overwrite: bool = False,
    progress: Progress = lambda done, total: None,
    restart: bool = False,
) -> str:
    """Write a prediction store of a source's sites, with references if it has spectra of the model's kind.

    References are brought to the model's treatment. Parts that an earlier run left beside ``output`` are reused, unless
    ``restart`` is set.

    Returns
    -------
    str
        Why there are no references; empty if there are.

    Raises
    ------
    ModelError
        If the features are of another descriptor, or the model was not trained on an element and edge.
    StoreError
        If a store cannot be read or written, or the parts beside the output belong to another run.
    """
    with opened_plan(model, source, options or PredictOptions()) as plan:
        run.run(PredictionJob(plan, output), overwrite, restart, progress)
        return plan.why_none


def predict_in_memory(
    model: Model,
    source: Store,
    options: PredictOptions | None = None,
    progress: Progress = lambda done, total: None,
) -> PredictionStore:
    """Return a prediction store in memory with predictions of a source's sites.

    Raises
    ------
    ModelError, StoreError
        As ``predict``.
    """
    with opened_plan(model, source, options or PredictOptions()) as plan:
        n_sites = len(plan.rows)
        with create_predictions(None, plan.attributes, model.grid, plan.sites) as file:
            part = Part(file, {table.name: table.create(file, n_sites) for table in plan.tables})
            _Rows(plan).fill(part, 0, n_sites, lambda row: progress(row, n_sites))
    return PredictionStore(file=file)


@contextmanager
def planned_job(model: Model, source: Store, output: Path) -> Iterator[tuple[PredictionJob, int]]:
    """Yield the job planned for an output, and its number of partitions.

    Raises
    ------
    StoreError
        If there is no plan of predictions beside the output, or a store cannot be read.
    ModelError
        If the source's sites cannot be predicted with the model.
    """
    options, n_partitions = planned_options(output)
    with opened_plan(model, source, options) as plan:
        yield PredictionJob(plan, output), n_partitions


def edge_energies(model: Model, sites: SiteTable) -> npt.NDArray[np.float64]:
    """Return each site's edge energy (eV): the median of the training spectra, else XrayDB's; NaN without either."""
    known: dict[tuple[int, str], float] = {}
    for z, edge in zip(sites.element.tolist(), sites.edge, strict=True):
        if (z, edge) not in known:
            try:
                known[z, edge] = model.seen.get((chemical_symbols[z], edge)) or edge_energy(z, edge)
            except SpectrumError:
                known[z, edge] = np.nan
    return np.array([known[z, edge] for z, edge in zip(sites.element.tolist(), sites.edge, strict=True)])
