"""``xanes-hpc fit-broadening``."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import BROADENING, EDGE, Known
from xanes_hpc.cli.command import JsonCommand
from xanes_hpc.cli.options import (
    PATH,
    WIDTHS,
    energy_options,
    figure_option,
    gathered,
    json_option,
    normalise_options,
    output_option,
    overwrite_option,
    reading_options,
    refuse,
    width_options,
    window_option,
)

if TYPE_CHECKING:
    from xanes_hpc.experiment.energy import EnergyOptions
    from xanes_hpc.experiment.normalised import NormaliseOptions
    from xanes_hpc.formats.read_options import ReadOptions

IN_EV = ("shift", "core_hole", "gamma_max", "centre", "width", "e_cut", "gaussian")
"""Parameters in eV."""
NOT_JUDGED = "too few references of held-out sites to judge whether this site explains the spectrum"


@click.command("fit-broadening", cls=JsonCommand)
@click.argument("prediction", type=PATH, metavar="PREDICTION")
@click.argument("experiment", type=PATH, metavar="EXPERIMENT")
@gathered(
    "chosen",
    dict,
    click.option(
        "--site", metavar="NAME", help="Take the spectrum of this site, if PREDICTION has several of that element"
    ),
    click.option(
        "--absorber", metavar="SYMBOL", help="Set the element, if PREDICTION is a spectrum's file that does not name it"
    ),
    click.option(
        "--edge",
        type=EDGE,
        metavar="EDGE",
        help="Set the edge, if PREDICTION is a spectrum's file  [default: the file's own, or else K]",
    ),
    click.option(
        "--kind", default="xanes", show_default=True, help="Take this kind of spectrum from a structure store"
    ),
    click.option("--treatment", help="Take the spectrum with this treatment, if the site has several"),
)
@gathered(
    "fit",
    dict,
    click.option(
        "--recipe",
        type=BROADENING,
        help="Fit this broadening: gaussian, or for unbroadened spectra arctangent, seah-dench or lorentzian  "
        "[default: gaussian if PREDICTION is broadened, else arctangent]",
    ),
    width_options,
    click.option(
        "--vary",
        metavar="NAMES",
        help="Fit these widths, such as gaussian,core_hole; none fits no width  [default: as the recipe needs]",
    ),
    click.option(
        "--baseline",
        type=Known("experiment.fit_curve", "BASELINES"),
        help="Fit this too: the background of the spectrum as measured, pre-edge line and post-edge curve "
        "(background), or a constant, a line or nothing (none) on the normalised spectrum  [default: background; line "
        "for a spectrum without room for windows, none after --normalise mback or none]",
    ),
    window_option("--range", "Fit only these energies, in eV from e0  [default: the whole overlap]"),
    click.option(
        "--max-shift",
        type=float,
        metavar="EV",
        default=15.0,
        show_default=True,
        help="Try shifts of up to this many eV either way",
    ),
)
@energy_options
@normalise_options
@reading_options
@figure_option("Draw the fit")
@output_option("TOML file to write, with the fitted [broadening], for --config of broaden and train", ending=".toml")
@overwrite_option
@json_option
def command(
    prediction: Path,
    experiment: Path,
    chosen: dict[str, Any],
    fit: dict[str, Any],
    energy: "EnergyOptions",
    normalisation: "NormaliseOptions",
    reading: "ReadOptions",
    plot: Path | None,
    output: Path | None,
    overwrite: bool,
    json_target: str | None,
) -> None:
    """Fit shift, scale and widths of a calculated spectrum to a measured one.

    PREDICTION is a prediction store, a structure store with spectra, or a file with a spectrum, such as FEFF's or
    FDMNES's. EXPERIMENT is a measured spectrum: XDI, NeXus, columns of energies and a spectrum or detector channels, or
    a group of an Athena project (NAME.prj:LABEL). Widths that you set are the starting values of the fit.

    The pre-edge line, post-edge curve and edge step of the measured spectrum are fitted too, over the windows of --pre
    and --post. With --baseline none, constant or line, the spectrum is normalised by them before the fit.

    The confidence intervals come from the residuals, of which smooth ones count as few points; they do not cover errors
    of the calculation that a shift or a width makes up for. Standard deviations in EXPERIMENT weight its points.
    """
    from xanes_hpc.config.files import load_run
    from xanes_hpc.experiment.calculated import read_calculated
    from xanes_hpc.experiment.energy import correction
    from xanes_hpc.experiment.fit_broadening import fit_broadening
    from xanes_hpc.experiment.fit_curve import FIRST_GAUSSIAN, FitOptions
    from xanes_hpc.experiment.measured import held_to, read_experiment
    from xanes_hpc.plotting.figures import check_figure
    from xanes_hpc.runtime.outputs import check_output
    from xanes_hpc.spectra.spectrum import NO_TREATMENT, treatment_name
    from xanes_hpc.stores.hdf5 import is_kind

    check_figure(plot)
    if is_kind(prediction, "structures"):
        refuse(("absorber", "edge"), f"applies to a spectrum's file; {prediction} is a structure store")
    elif is_kind(prediction, "predictions"):
        refuse(("absorber", "edge", "kind", "treatment"), f"does not apply to a prediction store ({prediction})")
    else:
        refuse(("site", "kind", "treatment"), f"applies to a store; {prediction} is a spectrum's file")
    if output is not None:
        check_output(output, overwrite)
    chosen["edge"] = chosen["edge"] and chosen["edge"].upper()
    measured = read_experiment(experiment, reading)
    calculated = read_calculated(prediction, **chosen, measured=measured)
    measured = held_to(measured, calculated.element, calculated.edge, calculated.placed.e0)
    measured = correction(energy, calculated.element, calculated.edge)(measured)
    before = calculated.placed.spectrum.treatment
    name = fit["recipe"] or ("arctangent" if before == NO_TREATMENT else "gaussian")
    flags: dict[str, Any] = {f"broadening.{n}": fit[n] for n in WIDTHS} | {"broadening.name": name}
    if name == "gaussian" and fit["gaussian"] is None:
        flags["broadening.gaussian"] = FIRST_GAUSSIAN
    start, stop = fit["range"] or (None, None)
    varied = None if fit["vary"] is None else tuple(n.strip().replace("-", "_") for n in fit["vary"].split(","))
    options = FitOptions(load_run(None, None, flags).broadening, varied, fit["baseline"], start, stop, fit["max_shift"])
    fitted = fit_broadening(calculated, measured, options, normalisation)
    normal = fitted.measured
    console.notes(normal.raw.choices)
    if plot is not None:
        from xanes_hpc.plotting.experiment import fitted_spectrum
        from xanes_hpc.plotting.words import of_absorber

        of = of_absorber(calculated.element, calculated.edge)
        fitted_spectrum(fitted, calculated.name, experiment.name, plot, of)
    if output is not None:
        from xanes_hpc.config.files import broadening_toml
        from xanes_hpc.runtime.outputs import whole_output

        with whole_output(output, overwrite) as temporary:
            temporary.write_text(broadening_toml(fitted.broadening), encoding="utf-8")
    if json_target != "-":
        rows = {
            "spectra": f"{calculated.name} ({treatment_name(before)}), {experiment.name}",
            "measured": f"e0 {normal.e0:.2f} eV, {normal.in_words}",
            "range": f"{fitted.energies[0]:g} to {fitted.energies[-1]:g} eV from e0, {fitted.energies.size} points, "
            f"{fitted.n_independent:.0f} independent",
            **{f"{n} (eV)" if n in IN_EV else n: _in_words(p) for n, p in fitted.parameters.items()},
            "R factor": f"{fitted.r_factor:.3g}",
            "unexplained": f"{fitted.unexplained_percent:.3g} % of the structure beside a plain edge",
            "for comparison": fitted.held_out.in_words if fitted.held_out is not None else NOT_JUDGED,
        }
        console.table(f"{name} fitted", rows)
    for warning in fitted.warnings:
        console.err.print(f"Note: {warning}")
    told = {"recipe": name, "calculated": calculated.name, "choices": dict(normal.raw.choices)}
    console.write_json(json_target, told | fitted.as_dict())
    if output is not None and fitted.broadening.name == "none":
        console.err.print(f"Note: the fitted width is 0 eV, so {output} contains no broadening")
    elif output is not None and prediction.suffix == ".h5" and before == NO_TREATMENT:
        words = ["xanes-hpc", "broaden", str(prediction), "--config", str(output), "-o", "broadened.h5"]
        console.next_step(shlex.join(words))


def _in_words(parameter: Any) -> str:
    if parameter.at_bound:
        return f"{parameter.value:.5g} (at its bound)"
    if parameter.undetermined:
        return f"{parameter.value:.5g} (not constrained by the data)"
    if not parameter.varied:
        return f"{parameter.value:.5g} (fixed)"
    error = "" if parameter.stderr is None else f" ± {parameter.stderr:.2g}"
    low, high = parameter.intervals.get("95", (None, None))
    return f"{parameter.value:.5g}{error}" + (
        f" (95 %: {'–' if low is None else f'{low:.5g}'} to {'–' if high is None else f'{high:.5g}'})"
        if parameter.intervals
        else ""
    )
