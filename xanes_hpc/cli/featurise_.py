"""``xanes-hpc featurise``."""

import shlex
import time
from pathlib import Path

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.options import PATH, output_option, overwrite_option, threads_option


@click.command("featurise")
@click.argument("source", type=PATH, metavar="STRUCTURES.h5")
@output_option("Feature store to write. Default: NAME.features.h5 beside the source.")
@click.option("--preset", help="Descriptor by preset: default, xanesnet-2022, xanesnet-49, …  [default: default]")
@click.option("--descriptor", "description", type=PATH, metavar="FILE.toml", help="Descriptor by its description.")
@threads_option
@overwrite_option
def command(
    source: Path,
    output: Path | None,
    preset: str | None,
    description: Path | None,
    threads: int | None,
    overwrite: bool,
) -> None:
    """Describe the surroundings of every absorption site of a structure store.

    The features, one vector a site, go into a feature store that names its source and carries the descriptor's
    full description.
    """
    from xanes_hpc.descriptors import choose
    from xanes_hpc.featurise import featurise, set_threads
    from xanes_hpc.stores.hdf5 import check_output
    from xanes_hpc.stores.structures import StructureStore

    target = output or source.with_suffix(".features.h5")
    descriptor = choose(preset, description)
    with StructureStore(source) as structures:
        n_sites = structures.n_sites
        check_output(target, overwrite, sources=[source])
        set_threads(threads)
        begin = time.perf_counter()
        with console.progress("featurising", "sites") as progress:
            featurise(structures, descriptor, target, overwrite, progress)
        seconds = time.perf_counter() - begin
    rows = {
        "sites": f"{n_sites:,}",
        "features": f"{descriptor.n_features:,} a site ({descriptor.name}, {descriptor.dtype})",
        "descriptor": descriptor.hash,
        "time": f"{seconds:.1f} s ({n_sites / seconds:,.0f} sites a second)",
    }
    console.table(str(target), rows)
    console.next_step(f"xanes-hpc train {shlex.quote(str(target))}")
