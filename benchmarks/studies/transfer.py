"""Training that starts from a model of many Fe sites, compared with training from scratch, for small Co and S sets."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tables import paragraph, table

from studies.figures import column, spread, with_spread
from studies.inputs import Inputs, describe
from studies.sitting import Run, Sitting
from xanes_hpc.stores.features import FeatureStore

TITLE = "Transfer"
VALIDATION = 0.2
"""Fraction of the training sites for the validation set."""
SCRATCH = "from scratch"
STARTS: dict[str, dict[str, Any]] = {
    SCRATCH: {}, "from Fe": {}, "from Fe, networks alone": {"training.gaussian_process": False},
}  # fmt: skip
SIZES = {"Co": (10, 20, 52), "S": (20, 75)}
"""Numbers of training sites, of 62 Co and 95 S sites. (Of 100 S sites, two have no spectrum and three are damaged.)"""


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--draws", type=int, default=5, help="repeat every size with this many random choices of sites [5]"
    )
    parser.add_argument("--first-draw", type=int, default=0, help="set the seed of the first choice [0]")


def measure(sitting: Sitting, inputs: Inputs, given: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    iron = inputs.features(inputs.without_twins(inputs.cobalt))
    sets = {"Co": inputs.features(inputs.cobalt), "S": inputs.features(inputs.sulphur)}
    model = sitting.run(Run((iron,), keeps_model=True), "Fe without Co's twins").model
    rows = []
    for name, path in sets.items():
        for size in SIZES[name]:
            for start in STARTS:
                for draw in range(given.first_draw, given.first_draw + given.draws):
                    run = Run((path,), flags_of(start, model, size, path) | {"training.seed": draw})
                    outcome = sitting.run(run, f"{name}, {size} sites, {start}, draw {draw}")
                    rows.append({"set": name, "size": size, "start": start, "draw": draw, "figures": _few(outcome)})
    return describe([iron, *sets.values()]), {"rows": rows}


def flags_of(start: str, model: Path, size: int, path: Path) -> dict[str, Any]:
    """Return the configuration for ``size`` training sites; all others are test sites."""
    with FeatureStore(path) as store:
        n_sites = store.n_sites
    sets = {"test": n_sites - size - 0.5, "validation": VALIDATION * size, "calibration": 0.0}
    from_model = {} if start == SCRATCH else {"transfer.model": str(model)}
    return {f"split.{name}": n / n_sites for name, n in sets.items()} | STARTS[start] | from_model


def _few(outcome: Any) -> dict[str, float | None]:
    return {name: outcome.figures[name] for name in ("error_percent_mean", "error_percent_median", "peaks_f1")}


def section(result: Mapping[str, Any]) -> list[str]:
    lines = [
        paragraph(
            """Small sets trained with `--init-from` a default model of the Fe set, compared with training from
            scratch. The Fe model has not seen the complexes that the Co complexes were made from, nor others with their
            formulas. Each repeat chooses training sites at random and tests on all others; every column uses the same
            choices. A fifth of the training sites are the validation set, and none are set aside for calibration; all
            else is the default, but for "networks alone" (`training.gaussian_process = false`). Errors in % are means ±
            standard deviations over the repeats. The S set has 95 usable sites: of 100, two have no spectrum and three
            files are damaged. Its spectra were calculated with another program and method than those of Fe and Co."""
        )
    ]
    for name in dict.fromkeys(row["set"] for row in result["rows"]):
        own = [row for row in result["rows"] if row["set"] == name]
        rows = []
        for size in dict.fromkeys(row["size"] for row in own):
            cells = [[row for row in own if (row["size"], row["start"]) == (size, start)] for start in STARTS]
            n_draws = len(cells[0])
            rows.append([f"{size}", f"{n_draws}", *(with_spread(column(cell, "error_percent_mean")) for cell in cells)])
        lines += ["", f"**{name}**:", "", *table(["training sites", "repeats", *STARTS], rows), "", _told(own)]
    return lines


def _told(rows: Sequence[Mapping[str, Any]]) -> str:
    """Compare the best start from Fe with training from scratch, repeat by repeat."""
    said = []
    for size in dict.fromkeys(row["size"] for row in rows):
        of_start = {
            start: column([row for row in rows if (row["size"], row["start"]) == (size, start)], "error_percent_mean")
            for start in STARTS
        }
        nothing = of_start[SCRATCH]
        changes = [
            [(a or 0.0) - (b or 0.0) for a, b in zip(own, nothing, strict=True)]
            for own in of_start.values()
            if own is not nothing
        ]
        best = min(changes, key=lambda change: spread(change)[0])
        said.append(f"{size} sites {with_spread(best)}, better in {sum(c < 0 for c in best)} of {len(best)}")
    return paragraph(
        f"""Difference between the best start from Fe and training from scratch, in percentage points, repeat by
        repeat: {"; ".join(said)}."""
    )
