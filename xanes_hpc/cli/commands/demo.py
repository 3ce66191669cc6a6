"""``xanes-hpc demo``."""

import os
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.command import Command, OutputPath
from xanes_hpc.cli.options import overwrite_option

CONTENTS = ("demo.h5", "demo.*", "structures", "spectra", "predictions.*", "metrics.json")
STEPS = (
    "import structures --spectra spectra --treatment synthetic -o demo.h5",
    "featurise demo.h5 --preset xanesnet-2022",
    "train demo.features.h5 --epochs 60 --batch-size 32 -o demo.model",
    "predict demo.features.h5 --model demo.model --split test -o predictions.h5",
    "evaluate predictions.h5 --json metrics.json",
)


@click.command("demo", cls=Command)
@click.option(
    "-o",
    "--output",
    type=OutputPath(folder=True),
    default=Path("xanes-hpc-demo"),
    show_default=True,
    help="Folder to write",
)
@click.option(
    "-n",
    "--structures",
    type=click.IntRange(min=60),
    metavar="N",
    default=600,
    show_default=True,
    help="Generate N complexes",
)
@click.option(
    "--seed", type=click.IntRange(min=0), metavar="N", default=0, show_default=True, help="Seed of the complexes"
)
@overwrite_option
def command(output: Path, structures: int, seed: int, overwrite: bool) -> None:
    """Run the whole way on generated data: import, featurise, train, predict, evaluate.

    The demo generates complexes of first-row transition metals with SYNTHETIC spectra from a simple scattering model,
    and prints the commands it runs on them. Its results, metrics.json and predictions.png, show how well the network
    learnt that model. They say nothing about real spectra.
    """
    from xanes_hpc.cli.main import cli
    from xanes_hpc.importing import demo_data
    from xanes_hpc.plotting.spectra import predicted_against_reference
    from xanes_hpc.runtime.outputs import whole_output
    from xanes_hpc.stores.predictions import PredictionStore

    begin = time.perf_counter()
    with whole_output(output, overwrite, contents=CONTENTS) as folder:
        folder.mkdir()
        demo_data.write(folder, structures, seed)
        console.out.print(f"{structures} complexes, with spectra from a {demo_data.LABEL}")
        with _working_in(folder):
            for step in STEPS:
                console.out.print(f"\n$ xanes-hpc {step}")
                cli.main(shlex.split(step), prog_name="xanes-hpc", standalone_mode=False)
            with PredictionStore(Path("predictions.h5")) as store:
                predicted_against_reference(store, Path("predictions.png"))
    seconds = time.perf_counter() - begin
    console.out.print(f"\nDone in {seconds:.0f} s: {output / 'metrics.json'}, {output / 'predictions.png'}")
    console.next_step(f"xanes-hpc info {output / 'demo.model'}")


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
