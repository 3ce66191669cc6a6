"""``xanes-hpc fit-broadening``."""

import shlex
from pathlib import Path
from typing import Any

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import BROADENING, EDGE, Known
from xanes_hpc.cli.command import JsonCommand
from xanes_hpc.cli.options import (
    PATH,
    WIDTHS,
    figure_option,
    json_option,
    output_option,
    overwrite_option,
    refuse,
    width_options,
    window_option,
)


@click.command("fit-broadening", cls=JsonCommand)
@click.argument("prediction", type=PATH, metavar="PREDICTION")
@click.argument("experiment", type=PATH, metavar="EXPERIMENT")
@click.option("--site", metavar="NAME", help="Which site of a store with several.")
@click.option("--absorber", metavar="SYMBOL", help="Element, where PREDICTION is a spectrum's file.")
@click.option("--edge", type=EDGE, default="K", show_default=True, help="Its edge.")
@click.option("--kind", default="xanes", show_default=True, help="Kind of spectrum of a structure store.")
@click.option("--treatment", help="Treatment of the spectrum to take, where the site has several.")
@click.option(
    "--recipe",
    type=BROADENING,
    help="Broadening to fit: gaussian, or for spectra as calculated arctangent, seah-dench or lorentzian.  "
    "[default: gaussian if PREDICTION is broadened, else arctangent]",
)
@width_options
@click.option("--vary", metavar="NAMES", help="Widths to fit, such as gaussian,core_hole; none for no width.")
@click.option(
    "--baseline",
    type=Known("experiment.fit_curve", "BASELINES"),
    default="none",
    show_default=True,
    help="What is added: none, constant or line.",
)
@window_option("--range", "Energies to fit within, in eV from e0. Default: all that both have.")
@click.option("--max-shift", type=float, default=15.0, show_default=True, help="Largest shift looked for, in eV.")
@figure_option("Figure of the fit")
@output_option("Configuration with the fitted [broadening], for broaden --config and train --config.", ending=".toml")
@overwrite_option
@json_option
def command(
    prediction: Path,
    experiment: Path,
    site: str | None,
    absorber: str | None,
    edge: str,
    kind: str,
    treatment: str | None,
    recipe: str | None,
    vary: str | None,
    baseline: str,
    range: tuple[float, float] | None,
    max_shift: float,
    plot: Path | None,
    output: Path | None,
    overwrite: bool,
    json_target: str | None,
    **widths: float | None,
) -> None:
    """Fit shift, scale and widths of a calculated spectrum to a measured one.

    PREDICTION is a prediction store, a structure store with spectra, or a spectrum's file; EXPERIMENT a file: XDI,
    NeXus, an Athena project, or columns. Intervals come from the scatter of the residuals; what is wrong with the
    calculation itself is not in them. The fit begins with the widths that are given.
    """
    from xanes_hpc.config.files import load_run
    from xanes_hpc.experiment.fit_broadening import fit_broadening
    from xanes_hpc.experiment.fit_curve import FIRST_GAUSSIAN, FitOptions
    from xanes_hpc.experiment.measured import read_calculated, read_experiment
    from xanes_hpc.plotting.spectra import check_figure
    from xanes_hpc.runtime.outputs import check_output
    from xanes_hpc.spectra.spectrum import NO_TREATMENT, treatment_name
    from xanes_hpc.stores.hdf5 import is_kind

    check_figure(plot)
    if is_kind(prediction, "structures"):
        refuse(("absorber", "edge"), f"applies to a spectrum's file, the sites of {prediction} have theirs")
    elif is_kind(prediction, "predictions"):
        refuse(("absorber", "edge", "kind", "treatment"), f"does not apply to predictions ({prediction})")
    else:
        refuse(("site", "kind", "treatment"), f"applies to stores, {prediction} is a spectrum's file")
    if output is not None:
        check_output(output, overwrite)
    calculated = read_calculated(prediction, site, absorber, edge.upper(), kind, treatment)
    measured = read_experiment(experiment)
    before = calculated.placed.spectrum.treatment
    name = recipe or ("arctangent" if before == NO_TREATMENT else "gaussian")
    flags: dict[str, Any] = {f"broadening.{n}": widths[n] for n in WIDTHS} | {"broadening.name": name}
    if name == "gaussian" and widths["gaussian"] is None:
        flags["broadening.gaussian"] = FIRST_GAUSSIAN
    start, stop = range or (None, None)
    varied = None if vary is None else tuple(n.strip().replace("-", "_") for n in vary.split(","))
    options = FitOptions(load_run(None, None, flags).broadening, varied, baseline, start, stop, max_shift)
    fitted = fit_broadening(calculated, measured, options)
    if plot is not None:
        from xanes_hpc.plotting.experiment import fitted_spectrum

        fitted_spectrum(fitted, calculated.name, experiment.name, plot)
    if output is not None:
        from xanes_hpc.config.files import broadening_toml
        from xanes_hpc.runtime.outputs import whole_output

        with whole_output(output, overwrite) as temporary:
            temporary.write_text(broadening_toml(fitted.broadening), encoding="utf-8")
    if json_target != "-":
        rows = {
            "spectra": f"{calculated.name} ({treatment_name(before)}), {experiment.name}",
            "range": f"{fitted.energies[0]:g} to {fitted.energies[-1]:g} eV from e0, {fitted.energies.size} points",
            **{label: _told(parameter) for label, parameter in fitted.parameters.items()},
            "R factor": f"{fitted.r_factor:.3g}",
        }
        console.table(f"{name} fitted", rows)
    console.write_json(json_target, {"recipe": name, "calculated": calculated.name, **fitted.as_dict()})
    if output is not None and fitted.broadening.name == "none":
        console.err.print(f"note: {output} says that nothing need be broadened: the resolution came out as nothing")
    elif output is not None and prediction.suffix == ".h5" and before == NO_TREATMENT:
        words = ["xanes-hpc", "broaden", str(prediction), "--config", str(output), "-o", "broadened.h5"]
        console.next_step(shlex.join(words))


def _told(parameter: Any) -> str:
    if parameter.at_bound:
        return f"{parameter.value:.5g} (the end of its range)"
    if parameter.undetermined:
        return f"{parameter.value:.5g} (nothing tells it)"
    if not parameter.varied:
        return f"{parameter.value:.5g} (fixed)"
    error = "" if parameter.stderr is None else f" ± {parameter.stderr:.2g}"
    low, high = parameter.intervals.get("95", (None, None))
    return f"{parameter.value:.5g}{error}" + (
        f" (95 %: {'–' if low is None else f'{low:.5g}'} to {'–' if high is None else f'{high:.5g}'})"
        if parameter.intervals
        else ""
    )
