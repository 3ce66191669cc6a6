"""Grow a set of calculated spectra: select sites of a pool, calculate, train, measure, and again until the end.

NAME.campaign/course.json      settings, held-out sites, and what each round did and measured
NAME.campaign/pool.h5          the pool's structures, with all spectra calculated so far
NAME.campaign/pool.features.h5
NAME.campaign/round-000/       selected.csv; calculated.json (cost, failures); known.h5 (spectra for training); model
NAME.campaign/course.png, course.html

Every step looks first for what is there, so a campaign that was stopped or killed at any point continues.
"""

import csv
import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xanes_hpc.analysis.evaluate import errors_of
from xanes_hpc.calculations.calculate import Calculations, runs_folder
from xanes_hpc.campaigns.course import Course, Round, read_course
from xanes_hpc.campaigns.settings import Campaign
from xanes_hpc.descriptors import choose
from xanes_hpc.errors import ConfigError, StoreError
from xanes_hpc.features import featurise as features
from xanes_hpc.jobs.dask_workers import connected
from xanes_hpc.model_selection.cross_validation import FINAL, cross_validate
from xanes_hpc.models.architectures import on_graphs
from xanes_hpc.models.model import Model
from xanes_hpc.prediction.plan import PredictOptions
from xanes_hpc.prediction.predict import predict_in_memory
from xanes_hpc.prediction.select import select
from xanes_hpc.prediction.select_first import select_first
from xanes_hpc.runtime.outputs import locked_output, whole_output
from xanes_hpc.stores.features import FeatureStore
from xanes_hpc.stores.other_spectra import copy_spectra, with_other_spectra
from xanes_hpc.stores.spectra import SpectrumTable
from xanes_hpc.stores.structures import StructureStore
from xanes_hpc.structures.graphs import GraphSettings
from xanes_hpc.training.checkpoints import checkpoint_path
from xanes_hpc.training.inputs import open_spectra
from xanes_hpc.training.train import train

POOL, FEATURES = "pool.h5", "pool.features.h5"
SELECTED, CALCULATED, KNOWN, MODEL, FOLDS = "selected.csv", "calculated.json", "known.h5", "model", "folds"
FEW = 600
"""With fewer known sites, of which one in twenty would calibrate a model, models are trained with folds."""
FEWEST_OF_FOLD = 4
"""Fewest known sites per fold."""
MOST_JUDGED = 2000
"""Number of the pool's sites, drawn at random, on which the flagged share and the uncertainty are measured."""
HARDEST = 0.1
Told = Callable[[str], None]
Progress = Callable[[int, int, str], None]


@dataclass
class Growth:
    """A campaign at work in its folder.

    Attributes
    ----------
    campaign, course
        Its settings, and what has happened so far.
    told
        Called with one line at each step.
    progress
        Called with calculated sites of the round, their number, and a note.
    recorded
        Called with the course after each round, and at the end.
    """

    campaign: Campaign
    course: Course
    told: Told
    progress: Progress
    recorded: Callable[[Course], None]

    @property
    def folder(self) -> Path:
        """The folder of the campaign."""
        return self.campaign.folder

    def folder_of(self, number: int) -> Path:
        """Return the folder of a round."""
        return self.folder / f"round-{number:03d}"

    def run(self) -> None:
        """Make rounds until the end, and record each."""
        self._prepare()
        while not self.course.ended:
            if why := self._why_it_ends():
                self.course.ended = why
            else:
                self.course.rounds.append(self._round(len(self.course.rounds)))
            self.course.write(self.folder)
            self.recorded(self.course)

    def _prepare(self) -> None:
        """Copy the pool, compute its features, and draw the held-out sites."""
        pool = self.folder / POOL
        if not pool.exists():
            with StructureStore(self.campaign.pool) as source, with_other_spectra(source, pool, False, ()):
                pass
        if not (self.folder / FEATURES).exists():
            with StructureStore(pool) as source:
                network = self.campaign.train.model
                graph = GraphSettings() if on_graphs(network.name, network.parameters) else None
                descriptor = choose(self.campaign.plan.preset, None)
                features.featurise(source, descriptor, self.folder / FEATURES, graph=graph)
        if not self.course.held_out:
            with StructureStore(pool) as source:
                n, plan = source.n_sites, self.campaign.plan
                if n < plan.held_out + plan.start:
                    expected = f"at least {plan.held_out + plan.start:,} sites, the first round and the held-out ones"
                    raise ConfigError(f"{self.campaign.pool}: expected {expected}, received {n:,}")
                drawn = np.sort(np.random.default_rng(plan.seed).permutation(n)[: plan.held_out])
                self.course.held_out = [source.sites.name[row] for row in drawn]
            self.course.write(self.folder)

    def _why_it_ends(self) -> str:
        """Return why the campaign ends here; empty if it goes on."""
        course, stop, budget = self.course, self.campaign.stop, self.campaign.budget
        if not course.rounds:
            return ""
        last = course.rounds[-1]
        goals = [(name, getattr(stop, name), getattr(last, name)) for name in ("error", "flagged")]
        given = [(name, goal, reached) for name, goal, reached in goals if goal is not None]
        if given and all(reached <= goal for _, goal, reached in given):
            return ", ".join(f"{name} {reached:.2f} % is at most {goal:g} %" for name, goal, reached in given)
        if budget.sites - course.n_calculated < 1:
            return f"its budget of {budget.sites:,} sites is spent"
        if budget.hours is not None and course.hours >= budget.hours:
            return f"its budget of {budget.hours:g} hours of calculation is spent"
        if not self._candidates().size:
            return "the pool has no further sites"
        return ""

    def _candidates(self) -> npt.NDArray[np.int64]:
        """Return the rows of the pool's sites that were not selected before, nor are of the held-out structures."""
        taken = {*self.course.held_out, *(name for r in self.course.rounds for name in r.selected)}
        with StructureStore(self.folder / POOL) as pool:
            sites = pool.sites
            free = np.array([name not in taken for name in sites.name], np.bool_)
            held_out = np.isin(sites.name, self.course.held_out)
            return np.flatnonzero(free & ~np.isin(sites.structure, sites.structure[held_out]))

    def _round(self, number: int) -> Round:
        """Make a round, or finish it."""
        folder = self.folder_of(number)
        folder.mkdir(exist_ok=True)
        selected = self._selected(number, folder)
        self.told(f"round {number}: {len(selected):,} sites selected")
        seconds, failed = self._calculated(folder, selected if number else [*self.course.held_out, *selected])
        known = self._known(folder, [*(n for r in self.course.rounds for n in r.selected), *selected])
        model = self._train(folder, known)
        done = self._measured(model, Round(number, selected, failed, known, seconds))
        self.told(
            f"round {number}: {known:,} known sites, error {done.error:.2f} % (hardest tenth {done.hardest:.1f} %), "
            f"{done.flagged:.1f} % of the pool flagged, {seconds / 3600:.2f} h of calculation"
        )
        return done

    def _selected(self, number: int, folder: Path) -> list[str]:
        """Return the names of a round's sites, chosen by the model of the round before, the first by features alone."""
        path, plan = folder / SELECTED, self.campaign.plan
        if not path.exists():
            rows = self._candidates()
            left = self.campaign.budget.sites - self.course.n_calculated
            n = min(plan.batch if number else plan.start, left, rows.size)
            with FeatureStore(self.folder / FEATURES) as store:
                if number == 0:
                    found = select_first(store, n, plan.strategy, plan.seed + 1, rows)
                else:
                    model = Model.open(self.folder_of(number - 1) / MODEL)
                    found = select(model, store, n, plan.strategy, plan.seed + number, rows)
                names = [one.site for one in found]
            with whole_output(path, True) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
                csv.writer(stream, lineterminator="\n").writerows([("site",), *((name,) for name in names)])
        with path.open(newline="", encoding="utf-8") as stream:
            return [row["site"] for row in csv.DictReader(stream)]

    def _calculated(self, folder: Path, names: list[str]) -> tuple[float, list[str]]:
        """Calculate a round's sites unless that is done; return how many seconds it took in all, and what failed.

        The calculations' folder is kept until both are written down, so that no stop loses them.
        """
        path = folder / CALCULATED
        if not path.exists():
            seconds, failed = self._calculate(names)
            with whole_output(path, True) as temporary:
                temporary.write_text(json.dumps({"seconds": seconds, "failed": failed}, indent=1), encoding="utf-8")
        shutil.rmtree(runs_folder(self.folder / POOL, self.campaign.calculate.program.name), ignore_errors=True)
        values = json.loads(path.read_text(encoding="utf-8"))
        return float(values["seconds"]), list(values["failed"])

    def _calculate(self, names: list[str]) -> tuple[float, list[str]]:
        """Calculate sites, or continue, and add their spectra to the pool."""
        calculate = self.campaign.calculate
        with ExitStack() as opened:
            store = opened.enter_context(StructureStore(self.folder / POOL))
            row_of = {name: row for row, name in enumerate(store.sites.name)}
            rows = np.array(sorted(row_of[name] for name in names), np.int64)
            calculations = Calculations.new(store, calculate.program, rows)
            workers = calculate.workers if calculate.dask is None else opened.enter_context(connected(calculate.dask))
            done = calculations.run(None, calculate.limit, workers, False, self.progress)
            if done.states["good"]:
                calculations.finish(keep=True)
        return sum(done.seconds), done.not_good

    def _known(self, folder: Path, names: list[str]) -> int:
        """Write the spectra of the sites for training, and return how many there are."""
        path = folder / KNOWN
        with StructureStore(self.folder / POOL) as pool:
            wanted = {row for row, name in enumerate(pool.sites.name) if name in set(names)}
            rows = [k for k, site in enumerate(SpectrumTable.read(pool.file).site.tolist()) if site in wanted]
            if not path.exists():
                with with_other_spectra(pool, path, False, ()) as (_, columns):
                    copy_spectra(pool, rows, columns)
        if not rows:
            raise StoreError(f"{path}: no site of the round could be calculated; see course.json for the reasons")
        return len(rows)

    def _train(self, folder: Path, n_known: int) -> Model:
        """Train on the known spectra, or continue; return the model. With few spectra it is the final one of folds."""
        path, folds, run = folder / MODEL, folder / FOLDS, self.campaign.train
        stopped, n_folds = checkpoint_path(path).exists(), self.campaign.plan.folds
        if stopped or not path.exists():
            with FeatureStore(self.folder / FEATURES) as store, StructureStore(folder / KNOWN) as known:
                pairs = open_spectra([store], [known])
                if n_folds and FEWEST_OF_FOLD * n_folds <= n_known < FEW:
                    run = replace(run, split=replace(run.split, folds=n_folds))
                    cross_validate(run, pairs, folds, resume=folds.exists())
                    (folds / FINAL).rename(path)
                else:
                    train(run, pairs, path, resume=stopped)
        shutil.rmtree(folds, ignore_errors=True)
        return Model.open(path)

    def _measured(self, model: Model, done: Round) -> Round:
        """Return a round with the errors of the held-out sites, and what the model thinks of the pool."""
        with FeatureStore(self.folder / FEATURES) as store:
            options = PredictOptions(spectra=self.folder / POOL, sites=tuple(self.course.held_out))
            errors = np.sort(errors_of(predict_in_memory(model, store, options))[1])
            rows = self._candidates()
            rng = np.random.default_rng(self.campaign.plan.seed)
            some = np.sort(rng.permutation(rows)[:MOST_JUDGED]) if rows.size else np.arange(store.n_sites)
            names = tuple(store.sites.name[row] for row in some.tolist())
            pool = predict_in_memory(model, store, PredictOptions(draws=30, sites=names))
            mean, std = pool.read("mean"), pool.read("std")
            sigma = 100.0 * float((np.nanmean(std, axis=1) / np.nanmean(np.abs(mean), axis=1)).mean())
            flagged = 100.0 * float(np.mean([bool(reason) for reason in pool.reasons]))
        hardest = errors[-max(1, round(HARDEST * errors.size)) :]
        return replace(
            done, error=float(errors.mean()), median=float(np.median(errors)), hardest=float(hardest.mean()),
            flagged=flagged, sigma=sigma,
        )  # fmt: skip


def grow(
    campaign: Campaign,
    told: Told = lambda line: None,
    progress: Progress = lambda done, total, note: None,
    recorded: Callable[[Course], None] = lambda course: None,
) -> Course:
    """Run a campaign from its beginning, or from where it stopped, to its end.

    Parameters
    ----------
    campaign
        Its settings.
    told, progress, recorded
        As for ``Growth``.

    Raises
    ------
    ConfigError
        If the folder of the campaign has rounds with other settings, or the pool is too small.
    XanesHpcError
        As calculations and trainings do.
    """
    folder = campaign.folder
    if not campaign.pool.exists():
        raise ConfigError(f"{campaign.path}, [campaign]: pool: no such file {campaign.pool}")
    campaign.calculate.program.check_installed()
    with locked_output(folder):
        folder.mkdir(exist_ok=True)
        course = read_course(folder) or Course(campaign.values)
        if course.values != campaign.values:
            differs = _difference(course.values, campaign.values)
            raise ConfigError(
                f"{folder}: has rounds with other settings ({differs}); use those, or move it away to begin anew"
            )
        course.ended = ""  # budget and stop may have changed
        Growth(campaign, course, told, progress, recorded).run()
    return course


def model_of(campaign: Campaign, course: Course) -> Path:
    """Return the path of the model of the last round."""
    return campaign.folder / f"round-{len(course.rounds) - 1:03d}" / MODEL


def _difference(theirs: dict[str, dict[str, object]], ours: dict[str, dict[str, object]]) -> str:
    """Return the first setting that differs, in words."""
    return next(
        f"[{section}] {name} {theirs.get(section, {}).get(name)!r}, now {value!r}"
        for section, values in ours.items()
        for name, value in values.items()
        if theirs.get(section, {}).get(name) != value
    )
