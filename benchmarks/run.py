"""Measure the speed and memory of xanes-hpc beside other packages, and write docs/performance.md.

    python benchmarks/run.py                              # all cases; writes the results and docs/performance.md
    python benchmarks/run.py --store tmqm.h5              # also measure on the sites of a structure store
    python benchmarks/run.py --only neighbours wacsf      # some cases; prints their sections
    python benchmarks/run.py --from-json                  # measure nothing; rewrite the page from the results

All cases take about half an hour on two cores. Nothing else should run meanwhile.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import broadening
import compression
import first_call
import growth
import importing
import kernel_rates
import machines
import matching
import neighbours
import peak
import prediction
import serving
import stores
import training
import wacsf
import workers
from options import Options
from report import page
from tables import rounded
from timing import OtherProcesses, machine

ROOT = Path(__file__).parents[1]
JSON, PAGE = ROOT / "benchmarks" / "results" / "performance.json", ROOT / "docs" / "performance.md"
CASES = {
    "wacsf": wacsf,
    "neighbours": neighbours,
    "growth": growth,
    "importing": importing,
    "stores": stores,
    "workers": workers,
    "first_call": first_call,
    "prediction": prediction,
    "serving": serving,
    "peak": peak,
    "kernel_rates": kernel_rates,
    "compression": compression,
    "broadening": broadening,
    "training": training,
    "machines": machines,
    "matching": matching,
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=CASES, metavar="CASE", help=f"measure only these: {', '.join(CASES)}"
    )
    parser.add_argument("--store", type=Path, help="also measure on this structure store")
    parser.add_argument("--quick", action="store_true", help="use small sizes, to check that everything runs")
    parser.add_argument("--repeats", type=int, default=7, help="take the median of this many rounds [7]")
    parser.add_argument(
        "--flop-per-cycle", type=int, default=16, help="set a core's peak in float64 operations per cycle [16]"
    )
    parser.add_argument("--json", type=Path, help="write the results here; keep its cases that are not measured now")
    parser.add_argument("--page", type=Path, help="write the page here")
    parser.add_argument("--folder", type=Path, help="put temporary files here, up to 12 GB")
    parser.add_argument("--from-json", action="store_true", help="measure nothing; rewrite the page from the results")
    return parser.parse_args()


def measure(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure the chosen cases; return their results with a description of the machine."""
    repeats = 1 if given.quick else given.repeats
    options = Options(folder, given.store, given.quick, repeats, given.flop_per_cycle)
    cases = {}
    for name in given.only or CASES:
        print(f"{name} …", file=sys.stderr, flush=True)
        begin, others = time.perf_counter(), OtherProcesses()
        result = CASES[name].measure(options)
        cases[name] = {
            "seconds": time.perf_counter() - begin,
            "others": others.share(),
            "quick": given.quick,
            "store": given.store is not None,
            "result": result,
        }
    return {"machine": machine() | {"repeats": repeats}, "cases": cases}


def with_kept_cases(results: dict[str, Any], path: Path) -> dict[str, Any]:
    """Add the cases of an earlier run that were not measured now. Exit if its machine was another."""
    earlier = json.loads(path.read_text(encoding="utf-8"))
    if earlier["machine"] != results["machine"]:
        sys.exit(f"{path}: measured on another machine, or with other versions or repeats; measure all cases again")
    merged = earlier["cases"] | results["cases"]
    return results | {"cases": {name: merged[name] for name in CASES if name in merged}}


def main() -> None:
    given = arguments()
    whole = not (given.only or given.quick)
    path = given.json or (JSON if whole or given.from_json else None)
    target = given.page or (PAGE if whole or given.from_json else None)
    if given.from_json:
        results = json.loads(path.read_text(encoding="utf-8"))
    else:
        with tempfile.TemporaryDirectory(dir=given.folder) as name:
            results = rounded(measure(given, Path(name)))
        if given.only and path is not None and path.exists():
            results = with_kept_cases(results, path)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    text = page(results, CASES)
    if target is None:
        print(text)
    else:
        target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
