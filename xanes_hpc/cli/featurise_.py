"""``xanes-hpc featurise``."""

import shlex
import time
from pathlib import Path

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.command import Command
from xanes_hpc.cli.known import PRESET
from xanes_hpc.cli.options import PATH, output_option, overwrite_option, threads_option


@click.command("featurise", cls=Command)
@click.argument("source", type=PATH, metavar="STRUCTURES.h5")
@output_option(
    "Feature store to write. Default: NAME.features.h5, or NAME.rattled-SEED.features.h5, beside the source."
)
@click.option(
    "--preset",
    type=PRESET,
    help="Descriptor by preset: default, xanesnet-2022, xanesnet-49, rdc, …  [default: default]",
)
@click.option("--descriptor", "description", type=PATH, metavar="FILE.toml", help="Descriptor by its description.")
@click.option(
    "--property",
    "properties",
    multiple=True,
    metavar="NAME[=DEFAULT]",
    help="Also take a property of structures or sites: charge, spin, … May be repeated.",
)
@click.option(
    "--compression",
    type=click.Choice(["none", "gzip", "lzf"]),
    default="none",
    show_default=True,
    help="Filter of the features; lzf is read by h5py alone.",
)
@click.option(
    "--rattle",
    type=click.FloatRange(min=0, min_open=True),
    metavar="STD",
    help="Displace every atom at random first, with this standard deviation along each axis, in Å.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Of the displacements of --rattle.  [default: 0]")
@threads_option
@click.option("--restart", is_flag=True, help="Throw away the parts that a stopped run has left.")
@overwrite_option
def command(
    source: Path,
    output: Path | None,
    preset: str | None,
    description: Path | None,
    properties: tuple[str, ...],
    compression: str,
    rattle: float | None,
    seed: int | None,
    threads: int | None,
    restart: bool,
    overwrite: bool,
) -> None:
    """Describe the surroundings of every absorption site of a structure store.

    The features, one vector a site, go into a feature store that names its source and carries the descriptor's
    full description. A run that was stopped goes on where it was with the same command. Features of rattled
    structures are for training beside the plain ones: train --augment.
    """
    from xanes_hpc import threads as kernel_threads
    from xanes_hpc.descriptors import choose, with_properties
    from xanes_hpc.featurise import defaults_taken, featurise
    from xanes_hpc.rattling import Rattling
    from xanes_hpc.stores.hdf5 import check_store
    from xanes_hpc.stores.parts import parts_folder
    from xanes_hpc.stores.structures import StructureStore

    if seed is not None and rattle is None:
        raise click.UsageError("--seed: expected together with --rattle", click.get_current_context())
    rattling = None if rattle is None else Rattling(rattle, seed or 0)
    plain = source.with_suffix(".features.h5")
    target = output or (source.with_suffix(f".rattled-{rattling.seed}.features.h5") if rattling else plain)
    descriptor = choose(preset, description)
    descriptor = with_properties(descriptor, properties) if properties else descriptor
    with StructureStore(source) as structures:
        n_sites = structures.n_sites
        check_store(target, overwrite, [source])
        defaults = defaults_taken(structures, descriptor)
        kernel_threads.use(threads)
        begin = time.perf_counter()
        try:
            with console.progress("featurising", "sites") as progress:
                featurise(structures, descriptor, target, overwrite, progress, compression, restart, rattling)
        except KeyboardInterrupt:
            if parts_folder(target).exists():
                console.err.print(f"{parts_folder(target)}: keeps what is done; the same command goes on from there")
            raise
        seconds = time.perf_counter() - begin
    rows = {
        "sites": f"{n_sites:,}",
        "features": f"{descriptor.n_features:,} a site ({descriptor.name}, {descriptor.dtype})",
        "descriptor": descriptor.hash,
        "time": f"{seconds:.1f} s ({n_sites / seconds:,.0f} sites a second)",
    }
    if any(defaults.values()):
        rows["defaults"] = ", ".join(f"{name} for {n:,} sites" for name, n in defaults.items() if n)
    if rattling:
        rows["rattled"] = f"by {rattling.std:g} Å along each axis, seed {rattling.seed}"
    console.table(str(target), rows)
    words = ["xanes-hpc", "train", *([str(plain), "--augment"] if rattling else []), str(target)]
    console.next_step(shlex.join(words))
