"""The figure of a campaign: errors and flagged sites along its rounds."""

from pathlib import Path

from xanes_hpc.campaigns.course import Course
from xanes_hpc.plotting.figures import PREDICTION, REFERENCE, SECOND, THIRD, figure_at
from xanes_hpc.plotting.words import title


def course(found: Course, name: str, path: Path) -> None:
    """Draw the held-out errors, and the flagged share and uncertainty of the pool, against the number of known sites.

    Parameters
    ----------
    found
        The course of the campaign, with one round or more.
    name
        Name of the campaign, for the title.
    path
        Figure to write; its extension selects PNG, SVG or PDF.
    """
    known = [r.n_known for r in found.rounds]
    with figure_at(path, (7.2, 3.2)) as figure:
        errors, pool = figure.subplots(1, 2)
        for values, colour, label in (
            ([r.hardest for r in found.rounds], SECOND, "hardest tenth"),
            ([r.error for r in found.rounds], PREDICTION, "mean"),
            ([r.median for r in found.rounds], REFERENCE, "median"),
        ):
            errors.plot(known, values, color=colour, marker="o", ms=3, lw=1.2, label=label)
        errors.set(xlabel="calculated sites for training", ylabel="error of the held-out sites (%)", ylim=(0, None))
        errors.legend(frameon=False, fontsize=7)
        pool.plot(
            known, [r.flagged for r in found.rounds], color=THIRD, marker="o", ms=3, lw=1.2, label="out of domain"
        )
        pool.plot(known, [r.sigma for r in found.rounds], color=PREDICTION, marker="s", ms=3, lw=1.0, label="mean 1σ")
        pool.set(
            xlabel="calculated sites for training", ylabel="sites of the pool (%); σ of the mean (%)", ylim=(0, None)
        )
        pool.legend(frameon=False, fontsize=7)
        title(figure, f"Campaign {name}: {len(found.rounds)} rounds, {found.hours:.1f} hours of calculation")
