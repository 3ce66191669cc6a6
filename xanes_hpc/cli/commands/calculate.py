"""``xanes-hpc calculate``."""

import shlex
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.calculation_options import fdmnes_options, feff_options
from xanes_hpc.cli.cluster_options import cluster_options, connected_to, workers_of
from xanes_hpc.cli.command import JsonCommand
from xanes_hpc.cli.options import PATH, gathered, json_option, listed_rows, refuse, sites_option
from xanes_hpc.cli.steps import PARTITION, PLAN, SBATCH

if TYPE_CHECKING:
    from xanes_hpc.calculations.calculate import Calculated, Calculations
    from xanes_hpc.calculations.fdmnes.program import Fdmnes
    from xanes_hpc.calculations.feff.program import Feff
    from xanes_hpc.jobs.dask_workers import Workers

PROGRAMS = ("feff", "fdmnes")
OF_FEFF = (
    "scf_radius", "fms_radius", "core_hole", "exchange", "debye_waller", "energies", "potentials", "kind", "cards",
)  # fmt: skip
OF_FDMNES = (
    "radius", "range_", "scf", "quadrupole", "green", "spin_orbit", "emission", "convolution", "keywords", "program",
)  # fmt: skip
"""Parameters of one program only."""


@dataclass(frozen=True)
class How:
    """How calculations run: where, for how long each, and which step of a divided run."""

    workers: "Workers | None"
    processes: int | None
    limit: float | None
    n_partitions: int | None
    partition: int | None
    finalise: bool
    directives: tuple[str, ...]
    retry: bool
    restart: bool
    keep: bool

    @property
    def follows_a_plan(self) -> bool:
        """Whether the run follows the plan of an earlier one."""
        return self.partition is not None or self.finalise


def _how(
    scheduler: str | None, cluster: str | None, job_options: tuple[str, ...], workers: int | None, **others: Any
) -> How:
    steps = [name for name in ("n_partitions", "partition") if others[name] is not None]
    steps += ["finalise"] if others["finalise"] else []
    context = click.get_current_context()
    if len(steps) > 1:
        raise click.UsageError("expected one of --plan, --partition and --finalise, received several", context)
    if others["directives"] and others["n_partitions"] is None:
        raise click.UsageError("--sbatch: expected only with --plan", context)
    chosen = workers_of(scheduler, cluster, workers, job_options, alone=True)
    if chosen is not None and steps:
        raise click.UsageError("--plan, --partition and --finalise cannot be combined with Dask", context)
    return How(chosen, workers, **others)


how_options = gathered(
    "how",
    _how,
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        metavar="N",
        show_default="one per core",
        help="Number of processes, or of workers that --cluster starts",
    ),
    cluster_options,
    click.option(
        "--limit", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Stop a site after this time"
    ),
    click.option("--retry", is_flag=True, help="Calculate sites again that failed in a stopped run"),
    click.option("--restart", is_flag=True, help="Discard the calculations of a stopped run"),
    click.option("--keep", is_flag=True, help="Keep the folder with inputs, spectra and logs"),
    PLAN,
    PARTITION,
    click.option("--finalise", is_flag=True, help="Add the spectra of all partitions to the store"),
    SBATCH,
)


@click.command("calculate", cls=JsonCommand)
@click.argument("store", type=PATH, metavar="STORE")
@click.option(
    "--with",
    "name",
    type=click.Choice(PROGRAMS),
    default="feff",
    show_default=True,
    help="Calculate with FEFF10 (of the extra feff) or FDMNES (named by --program)",
)
@feff_options
@fdmnes_options
@sites_option
@click.option("--replace", is_flag=True, help="Calculate sites again that have such a spectrum, and replace it")
@how_options
@json_option
def command(
    store: Path,
    name: str,
    feff: "Feff",
    fdmnes: "Fdmnes",
    sites: Path | None,
    replace: bool,
    how: How,
    json_target: str | None,
) -> None:
    """Calculate the spectra of a store's sites, and add them to it.

    Sites that already have a spectrum by the program with these settings are left out. Calculations run in processes of
    their own; one that fails is listed with the program's words and costs only its site. To continue a stopped run,
    repeat its command: its folder NAME.feff or NAME.fdmnes beside the store keeps what is done.

    On a cluster, use --scheduler or --cluster for Dask. Or divide the work: --plan N writes a plan, --partition K
    calculates its partitions in any order and anywhere, --finalise adds the spectra to the store. Give settings only
    with --plan.
    """
    import numpy as np

    from xanes_hpc.calculations.calculate import Calculations, write_script
    from xanes_hpc.calculations.program import State
    from xanes_hpc.calculations.write import unmade
    from xanes_hpc.stores.structures import StructureStore

    refuse(OF_FDMNES if name == "feff" else OF_FEFF, f"does not belong to --with {name}")
    program = feff if name == "feff" else fdmnes
    if how.follows_a_plan:
        refuse((*OF_FEFF, *OF_FDMNES, "sites"), "belongs to --plan; partitions take it from the plan")
    with StructureStore(store) as opened:
        listed, already = listed_rows(opened, sites), 0
        if how.follows_a_plan:
            calculations = Calculations.planned(opened, name)
            if how.partition is not None:
                calculations.program.check_installed()
        else:
            asked = np.arange(opened.n_sites) if listed is None else listed
            rows = asked if replace else unmade(opened, program, asked)
            already = len(asked) - len(rows)
            if not len(rows):
                console.table(str(store), {"already there": f"{already:,} spectra"})
                console.write_json(json_target, {"store": str(store), "already_there": already})
                return
            if how.n_partitions is None:
                program.check_installed()
            calculations = Calculations.new(opened, program, rows, how.n_partitions or 1, how.restart)
        words = ["xanes-hpc", "calculate", str(store.resolve()), "--with", name]
        if how.n_partitions is not None:
            path = write_script(calculations, words, how.directives)
            rows_ = {"sites": f"{len(calculations.rows):,} in {how.n_partitions:,} partitions"}
            console.table(str(calculations.folder), rows_)
            console.next_step(f"sbatch {shlex.quote(str(path))}, or {shlex.join(words)} --partition 0, 1, …")
            return
        done = None if how.finalise else _run(calculations, how)
        if how.partition is not None and done is not None:
            console.table(f"partition {how.partition} of {calculations.folder}", _rows(done))
            console.reasons([f"failed: {line}" for line in done.not_good], len(done.not_good))
            console.next_step(f"once all partitions are done: {shlex.join([*words, '--finalise'])}")
            return
        with console.progress("reading", "sites") as progress:
            added = calculations.finish(replace, how.keep, progress)
    if json_target != "-":
        rows_ = {} if done is None else _rows(done)
        if already:
            rows_["already there"] = f"{already:,} spectra"
        rows_["spectra"] = f"{added.spectra.new:,} new" + (
            f", {added.spectra.replaced:,} replaced" if added.spectra.replaced else ""
        )
        console.table(str(store), rows_)
    console.reasons(added.not_good, len(added.not_good))
    if calculations.folder.exists():
        left = added.runs[State.NOT_STARTED] + added.runs[State.UNFINISHED]
        again = f"{left:,} sites are not calculated yet" if left else "--retry calculates the failed sites again"
        console.err.print(f"{calculations.folder}: inputs, spectra and logs; {again}")
    values = {"store": str(store), "already_there": already, **({} if done is None else done.as_dict())}
    console.write_json(json_target, values | {"added": added.as_dict()})
    console.next_step(f"xanes-hpc featurise {shlex.quote(str(store))}")


def _run(calculations: "Calculations", how: How) -> "Calculated":
    with ExitStack() as opened:
        workers = how.processes if how.workers is None else opened.enter_context(connected_to(how.workers))
        label = "calculating" if how.partition is None else f"partition {how.partition}"
        progress = opened.enter_context(console.progress(label, "sites"))
        try:
            return calculations.run(how.partition, how.limit, workers, how.retry, progress)
        except KeyboardInterrupt:
            console.err.print("Note: finished sites are kept; repeat the command to continue")
            raise


def _rows(done: "Calculated") -> dict[str, str]:
    import numpy as np

    rows = {"sites": ", ".join(f"{n:,} {state}" for state, n in done.states.most_common())}
    if done.seconds:
        middle, longest = np.median(done.seconds), max(done.seconds)
        rows["time"] = f"{middle:.1f} s a site (median), {longest:.1f} s the longest"
    if done.taken_up:
        rows["resumed"] = f"{done.taken_up:,} sites of a stopped run"
    return rows
