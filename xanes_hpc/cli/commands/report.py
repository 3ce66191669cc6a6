"""``xanes-hpc report``."""

from pathlib import Path

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import PART
from xanes_hpc.cli.command import Command
from xanes_hpc.cli.options import PATH, output_option, overwrite_option, threads_option, windows_of


@click.command("report", cls=Command)
@click.argument("model", type=PATH, metavar="MODEL")
@click.option("--store", type=PATH, help="Feature or structure store to measure on. Default: what it was trained on.")
@click.option(
    "--split", "part", type=PART, metavar="PART", help="Its sites of this part. Default: test, else validation."
)
@click.option("--draws", type=click.IntRange(min=2), default=100, show_default=True, help="Of each prediction.")
@click.option("--sites", type=click.IntRange(min=2), default=100, show_default=True, help="Explained, at most.")
@click.option(
    "--window", "windows", multiple=True, metavar="START:STOP", callback=windows_of,
    help="Energies explained, in eV from the edge. May be repeated.  [default: -3:3 and 50:56]",
)  # fmt: skip
@click.option("--no-explanation", is_flag=True, help="Leave out what it rests on.")
@threads_option
@output_option("HTML file to write. Default: NAME.html beside the model.", ending=".html")
@overwrite_option
def command(
    model: Path,
    store: Path | None,
    part: str | None,
    draws: int,
    sites: int,
    windows: tuple[tuple[float, float], ...],
    no_explanation: bool,
    threads: int | None,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Tell of a model in one HTML page: data, figures of merit, worst cases, what it rests on.

    The page holds all it needs and can be sent.
    """
    from xanes_hpc.analysis.explain import ExplainOptions
    from xanes_hpc.models.model import Model
    from xanes_hpc.pages.report import ReportOptions, report
    from xanes_hpc.runtime import threads as kernel_threads
    from xanes_hpc.runtime.outputs import check_output

    target = output or model.with_suffix(".html")
    check_output(target, overwrite)
    kernel_threads.use(threads)
    explained = None if no_explanation else ExplainOptions(windows, most_sites=sites, repeats=2)
    with console.progress("reporting", "steps") as progress:
        figures = report(Model.open(model), target, store, ReportOptions(part, draws, explained), overwrite, progress)
    console.table(
        str(target),
        {"sites": f"{figures['n_sites']:,}", "error": f"{figures['error_percent']['mean']:.2f} % on average"},
    )
    console.next_step(f"open {target} in a browser")
