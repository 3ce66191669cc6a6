"""``xanes-hpc merge``."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import EDGE, Known
from xanes_hpc.cli.command import JsonCommand
from xanes_hpc.cli.options import (
    PATH,
    energy_options,
    figure_option,
    gathered,
    json_option,
    normalise_options_with,
    output_option,
    overwrite_option,
    reading_options,
)

if TYPE_CHECKING:
    from xanes_hpc.experiment.energy import EnergyOptions
    from xanes_hpc.experiment.merged import Merged
    from xanes_hpc.experiment.normalised import NormaliseOptions
    from xanes_hpc.formats.read_options import ReadOptions

COLUMNS = ("scan", "shift (eV)", "aligned by", "weight", "glitches", "residual %", "correlation")


@click.command("merge", cls=JsonCommand)
@click.argument("scans", type=PATH, nargs=-1, required=True, metavar="SCANS…")
@output_option("XDI file to write", required=True, ending=".xdi")
@click.option("--absorber", metavar="SYMBOL", help="Set the element, if the files do not name it")
@click.option("--edge", type=EDGE, metavar="EDGE", help="Set the edge  [default: as the files say, or K]")
@energy_options
@gathered(
    "merging",
    dict,
    click.option(
        "--align",
        type=Known("experiment.scans", "ALIGNMENTS"),
        default="best",
        show_default=True,
        help="Shift scans to the first one by their reference channels (reference), by the spectra themselves "
        "(sample), by the reference channel where there is one (best), or not (none)",
    ),
    click.option(
        "--max-shift",
        type=float,
        metavar="EV",
        default=5.0,
        show_default=True,
        help="Shift scans by up to this many eV either way",
    ),
    click.option(
        "--rebin",
        is_flag=True,
        help="Average onto steps of 2 eV before the edge, fine ones around it and even ones in k beyond",
    ),
    click.option("--step", type=float, metavar="EV", help="Average onto even steps  [default: as in the first scan]"),
    click.option(
        "--weights",
        type=Known("experiment.merged", "WEIGHTS"),
        default="equal",
        show_default=True,
        help="Weight scans alike (equal), or by one over the variance of their noise (noise)",
    ),
)
@normalise_options_with("none")
@reading_options
@figure_option("Draw the scans, their mean and the residuals")
@overwrite_option
@json_option
def command(
    scans: tuple[Path, ...],
    output: Path,
    absorber: str | None,
    edge: str | None,
    energy: "EnergyOptions",
    merging: dict[str, Any],
    normalisation: "NormaliseOptions",
    reading: "ReadOptions",
    plot: Path | None,
    overwrite: bool,
    json_target: str | None,
) -> None:
    """Merge scans of one sample into one spectrum with its standard deviations.

    SCANS are files, folders, patterns, and Athena projects or NeXus files with all their scans. Scans of another
    element, edge or mode, unlike the first, or without an edge are left out, each with a reason.

    The file that is written has columns for the energy, the mean, its standard error (sigma), the scatter of one scan,
    and the mean reference channel; its header names each scan and its shift. match weights energies by sigma.
    """
    from xanes_hpc.experiment.merged import MergeOptions
    from xanes_hpc.experiment.merged_file import merge_files, write
    from xanes_hpc.plotting.figures import check_figure
    from xanes_hpc.runtime.outputs import check_output, whole_output

    check_figure(plot)
    check_output(output, overwrite)
    options = MergeOptions(energy, normalisation=normalisation, **merging)
    merged, paths = merge_files(scans, options, reading, absorber, edge, to_write=True)
    with whole_output(output, overwrite) as temporary:
        write(temporary, merged, paths)
    if plot is not None:
        from xanes_hpc.plotting.scans import merged_scans

        merged_scans(merged, plot)
    console.notes_of_all(merged.choices)
    console.reasons([f"left out: {one.reason}" for one in merged.left_out], len(merged.left_out))
    if json_target != "-":
        console.table(str(output), _told(merged))
        rows = [
            [own.name, f"{round(own.shift, 2) + 0.0:+.2f}", own.aligned_by or "–", f"{own.weight:.3f}",
             str(own.n_glitches), f"{100 * own.residual:.2f}", "–" if own.correlation != own.correlation else
             f"{own.correlation:.3f}"]
            for own in merged.scans
        ]  # fmt: skip
        console.listing(COLUMNS, rows)
        if len(rows) > 1:
            console.out.print("correlation: of its slopes around the edge with those of the other scans")
    console.write_json(json_target, merged.as_dict() | {"choices": dict(c for own in merged.choices for c in own)})
    console.next_step(f"xanes-hpc match {shlex.quote(str(output))} predictions.h5")


def _told(merged: "Merged") -> dict[str, str]:
    """Return the rows of the table."""
    energies, n = merged.spectrum.energies, len(merged.scans)
    left_out = f", {len(merged.left_out)} left out" if merged.left_out else ""
    told = {
        "merged": f"{n} scan{'s' if n > 1 else ''}{left_out}",
        "range": f"{energies[0]:.2f} to {energies[-1]:.2f} eV, {energies.size} points",
    }
    if merged.calibration is not None:
        told["calibrated"] = merged.calibration.in_words
    return told | {"sigma": merged.sigma_in_words}
