"""The checkpoint of a training run: one HDF5 file beside the future model folder, without pickled objects."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import StoreError
from xanes_hpc.runtime import outputs
from xanes_hpc.runtime.hdf5_files import open_hdf5, why_unreadable
from xanes_hpc.runtime.new_file import new_file
from xanes_hpc.training.plan import check_plan

FORMAT = "xanes-hpc/checkpoint"
SCHEMA = 1
Arrays = list[npt.NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """The state of an unfinished run.

    Attributes
    ----------
    plan
        Everything that the run's result depends on.
    stage
        The stage that the run is in.
    progress
        The log of every stage so far, as plain values.
    state
        Everything that a training step changes.
    best
        Weights of the best epoch so far; empty if the last epoch is the best.
    """

    plan: dict[str, Any]
    stage: str
    progress: dict[str, Any]
    state: Arrays
    best: Arrays = field(default_factory=list)


def checkpoint_path(output: Path) -> Path:
    """Return the path of the checkpoint of the run that writes the model folder ``output``."""
    return output.with_name(f"{output.name}.checkpoint.h5")


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, which replaces the previous one only once it is complete.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.partial")
    temporary.unlink(missing_ok=True)  # left by a run that was killed while writing
    plan, progress = (json.dumps(v, sort_keys=True) for v in (checkpoint.plan, checkpoint.progress))
    with outputs.whole_output(path, overwrite=True, temporary=temporary), new_file(temporary) as file:
        file.attrs["format"], file.attrs["schema_version"] = FORMAT, SCHEMA
        file.attrs["stage"] = checkpoint.stage
        file["plan"], file["progress"] = plan, progress
        for name, arrays in (("state", checkpoint.state), ("best", checkpoint.best)):
            file.attrs[name] = len(arrays)
            for i, array in enumerate(arrays):
                file.create_dataset(f"{name}/{i}", data=array, fletcher32=True if array.ndim else None)
        file.attrs["digest"] = _digest(checkpoint.stage, plan, progress, checkpoint.state, checkpoint.best)


def read_checkpoint(path: Path, plan: dict[str, Any]) -> Checkpoint:
    """Read a checkpoint and check that it belongs to a run with this plan.

    Raises
    ------
    StoreError
        If there is none, it is damaged, or its plan differs; the message names the differences.
    """
    if not path.is_file():
        raise StoreError(f"{path}: no such checkpoint, so there is nothing to resume; train without `resume`")
    try:
        with open_hdf5(path) as file:
            kind, schema = str(file.attrs["format"]), int(file.attrs["schema_version"])
            if kind != FORMAT or schema > SCHEMA:
                raise StoreError(f"{path}: expected {FORMAT} up to schema {SCHEMA}, received {kind} of schema {schema}")
            stage = str(file.attrs["stage"])
            plan_text, progress_text = (file[name][()].decode() for name in ("plan", "progress"))
            state, best = (
                [np.asarray(file[f"{name}/{i}"][()]) for i in range(int(file.attrs[name]))]
                for name in ("state", "best")
            )
            if file.attrs["digest"] != _digest(stage, plan_text, progress_text, state, best):
                raise ValueError("its checksum does not match its contents")
            found, progress = json.loads(plan_text), json.loads(progress_text)
    except StoreError:
        raise
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        advice = "" if getattr(error, "errno", None) else "; delete it and train again"
        raise StoreError(f"{path}: {why_unreadable(error)}{advice}") from None
    check_plan(path, found, plan)
    return Checkpoint(found, stage, progress, state, best)


def _digest(stage: str, plan: str, progress: str, *arrays: Arrays) -> str:
    """Return a checksum of what HDF5's own checksums do not cover: texts, scalars and the numbers of arrays."""
    numbers = [str(a.item()) for several in arrays for a in several if not a.ndim]
    counts = [str(len(several)) for several in arrays]
    return hashlib.sha256("\0".join((stage, plan, progress, *counts, *numbers)).encode()).hexdigest()


def flat(arrays: Sequence[Sequence[npt.NDArray[Any]]]) -> Arrays:
    """Return all members' arrays in one list."""
    return [array for own in arrays for array in own]


def by_member(arrays: Arrays, n_members: int) -> list[Arrays]:
    """Undo ``flat``, given that all members have the same number of arrays."""
    each = len(arrays) // n_members
    return [arrays[i * each : (i + 1) * each] for i in range(n_members)]
