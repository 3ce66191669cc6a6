"""``xanes-hpc evaluate``."""

from pathlib import Path
from typing import Any

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.command import JsonCommand
from xanes_hpc.cli.options import PATH, figure_option, json_option, open_predictions, sites_option


@click.command("evaluate", cls=JsonCommand)
@click.argument("predictions", type=PATH, metavar="PREDICTIONS.h5")
@sites_option
@click.option(
    "--baseline",
    type=PATH,
    metavar="MODEL|OTHER.h5",
    help="Compare with the mean of the model's training spectra, or with other predictions of the same sites",
)
@figure_option("Draw reliability, rejection and coverage")
@json_option
def command(
    predictions: Path, sites: Path | None, baseline: Path | None, plot: Path | None, json_target: str | None
) -> None:
    """Measure predictions against references.

    Sites without a reference are left out. Errors are too low on sites that were used to make the model. For results
    to report, predict with --split test, or predict sites that the model has never seen.
    """
    from xanes_hpc.analysis.baseline import baseline_of, compared
    from xanes_hpc.analysis.evaluate import evaluate
    from xanes_hpc.models.training_sites import USED_SETS
    from xanes_hpc.plotting.words import of_predictions
    from xanes_hpc.spectra.spectrum import units_differ

    with open_predictions(predictions, sites) as store:
        figures = evaluate(store)
        if baseline is not None:
            figures["baseline"] = compared(store, baseline_of(baseline, store))
        of = of_predictions(store)
        trained = sum(figures["by_part"].get(p, {"n_sites": 0})["n_sites"] for p in USED_SETS)
    if plot is not None:
        from xanes_hpc.plotting.errors import calibration

        calibration(figures, of, plot)
    console.write_json(json_target, figures)
    if json_target != "-":
        console.table(str(predictions), _rows(figures))
    units = figures["spectrum"]
    if units["unit"] != units["reference_unit"]:
        console.err.print(f"Note: {units_differ(units['unit'], units['reference_unit'])}")
    if trained:
        console.err.print(
            f"Note: {trained:,} of these {figures['n_sites']:,} sites were used to make the model; the error of "
            "each set shows its performance on others"
        )


def _rows(figures: dict[str, Any]) -> dict[str, str]:
    from xanes_hpc.spectra.spectrum import treatment_name

    peaks, coverage, grid = figures["peaks"], figures["coverage"], figures["grid"]
    zero = (
        f", {figures['n_zero_reference']:,} left out because it is zero everywhere"
        if figures["n_zero_reference"]
        else ""
    )
    rows = {
        "sites": f"{figures['n_sites']:,} with a reference, {figures['n_without_reference']:,} without{zero}",
        "spectra": f"{figures['spectrum']['kind']}, treatment {treatment_name(figures['spectrum']['treatment'])}",
        "grid": f"{grid['n']} energies, {grid['start_ev']:g} to {grid['stop_ev']:g} eV"
        + (" relative to e0" if grid["origin"] == "e0" else ""),
        "error %": f"mean {figures['error_percent']['mean']:.2f}, median {figures['error_percent']['median']:.2f}",
        "MAE, MSE, R²": f"{figures['mae']:.4g}, {figures['mse']:.4g} (median {figures['mse_median']:.4g}), "
        f"{_number(figures['r2'], '.4f')}",
        "peaks": f"recall {_number(peaks['recall'], '.3f')}, precision {_number(peaks['precision'], '.3f')}, "
        f"F1 {_number(peaks['f1'], '.3f')} ({peaks['n_matched']:,} of {peaks['n_reference']:,} matched)",
        "peak positions": f"|ΔE| {_number(peaks['delta_energy_ev'], '.2f')} eV, "
        f"|ΔI|/I {_number(peaks['delta_intensity_percent'], '.1f')} %",
        "line shape": f"MAE of the first derivative {_number(figures['derivatives']['first_mae'], '.4g')} /eV, "
        f"of the second {_number(figures['derivatives']['second_mae'], '.4g')} /eV²",
    }
    if (other := figures.get("baseline")) is not None:
        rows["baseline"] = (
            f"error % {other['error_percent_mean']:.2f}, median MSE {other['mse_median']:.4g}; "
            f"η {_number(other['eta'], '.2f')}, {100 * other['fraction_better']:.0f} % of the sites predicted better"
        )
    n_points = figures["n_sites"] * grid["n"]
    if figures["n_points"] < n_points:
        rows["points"] = f"{figures['n_points']:,} of {n_points:,}; references do not reach the others"
    for kind in ("interval", "conformal"):
        for interval in figures["intervals" if kind == "interval" else kind]:
            rows[f"{kind} {100 * interval['level']:g} %"] = (
                f"covers {100 * interval['coverage']:.1f} %, mean width {interval['mean_width']:.4g}"
            )
    rows["within σ"] = ", ".join(f"{k[0]}σ {100 * covered:.1f} %" for k, covered in coverage.items())
    rows |= {
        "calibration": f"expected error {figures['calibration_error']:.3f}, CRPS {figures['crps']:.4g}, "
        f"mean width of ±1σ {figures['sharpness']['1sigma']:.4g}",
        "σ against error": f"Spearman {_number(figures['spearman_sigma_error'], '.2f')}; error % of the most certain "
        f"half {figures['rejection']['error_percent_mean'][5]:.2f}",
    }
    for name, errors in figures["by_part"].items():
        title = "unseen" if name == "none" else name
        rows[f"error %, {title}"] = (
            f"mean {errors['mean']:.2f}, median {errors['median']:.2f}, {errors['n_sites']:,} sites"
        )
    if (trust := figures["by_trust"]) is not None:
        flagged, others = trust["not_trusted"], trust["trusted"]
        rows["out of domain"] = f"{flagged['n_sites']:,} of {figures['n_sites']:,} sites" + (
            f": error % mean {flagged['mean']:.2f}, median {flagged['median']:.2f}; "
            f"of the {others['n_sites']:,} others mean {_number(others['mean'], '.2f')}, "
            f"median {_number(others['median'], '.2f')}"
            if flagged["n_sites"]
            else ""
        )
    if (audit := figures["leakage"]) is not None:
        without = audit["error_percent_without_twins"]
        rows["leakage"] = (
            f"{audit['same_code']:,} same CSD code, {audit['same_formula']:,} same formula, "
            f"{audit['near_features']:,} near-duplicates ({audit['near_by']} < {audit['near_threshold']:g}) among "
            f"{audit['n_held_out']:,} held-out sites; "
            f"error % of the others {_number(without['mean'], '.2f')} ({without['n_sites']:,} sites)"
        )
    return rows


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
