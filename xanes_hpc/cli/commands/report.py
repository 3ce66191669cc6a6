"""``xanes-hpc report``."""

from pathlib import Path

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import SET
from xanes_hpc.cli.command import Command
from xanes_hpc.cli.options import PATH, draws_option, output_option, overwrite_option, threads_option, windows_of


@click.command("report", cls=Command)
@click.argument("model", type=PATH, metavar="MODEL")
@click.option(
    "--store",
    type=PATH,
    metavar="STORE",
    help="Evaluate on this feature or structure store  [default: the training store]",
)
@click.option(
    "--split",
    type=SET,
    metavar="SET",
    help="Evaluate on this set  [default: test, or validation if there is none]",
)
@draws_option
@click.option(
    "--most-sites",
    type=click.IntRange(min=2),
    metavar="N",
    default=100,
    show_default=True,
    help="Explain at most N sites, drawn at random",
)
@click.option(
    "--window", "windows", multiple=True, metavar="START:STOP", callback=windows_of,
    help="Explain these energies, in eV from the edge (repeatable)  [default: -3:3 and 50:56]",
)  # fmt: skip
@click.option("--no-explanation", is_flag=True, help="Leave out the section on what predictions depend on")
@threads_option
@output_option("HTML file to write  [default: NAME.html beside the model]", ending=".html")
@overwrite_option
def command(
    model: Path,
    store: Path | None,
    split: str | None,
    draws: int,
    most_sites: int,
    windows: tuple[tuple[float, float], ...],
    no_explanation: bool,
    threads: int | None,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Summarise a model in one shareable HTML page.

    The page shows the training data, the figures of merit, the worst cases, and what predictions depend on. It is one
    self-contained file.
    """
    from xanes_hpc.analysis.explain import ExplainOptions
    from xanes_hpc.models.model import Model
    from xanes_hpc.pages.report import ReportOptions, report
    from xanes_hpc.runtime import threads as kernel_threads
    from xanes_hpc.runtime.outputs import check_output

    target = output or model.with_suffix(".html")
    check_output(target, overwrite)
    kernel_threads.use(threads)
    explained = None if no_explanation else ExplainOptions(windows, most_sites=most_sites, repeats=2)
    with console.progress("reporting") as progress:
        figures = report(Model.open(model), target, store, ReportOptions(split, draws, explained), overwrite, progress)
    console.table(
        str(target),
        {"sites": f"{figures['n_sites']:,}", "error": f"{figures['error_percent']['mean']:.2f} % on average"},
    )
    console.next_step(f"open {target} in a browser")
