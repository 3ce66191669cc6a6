"""``xanes-hpc demo``."""

import json
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

CONTENTS = ("demo.h5", "demo.*", "built.h5", "xanes-hpc.toml", "structures", "spectra", "predictions.*", "metrics.json")
STEPS = (
    "import structures --spectra spectra --treatment synthetic -o demo.h5",
    "featurise demo.h5 --preset xanesnet-2022",
    "train demo.features.h5 --epochs 60 --batch-size 32 -o demo.model",
    "predict demo.features.h5 --model demo.model --split test -o predictions.h5",
    "evaluate predictions.h5 --json metrics.json",
)
REAL_STEPS = (
    "structures build -n {n} --metals Fe --ligands CO,CN,NH3,OH2,F,Cl --even --seed {seed} --prefix demo -o built.h5",
    "relax built.h5 -o demo.h5",
    "calculate demo.h5",
    "featurise demo.h5",
    "train demo.features.h5 --epochs 100 --batch-size 8 -o demo.model",
    "predict demo.features.h5 --model demo.model --split test -o predictions.h5",
    "evaluate predictions.h5 --baseline demo.model --json metrics.json",
)
SETTINGS = "xanes-hpc.toml"
REAL_SETTINGS = """\
# There are few sites, so larger fractions than by default for all but the training set.
[split]
test = 0.25
validation = 0.1
calibration = 0.1
"""
SITES, REAL_SITES = 600, 40
LEAST, LEAST_REAL = 60, 20
"""Smallest numbers of complexes that leave enough for every set of the split."""


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
    type=click.IntRange(min=LEAST_REAL),
    metavar="N",
    show_default=f"{SITES}, or {REAL_SITES} with --real",
    help="Generate N complexes",
)
@click.option(
    "--seed", type=click.IntRange(min=0), metavar="N", default=0, show_default=True, help="Seed of the complexes"
)
@click.option("--real", is_flag=True, help="Relax and calculate the complexes, in a few minutes")
@overwrite_option
def command(output: Path, structures: int | None, seed: int, real: bool, overwrite: bool) -> None:
    """Run the whole way on generated data: import, featurise, train, predict, evaluate.

    The demo generates complexes of first-row transition metals with SYNTHETIC spectra from a simple scattering model,
    and prints the commands it runs on them. Its results, metrics.json and predictions.png, show how well the network
    learnt that model. They say nothing about real spectra.

    With --real, it relaxes small complexes of Fe with GFN2-xTB and calculates their spectra with FEFF10 before it
    trains. That takes some minutes on two cores, and the extras feff and relax.
    """
    from xanes_hpc.cli.main import cli
    from xanes_hpc.importing import demo_data
    from xanes_hpc.runtime.optional import need_all
    from xanes_hpc.runtime.outputs import whole_output

    n = structures or (REAL_SITES if real else SITES)
    if not real and n < LEAST:
        context = click.get_current_context()
        raise click.UsageError(f"--structures {n}: expected {LEAST} or more without --real", context)
    if real:
        need_all({"feff10": "feff", "tblite": "relax"}, "the demo with --real")

    steps = [step.format(n=n, seed=seed) for step in (REAL_STEPS if real else STEPS)]
    begin = time.perf_counter()
    with whole_output(output, overwrite, contents=CONTENTS) as folder:
        folder.mkdir()
        if real:
            (folder / SETTINGS).write_text(REAL_SETTINGS, encoding="utf-8")
            console.out.print(f"{n} small complexes of Fe, relaxed with GFN2-xTB and calculated with FEFF10")
            console.out.print(f"\n$ cat {SETTINGS}\n{REAL_SETTINGS.rstrip()}")
        else:
            demo_data.write(folder, n, seed)
            console.out.print(f"{n} complexes, with spectra from a {demo_data.LABEL}")
        with _working_in(folder):
            for step in steps:
                console.out.print(f"\n$ xanes-hpc {step}")
                cli.main(shlex.split(step), prog_name="xanes-hpc", standalone_mode=False)
            _draw(real)
    seconds = time.perf_counter() - begin
    console.out.print(f"\nDone in {seconds:.0f} s: {output / 'metrics.json'}, {output / 'predictions.png'}")
    console.next_step(f"xanes-hpc info {output / 'demo.model'}")


def _draw(real: bool) -> None:
    """Draw predictions beside references; for real spectra, also draw and tell what the mean spectrum gives."""
    from xanes_hpc.analysis.baseline import training_mean
    from xanes_hpc.models.model import Model
    from xanes_hpc.plotting.spectra import predicted_against_reference
    from xanes_hpc.stores.predictions import PredictionStore

    path = Path("predictions.png")
    with PredictionStore(Path("predictions.h5")) as store:
        if not real:
            predicted_against_reference(store, path)
            return
        mean = training_mean(Model.open(Path("demo.model")), store)
        predicted_against_reference(store, path, baseline=mean, compared_with="training set's mean")
    figures = json.loads(Path("metrics.json").read_text(encoding="utf-8"))
    error, of_mean = figures["error_percent"]["mean"], figures["baseline"]["error_percent_mean"]
    console.out.print(
        f"\nError on {figures['n_sites']} complexes that the model has not seen: {error:.1f} %. "
        f"Predicting the training set's mean spectrum instead: {of_mean:.1f} %.\n"
        "The spectra are calculated, not measured, and few: the error depends on which complexes are tested, and the "
        "model knows no other metals and ligands."
    )


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
