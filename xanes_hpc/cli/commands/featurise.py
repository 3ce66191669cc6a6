"""``xanes-hpc featurise``."""

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import PRESET
from xanes_hpc.cli.command import Command
from xanes_hpc.cli.options import PATH, output_option
from xanes_hpc.cli.steps import carry_out, refuse_with_a_plan, steps_options

if TYPE_CHECKING:
    from xanes_hpc.features.featurise import FeatureJob
    from xanes_hpc.jobs.steps import Steps

OF_A_PLAN = ("preset", "description", "properties", "foreign", "graph", "compression", "rattle", "seed", "restart")


@click.command("featurise", cls=Command)
@click.argument("source", type=PATH, metavar="STRUCTURES.h5")
@output_option(
    "Feature store to write  [default: NAME.features.h5, or NAME.rattled-SEED.features.h5, beside the source]"
)
@click.option(
    "--preset",
    type=PRESET,
    metavar="NAME",
    help="Use this preset of the descriptor: default, crystal, xanesnet-2022, rdc, …  [default: default]",
)
@click.option("--descriptor", "description", type=PATH, metavar="FILE.toml", help="Read the descriptor from a file")
@click.option(
    "--property",
    "properties",
    multiple=True,
    metavar="NAME[=DEFAULT]",
    help="Add a property of structures or sites to the features: charge, spin, … (repeatable)",
)
@click.option(
    "--foreign",
    type=PATH,
    metavar="FILE.npz",
    help="Append features that another program made, from this file or a feature store made of it; rows are matched to "
    "sites by name",
)
@click.option("--graph", is_flag=True, help="Also store the graph of every site, for train --model graph")
@click.option(
    "--compression",
    type=click.Choice(["none", "gzip", "lzf"]),
    default="none",
    show_default=True,
    help="Compress the features; only h5py reads lzf",
)
@click.option(
    "--rattle",
    type=click.FloatRange(min=0, min_open=True),
    metavar="STD",
    help="Displace every atom at random first, with this standard deviation along each axis in Å",
)
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Seed of --rattle  [default: 0]")
@steps_options
def command(
    source: Path,
    output: Path | None,
    preset: str | None,
    description: Path | None,
    properties: tuple[str, ...],
    foreign: Path | None,
    graph: bool,
    compression: str,
    rattle: float | None,
    seed: int | None,
    steps: "Steps",
) -> None:
    """Compute the features of every site in a structure store.

    The feature store holds one vector per site, names its structure store, and carries the full description of the
    descriptor. To continue a stopped run, repeat its command. Train on plain and rattled features together with
    "train --augment".

    On a cluster, use --scheduler or --cluster for Dask. Or divide the work: --plan N writes a plan, --partition K
    makes its partitions in any order and anywhere, --finalise combines them. Give descriptor options only with --plan.
    """
    from xanes_hpc.descriptors import choose, with_properties
    from xanes_hpc.features.featurise import new_job, planned_job
    from xanes_hpc.features.pairing import beside
    from xanes_hpc.stores.structures import StructureStore
    from xanes_hpc.structures.graphs import GraphSettings
    from xanes_hpc.structures.rattling import Rattling

    if seed is not None and rattle is None:
        raise click.UsageError("--seed: expected only with --rattle", click.get_current_context())
    refuse_with_a_plan(OF_A_PLAN, steps)
    plain = source.with_suffix(".features.h5")
    rattled = source.with_suffix(f".rattled-{seed or 0}.features.h5")
    target = output or (plain if rattle is None else rattled)
    words = ["xanes-hpc", "featurise", str(source.resolve()), "-o", str(target.resolve())]
    rattling = None if rattle is None else Rattling(rattle, seed or 0)
    if not steps.follow_a_plan:
        plain_descriptor = choose(preset, description)
        descriptor = with_properties(plain_descriptor, properties) if properties else plain_descriptor
    with StructureStore(source) as structures:
        if steps.follow_a_plan:
            job, n_partitions = planned_job(structures, target)
        else:
            paired = None
            if foreign is not None:
                descriptor, paired = beside(foreign, descriptor, structures)
            settings = GraphSettings() if graph else None
            job = new_job(structures, descriptor, target, compression, rattling, paired, settings)
            n_partitions = 1
        begin = time.perf_counter()
        if not carry_out(job, n_partitions, steps, "featurising", words, _described(job)):
            return
        rows = _described(job) | ({} if steps.follow_a_plan else _described_run(job, begin))
        has_spectra = structures.has_spectra
        crystals = 2 * structures.n_crystals > structures.n_structures
    console.table(str(target), rows)
    if crystals and preset is None and description is None and not steps.follow_a_plan:
        console.err.print("Note: most of these structures are crystals, for which --preset crystal may be better")
    if has_spectra or job.plan.rattling:
        words = ["xanes-hpc", "train", *([str(plain), "--augment"] if job.plan.rattling else []), str(target)]
        words += ["--model", "graph"] if job.plan.graph else []
        console.next_step(shlex.join(words))
        return
    predict = ["xanes-hpc", "predict", str(target), "--model", "MODEL", "-o", "predictions.h5"]
    calculate = ["xanes-hpc", "fdmnes", "write", str(source), "-o", "runs"]
    console.next_step(f"{shlex.join(predict)}; or calculate spectra: {shlex.join(calculate)}")


def _described(job: "FeatureJob") -> dict[str, str]:
    descriptor, foreign, graph = job.plan.descriptor, job.plan.foreign, job.plan.graph
    return {
        "sites": f"{job.source.n_sites:,}",
        "features": f"{descriptor.n_features:,} per site ({descriptor.name}, {descriptor.dtype})",
        **({} if foreign is None else {"foreign": foreign.foreign.descriptor.in_words}),
        **({} if graph is None else {"graphs": graph.in_words}),
        "descriptor": descriptor.hash,
    }


def _described_run(job: "FeatureJob", begin: float) -> dict[str, str]:
    from xanes_hpc.features.plan import count_defaults

    seconds, n_sites, rattling = time.perf_counter() - begin, job.source.n_sites, job.plan.rattling
    rows = {"time": f"{seconds:.1f} s ({n_sites / seconds:,.0f} sites per second)"}
    defaults = count_defaults(job.source, job.plan.descriptor)
    if any(defaults.values()):
        rows["defaults"] = ", ".join(f"{name} for {n:,} sites" for name, n in defaults.items() if n)
    if job.plan.foreign:
        rows |= job.plan.foreign.in_words()
    if rattling:
        rows["rattled"] = f"by {rattling.std:g} Å along each axis, seed {rattling.seed}"
    return rows
