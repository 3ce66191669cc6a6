"""Measure how accurate models are, study by study, and write docs/accuracy.md.

    python benchmarks/accuracy.py --store fe.h5 --folder WORK folds --seeds 0 1 2
    python benchmarks/accuracy.py --store fe.h5 --folder WORK all         # all studies with their defaults
    python benchmarks/accuracy.py --from-json                             # rewrite the page from the results

WORK keeps every finished training with its predictions. To continue a stopped study, repeat the same command. Studies
reuse each other's trainings. A study's results are written when all of it is done. Use a new WORK whenever the program
has changed.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accuracy_page import page
from studies import (
    ablations,
    campaign,
    crystals,
    descriptors,
    edges,
    experiment,
    first_row,
    flag,
    folds,
    graphs,
    learning_curve,
    many_sites,
    methods,
    transfer,
)
from studies.inputs import Inputs
from studies.sitting import Pause, Sitting
from tables import rounded

ROOT = Path(__file__).parents[1]
JSON, PAGE = ROOT / "benchmarks" / "results" / "accuracy.json", ROOT / "docs" / "accuracy.md"
COMMAND = "python benchmarks/accuracy.py --store STORE --folder WORK"
STUDIES = {
    "folds": folds,
    "graphs": graphs,
    "methods": methods,
    "descriptors": descriptors,
    "ablations": ablations,
    "learning_curve": learning_curve,
    "many_sites": many_sites,
    "edges": edges,
    "transfer": transfer,
    "experiment": experiment,
    "crystals": crystals,
    "first_row": first_row,
    "flag": flag,
    "campaign": campaign,
}


def arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = Path(os.environ.get("XANES_HPC_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--store", type=Path, help="read the Fe set from this structure store with spectra")
    parser.add_argument("--folder", type=Path, metavar="WORK", help="keep all files that the studies make here")
    parser.add_argument("--data", type=Path, default=data, help=f"read the published sets from here [{data}]")
    parser.add_argument(
        "--minutes", type=float, help="start no training after this many minutes; repeat the command to continue"
    )
    parser.add_argument("--epochs", type=int, help="train for at most this many epochs, to check that everything runs")
    parser.add_argument("--sites", type=int, help="use only the first sites, this many, to check that everything runs")
    parser.add_argument("--json", type=Path, help="write the results here; keep its studies that are not done now")
    parser.add_argument("--page", type=Path, help="write the page here")
    parser.add_argument("--from-json", action="store_true", help="measure nothing; rewrite the page from the results")
    commands = parser.add_subparsers(dest="study", metavar="STUDY")
    for name, study in STUDIES.items():
        study.options(commands.add_parser(name, help=study.TITLE, description=study.__doc__))
    commands.add_parser("all", help="run all studies with their defaults")
    given = parser.parse_args(words)
    if not given.from_json and (given.study is None or given.store is None or given.folder is None):
        parser.error("expected --store, --folder and a study, or --from-json")
    return given


def measure(given: argparse.Namespace, name: str, words: Sequence[str]) -> dict[str, Any]:
    """Run one study; return its results with the data, machines and dates."""
    given.folder.mkdir(parents=True, exist_ok=True)
    sitting = Sitting(given.folder, given.minutes, given.epochs)
    inputs = Inputs(given.store, given.data, given.folder / "stores", given.sites)
    data, result = STUDIES[name].measure(sitting, inputs, given)
    return {
        "command": " ".join([COMMAND, *words]),
        "data": data,
        "machines": sorted(sitting.machines),
        "dates": sorted({min(sitting.dates), max(sitting.dates)}),
        "seconds": sitting.seconds,
        "small": given.epochs is not None or given.sites is not None,
        "result": result,
    }


def _at_study(words: Sequence[str], study: str | None) -> tuple[list[str], list[str]]:
    """Split the words of the command at the name of the study."""
    places = [i for i, word in enumerate(words) if word == study]
    return (list(words[: places[-1]]), list(words[places[-1] + 1 :])) if places else (list(words), [])


def main() -> None:
    given = arguments(sys.argv[1:])
    small = given.epochs is not None or given.sites is not None
    path, target = given.json or (None if small else JSON), given.page or (None if small else PAGE)
    results: dict[str, Any] = {"studies": {}}
    if path is not None and path.exists():
        results = json.loads(path.read_text(encoding="utf-8"))
    before, words = _at_study(sys.argv[1:], given.study)
    for name in [] if given.from_json else STUDIES if given.study == "all" else [given.study]:
        own = arguments([*before, name, *words])
        try:
            done = rounded(measure(own, name, [name, *words]))
        except (Pause, KeyboardInterrupt):
            sys.exit(f"{name}: not finished; repeat the same command to continue")
        merged = results["studies"] | {name: done}
        results = {"studies": {n: merged[n] for n in STUDIES if n in merged}}
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    text = page(results, STUDIES)
    if target is None:
        print(text)
    else:
        target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
