"""The settings of a campaign, as TOML."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from xanes_hpc.calculations.program import Program
from xanes_hpc.calculations.programs import PROGRAMS
from xanes_hpc.config.files import build, load_run, settings
from xanes_hpc.config.sections import RunConfig
from xanes_hpc.descriptors import choose
from xanes_hpc.errors import ConfigError, DescriptorError
from xanes_hpc.jobs.dask_workers import KINDS, Workers
from xanes_hpc.prediction.select import STRATEGIES
from xanes_hpc.runtime.nearest import did_you_mean
from xanes_hpc.runtime.toml import read_toml

HERE = ("with", "program", "workers", "limit", "scheduler", "cluster")
"""Keys of [calculate] that are no settings of the program."""


@dataclass(frozen=True)
class Budget:
    """When a campaign ends in any case: at this number of calculated sites, or of hours of calculation."""

    sites: int = 500
    hours: float | None = None


@dataclass(frozen=True)
class Stop:
    """When a campaign has reached its end: every figure that is given must be at or below its value.

    Attributes
    ----------
    error
        Mean error of the held-out sites, %.
    flagged
        Share of the pool's sites that are out of domain, %.
    """

    error: float | None = None
    flagged: float | None = None


@dataclass(frozen=True)
class Plan:
    """The section [campaign].

    Attributes
    ----------
    pool
        Structure store with the sites to choose from.
    start, batch
        Number of sites of the first round, and of each later one.
    held_out
        Number of sites that are calculated only to measure the error, drawn at random.
    strategy
        How sites are selected: see ``select``, and ``select_first`` for the first round.
    preset
        Preset of the descriptor.
    seed
        Seed of every choice.
    folds
        Number of folds of trainings on few sites; 0 to divide off a calibration set instead.
    """

    pool: str
    start: int = 50
    batch: int = 50
    held_out: int = 50
    strategy: str = STRATEGIES[0]
    preset: str = "default"
    seed: int = 0
    folds: int = 5


@dataclass(frozen=True)
class Calculation:
    """The section [calculate]: the program with its settings, and where it runs."""

    program: Program
    workers: int | None = None
    limit: float | None = None
    dask: Workers | None = None


@dataclass(frozen=True)
class Campaign:
    """The settings of a campaign.

    Attributes
    ----------
    path
        The file that they are from.
    plan, budget, stop, calculate
        Its sections [campaign], [budget], [stop] and [calculate].
    train
        Settings of each training, from the section [train].
    """

    path: Path
    plan: Plan
    budget: Budget
    stop: Stop
    calculate: Calculation
    train: RunConfig = field(default_factory=RunConfig)

    @property
    def folder(self) -> Path:
        """The folder of the campaign: ``NAME.campaign`` beside its file."""
        return self.path.with_suffix(".campaign")

    @property
    def pool(self) -> Path:
        """Path of the pool, which the file names relative to itself."""
        return self.path.parent / self.plan.pool

    @property
    def values(self) -> dict[str, Any]:
        """Everything that the rounds depend on, as plain values; budget, stop and workers may change on the way."""
        calculation = {"with": self.calculate.program.name, **self.calculate.program.settings}
        plain = {"campaign": asdict(self.plan), "calculate": calculation, "train": self.train.as_values()}
        return dict(json.loads(json.dumps(plain)))


def load_campaign(path: Path) -> Campaign:
    """Read the settings of a campaign.

    Raises
    ------
    ConfigError
        If the file is missing or not TOML, a key is unknown, or a value is invalid.
    """
    values = read_toml(path, ConfigError)
    known = ("campaign", "budget", "stop", "calculate", "train")
    for name, section in values.items():
        if name not in known:
            expected = f"expected sections {', '.join(known)}"
            raise ConfigError(f"{path}: unknown key {name!r}{did_you_mean(name, known, expected)}")
        if not isinstance(section, dict):
            raise ConfigError(f"{path}: expected a section [{name}], received {section!r}")
    if "pool" not in values.get("campaign", {}):
        raise ConfigError(f"{path}, [campaign]: expected `pool`, the structure store to choose from, received none")
    plan = build(Plan, values["campaign"], f"{path}, [campaign]")
    budget = build(Budget, values.get("budget", {}), f"{path}, [budget]")
    stop = build(Stop, values.get("stop", {}), f"{path}, [stop]")
    try:
        trained = load_run(None, None, {"split.test": 0.0} | settings(values.get("train", {})))
    except ConfigError as error:
        raise ConfigError(f"{path}, [train]: {error}") from None
    found = Campaign(path, plan, budget, stop, _calculation(path, values.get("calculate", {})), trained)
    _check(found)
    return found


def _check(campaign: Campaign) -> None:
    where, plan = f"{campaign.path}, [campaign]", campaign.plan
    for name in ("start", "batch", "held_out"):
        if getattr(plan, name) < 1:
            raise ConfigError(f"{where}: {name}: expected 1 or more, received {getattr(plan, name)}")
    if plan.folds < 0 or plan.folds == 1:
        raise ConfigError(f"{where}: folds: expected 2 or more, or 0 for none, received {plan.folds}")
    if plan.strategy not in STRATEGIES:
        raise ConfigError(f"{where}: strategy: expected one of {', '.join(STRATEGIES)}, received {plan.strategy!r}")
    try:
        choose(plan.preset, None)
    except DescriptorError as error:
        raise ConfigError(f"{where}: preset: {error}") from None
    for name, most in (("error", math.inf), ("flagged", 100.0)):
        goal = getattr(campaign.stop, name)
        if goal is not None and not 0 <= goal <= most:
            expected = "0 or more" if most == math.inf else f"0 to {most:g}"
            raise ConfigError(f"{campaign.path}, [stop]: {name}: expected {expected}, in %, received {goal:g}")
    least = plan.start + plan.held_out
    if campaign.budget.sites < least:
        raise ConfigError(
            f"{campaign.path}, [budget]: sites: expected {least} or more, the first round and the held-out sites, "
            f"received {campaign.budget.sites}"
        )


def _calculation(path: Path, values: Mapping[str, Any]) -> Calculation:
    where = f"{path}, [calculate]"
    name = values.get("with", "feff")
    if name not in PROGRAMS:
        raise ConfigError(f"{where}: with: expected {' or '.join(PROGRAMS)}, received {name!r}")
    default = PROGRAMS[name]()
    own = {key: value for key, value in values.items() if key not in HERE}
    for key in own:
        if key not in default.settings:
            known = (*HERE, *default.settings)
            hint = did_you_mean(key, known, f"it has {', '.join(known)}")
            raise ConfigError(f"{where}: unknown key {key!r}{hint}")
    command = values.get("program", default.program)
    try:
        program: Program = PROGRAMS[name].with_settings(json.loads(json.dumps(default.settings)) | own, command)
        program.check()
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from None
    workers, limit = values.get("workers"), values.get("limit")
    if workers is not None and (not isinstance(workers, int) or workers < 1):
        raise ConfigError(f"{where}: workers: expected a whole number, 1 or more, received {workers!r}")
    if limit is not None and (not isinstance(limit, int | float) or limit <= 0):
        raise ConfigError(f"{where}: limit: expected a time above 0 s, received {limit!r}")
    address, kind = values.get("scheduler"), values.get("cluster")
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"{where}: cluster: expected one of {', '.join(KINDS)}, received {kind!r}")
    dask = Workers(address, kind, workers) if address is not None or kind is not None else None
    return Calculation(program, workers, None if limit is None else float(limit), dask)
