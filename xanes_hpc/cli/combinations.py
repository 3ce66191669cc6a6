"""Fit measured standards to measured spectra for ``match --standards``, and show what is found."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xanes_hpc.cli import console, matches

if TYPE_CHECKING:
    from xanes_hpc.experiment.combinations import Combination, CombinationOptions, Combinations
    from xanes_hpc.experiment.measured_set import MeasuredSet
    from xanes_hpc.experiment.normalised import NormalisedSpectrum

COLUMNS = ("rank", "standard", "fraction", "error", "shift", "R factor", "error %")
POOR = 5.0
"""Error in % above which even the best combination does not fit."""
CLOSE = 3.0
"""Difference of the information criterion below which combinations fit equally well."""
MOST_SHOWN = 5
NAME_WIDTH = 36


@dataclass(frozen=True)
class FittedSpectrum:
    """A measured spectrum with the combinations of standards that were fitted to it."""

    name: str
    normal: "NormalisedSpectrum"
    found: "Combinations"


def run(
    given: "MeasuredSet", standards: Sequence[Path], kind: tuple[int | None, str | None],
    options: "CombinationOptions", outputs: matches.Outputs,
) -> None:  # fmt: skip
    """Fit combinations of the standards to each measured spectrum, and print and write what is found."""
    from xanes_hpc.errors import SpectrumError
    from xanes_hpc.experiment.combinations import fit_combinations
    from xanes_hpc.experiment.measured_files import LeftOut, measured_files, read_usable
    from xanes_hpc.experiment.standard_files import StandardFiles

    known = StandardFiles.read(standards, given.energy)
    usable, left_out = read_usable(measured_files(given.paths), given.reader(*kind))
    every: list[FittedSpectrum] = []
    refused: dict[str, LeftOut] = {}
    failure: SpectrumError | None = None
    with console.progress("fitting", "spectra") as progress:
        for k, (file, normal) in enumerate(usable):
            progress(k, len(usable))
            try:
                own, others = known.normalised_for(normal, given.normalisation, *kind)
                every.append(FittedSpectrum(file.name, normal, fit_combinations(normal, own, options)))
                refused |= {one.name: one for one in others}
            except SpectrumError as error:
                failure = error
                left_out.append(LeftOut(file.name, f"{file.name}: {str(error).removeprefix(f'{file.name}: ')}"))
    console.notes_of_all(normal.raw.choices for _, normal in usable)
    if failure is not None and not every:
        raise failure
    if outputs.plot is not None:
        from xanes_hpc.plotting.experiment import fitted_combinations

        fitted_combinations([(one.name, one.normal.e0, one.found) for one in every], outputs.plot)
    if outputs.table is not None:
        rows = [[one.name, *row] for one in every for row in _rows(one.found.ranked, options.max_shift > 0)]
        matches.write_csv(outputs.table, ("spectrum", *COLUMNS), rows, outputs.overwrite)
    if outputs.json != "-":
        _show(every, options)
        matches.show_left_out([*left_out, *refused.values()])
    console.write_json(outputs.json, {
        "spectra": [_as_dict(one) for one in every],
        "not_fitted": [{"spectrum": one.name, "reason": one.reason} for one in left_out],
        "standards_left_out": [{"standard": one.name, "reason": one.reason} for one in refused.values()],
    })  # fmt: skip


def _show(every: Sequence[FittedSpectrum], options: "CombinationOptions") -> None:
    moved = options.max_shift > 0
    if len(every) == 1:
        one = every[0]
        energies = one.found.energies
        console.table(
            f"{one.name} as combinations of standards",
            {
                "measured": f"e0 {one.normal.e0:.2f} eV, {one.normal.in_words}",
                "compared": f"{energies[0]:.6g} to {energies[-1]:.6g} eV, {energies.size} energies",
                "tried": f"{one.found.n_tried:,} combinations of up to {options.most} standards with positive fractions"
                + (", which add up to 1" if options.sum_to_one else ""),
            },
        )
        console.listing(COLUMNS, _short(_rows(one.found.ranked[:MOST_SHOWN], moved)))
        if len(one.found.ranked) > MOST_SHOWN:
            console.out.print(f"{MOST_SHOWN} of {len(one.found.ranked)} combinations; --output writes all")
    else:
        rows = []
        for one in every:
            own = _short(_rows(one.found.ranked[:1], moved))
            rows += [[one.name if k == 0 else "", *row[1:]] for k, row in enumerate(own)]
        width = 100 - sum(len(title) + 2 for title in COLUMNS[2:]) - NAME_WIDTH
        console.listing(
            ("spectrum", *COLUMNS[1:]), [[console.shortened(row[0], max(width, 16)), *row[1:]] for row in rows]
        )
    for one in every:
        _note(one, options)


def _note(one: FittedSpectrum, options: "CombinationOptions") -> None:
    ranked = one.found.ranked
    best = ranked[0]
    if best.error_percent > POOR:
        console.err.print(
            f"Note: {one.name}: no combination of these standards fits; the best error is {best.error_percent:.0f} %"
        )
    close = sum(own.score - best.score < CLOSE for own in ranked[1:])
    if close:
        console.err.print(f"Note: {one.name}: combinations 1 to {close + 1} fit equally well")
    for name in best.names:
        if name in one.found.own_windows:
            console.err.print(
                f"Note: {one.name}: {name} does not cover the sample's windows and was normalised with its own, which "
                "may change its fraction; --pre and --post give windows that both cover"
            )
    if not options.sum_to_one and abs(best.total - 1.0) > 0.05:
        console.err.print(f"Note: {one.name}: the fractions add up to {best.total:.2f}; check the normalisation")
    if options.max_shift and max(map(abs, best.shifts)) > options.max_shift - 0.02:
        console.err.print(f"Note: {one.name}: the shift is as large as --max-shift allows; the true one may be larger")


def _rows(ranked: Sequence["Combination"], moved: bool) -> list[list[str]]:
    """Return a row of ``COLUMNS`` for each standard of each combination."""
    return [
        [str(rank), name, f"{weight:.4f}", f"{error:.4f}", f"{shift:+.2f}" if moved else "", f"{own.r_factor:.3g}",
         f"{own.error_percent:.2f}"]
        for rank, own in enumerate(ranked, 1)
        for name, weight, error, shift in zip(own.names, own.weights, own.errors, own.shifts, strict=True)
    ]  # fmt: skip


def _short(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return rows of the table with the figures of a combination in its first row only, and names that fit."""
    shown, before = [], ""
    for rank, name, *figures, r_factor, error in rows:
        again = rank == before
        before = rank
        cells = ["" if again else rank, console.shortened(name, NAME_WIDTH), *figures]
        shown.append([*cells, *(("", "") if again else (r_factor, error))])
    return shown


def _as_dict(one: FittedSpectrum) -> dict[str, Any]:
    found = one.found
    return {
        "spectrum": one.name,
        "start_ev": float(found.energies[0]),
        "stop_ev": float(found.energies[-1]),
        "tried": found.n_tried,
        "own_windows": found.own_windows,
        "combinations": [
            {
                "standards": list(own.names), "fractions": list(own.weights), "standard_errors": list(own.errors),
                "shifts_ev": list(own.shifts), "r_factor": own.r_factor, "error_percent": own.error_percent,
                "score": own.score,
            }
            for own in found.ranked
        ],
        **one.normal.as_dict(),
        "choices": dict(one.normal.raw.choices),
    }  # fmt: skip
