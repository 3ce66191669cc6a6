"""``xanes-hpc grow``."""

import shlex
from pathlib import Path

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.command import JsonCommand
from xanes_hpc.cli.options import PATH, json_option


@click.command("grow", cls=JsonCommand)
@click.argument("campaign", type=PATH, metavar="CAMPAIGN.toml")
@json_option
def command(campaign: Path, json_target: str | None) -> None:
    """Grow a set of calculated spectra until a model is good enough.

    CAMPAIGN.toml names a pool of structures, the program that calculates, a budget, and when to stop. Each round
    selects sites of the pool, calculates their spectra, trains a model, and measures it on held-out sites. A folder
    CAMPAIGN.campaign beside the file holds everything, with a page of its course. To continue a stopped campaign,
    repeat the command.
    """
    from dataclasses import asdict

    from xanes_hpc.campaigns.course import Course
    from xanes_hpc.campaigns.grow import grow, model_of
    from xanes_hpc.campaigns.settings import load_campaign
    from xanes_hpc.pages.course import PAGE, write_course

    settings = load_campaign(campaign)

    def recorded(course: Course) -> None:
        write_course(course, campaign.stem, settings.folder)

    with console.progress("calculating", "sites") as progress:
        course = grow(settings, console.err.print, progress, recorded)
    if json_target != "-":
        rows = {"rounds": f"{len(course.rounds):,}", "ended": course.ended, "calculation": f"{course.hours:.2f} hours"}
        if course.rounds:
            last = course.rounds[-1]
            rows |= {
                "known sites": f"{last.n_known:,}",
                "error": f"{last.error:.2f} % of {len(course.held_out)} held-out sites",
            }
            rows |= {"model": str(model_of(settings, course)), "page": str(settings.folder / PAGE)}
        console.table(str(settings.folder), rows)
    failed = [line for r in course.rounds for line in r.failed]
    console.reasons(failed, len(failed))
    console.write_json(json_target, {"folder": str(settings.folder), "hours": course.hours, **asdict(course)})
    if course.rounds:
        words = ["xanes-hpc", "predict", "STRUCTURES", "--model", str(model_of(settings, course))]
        console.next_step(shlex.join(words))
