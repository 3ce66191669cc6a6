"""Write docs/performance.md from the results alone."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from tables import aims, paragraph, percent

COMMAND = "python benchmarks/run.py"
HEAD = [
    "# Performance",
    "",
    paragraph(
        f"""This page shows how fast xanes-hpc is, how much memory it takes, and how it compares with other packages.
        `make bench` measures everything again. The script behind it, `{COMMAND}`, keeps the results in
        `benchmarks/results/performance.json`; with `--from-json` it rewrites this page from them. `STORE` stands for a
        structure store of your choice; the text calls it the given store."""
    ),
]


def page(results: Mapping[str, Any], cases: Mapping[str, ModuleType]) -> str:
    """Return the whole page, with one section for each case."""
    there = {name: case for name, case in cases.items() if name in results["cases"]}
    lines = [*HEAD, "", *_machine(results), ""]
    goals = [
        goal for name, case in there.items() if hasattr(case, "goals") for goal in case.goals(_result(results, name))
    ]
    if goals:
        lines += ["## Goals", "", *aims(goals), ""]
    for name, case in there.items():
        lines += [f"## {case.TITLE}", "", f"`{_command(results, name)}`", ""]
        lines += [*case.section(_result(results, name)), ""]
    return "\n".join(lines).rstrip() + "\n"


def _result(results: Mapping[str, Any], name: str) -> dict[str, Any]:
    result: dict[str, Any] = results["cases"][name]["result"]
    return result


def _command(results: Mapping[str, Any], name: str) -> str:
    case = results["cases"][name]
    words = [COMMAND, "--only", name]
    words += ["--quick"] * case["quick"] + ["--store STORE"] * case["store"]
    return " ".join(words)


def _machine(results: Mapping[str, Any]) -> list[str]:
    machine, cases = results["machine"], results["cases"]
    versions = ", ".join(f"{p} {v}" if v else f"{p} not installed" for p, v in machine["packages"].items())
    minutes = sum(case["seconds"] for case in cases.values()) / 60
    if "peak" in cases:
        cores = f"{machine['cores']} cores at {cases['peak']['result']['clock'] / 1e9:.2f} GHz"
    else:
        cores = f"{machine['cores']} cores"
    busiest = max(cases, key=lambda name: cases[name]["others"])
    lines = [
        paragraph(
            f"""{machine["processor"]}, {cores}, {machine["system"]}; Python {machine["python"]}, {versions}. Figures
            are medians of {machine["repeats"]} rounds, fewer for slow cases. All compared calls take turns in every
            round, so noise affects them alike, and both sides of a ratio come from the same run. Measuring took
            {minutes:.0f} minutes. Meanwhile other processes used at most {percent(cases[busiest]["others"])} of the
            cores' time (in `{busiest}`)."""
        )
    ]
    if any(case["quick"] for case in cases.values()):
        lines += ["", "**Measured with small sizes (`--quick`): these figures mean nothing.**"]
    return lines
