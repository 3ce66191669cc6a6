"""Relax the structures of a store by a semi-empirical method, and resume after a stop.

The methods are GFN1-xTB and GFN2-xTB (Bannwarth, Ehlert & Grimme, doi:10.1021/acs.jctc.8b01176) through tblite's
calculator for ASE. Until the output is written, a journal beside it records each relaxed structure on one line.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.calculations.each_structure import EachStructure, none_left
from xanes_hpc.calculations.xtb import Relaxed, check_method, properties_of_sites, properties_of_structure, relax_one
from xanes_hpc.errors import ConfigError, note_reason
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.structure_writer import create_structures
from xanes_hpc.stores.structures import StructureStore

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True)
class RelaxOptions:
    """Options of a relaxation.

    Attributes
    ----------
    method
        One of ``METHODS``.
    fmax
        Largest force on an atom at convergence, eV/Å.
    steps
        Largest number of steps.
    keep_unconverged
        Whether to keep structures that have not converged after that many steps.
    """

    method: str = "gfn2"
    fmax: float = 0.05
    steps: int = 300
    keep_unconverged: bool = False


@dataclass
class RelaxSummary:
    """Numbers of structures by outcome, and the reasons of failures.

    ``relaxed`` counts the structures in the output, including ``unconverged`` ones if they are kept. Otherwise the
    unconverged ones count as failed. ``taken_up`` counts those resumed from the journal.
    """

    relaxed: int = 0
    unconverged: int = 0
    failed_count: int = 0
    taken_up: int = 0
    mean_steps: float = 0.0
    largest_move: float = 0.0
    failed: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)


def relax(
    store: StructureStore,
    output: Path,
    options: RelaxOptions | None = None,
    overwrite: bool = False,
    workers: "int | Client | None" = None,
    progress: Callable[[int, int, str], None] = lambda done, total, note: None,
    rows: npt.NDArray[np.int64] | None = None,
) -> RelaxSummary:
    """Relax the structures of a store, and write the relaxed ones with the same sites into another.

    Spectra are not copied, because they belong to the original structures.

    Parameters
    ----------
    store
        Structures to relax. Charge and total spin come from the properties ``charge`` and ``spin``; the defaults are 0
        and the lowest spin.
    output
        Structure store to write. A journal beside it is resumed.
    options
        Method and convergence.
    overwrite
        Whether to replace the output, and a journal of a run with other options.
    workers
        Number of processes, by default one per core; or a client of a Dask cluster.
    rows
        Rows of the sites to take, with their structures; by default all.

    Raises
    ------
    ConfigError
        If tblite is not installed, an option is invalid, or the journal beside the output belongs to a run with other
        options and ``overwrite`` is not set.
    StoreError
        If no structure could be relaxed, or the output already exists or cannot be written.
    """
    options = options or RelaxOptions()
    check_method(options.method, "relaxing structures")
    if not 0 < options.fmax < np.inf:
        raise ConfigError(f"`fmax`: expected a force above 0 eV/Å, received {options.fmax:g}")
    hdf5.check_store(output, overwrite, [store.path])
    structures = EachStructure(store, rows, journal_path(output))
    task = partial(relax_one, method=options.method, fmax=options.fmax, steps=options.steps)
    settings = {"method": options.method, "fmax": options.fmax, "steps": options.steps}
    done, n_resumed = structures.calculate(task, Relaxed, settings, overwrite, workers, progress)
    summary = RelaxSummary(taken_up=n_resumed)
    _write(structures, output, done, options, overwrite, summary)
    structures.discard_journal()
    return summary


def _write(
    structures: EachStructure, output: Path, done: dict[int, Relaxed], options: RelaxOptions, overwrite: bool,
    summary: RelaxSummary,
) -> None:  # fmt: skip
    steps, store = 0, structures.store
    with create_structures(output, overwrite, [store.path]) as writer:
        for row, structure, sites in structures:
            relaxed = done[row]
            why, edge = relaxed.failed, ""
            try:
                edge = sites.only_edge()
            except ValueError as error:
                why = why or str(error)
            if not why and not relaxed.converged:
                summary.unconverged += 1
                if not options.keep_unconverged:
                    why = f"not converged: forces above {options.fmax:g} eV/Å after {relaxed.steps} steps"
            if why:
                summary.failed_count += 1
                note_reason(summary.failed, f"{structure.name}: {why}")
                continue
            positions = np.array(relaxed.positions)
            moves = np.linalg.norm(positions - structure.positions, axis=1)
            summary.largest_move = max(summary.largest_move, float(moves.max(initial=0.0)))
            summary.relaxed += 1
            steps += relaxed.steps
            energies = {"energy": relaxed.energy, "fmax": relaxed.fmax, **relaxed.of_structure}
            outcome = properties_of_structure(options.method, energies)
            of_sites = properties_of_sites(options.method, relaxed.of_atoms, sites.atom)
            found = replace(structure, positions=positions, properties=structure.properties | outcome)
            writer.append(found, sites.atom, edge, [[] for _ in sites.name], sites.weight, of_sites)
        if not summary.relaxed:
            raise none_left(store, "relaxed", summary.failed, summary.failed_count)
    summary.mean_steps = steps / summary.relaxed


def journal_path(output: Path) -> Path:
    """Return the path of the journal of a run that writes ``output``."""
    return output.with_name(f"{output.name}.relaxing.jsonl")
