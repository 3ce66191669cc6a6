"""The two stages of training.

The first chooses the number of epochs: one network is trained on the training set, and the validation error says when
to stop. The second retrains all members on the training and validation sets together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from xanes_hpc.data.datasets import SiteSet, TrainingData, statistics
from xanes_hpc.data.feed import Feed
from xanes_hpc.data.graph_feed import GraphFeed
from xanes_hpc.data.left_out import LeftOut
from xanes_hpc.data.sharded_feed import ShardedFeed
from xanes_hpc.errors import ModelError, StoreError, first_line
from xanes_hpc.models import architectures
from xanes_hpc.models.layers import takes_graphs
from xanes_hpc.models.model import Model
from xanes_hpc.models.scaling import Scalers
from xanes_hpc.models.training_sites import SETS
from xanes_hpc.runtime.interruption import Interruption
from xanes_hpc.training.check import Prepared
from xanes_hpc.training.checkpoints import Checkpoint, by_member, flat, write_checkpoint
from xanes_hpc.training.chosen import Chosen
from xanes_hpc.training.correspondence import Correspondence
from xanes_hpc.training.epochs import Epoch, EpochLog, Hooks, Weights, run_epochs
from xanes_hpc.training.gaussian_process_choice import SHARE, Choice, choose
from xanes_hpc.training.gaussian_process_fit import Observations
from xanes_hpc.training.gaussian_process_update import Earlier
from xanes_hpc.training.learning_beside import LearningBeside
from xanes_hpc.training.transfer import Moved, Start, frozen_layers

CHOOSE, REFIT = "choose", "refit"
"""The stages: choosing the number of epochs, and retraining with the validation set included."""


@dataclass(frozen=True)
class Observer:
    """Functions called during training: ``progress(done, total, note)``, and ``epoch`` with each epoch's figures."""

    progress: Callable[[int, int, str], None] = lambda done, total, note: None
    epoch: Callable[[Epoch], None] = lambda epoch: None


@dataclass(frozen=True)
class Stage:
    """A finished stage.

    Attributes
    ----------
    log
        Its epochs, and the best of them.
    trainer, scalers
        The trained networks, and the scalers of their features and targets.
    sets
        The sets of the split that the networks were trained on.
    moved
        What the networks started from; None if from scratch.
    """

    log: EpochLog
    trainer: Any
    scalers: Scalers
    sets: tuple[str, ...]
    moved: Moved | None

    @property
    def earlier(self) -> Earlier | None:
        """The Gaussian process of the model that the networks started from, moved among the spectra of the sets."""
        return None if self.moved is None else self.moved.earlier


@dataclass(frozen=True)
class Trained:
    """The outcome of both stages.

    Attributes
    ----------
    first, last
        The stage that chose the number of epochs, and the stage whose networks the model gets; may be the same.
    epochs
        The epochs of all stages.
    process
        Kernel and shares of the Gaussian process beside the networks; None without one, or if its share is 0.
    start
        The trained model that the networks started from, if any.
    interrupted
        Whether training was stopped before its end.
    """

    first: Stage
    last: Stage
    epochs: list[Epoch]
    process: Choice | None
    start: Start | None
    interrupted: bool

    @property
    def chosen(self) -> Chosen:
        """What the first stage has chosen."""
        log, process = self.first.log, self.process
        assert log.best is not None
        share, aligned = (0.0, None) if process is None else (process.share, process.aligned)
        return Chosen(log.best.epoch, tuple(log.falls), share, aligned)

    def result(self, data: TrainingData, fitted: Sequence[str] = ()) -> "Result":
        """Return the figures to report; the Gaussian process was fitted to the sets ``fitted``."""
        assert self.first.log.best is not None
        return Result(
            {name: data.sites_in(name).n_sites for name in SETS}, data.left_out, self.first.log.best,
            self.last.trainer.n_members, self.process, data.sites_in(*fitted).n_sites, self.interrupted,
            None if self.start is None else self.start.taken_over,
            None if self.last.moved is None else self.last.moved.correspondence,
        )  # fmt: skip


@dataclass(frozen=True)
class Result:
    """Figures of a finished run.

    Attributes
    ----------
    sets, left_out
        Number of sites in each set of the split, and how many are in none, and why.
    best
        The best epoch of the first stage.
    n_members
        Number of networks.
    process, n_fitted
        Kernel and shares of the Gaussian process, if there is one, and number of sites that it was fitted to.
    taken_over
        Number of layers that started with another model's weights, and of all layers with weights; None without one.
    correspondence
        How the spectra follow from that model's, if it is known.
    interrupted
        Whether training was stopped before its end.
    """

    sets: dict[str, int]
    left_out: LeftOut
    best: Epoch
    n_members: int
    process: Choice | None
    n_fitted: int
    interrupted: bool
    taken_over: tuple[int, int] | None = None
    correspondence: Correspondence | None = None


class Training:
    """The two stages of a run.

    Parameters
    ----------
    prepared, data
        The prepared run and its data.
    plan
        Everything that the result depends on, kept in checkpoints.
    checkpoint
        Path of the checkpoint.
    interruption, observer
        The interruption to watch, and functions to call during training.
    """

    def __init__(
        self, prepared: Prepared, data: TrainingData, plan: dict[str, Any], checkpoint: Path,
        interruption: Interruption, observer: Observer,
    ) -> None:  # fmt: skip
        self._run, self._devices, self._team = prepared.run, prepared.devices, prepared.team
        self._data, self._plan, self._checkpoint = data, plan, checkpoint
        self._interruption, self._observer = interruption, observer
        self._logs: dict[str, EpochLog] = {}
        self._fitted_scalers: dict[tuple[str, ...], Scalers] = {}
        self._from: Checkpoint | None = None
        self._chosen: Weights | None = None
        model, first = self._run.model, data.first
        _, self._layers = architectures.build(
            model.name, model.parameters, first.features.n_features, first.targets.grid.energies.size
        )
        self._frozen = frozen_layers(self._layers, self._run.transfer.freeze)
        self._start = self._find_start()

    def resume(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint."""
        self._logs = {name: EpochLog.from_values(v) for name, v in checkpoint.progress.items()}
        self._from = checkpoint

    def run(self, chosen: Chosen | None = None) -> Trained:
        """Run both stages; or, if others have chosen the epochs and shares, the second alone.

        Raises
        ------
        ModelError
            If training diverges.
        KeyboardInterrupt
            If training was interrupted before its first epoch ended, or a second time, or at all if others have chosen.
        """
        run, data, seed, aligned = self._run, self._data, self._run.training.seed, bool(self._run.target.aligned)
        chooses = chosen is None and bool(data.sites_in("validation").n_sites)
        refits = run.training.refit or not chooses
        n_epochs, falls = (run.training.most_epochs, ()) if chosen is None else (chosen.epochs, chosen.falls)
        shares = None if chosen is None else (chosen.share, chosen.aligned)
        averages = run.training.gaussian_process and (shares is None or shares[0]) and self._team.is_chief
        first, process = None, None
        if chooses:
            with LearningBeside() as beside:
                if averages and self._start is None:
                    beside.begin(
                        data, Observations.of(data, ("train",), self._scalers(("train",)), seed, SHARE * aligned)
                    )
                first = self._stage(CHOOSE, ("train",), 1 if refits else run.uncertainty.n_members, n_epochs)
                if averages:
                    networks, kernel = first.trainer.spectra_of, beside.kernel
                    process = choose(
                        data, first.sets, first.scalers, aligned, seed, networks, earlier=first.earlier, kernel=kernel
                    )
            if refits and not first.log.interrupted:
                assert first.log.best is not None
                n_epochs, falls = first.log.best.epoch, tuple(first.log.falls)
        last = first
        if last is None or (refits and not last.log.interrupted):
            trained = tuple(name for name in ("train", "validation") if data.sites_in(name).n_sites)
            last = self._stage(REFIT, trained, run.uncertainty.n_members, n_epochs, falls)
        interrupted = last.log.interrupted
        if interrupted and first is not None:  # half-retrained networks are worse than those of the first stage
            last = first
            self._logs.pop(REFIT, None)
        if last.log.best is None or (interrupted and chosen is not None):
            raise KeyboardInterrupt
        if process is None and averages:
            process = choose(data, last.sets, last.scalers, aligned, seed, shares=shares, earlier=last.earlier)
        epochs = [epoch for log in self._logs.values() for epoch in log.epochs]
        process = process if process is not None and process.share else None
        return Trained(first or last, last, epochs, process, self._start, interrupted)

    def choose(self) -> EpochLog:
        """Run the first stage only, with one network, and return its log, to judge hyperparameters.

        Raises
        ------
        ModelError
            If training diverges.
        KeyboardInterrupt
            If training was interrupted a second time.
        """
        return self._stage(CHOOSE, ("train",), 1, self._run.training.most_epochs).log

    def _stage(self, name: str, sets: Sequence[str], n_members: int, n_epochs: int, falls: Sequence[int] = ()) -> Stage:
        from xanes_hpc.training.trainer import Trainer

        run, data = self._run, self._data
        sites, scalers = data.sites_in(*sets), self._scalers(tuple(sets))
        moved = None if self._start is None else self._start.moved(sites, scalers, run.training.seed)
        if moved is not None:
            scalers = moved.scalers
        resampled = run.uncertainty.method == "bootstrap" and n_members > 1
        feed = self._feed(sites, scalers, n_members, resampled)
        trainer = Trainer(
            self._layers, scalers, run.training, feed, data.first.targets.grid.step, self._devices,
            self._frozen, self._team,
        )  # fmt: skip
        if moved is not None:
            for member in range(n_members):
                trainer.start_from(member, moved.weights(member))
        so_far = self._logs.get(name)
        if self._from is not None and self._from.stage == name and so_far is not None:
            self._restore(trainer, self._from)
            if self._from.best and name == CHOOSE:
                so_far.best_weights = by_member(self._from.best, n_members)
        elif self._from is not None and so_far is not None:
            self._chosen = by_member(self._from.best, n_members)
            trainer.set_weights(self._chosen)
            return Stage(so_far, trainer, scalers, tuple(sets), moved)
        validation = data.sites_in(*(p for p in ("validation",) if p not in sets))

        def epoch_done(progress: EpochLog, total: int) -> None:
            epoch = progress.epochs[-1]
            self._observer.epoch(epoch)
            error = "" if np.isnan(epoch.validation_error) else f"validation error {epoch.validation_error:.2f} %, "
            self._observer.progress(epoch.epoch, total, f"{name}: {error}loss {epoch.loss:.4f}")

        def save(progress: EpochLog) -> None:
            if not self._team.is_chief:
                return
            logs = {n: log.as_values() for n, log in {**self._logs, name: progress}.items()}
            if not any(values["epochs"] for values in logs.values()):
                return  # nothing to resume
            best = progress.best_weights or self._chosen or []
            write_checkpoint(self._checkpoint, Checkpoint(self._plan, name, logs, trainer.state(), flat(best)))

        hooks = Hooks(self._interruption, epoch_done, save)
        try:
            found = run_epochs(
                trainer, feed, validation, run.training, name, n_epochs, hooks, so_far, falls, moved is not None
            )
        finally:
            feed.forget()  # TensorFlow keeps a reference to the feed
        if self._team.any_of(self._interruption.at_once):
            raise KeyboardInterrupt
        self._logs[name] = found
        if name == CHOOSE:
            self._chosen = found.best_weights
        return Stage(found, trainer, scalers, tuple(sets), moved)

    def _scalers(self, sets: tuple[str, ...]) -> Scalers:
        """Return the scalers of features and targets, fitted to sets of the split."""
        training = self._run.training
        if sets not in self._fitted_scalers:
            found = statistics(self._data.sites_in(*sets), training.feature_transform)
            self._fitted_scalers[sets] = found.scalers(training.target_scale, training.positive)
        return self._fitted_scalers[sets]

    def _feed(self, sites: SiteSet, scalers: Scalers, n_members: int, resampled: bool) -> Feed | ShardedFeed:
        config, team = self._run.training, self._team
        n_shards, n_devices = config.shards or team.n_members, max(1, len(self._devices))
        if takes_graphs(self._layers):
            return GraphFeed(sites, scalers, config.sites_at_once, config.seed, n_members, resampled)
        if n_shards == 1:
            return Feed(sites, scalers, config.sites_at_once, config.seed, n_members, resampled, n_devices)
        own = range(team.index * n_shards // team.n_members, (team.index + 1) * n_shards // team.n_members)
        return ShardedFeed(
            sites, scalers, config.sites_at_once, config.seed, n_members, resampled, n_shards, own, n_devices
        )

    def _restore(self, trainer: Any, checkpoint: Checkpoint) -> None:
        try:
            trainer.restore(checkpoint.state)
        except ValueError as error:
            raise StoreError(
                f"{self._checkpoint}: does not match the networks ({first_line(error)}); delete it and train again"
            ) from None

    def _find_start(self) -> Start | None:
        if self._run.transfer.model is None:
            return None
        first = self._data.first
        absorbers = [(chemical_symbols[z], edge) for z, edge in self._data.seen]
        model = Model.open(Path(self._run.transfer.model))
        regression = model.regression
        if self._run.target.aligned and regression is not None and regression.aligned is None:
            raise ModelError(
                f"target.aligned: the Gaussian process of {model.path} has no shifts; set target.aligned = false"
            )
        return Start(model, self._layers, first.features, absorbers, first.targets.grid, self._frozen)
