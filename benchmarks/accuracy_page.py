"""The page that tells how accurate models are, from the results alone."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from tables import aims, paragraph

COMMAND = "python benchmarks/accuracy.py"
HEAD = [
    "# Accuracy",
    "",
    paragraph(
        f"""Written by `{COMMAND}` from `benchmarks/results/accuracy.json`; `{COMMAND} --from-json` writes it again.
        [What each figure is](metrics.md); all are of sites that no weight of the model has seen. `STORE` is the
        published Fe K-edge set, imported with its broadened spectra; the small Co, S and V sets are taken from
        `$XANES_HPC_DATA`, or `../shared/data`. All studies one after another, or one of them:"""
    ),
    "",
    "    make accuracy STORE=fe.h5",
    f"    {COMMAND} --store fe.h5 --folder WORK folds --seeds 0 1 2",
    "",
    paragraph(
        """That takes hours. What is done is kept in `WORK`: the same command goes on after it was stopped (or after
        `--minutes`), and does nothing twice. `--epochs 2 --sites 400` shows within minutes whether everything runs."""
    ),
    "",
    paragraph(
        """The defaults were found by errors of validation parts, and now and then by those of the test part of the
        default split and of fold 0 of seed 0, whose figures may flatter for that. The folds of seeds 1 and 2 deal out
        the same sites anew and decided nothing; the page tells all three."""
    ),
]
NOTHING = "Nothing has been measured yet."


def page(results: Mapping[str, Any], studies: Mapping[str, ModuleType]) -> str:
    """The whole page, a section a study."""
    there = {name: study for name, study in studies.items() if name in results["studies"]}
    lines = [*HEAD, ""]
    goals = [
        goal
        for name, study in there.items()
        if hasattr(study, "goals")
        for goal in study.goals(results["studies"][name]["result"])
    ]
    if goals:
        lines += ["## What is aimed at", "", *aims(goals), ""]
    for name, study in there.items():
        entry = results["studies"][name]
        lines += [f"## {study.TITLE}", "", *_about(entry), "", *study.section(entry["result"]), ""]
    if not there:
        lines.append(NOTHING)
    return "\n".join(lines).rstrip() + "\n"


def _about(entry: Mapping[str, Any]) -> list[str]:
    """Command, data, machine and date."""
    hours, machines = entry["seconds"] / 3600, "; ".join(entry["machines"])
    took = f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.0f} minutes"
    lines = [
        f"`{entry['command']}`",
        "",
        paragraph(f"""{entry["data"]}. {machines}; {" to ".join(entry["dates"])}, {took} of work."""),
    ]
    if entry["small"]:
        lines += ["", "**Small settings (`--epochs`, `--sites`): these figures mean nothing.**"]
    return lines
