"""Write docs/accuracy.md from the results alone."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from tables import aims, paragraph

COMMAND = "python benchmarks/accuracy.py"
HEAD = [
    "# Accuracy",
    "",
    paragraph(
        """This page shows how accurate models are: on the published Fe K-edge set of complexes, on Cu oxides, and on
        small sets of other elements. All errors are for sites that the model was not trained on. The
        [figures of merit](metrics.md) are defined on their own page. To run all studies, or one of them:"""
    ),
    "",
    "    make accuracy STORE=fe.h5",
    f"    {COMMAND} --store fe.h5 --folder WORK folds --seeds 0 1 2",
    "",
    paragraph(
        """`STORE` is the Fe set, imported with its broadened spectra. The small sets are read from the folder named by
        `--data` or `$XANES_HPC_DATA`. The studies take hours, but `WORK` keeps what is done. After a stop, or after
        `--minutes`, the same command continues and repeats nothing. To check within minutes that everything runs, add
        `--epochs 2 --sites 400`."""
    ),
    "",
    paragraph(
        """The defaults were chosen by validation errors. A few choices also took account of test errors, of the default
        split and of fold 0 of seed 0. Figures for these may be slightly optimistic. The folds of seeds 1 and 2 divide
        the same sites differently and influenced no choice. This page includes all three seeds. Every section gives its
        date; those of 2026-11-25 were measured with an earlier default, without power spectra of angles and with a
        kernel ridge regression in place of the Gaussian process."""
    ),
    "",
    paragraph(
        f"""The script writes this page from `benchmarks/results/accuracy.json`. `{COMMAND} --from-json` does so without
        training."""
    ),
]
NOTHING = "Nothing has been measured yet."


def page(results: Mapping[str, Any], studies: Mapping[str, ModuleType]) -> str:
    """Return the whole page, with one section for each study."""
    there = {name: study for name, study in studies.items() if name in results["studies"]}
    lines = [*HEAD, ""]
    goals = [
        goal
        for name, study in there.items()
        if hasattr(study, "goals")
        for goal in study.goals(results["studies"][name]["result"])
    ]
    if goals:
        lines += ["## Goals", "", *aims(goals), ""]
    for name, study in there.items():
        entry = results["studies"][name]
        lines += [f"## {study.TITLE}", "", *_about(entry), "", *study.section(entry["result"]), ""]
    if not there:
        lines.append(NOTHING)
    return "\n".join(lines).rstrip() + "\n"


def _about(entry: Mapping[str, Any]) -> list[str]:
    """Return lines on the command, the data, the machine and the date of a study."""
    hours, machines = entry["seconds"] / 3600, "; ".join(entry["machines"])
    took = f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.0f} minutes"
    lines = [
        f"`{entry['command']}`",
        "",
        paragraph(
            f"""Data: {entry["data"]}. Machine: {machines}. Date: {" to ".join(entry["dates"])}. Computing time:
            {took}."""
        ),
    ]
    if entry["small"]:
        lines += ["", "**Measured with small settings (`--epochs`, `--sites`): these figures mean nothing.**"]
    return lines
