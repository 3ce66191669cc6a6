"""The parts of an unfinished output: complete files in a folder ``NAME.parts`` beside it.

A run continues from the parts of an earlier one. ``plan.json`` records everything the parts depend on, and a run with
another plan is refused. A running process locks the folder. An ordinary run locks it exclusively; runs of partitions
share that lock, and each locks its own partition.
"""

import hashlib
import json
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from xanes_hpc.errors import StoreError
from xanes_hpc.runtime.locks import hold, holder, is_still, share, sign
from xanes_hpc.runtime.outputs import explain, flush_to_disk
from xanes_hpc.stores.part_files import AnyTable, part_name, parts_folder, why_not_whole
from xanes_hpc.stores.virtual import is_virtual_store

PLAN, LOCK, WHOLE = "plan.json", "lock", "whole.partial"
SCRIPT = "partitions.slurm"
PART = re.compile(r"part-\d{6}\.h5")
OURS = re.compile(
    rf"{PART.pattern}(\..*\.partial)?|{re.escape(PLAN)}(\.partial)?|{LOCK}(-\d{{6}})?|{re.escape(WHOLE)}|"
    rf"{re.escape(SCRIPT)}|slurm-.*\.out|\.nfs[0-9a-f]+"
)
NAMES = {"descriptor_hash": "descriptor", "source_digest": "structures", "model_digest": "model"}
"""Names of a plan's entries in errors, where they differ from the keys."""
PARTITIONS = "partitions"
"""Key of a plan for the number of partitions, on which parts do not depend."""


def plan_digest(plan: dict[str, Any]) -> str:
    """Return the SHA-256 of everything in a plan that parts depend on, in hexadecimal."""
    own = {name: value for name, value in plan.items() if name != PARTITIONS}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()


def read_plan(output: Path) -> dict[str, Any]:
    """Read the plan of an output's parts.

    Raises
    ------
    StoreError
        If the plan is missing or cannot be read.
    """
    path = parts_folder(output) / PLAN
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if output.exists():
            raise StoreError(f"{output}: already exists; to make it again, plan it with `n_partitions`") from None
        raise StoreError(f"{path}: no such file; plan {output.name} first with `n_partitions`") from None
    except (OSError, ValueError):
        plan = None
    if not isinstance(plan, dict):
        raise StoreError(f"{path}: cannot be read; discard it with `restart`")
    return plan


class Parts:
    """The parts of an output: their paths, and whether they are whole.

    Parameters
    ----------
    output
        Path of the output.
    plan
        Everything the parts depend on, as plain values.
    """

    def __init__(self, output: Path, plan: dict[str, Any]) -> None:
        self.path, self.plan_digest = parts_folder(output), plan_digest(plan)

    def part(self, number: int) -> Path:
        """Return the path of a part."""
        return self.path / part_name(number)

    def is_whole(self, number: int, tables: Sequence[AnyTable], n_rows: int) -> bool:
        """Return whether a part exists and is valid, including every checksum; an invalid one is deleted."""
        why = why_not_whole(self.part(number), tables, n_rows, self.plan_digest)
        if why and why != "missing":
            self.part(number).unlink()
        return not why


def plan_difference(output: Path, plan: dict[str, Any], owner: str = "this run") -> str:
    """Return the first difference between the plan beside an output and the owner's: its name and both values.

    The text is empty if the plans are equal.

    Raises
    ------
    StoreError
        If the plan beside the output is missing or cannot be read.
    """
    found = read_plan(output)
    for name in [*(n for n in found if n not in plan and n != PARTITIONS), *plan]:
        theirs, own = (values.get(name, "none") for values in (found, plan))
        if theirs != own:
            what = NAMES.get(name, name.replace("_", " "))
            return f"{what} {theirs}; {owner} has {what} {own}"
    return ""


class PartsFolder(Parts):
    """The parts of an output, locked for this run.

    Parameters
    ----------
    output
        Path of the output.
    plan
        Everything the parts depend on, as plain values.
    restart
        Discard the parts of an earlier run.
    partition
        Partition that this run makes beside others; None to lock the folder exclusively.
    n_partitions
        Number of partitions to record in the plan; the folder then stays until the output is complete.

    Raises
    ------
    StoreError
        If another run holds a lock, existing parts have another plan, or the folder cannot be made or has other files.
    """

    def __init__(
        self, output: Path, plan: dict[str, Any], restart: bool = False, partition: int | None = None,
        n_partitions: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(output, plan)
        self.keep = False
        """Whether the folder stays at the end: the parts are only planned, or the output is virtual."""
        self._output, self._plan, self._shared = output, plan, partition is not None
        self._locks: list[int] = []
        try:
            try:
                self._lock_folder(partition)
                if partition is None:
                    self._begin(restart, n_partitions)
                else:
                    self._compare()
            except BaseException:
                self._leave(made=False)
                raise
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"{output}: cannot be written: {explain(error)}") from None

    def _refuse_strangers(self) -> None:
        strangers = [entry.name for entry in self.path.iterdir() if not OURS.fullmatch(entry.name)]
        if strangers:
            raise StoreError(f"{self.path}: contains {strangers[0]}, which is not ours; remove or rename the folder")

    def _lock_folder(self, partition: int | None) -> None:
        """Lock the folder until this process ends, even if it is killed."""
        while True:
            if self.path.is_symlink():
                raise StoreError(f"{self.path}: is a symbolic link, expected a folder; remove or rename it")
            try:
                if partition is None:
                    self.path.mkdir(exist_ok=True)
                self._refuse_strangers()
                lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
            except FileNotFoundError:
                if partition is None and self.path.parent.is_dir():
                    continue  # another run has just removed it
                raise
            if not (hold(lock) if partition is None else share(lock)):
                who = holder(lock) if partition is not None else self._holders(lock)
                os.close(lock)
                raise StoreError(f"{self.path}: another run is making this output ({who or 'unknown'})")
            if is_still(lock, self.path / LOCK):
                self._locks.append(lock)
                break
            os.close(lock)  # the run that held it has ended and removed the folder
        if partition is None:
            sign(lock)
            return
        own = os.open(self.path / f"{LOCK}-{partition:06d}", os.O_RDWR | os.O_CREAT, 0o666)
        held = hold(own)
        if not held:
            time.sleep(0.2)  # another run may hold the lock briefly, in _holders
            held = hold(own)
        if not held:
            who = holder(own)
            os.close(own)
            raise StoreError(f"{self.path}: another run is making partition {partition} ({who or 'unknown'})")
        self._locks.append(own)
        sign(own, f"partition {partition}: ")

    def _holders(self, lock: int) -> str:
        """Return who has locked the folder: one run, or the runs of partitions."""
        found = []
        for path in sorted(self.path.glob(f"{LOCK}-*")):
            try:
                own = os.open(path, os.O_RDWR)
            except FileNotFoundError:  # the run that holds the folder has finished, and is removing it
                continue
            if not share(own):  # this lock may briefly block a partition that starts, which then tries again
                found.append(holder(own))
            os.close(own)
        return ", ".join(found[:4]) + (", …" if len(found) > 4 else "") if found else holder(lock)

    def _begin(self, restart: bool, n_partitions: int | None) -> None:
        for stale in self.path.glob("*.partial"):
            stale.unlink()
        path = self.path / PLAN
        if restart or not path.exists():
            self._refuse_loss("they would be deleted")
            self._clear()
        else:
            try:
                found = read_plan(self._output)
            except StoreError:
                if self._has_parts():
                    raise
                found = {}
            if self._has_parts() or found.get(PARTITIONS):
                self._compare()
                n_partitions = n_partitions or found.get(PARTITIONS)
            else:
                self._clear()
        plan = self._plan | ({PARTITIONS: n_partitions} if n_partitions else {})
        temporary = self.path / f"{PLAN}.partial"
        temporary.write_text(json.dumps(plan, indent=2) + "\n", encoding="utf-8")
        flush_to_disk(temporary)
        temporary.replace(path)

    def _compare(self) -> None:
        different = plan_difference(self._output, self._plan)
        if different:
            self._refuse_loss(f"made with {different}")
            raise StoreError(
                f"{self.path}: parts of an unfinished run with {different}; "
                "finish that run first, or discard its parts with "
                + ("`n_partitions` and `restart`" if self._is_planned() else "`restart`")
            )

    def _refuse_loss(self, why: str) -> None:
        """Check that the parts, which are to be replaced, do not hold the rows of a virtual store."""
        if is_virtual_store(self._output) and self._has_parts():
            raise StoreError(
                f"{self.path}: these parts hold the rows of the virtual store {self._output.name} ({why}); copy the "
                "rows into the store first (`finalise` with `overwrite`), or delete both"
            )

    def _has_parts(self) -> bool:
        return any(PART.fullmatch(entry.name) for entry in self.path.iterdir())

    def _is_planned(self) -> bool:
        try:
            return bool(read_plan(self._output).get(PARTITIONS))
        except StoreError:
            return False

    def _clear(self) -> None:
        for entry in self.path.iterdir():
            if entry.name != LOCK:
                entry.unlink()

    @property
    def whole(self) -> Path:
        """Temporary path of the output that is assembled from the parts."""
        return self.path / WHOLE

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Remove the folder if the output is complete or no part is; otherwise leave the parts for the next run."""
        self._leave(made=kind is None and not self._shared)

    def _leave(self, made: bool) -> None:
        try:
            if self._locks and not self._shared and not self.keep:
                for stale in self.path.glob("*.partial"):
                    stale.unlink()
                if made or not (self._has_parts() or self._is_planned()):
                    for entry in self.path.iterdir():
                        if OURS.fullmatch(entry.name) and entry.name != LOCK:
                            entry.unlink()
                    (self.path / LOCK).unlink()  # last, so that no other run can enter before
                    self.path.rmdir()
        except OSError:
            pass
        finally:
            for lock in self._locks:
                os.close(lock)
            self._locks = []
