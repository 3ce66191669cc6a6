"""Sample the thermal motion of the structures of a store by molecular dynamics, and resume after a stop.

Forces are those of GFN1-xTB or GFN2-xTB, the thermostat is Langevin's. Until the output is written, a journal beside it
records the frames of each structure on one line.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.calculations.dynamics import Sampled, sample_one
from xanes_hpc.calculations.each_structure import EachStructure, none_left
from xanes_hpc.calculations.xtb import METHODS, check_method, properties_of_sites, properties_of_structure
from xanes_hpc.errors import ConfigError, note_reason
from xanes_hpc.runtime.limits import LARGEST
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.structure_writer import create_structures, structures_in_memory
from xanes_hpc.stores.structures import StructureStore

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True)
class SampleOptions:
    """Options of a molecular dynamics.

    Attributes
    ----------
    temperature
        Temperature, K.
    frames
        Number of frames of each structure.
    seed
        Seed of velocities and thermostat.
    equilibration, interval
        Numbers of steps before the first frame, and from one frame to the next.
    timestep
        Length of a step, fs.
    friction
        Friction of the thermostat, 1/fs.
    method
        One of ``xtb.METHODS``.

    Raises
    ------
    ConfigError
        If a number is out of range.
    """

    temperature: float = 300.0
    frames: int = 20
    seed: int = 0
    equilibration: int = 500
    interval: int = 50
    timestep: float = 1.0
    friction: float = 0.02
    method: str = "gfn2"

    def __post_init__(self) -> None:
        for name, unit in (("temperature", "K"), ("timestep", "fs"), ("friction", "1/fs")):
            value = getattr(self, name)
            if not 0.0 < value < np.inf:
                raise ConfigError(f"`{name}`: expected a number above 0 {unit}, received {value:g}")
        for name, least in (("frames", 1), ("seed", 0), ("equilibration", 0), ("interval", 1)):
            value = getattr(self, name)
            if not least <= value <= LARGEST:
                raise ConfigError(f"`{name}`: expected {least} to {LARGEST}, received {value}")


@dataclass
class SampleSummary:
    """Numbers of structures by outcome, of frames, and the reasons of failures.

    ``taken_up`` counts the structures resumed from the journal; ``mean_temperature`` is the mean kinetic temperature of
    all frames, K.
    """

    sampled: int = 0
    frames: int = 0
    failed_count: int = 0
    taken_up: int = 0
    mean_temperature: float = 0.0
    failed: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)


def sample(
    store: StructureStore,
    output: Path | None,
    options: SampleOptions | None = None,
    overwrite: bool = False,
    workers: "int | Client | None" = None,
    progress: Callable[[int, int, str], None] = lambda done, total, note: None,
    rows: npt.NDArray[np.int64] | None = None,
) -> StructureStore:
    """Write frames of the structures of a store, named NAME@0, NAME@1, …, and return their store, open.

    Each has the sites and the properties of its structure, besides what the method knew of it. The store's ``summary``
    is a ``SampleSummary``.

    Parameters
    ----------
    store
        Structures in the beginning. Charge and total spin come from the properties ``charge`` and ``spin``; the
        defaults are 0 and the lowest spin.
    output
        Structure store to write; a journal beside it is resumed. None keeps it in memory.
    options
        Temperature, frames, and method.
    overwrite
        Whether to replace the output, and a journal of a run with other options.
    workers
        Number of processes, by default one per core; or a client of a Dask cluster.
    rows
        Rows of the sites to take, with their structures; by default all.

    Raises
    ------
    ConfigError
        If tblite is not installed, or the journal beside the output belongs to a run with other options and
        ``overwrite`` is not set.
    StoreError
        If no structure could be sampled, or the output already exists or cannot be written.
    """
    options = options or SampleOptions()
    check_method(options.method, "molecular dynamics")
    if output is not None:
        hdf5.check_store(output, overwrite, [store.path])
    structures = EachStructure(store, rows, None if output is None else journal_path(output))
    task = partial(sample_one, options=options)
    done, n_resumed = structures.calculate(task, Sampled, asdict(options), overwrite, workers, progress)
    summary = SampleSummary(taken_up=n_resumed)
    with create_structures(output, overwrite, [store.path]) as writer:
        for row, structure, sites in structures:
            sampled, edge = done[row], ""
            why = sampled.failed
            try:
                edge = sites.only_edge()
            except ValueError as error:
                why = why or str(error)
            if why:
                summary.failed_count += 1
                note_reason(summary.failed, f"{structure.name}: {why}")
                continue
            methods = tuple(f"{name}_" for name in METHODS)
            kept = {name: value for name, value in structure.properties.items() if not name.startswith(methods)}
            for k, (positions, energy, of_structure, of_atoms) in enumerate(
                zip(sampled.positions, sampled.energies, sampled.of_structure, sampled.of_atoms, strict=True)
            ):
                own = properties_of_structure(options.method, {"energy": energy, **of_structure})
                frame = replace(
                    structure,
                    name=f"{structure.name}@{k}",
                    positions=np.array(positions),
                    properties=kept | own | {"temperature": float(options.temperature)},
                )
                of_sites = properties_of_sites(options.method, of_atoms, sites.atom)
                writer.append(frame, sites.atom, edge, [[] for _ in sites.name], sites.weight, of_sites)
            summary.sampled += 1
            summary.frames += len(sampled.energies)
            summary.mean_temperature += sampled.temperature
        if not summary.sampled:
            raise none_left(store, "sampled", summary.failed, summary.failed_count)
    summary.mean_temperature /= summary.sampled
    structures.discard_journal()
    made = structures_in_memory(writer) if output is None else StructureStore(output)
    made.summary = summary
    return made


def journal_path(output: Path) -> Path:
    """Return the path of the journal of a run that writes ``output``."""
    return output.with_name(f"{output.name}.sampling.jsonl")
