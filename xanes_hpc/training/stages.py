"""The stages of a training run, and the model they leave.

First the number of epochs is chosen: a network learns the training part, and the validation part tells how long. Then
the members are trained on both. The calibration part, which no weight has seen, makes sigma of the spread of draws.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from xanes_hpc.config.files import to_toml
from xanes_hpc.config.sections import RunConfig
from xanes_hpc.data.datasets import Part, TrainingData, statistics
from xanes_hpc.data.feed import Feed
from xanes_hpc.data.sharded_feed import ShardedFeed
from xanes_hpc.errors import StoreError
from xanes_hpc.models import architectures
from xanes_hpc.models.calibration import calibrate, not_calibrated
from xanes_hpc.models.folder import REGRESSION, SCALING, SITES, WEIGHTS, digests_of_files, write_description
from xanes_hpc.models.model import Model
from xanes_hpc.models.numbers import write_regression, write_scalers
from xanes_hpc.models.scaling import Scalers
from xanes_hpc.models.sigma_factors import Evidence
from xanes_hpc.models.training_sites import LEFT_OUT, PARTS
from xanes_hpc.models.trust import describe_trust
from xanes_hpc.runtime.interruption import Interruption
from xanes_hpc.training.checkpoints import Checkpoint, by_member, flat, write_checkpoint
from xanes_hpc.training.epochs import Epoch, Fit, Watch, Weights, fit
from xanes_hpc.training.kernel_ridge_fit import RATE, SHARE, choose
from xanes_hpc.training.kernel_ridge_fit import fit as fit_regression
from xanes_hpc.training.processes import Alone
from xanes_hpc.training.record import Digests, describe, reference_sites, resolved_run, write_history
from xanes_hpc.training.transfer import Start, frozen_layers

CALIBRATION_DRAWS = 100
MOST_CALIBRATION_SITES = 5000
CHOOSE, REFIT = "choose", "refit"
"""The stages of a run: choosing the number of epochs, and training on the validation part too."""


@dataclass(frozen=True)
class Result:
    """What came of a run.

    Attributes
    ----------
    parts, left_out
        Sites by part, and those without a target.
    best
        The best epoch of the first stage.
    n_members
        Networks.
    share
        Of the kernel ridge regression in the mean with them.
    taken_over
        Layers that have the weights of the model that it started from, and all layers; None where it did not.
    interrupted
        Whether it was stopped before its end.
    """

    parts: dict[str, int]
    left_out: int
    best: Epoch
    n_members: int
    share: float
    interrupted: bool
    taken_over: tuple[int, int] | None = None


@dataclass(frozen=True)
class Looker:
    """Who is told how the training goes: ``progress(done, total, note)``, and ``epoch`` with each one's figures."""

    progress: Callable[[int, int, str], None] = lambda done, total, note: None
    epoch: Callable[[Epoch], None] = lambda epoch: None


class Training:
    """A run's two stages, and where it stands in them."""

    def __init__(
        self, run: RunConfig, data: TrainingData, devices: Sequence[str], plan: dict[str, Any], checkpoint: Path,
        interruption: Interruption, looker: Looker, team: Alone | None = None,
    ) -> None:  # fmt: skip
        self._team = team or Alone()
        self.plan = plan
        self._run, self._data, self._devices = run, data, devices
        self._checkpoint, self._interruption, self._looker = checkpoint, interruption, looker
        self._done: dict[str, Fit] = {}
        self._from: Checkpoint | None = None
        self._chosen: Weights | None = None
        self._rate_and_share = RATE, SHARE
        _, self._layers = architectures.build(
            run.model.name, run.model.parameters, data.first.features.n_features, data.first.targets.grid.energies.size
        )
        self._start = self._find_start()

    def take_up(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint."""
        self._done = {name: Fit.from_values(v) for name, v in checkpoint.progress.items()}
        self._from = checkpoint

    def run_all(self, folder: Path, output: Path, digests: Digests) -> Result:
        """Go through the stages, and write the model folder."""
        run, data = self._run, self._data
        chooses = bool(data.part("validation").n_sites)
        refits = run.training.refit or not chooses
        n_epochs, falls = run.training.epochs, list[int]()
        first = None
        if chooses:
            first = self._stage(CHOOSE, ("train",), 1 if refits else run.uncertainty.n_members, n_epochs)
            if run.training.kernel_ridge and self._team.is_chief:
                validation, seed = data.part("validation"), run.training.seed
                self._rate_and_share = choose(
                    data.part("train"), validation, first.scalers, first.trainer.spectra, seed
                )
            if refits and not first.fit.interrupted:
                assert first.fit.best is not None
                n_epochs, falls = first.fit.best.epoch, first.fit.falls
        last = first
        if last is None or (refits and not last.fit.interrupted):
            trained = tuple(name for name in ("train", "validation") if data.part(name).n_sites)
            last = self._stage(REFIT, trained, run.uncertainty.n_members, n_epochs, falls)
        interrupted = last.fit.interrupted
        if interrupted and first is not None:  # networks half trained again are worse than the one that was chosen
            last = first
            self._done.pop(REFIT, None)
        if last.fit.best is None:
            raise KeyboardInterrupt
        if not self._team.is_chief:
            return self._result(first or last, last, 0.0, interrupted)
        return self._write(folder, output, digests, first or last, last, interrupted)

    def choose(self) -> Fit:
        """Go through the first stage only, with one network, and write nothing: how well a recipe does.

        Raises
        ------
        ModelError
            If training diverges.
        KeyboardInterrupt
            If it was asked to end at once.
        """
        return self._stage(CHOOSE, ("train",), 1, self._run.training.epochs).fit

    def _stage(
        self, name: str, parts: Sequence[str], n_members: int, n_epochs: int, falls: Sequence[int] = ()
    ) -> "_Stage":
        from xanes_hpc.training.trainer import Trainer

        run, data = self._run, self._data
        part = data.part(*parts)
        scalers = statistics(part, run.training.feature_transform).scalers(
            run.training.target_scale, run.training.positive
        )
        if self._start is not None:
            scalers = self._start.scalers(scalers)
        resampled = run.uncertainty.method == "bootstrap" and n_members > 1
        feed = self._feed(part, scalers, n_members, resampled)
        trainer = Trainer(
            self._layers, scalers, run.training, feed, data.first.targets.grid.step, self._devices,
            frozen_layers(self._layers, run.transfer.freeze), self._team,
        )  # fmt: skip
        if self._start is not None:
            for member in range(n_members):
                trainer.start_from(member, self._start.weights(member))
        so_far = self._done.get(name)
        if self._from is not None and self._from.stage == name and so_far is not None:
            self._restore(trainer, self._from)
            if self._from.best and name == CHOOSE:
                so_far.best_weights = by_member(self._from.best, n_members)
        elif self._from is not None and so_far is not None:
            self._chosen = by_member(self._from.best, n_members)
            trainer.set_weights(self._chosen)
            return _Stage(name, so_far, trainer, scalers, tuple(parts))
        validation = data.part(*(p for p in ("validation",) if p not in parts))

        def epoch_done(progress: Fit, total: int) -> None:
            epoch = progress.epochs[-1]
            self._looker.epoch(epoch)
            error = "" if np.isnan(epoch.validation_error) else f"validation error {epoch.validation_error:.2f} %, "
            self._looker.progress(epoch.epoch, total, f"{name}: {error}loss {epoch.loss:.4f}")

        def save(progress: Fit) -> None:
            if not self._team.is_chief:
                return
            fits = {n: f.as_values() for n, f in {**self._done, name: progress}.items()}
            if not any(values["epochs"] for values in fits.values()):
                return  # nothing to go on from
            best = progress.best_weights or self._chosen or []
            write_checkpoint(self._checkpoint, Checkpoint(self.plan, name, fits, trainer.state(), flat(best)))

        watch = Watch(self._interruption, epoch_done, save)
        try:
            found = fit(trainer, feed, validation, run.training, name, n_epochs, watch, so_far, falls)
        finally:
            feed.forget()  # TensorFlow does not let go of the feed
        if self._team.any_of(self._interruption.at_once):
            raise KeyboardInterrupt
        self._done[name] = found
        if name == CHOOSE:
            self._chosen = found.best_weights
        return _Stage(name, found, trainer, scalers, tuple(parts))

    def _feed(self, part: Part, scalers: Scalers, n_members: int, resampled: bool) -> Feed | ShardedFeed:
        config, team = self._run.training, self._team
        n_shards, n_devices = config.shards or team.n_members, max(1, len(self._devices))
        if n_shards == 1:
            return Feed(part, scalers, config.batch_size, config.seed, n_members, resampled, n_devices)
        own = range(team.index * n_shards // team.n_members, (team.index + 1) * n_shards // team.n_members)
        return ShardedFeed(
            part, scalers, config.batch_size, config.seed, n_members, resampled, n_shards, own, n_devices
        )

    def _restore(self, trainer: Any, checkpoint: Checkpoint) -> None:
        try:
            trainer.restore(checkpoint.state)
        except ValueError as error:
            raise StoreError(
                f"{self._checkpoint}: does not fit the networks: {str(error).splitlines()[0]}; delete it and train anew"
            ) from None

    def _find_start(self) -> Start | None:
        if self._run.transfer.model is None:
            return None
        first = self._data.first
        absorbers = [(chemical_symbols[z], edge) for z, edge in self._data.seen]
        return Start(
            Model.open(Path(self._run.transfer.model)), self._layers, first.features.n_features,
            first.features.attribute("descriptor_hash"), absorbers, first.targets.grid, self._run.transfer.freeze,
        )  # fmt: skip

    def _write(
        self, folder: Path, output: Path, digests: Digests, first: "_Stage", last: "_Stage", interrupted: bool
    ) -> Result:
        run, data = self._run, self._data
        n_members = last.trainer.n_members
        method = run.uncertainty.method if n_members > 1 else "dropout"
        run = replace(
            run,
            uncertainty=replace(run.uncertainty, method=method, members=n_members),
            training=replace(run.training, positive=last.scalers.softness is not None),
        )
        for member in range(n_members):
            own = folder / "members" / f"{member:02d}"
            own.mkdir(parents=True)
            last.trainer.save(member, own / WEIGHTS)
            write_scalers(own / SCALING, last.scalers)
        earlier = self._start.sites if self._start else []
        reference_sites(data, last.scalers, last.parts, run.training.seed, earlier).write(folder / SITES)
        rate, share = self._rate_and_share if run.training.kernel_ridge else (RATE, 0.0)
        if share:
            together = np.array([formula or name for formula, name in zip(data.formulas, data.names, strict=True)])
            regression = fit_regression(data.part(*last.parts), last.scalers, rate, share, run.training.seed, together)
            write_regression(folder / REGRESSION, regression)
        write_history([e for f in self._done.values() for e in f.epochs], folder / "history.csv")
        (folder / "run.toml").write_text(to_toml(resolved_run(run, data, output)), encoding="utf-8")
        description = describe(run, data, last.parts, digests, self.plan) | {
            "calibration": {},
            "regression": bool(share),
            "interrupted": interrupted,
        }
        write_description(folder, description)
        measured = _measured(Model.open(folder), data, run.training.seed)
        write_description(folder, description | measured | {"files": digests_of_files(folder)})
        return self._result(first, last, share, interrupted)

    def _result(self, first: "_Stage", last: "_Stage", share: float, interrupted: bool) -> Result:
        counts = np.bincount(self._data.parts, minlength=LEFT_OUT + 1)
        parts = {name: int(n) for name, n in zip(PARTS, counts, strict=False)}
        assert first.fit.best is not None
        return Result(
            parts, int(counts[LEFT_OUT]), first.fit.best, last.trainer.n_members, share, interrupted,
            None if self._start is None else self._start.taken_over,
        )  # fmt: skip


@dataclass(frozen=True)
class _Stage:
    name: str
    fit: Fit
    trainer: Any
    scalers: Any
    parts: tuple[str, ...]


def _measured(model: Model, data: TrainingData, seed: int) -> dict[str, Any]:
    """Calibration and threshold of distances, from sites that no weight has seen."""
    part, sites = data.part("calibration"), model.training_sites
    chunks = part.chunks
    references, means, known = [], [], list[Evidence]()
    for i in np.random.default_rng(seed).permutation(len(chunks)):
        x, absorbers, y = part.read(chunks[i])
        drawn, evidence = model.sample(x, absorbers, CALIBRATION_DRAWS, seed)
        references.append(y.astype(np.float64))
        means.append(drawn.mean)
        known.append(evidence)
        if sum(map(len, references)) >= MOST_CALIBRATION_SITES:
            break
    energies, _ = model.grid
    calibration, nearest = not_calibrated(energies.size), np.empty(0)
    if known:
        evidence = Evidence.joined(known)
        sizes = np.sqrt(np.mean(np.square(model.members[0].scalers.target_scale), axis=1))
        calibration = calibrate(np.concatenate(references), np.concatenate(means), evidence, energies, sizes)
        nearest = np.concatenate([e.distance for e in known if e.distance is not None])
    trained = np.isin(data.parts, [PARTS.index(name) for name in sites.trained])
    formulas = [f for f, chosen in zip(data.formulas, trained, strict=True) if chosen]
    return {"calibration": calibration.as_dict(), "trust": describe_trust(nearest, formulas)}
