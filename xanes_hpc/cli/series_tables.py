"""Show what ``series`` found: tables on the terminal, rows for CSV, and plain values for JSON."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from xanes_hpc.cli import console

if TYPE_CHECKING:
    from xanes_hpc.experiment.joint_fit import JointFit
    from xanes_hpc.experiment.principal_components import PrincipalComponents
    from xanes_hpc.experiment.series_analysis import SeriesComponents

MOST_ROWS, MOST_EIGENVALUES, MOST_SETS = 30, 8, 5
POOR = 10.0
"""Mean residual in % above which the sites do not explain a series."""
CLOSE = 6.0
"""Difference of chi-square below which two sets explain a series equally well (odds of 20)."""
WIDTH, NAME_WIDTH, VERDICT_WIDTH = 100, 24, 13
"""Columns of the terminal that tables fit, and those of a spectrum's name and of a verdict."""
STANDARDS = "standards"
"""What the components of a series may be, beside sites."""
VERDICTS = {
    "unexplained": "no mixture of sites explains",
    "poor": "mixtures of sites poorly explain",
}
BAD_SPOIL, BAD_TARGET = 3.0, 5.0
"""SPOIL and residual in % of the target test above which a site is no component of the series."""


def show(found: "JointFit", what: str, distrust: Sequence[str], max_shift: float) -> None:
    """Print the components of a series, its sites (or ``what`` they are), and their fractions."""
    series, best, components = found.series, found.ranked[0], found.components
    axis, values = series.axis, series.axis.values
    crossing = ", ".join(f"{energy:.1f}" for energy in found.isosbestic)
    console.table(
        f"series of {len(series.names):,} spectra, {axis.label} {values[0]:g} to {values[-1]:g}",
        {
            "measured": f"e0 {series.normal.e0:.2f} eV, {series.normal.in_words}",
            "grid": series.in_words,
            "compared": f"{found.energies[0]:g} to {found.energies[-1]:g} eV, {found.energies.size} energies, among "
            f"{found.n_compared:,} {what}",
            "components": f"{components.n}, {components.in_words}",
            "isosbestic points": f"{crossing} eV" if crossing else "none",
            "shift": f"{best.shift:+.2f} eV" + "*" * _is_at_limit(best.shift, max_shift),
        }
        | ({"for comparison": found.held_out.in_words} if found.held_out is not None else {})
        | (
            {"left out": f"{len(series.left_out):,} of {len(series.names) + len(series.left_out):,}"}
            if series.left_out
            else {}
        ),
    )
    _show_eigenvalues(found.components)
    console.listing(
        (what.removesuffix("s"), "start", "end", "target test %", "SPOIL", "flag"),
        [
            [site, f"{best.fractions[0, k]:.3f}", f"{best.fractions[-1, k]:.3f}", f"{best.target_percent[k]:.1f}",
             f"{best.spoil[k]:.1f}", "out of domain" if distrust[best.rows[k]] else ""]
            for k, site in enumerate(best.sites)
        ],
    )  # fmt: skip
    _show_fractions(found)
    if len(found.ranked) > 1:
        rows = []
        for one in found.ranked[1 : MOST_SETS + 1]:
            figures = f"{one.score - best.score:+.1f}", f"{one.error_percent.mean():.2f}", f"{one.shift:+.2f}"
            whole = " + ".join(one.sites)
            first, *others = [whole] if len(whole) <= WIDTH - 30 else [*one.sites]
            rows += [[first, *figures], *(["+ " + other, "", "", ""] for other in others)]
        console.listing((f"other {what}", "score", "error %", "shift"), rows)
        console.out.print("score: difference from the best set's; see --by")
    _show_notes(found, what, distrust, max_shift)


def show_components(found: "SeriesComponents") -> None:
    """Print the components of a series alone."""
    series, components = found.series, found.components
    axis, values = series.axis, series.axis.values
    console.table(
        f"series of {len(series.names):,} spectra, {axis.label} {values[0]:g} to {values[-1]:g}",
        {
            "measured": f"e0 {series.normal.e0:.2f} eV, {series.normal.in_words}",
            "grid": series.in_words,
            "analysed": f"{found.energies[0]:g} to {found.energies[-1]:g} eV, {found.energies.size} energies",
            "components": f"{components.n}, {components.in_words}",
        },
    )
    _show_eigenvalues(components)


def _show_eigenvalues(components: "PrincipalComponents") -> None:
    rows = []
    for k in range(min(components.eigenvalues.size, MOST_EIGENVALUES)):
        significance = components.significance[k]
        indicator = components.indicator[k]
        rows.append([
            str(k + 1), f"{components.eigenvalues[k]:.4g}", f"{100 * components.explained[k]:.4f}",
            f"{components.real_error[k]:.3g}", f"{indicator:.3g}" if indicator == indicator else "",
            f"{100 * significance:.2g}" if significance == significance else "",
        ])  # fmt: skip
    console.listing(("component", "eigenvalue", "explained %", "real error", "IND", "F-test %"), rows)


def _show_fractions(found: "JointFit") -> None:
    series, best = found.series, found.ranked[0]
    n = len(series.names)
    shown = sorted({round(k * (n - 1) / (min(n, MOST_ROWS) - 1)) for k in range(min(n, MOST_ROWS))})
    judged = found.judged if any(found.judged) else []
    room = WIDTH - 26 - (VERDICT_WIDTH if judged else 0)
    first = min(NAME_WIDTH, room - 15 * len(best.sites))
    width = max((room - first) // len(best.sites) - 2, 13)
    titles = [console.shortened(site, width) for site in best.sites]
    rows = []
    for k in shown:
        cells = [f"{best.fractions[k, j]:.3f} ± {_error(found, k, j):.3f}" for j in range(len(best.sites))]
        name = console.shortened(series.names[k], first)
        verdict = [judged[k]] if judged else []
        rows.append([name, f"{series.axis.values[k]:g}", *cells, f"{best.error_percent[k]:.1f}", *verdict])
    console.listing(("spectrum", series.axis.label, *titles, "error %", *(["verdict"] if judged else [])), rows)
    if len(shown) < n:
        console.out.print(f"{len(shown)} of {n:,} spectra; --output writes all")


def _show_notes(found: "JointFit", what: str, distrust: Sequence[str], max_shift: float) -> None:
    best, components, measured = found.ranked[0], found.components, what == STANDARDS
    if components.n == 1:
        console.err.print("Note: the series has one component: it does not change by more than its noise")
    if components.n > len(best.sites):
        console.err.print(f"Note: the series has {components.n} components; {len(best.sites)} {what} were fitted")
    close = [one for one in found.ranked[1:] if one.score - best.score < CLOSE]
    if close:
        sets = "another set explains" if len(close) == 1 else f"{len(close)} other sets explain"
        console.err.print(f"Note: {sets} the series equally well")
    for site, spoil, target in zip(best.sites, best.spoil, best.target_percent, strict=True):
        if measured and spoil > BAD_SPOIL and target > BAD_TARGET:  # predictions have errors of their own
            console.err.print(
                f"Note: {site} is not among the components: the target test leaves {target:.0f} %, SPOIL {spoil:.1f}"
            )
    for verdict, says in VERDICTS.items():
        if errors := [e for e, own in zip(best.error_percent.tolist(), found.judged, strict=True) if own == verdict]:
            range = f"{min(errors):.1f} to {max(errors):.1f} %" if len(errors) > 1 else f"{errors[0]:.1f} %"
            console.err.print(f"Note: {says} {len(errors)} of {len(found.judged)} spectra: error {range}; "
                              f"{found.held_out.in_words if found.held_out else ''}")  # fmt: skip
    if found.held_out is None and best.error_percent.mean() > POOR:
        residual = best.error_percent.mean()
        console.err.print(f"Note: no {what} explain this series; the mean residual is {residual:.0f} %")
    if _is_at_limit(best.shift, max_shift):
        console.err.print("Note: the shift is as large as --max-shift allows; the true one may be larger")
    for site, row in zip(best.sites, best.rows, strict=True):
        if distrust[row]:
            console.err.print(f"Note: {site} is out of domain: {distrust[row]}")


def _is_at_limit(shift: float, max_shift: float) -> bool:
    return max_shift > 0 and abs(shift) > max_shift - 0.1


def _error(found: "JointFit", k: int, j: int) -> float:
    """Return the larger of the two errors of a fraction."""
    best = found.ranked[0]
    return float(max(best.standard_errors[k, j], best.bootstrap_errors[k, j]))


def csv_rows(found: "JointFit") -> tuple[list[str], list[list[str]]]:
    """Return the titles and rows of a table with one row per spectrum."""
    series, best = found.series, found.ranked[0]
    titles = ["spectrum", series.axis.label]
    for site in best.sites:
        titles += [site, f"{site} standard error", f"{site} bootstrap error"]
    rows = []
    for k, name in enumerate(series.names):
        row = [name, f"{series.axis.values[k]:g}"]
        for j in range(len(best.sites)):
            errors = best.standard_errors[k, j], best.bootstrap_errors[k, j]
            row += [f"{value:.5f}" for value in (best.fractions[k, j], *errors)]
        rows.append([*row, f"{best.error_percent[k]:.3f}", f"{best.factors[k]:.5g}", found.judged[k]])
    return [*titles, "error %", "factor", "verdict"], rows


def as_dict(found: "JointFit", distrust: Sequence[str]) -> dict[str, Any]:
    """Return plain values, for JSON."""
    series, components = found.series, found.components
    return {
        "spectra": series.names,
        "axis": {"title": series.axis.title, "unit": series.axis.unit, "values": series.axis.values.tolist()},
        "left_out": [{"spectrum": one.name, "reason": one.reason} for one in series.left_out],
        "grid": series.in_words,
        "start_ev": float(found.energies[0]),
        "stop_ev": float(found.energies[-1]),
        "compared": found.n_compared,
        "components": _plain(components),
        "noise": found.noise,
        "isosbestic_ev": found.isosbestic,
        "held_out_errors_percent": None if found.held_out is None else found.held_out.errors.tolist(),
        "verdicts": found.judged,
        "sets": [
            {
                "sites": [
                    {"site": site, "flag": distrust[row], "target_percent": float(target), "spoil": float(spoil)}
                    for site, row, target, spoil in zip(one.sites, one.rows, one.target_percent, one.spoil, strict=True)
                ],
                "shift_ev": one.shift,
                "score": one.score,
                "fractions": one.fractions.tolist(),
                "standard_errors": one.standard_errors.tolist(),
                "bootstrap_errors": one.bootstrap_errors.tolist(),
                "error_percent": one.error_percent.tolist(),
                "factors": one.factors.tolist(),
            }
            for one in found.ranked
        ],
        **series.normal.as_dict(),
    }


def components_as_dict(found: "SeriesComponents") -> dict[str, Any]:
    """Return plain values of a series' components alone, for JSON."""
    series = found.series
    return {
        "spectra": series.names,
        "axis": {"title": series.axis.title, "unit": series.axis.unit, "values": series.axis.values.tolist()},
        "left_out": [{"spectrum": one.name, "reason": one.reason} for one in series.left_out],
        "grid": series.in_words,
        "start_ev": float(found.energies[0]),
        "stop_ev": float(found.energies[-1]),
        "components": _plain(found.components),
        **series.normal.as_dict(),
    }


def _plain(components: "PrincipalComponents") -> dict[str, Any]:
    return {
        "number": components.n,
        "chosen": components.in_words,
        "eigenvalues": components.eigenvalues.tolist(),
        "explained": components.explained.tolist(),
        "real_error": components.real_error.tolist(),
        "indicator": [_finite(value) for value in components.indicator],
        "significance": [_finite(value) for value in components.significance],
    }


def _finite(value: float) -> float | None:
    return float(value) if value == value and abs(value) != float("inf") else None
