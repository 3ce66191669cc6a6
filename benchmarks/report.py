"""The page that tells what was measured, from the results alone."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from tables import aims, paragraph, percent

COMMAND = "python benchmarks/run.py"
HEAD = f"""# Performance

Written by `{COMMAND}` from `benchmarks/results/performance.json`; `{COMMAND} --from-json` writes it again.
`make bench` measures everything anew."""


def page(results: Mapping[str, Any], cases: Mapping[str, ModuleType]) -> str:
    """The whole page, a section a case."""
    there = {name: case for name, case in cases.items() if name in results["cases"]}
    lines = [HEAD, "", *_machine(results), ""]
    goals = [
        goal for name, case in there.items() if hasattr(case, "goals") for goal in case.goals(_result(results, name))
    ]
    if goals:
        lines += ["## What is aimed at", "", *aims(goals), ""]
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
            f"""{machine["processor"]}, {cores}, {machine["system"]}; Python {machine["python"]},
            {versions}. Figures are medians of {machine["repeats"]} rounds (fewer where one takes long) in which
            all that is compared takes turns, so that noise hits all of it; ratios are of one run. All of it took
            {minutes:.0f} minutes, during which other processes took {percent(cases[busiest]["others"])} of the
            cores' time at most (in `{busiest}`)."""
        )
    ]
    if any(case["quick"] for case in cases.values()):
        lines += ["", "**Small sizes (`--quick`): these figures mean nothing.**"]
    return lines
