"""The page of a campaign's course: figure and table in one self-contained HTML file."""

import base64
from importlib.resources import files
from pathlib import Path

from xanes_hpc.campaigns.course import Course
from xanes_hpc.plotting import course as figures
from xanes_hpc.runtime.outputs import whole_output

PAGE, PICTURE = "course.html", "course.png"


def write_course(found: Course, name: str, folder: Path) -> None:
    """Write the figure and the page of a campaign's course into its folder, if it has a round to show."""
    if not found.rounds:
        return
    from jinja2 import Environment

    with whole_output(folder / PICTURE, True, temporary=folder / f".new.{PICTURE}") as picture:
        figures.course(found, name, picture)
    data = base64.b64encode((folder / PICTURE).read_bytes()).decode()
    template = files("xanes_hpc.pages").joinpath("templates", PAGE).read_text(encoding="utf-8")
    text = Environment(autoescape=True).from_string(template).render(
        name=name, rounds=found.rounds, held_out=len(found.held_out), picture=f"data:image/png;base64,{data}",
        failed=[line for r in found.rounds for line in r.failed],
        state=f"Ended: {found.ended}." if found.ended else "Under way.",
    )  # fmt: skip
    with whole_output(folder / PAGE, True) as page:
        page.write_text(text, encoding="utf-8")
