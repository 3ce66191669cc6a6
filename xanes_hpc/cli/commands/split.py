"""``xanes-hpc split``."""

import shlex
from contextlib import ExitStack, closing
from pathlib import Path

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import choice
from xanes_hpc.cli.command import Command
from xanes_hpc.cli.options import PATH, output_option, overwrite_option

FRACTION = click.FloatRange(0, 1, max_open=True)


@click.command("split", cls=Command)
@click.argument("features", type=PATH, nargs=-1, required=True, metavar="FEATURES.h5...")
@output_option("Table to write  [default: split.csv]", ending=".csv")
@click.option(
    "--group",
    type=choice("split.group"),
    help="Keep groups together: same formula, compound (reduced-formula), structure, CSD code (code), similar features "
    "(cluster), or none  [default: formula]",
)
@click.option("--validation", type=FRACTION, help="Fraction of the sites to choose the epochs with  [default: 0.05]")
@click.option("--calibration", type=FRACTION, help="Fraction to calibrate the uncertainty with  [default: 0.05]")
@click.option("--test", type=FRACTION, help="Fraction to hold out from all of this  [default: 0.05]")
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Seed of the order of the groups  [default: 0]")
@click.option(
    "--config", type=PATH, metavar="RUN.toml", help="Read this configuration of a training; options override it"
)
@overwrite_option
def command(
    features: tuple[Path, ...],
    output: Path | None,
    group: str | None,
    validation: float | None,
    calibration: float | None,
    test: float | None,
    seed: int | None,
    config: Path | None,
    overwrite: bool,
) -> None:
    """Divide sites into training, validation, calibration and test sets.

    The table has a column site and a column part, and can be edited or made by other programs. It is the split that
    train makes with the same settings; train --split-file takes it. Sites without features or a spectrum get no row.
    """
    import numpy as np

    from xanes_hpc.config.files import load_run
    from xanes_hpc.data.gather import gather
    from xanes_hpc.formats import split_files
    from xanes_hpc.models.training_sites import LEFT_OUT, SETS
    from xanes_hpc.runtime.outputs import check_output, whole_output
    from xanes_hpc.stores.features import FeatureStore
    from xanes_hpc.training.inputs import open_spectra

    target = output or Path("split.csv")
    check_output(target, overwrite)
    flags = {
        "split.group": group,
        "split.validation": validation,
        "split.calibration": calibration,
        "split.test": test,
        "training.seed": seed,
    }
    run = load_run(config, None, flags)
    with ExitStack() as opened:
        pairs = open_spectra([opened.enter_context(FeatureStore(path)) for path in features], run.spectra)
        for _, source in pairs:
            opened.callback(source.file.close)
        data = opened.enter_context(closing(gather(run, pairs)))
        rows = np.flatnonzero(data.sets != LEFT_OUT).tolist()
        with whole_output(target, overwrite) as temporary:
            split_files.write(temporary, [data.names[row] for row in rows], [SETS[data.sets[row]] for row in rows])
    counts = np.bincount(data.sets, minlength=LEFT_OUT)
    told = {name: f"{counts[i]:,} sites" for i, name in enumerate(SETS)}
    console.table(str(target), told | {"left out": f"{len(data.sets) - len(rows):,} without features or a spectrum"})
    console.next_step(shlex.join(["xanes-hpc", "train", *map(str, features), "--split-file", str(target)]))
