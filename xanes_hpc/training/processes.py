"""Processes that train together, found from TensorFlow's TF_CONFIG or SLURM's variables."""

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from xanes_hpc.errors import ConfigError

FIRST_PORT, PORTS = 12000, 20000
"""Ports of a SLURM job's processes; chosen by the job's number, so that jobs on one node use different ones."""


SLURM_VARIABLES = (
    "SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_STEP_TASKS_PER_NODE", "SLURM_PROCID", "SLURM_JOB_ID",
)  # fmt: skip
MOST_SHOWN = 200
"""Characters of a wrong value that an error shows."""


@dataclass(frozen=True)
class Machines:
    """Addresses of the processes that train together.

    Attributes
    ----------
    addresses
        ``host:port`` of each process.
    index
        Index of this process. Process 0 is the chief, which writes all files.
    """

    addresses: tuple[str, ...]
    index: int

    @property
    def tf_config(self) -> str:
        """The value of the environment variable ``TF_CONFIG`` for this process."""
        task = {"type": "worker", "index": self.index}
        return json.dumps({"cluster": {"worker": list(self.addresses)}, "task": task})


def find_machines(environment: Mapping[str, str] = os.environ) -> Machines:
    """Return the processes of this run from ``TF_CONFIG``, or else from the variables of a SLURM step.

    Raises
    ------
    ConfigError
        If neither is set, or its values are invalid.
    """
    if "TF_CONFIG" in environment:
        return _from_tf_config(environment["TF_CONFIG"])
    if "SLURM_PROCID" in environment:
        return _from_slurm(environment)
    raise ConfigError("`distributed`: no other processes found; start with srun, or set TF_CONFIG for each process")


def _from_tf_config(text: str) -> Machines:
    try:
        config = json.loads(text)
        addresses, task = config["cluster"]["worker"], config["task"]
        index = int(task["index"])
        if task["type"] != "worker" or set(config["cluster"]) != {"worker"} or not 0 <= index < len(addresses):
            raise ValueError
        if not all(_is_address(address) for address in addresses):
            raise ValueError
        return Machines(tuple(addresses), index)
    except (ValueError, KeyError, TypeError):
        example = '{"cluster": {"worker": ["host0:12345", "host1:12345"]}, "task": {"type": "worker", "index": 0}}'
        raise ConfigError(
            "TF_CONFIG: expected a cluster of workers as host:port, and the index of this process, such as "
            f"{example}; received {text[:MOST_SHOWN]}"
        ) from None


def _is_address(text: object) -> bool:
    host, _, port = text.rpartition(":") if isinstance(text, str) else ("", "", "")
    return bool(host) and port.isdecimal() and 0 < int(port) < 1 << 16


def _from_slurm(environment: Mapping[str, str]) -> Machines:
    try:
        nodes = expand(environment.get("SLURM_STEP_NODELIST") or environment["SLURM_JOB_NODELIST"])
        counts = _counts(environment["SLURM_STEP_TASKS_PER_NODE"])
        index, job = int(environment["SLURM_PROCID"]), int(environment["SLURM_JOB_ID"])
        if len(nodes) != len(counts) or not 0 <= index < sum(counts):
            raise ValueError
        places = [(node, k) for node, n in enumerate(counts) for k in range(n)]
        place = environment.get("SLURM_NODEID"), environment.get("SLURM_LOCALID")
        if None not in place and place != tuple(map(str, places[index])):
            raise ConfigError(
                "`distributed`: expected processes numbered node by node; start with srun --distribution=block"
            )
    except ConfigError:
        raise
    except (KeyError, ValueError):
        raise ConfigError(
            "`distributed`: expected SLURM_STEP_NODELIST, SLURM_STEP_TASKS_PER_NODE, SLURM_PROCID and SLURM_JOB_ID as "
            "srun sets them, received "
            + (", ".join(f"{name}={environment[name]}" for name in SLURM_VARIABLES if name in environment))
        ) from None
    first = FIRST_PORT + job % PORTS
    addresses = [f"{node}:{first + k}" for node, n in zip(nodes, counts, strict=True) for k in range(n)]
    return Machines(tuple(addresses), index)


def _counts(text: str) -> list[int]:
    """Return the number of tasks on each node, from SLURM's notation, such as ``2(x3),1``."""
    found: list[int] = []
    for word in text.split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", word)
        if not match:
            raise ValueError(text)
        found += [int(match[1])] * int(match[2] or 1)
    return found


def expand(nodes: str) -> list[str]:
    """Return the names in a SLURM node list such as ``login,node[1-3,07]``.

    Raises
    ------
    ValueError
        If the text is not a node list.
    """
    if not re.fullmatch(r"(?:[^\[\],]+(?:\[[\d,-]+\][^\[\],]*)?)(?:,[^\[\],]+(?:\[[\d,-]+\][^\[\],]*)?)*", nodes):
        raise ValueError(nodes)
    found = []
    for before, inside, after in re.findall(r"([^\[\],]+)(?:\[([\d,-]+)\]([^\[\],]*))?", nodes):
        if not inside:
            found.append(before)
            continue
        for span in inside.split(","):
            low, _, high = span.partition("-")
            width = len(low)
            found += [f"{before}{k:0{width}d}{after}" for k in range(int(low), int(high or low) + 1)]
    return found


class Alone:
    """A team of one: this process trains alone.

    Attributes
    ----------
    n_members, index
        Number of processes, and the index of this one. Process 0 is the chief, which writes all files.
    strategy
        TensorFlow's strategy that the processes share; None if the process trains alone.
    """

    n_members = 1
    index = 0
    strategy: Any = None

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the model and the checkpoints."""
        return self.index == 0

    def any_of(self, asked: bool) -> bool:
        """Return True if ``asked`` is true in any process."""
        return asked

    def as_chief(self, value: Callable[[], float]) -> float:
        """Return the chief's value; only the chief computes it."""
        return value()

    def wait(self) -> None:
        """Wait until all processes have called this method."""


class Team(Alone):
    """One of several processes; each must call the same methods in the same order.

    Parameters
    ----------
    machines
        Addresses of the processes.
    """

    def __init__(self, machines: Machines) -> None:
        from xanes_hpc.training.tensorflow_setup import shared_strategy

        self.n_members, self.index = len(machines.addresses), machines.index
        self.strategy = shared_strategy(machines.tf_config)

    def any_of(self, asked: bool) -> bool:
        """Return True if ``asked`` is true in any process."""
        return self._total(float(asked)) > 0.0

    def as_chief(self, value: Callable[[], float]) -> float:
        """Return the chief's value, a float64 or NaN, in every process; only the chief computes it."""
        return self._total(value() if self.is_chief else 0.0)

    def wait(self) -> None:
        """Wait until all processes have called this method."""
        self._total(0.0)

    def _total(self, value: float) -> float:
        from xanes_hpc.training.tensorflow_setup import total_of

        return total_of(self.strategy, value)
