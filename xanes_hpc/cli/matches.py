"""Show what ``match`` found: tables on the terminal, rows for CSV, and plain values for JSON."""

import csv
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from xanes_hpc.cli import console

if TYPE_CHECKING:
    from xanes_hpc.experiment.match_set import MatchedSpectrum
    from xanes_hpc.experiment.matched import Match
    from xanes_hpc.experiment.measured_files import LeftOut

COLUMNS = ("rank", "site", "score", "chi2", "error %", "factor", "shift", "flag")
LIMIT = "shift at limit"
"""Column of a CSV file that marks shifts as large as allowed."""
SUMMARY = ("spectrum", "best site", "error %", "shift", "factor", "verdict", "flag")
SCORES = {
    "likelihood": "score: -2 ln(likelihood) but for a constant, lowest first; * a shift as large as allowed",
    "chi2": "score: chi-square over all energies, lowest first; * a shift as large as allowed",
}
WIDTH = 100
"""Columns of the terminal that the summary fits."""
FEWEST, MOST_WON = 4, 0.5
"""Fewest spectra, and the largest share of them that one site may win, before that is noted."""


class Outputs(NamedTuple):
    """What a command writes: a figure, a table as CSV, and JSON; and whether existing files may be replaced."""

    plot: Path | None
    table: Path | None
    overwrite: bool
    json: str | None


class Listed:
    """What was found for a measured spectrum, as rows of tables.

    Parameters
    ----------
    own
        The result.
    distrust
        Why each site of the library is out of domain; empty where it is not.
    """

    def __init__(self, own: "MatchedSpectrum", distrust: Sequence[str]) -> None:
        self.own, self.found, self.distrust = own, own.found, distrust
        self.name, self.kind, self.normal = own.placed.name, own.placed.kind, own.placed.normal

    @cached_property
    def ranked(self) -> list[list[str]]:
        """A row of ``COLUMNS`` for each site."""
        return [[str(k), m.site, *_figures(m), self.distrust[m.row]] for k, m in enumerate(self.found.ranked, 1)]

    @cached_property
    def mixed(self) -> list[list[str]]:
        """A row of ``COLUMNS`` for each mixture."""
        rows = []
        for k, m in enumerate(self.found.mixtures, 1):
            parts = " + ".join(f"{f:.2f} {s}" for f, s in zip(m.fractions, m.sites, strict=True))
            flags = dict.fromkeys(self.distrust[row] for row in m.rows if self.distrust[row])
            rows.append([str(k), parts, *_figures(m), "; ".join(flags)])
        return rows

    def rows(self) -> list[list[str]]:
        """Return the rows of a CSV file: the kind, site or mixture, ``COLUMNS`` and ``LIMIT``."""
        return self._rows("site", self.found.ranked, self.ranked) + self._rows(
            "mixture", self.found.mixtures, self.mixed
        )

    def _rows(self, kind: str, every: Sequence[Any], rows: list[list[str]]) -> list[list[str]]:
        return [
            [kind, *row, "yes" if self.found.is_at_limit(own) else ""] for own, row in zip(every, rows, strict=True)
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        found = self.found
        return {
            "element": self.kind.in_words.split()[0],
            "edge": self.kind.edge,
            "compared": found.n_compared,
            "held_out_errors_percent": None if found.held_out is None else found.held_out.errors.tolist(),
            "verdict": found.verdict,
            "with_shift": None if self.own.shifted is None else _with_shift(self.own.shifted),
            "noise": found.noise,
            "left_out": found.n_left_out,
            "start_ev": float(found.energies[0]),
            "stop_ev": float(found.energies[-1]),
            "ranked": [
                {"site": m.site, "chi2": m.chi2, "score": m.score, "error_percent": m.error_percent,
                 "factor": m.factor, "shift_ev": m.shift, "at_limit": found.is_at_limit(m), "flag": row[-1]}
                for m, row in zip(found.ranked, self.ranked, strict=True)
            ],
            "mixtures": [
                {"sites": list(m.sites), "fractions": list(m.fractions), "chi2": m.chi2, "score": m.score,
                 "error_percent": m.error_percent, "factor": m.factor, "shift_ev": m.shift,
                 "at_limit": found.is_at_limit(m), "flag": row[-1]}
                for m, row in zip(found.mixtures, self.mixed, strict=True)
            ],
            **self.normal.as_dict(),
            "choices": dict(self.normal.raw.choices),
        }  # fmt: skip


NOT_JUDGED = (
    "mixtures are not compared with held-out spectra: two or three sites fit almost any spectrum better than one, also "
    "one that no site explains"
)


def show_one(matched: Listed, not_compared: Sequence[str], treated: str) -> None:
    """Print the sites, and mixtures, that resemble one measured spectrum."""
    found, options, normal = matched.found, matched.own.options, matched.normal
    console.table(
        f"{matched.name} among {found.n_compared:,} sites of {matched.kind.in_words}",
        {
            "measured": f"e0 {normal.e0:.2f} eV, {normal.in_words}",
            "compared": f"{found.energies[0]:g} to {found.energies[-1]:g} eV, {found.energies.size} energies, "
            f"scaled by {options.scale}",
            "noise": found.noise,
        }
        | ({"library": treated} if treated else {})
        | {"for comparison": found.for_comparison}
        | ({"left out": f"{found.n_left_out:,} sites, not finite or inverted"} if found.n_left_out else {})
        | ({"not compared": ", ".join(not_compared)} if not_compared else {}),
    )
    console.listing(COLUMNS, _short(matched.ranked, [found.is_at_limit(m) for m in found.ranked]))
    console.out.print(SCORES[options.by])
    for row in matched.ranked:
        if row[-1]:
            console.err.print(f"Note: {row[1]} is out of domain: {row[-1]}")
    if found.is_at_limit(found.ranked[0]):
        console.err.print("Note: the best shift is as large as --max-shift allows; the true one may be larger")
    if found.verdict:
        console.err.print(f"Note: {found.verdict}")
    if matched.own.shifted is not None:
        console.err.print(f"Note: {_in_words(matched.own.shifted)}")
    if matched.mixed:
        limited = [found.is_at_limit(m) for m in found.mixtures]
        console.listing(("rank", "mixture", *COLUMNS[2:]), _short(matched.mixed, limited))
        if found.verdict:
            console.err.print(f"Note: {NOT_JUDGED}")
    elif options.mixture > 1:
        console.out.print("no mixture beats its best single component")


def show_summary(
    every: Sequence[Listed], left_out: Sequence["LeftOut"], not_compared: Sequence[str], treated: str
) -> None:
    """Print the best site of each measured spectrum, and which spectra could not be used."""
    first = every[0].found
    compared = next((one.found for one in every if one.found.held_out is not None), first)
    among = {one.kind.in_words: one.found.n_compared for one in every}
    console.table(
        f"{len(every):,} measured spectra among "
        + ", ".join(f"{n_sites:,} sites of {kind}" for kind, n_sites in among.items()),
        ({"library": treated} if treated else {})
        | {"for comparison": compared.for_comparison}
        | ({"not compared": ", ".join(not_compared)} if not_compared else {})
        | ({"not matched": f"{len(left_out):,} spectra"} if left_out else {}),
    )
    rows = []
    for one in every:
        best, flag = one.found.ranked[0], "out of domain" if one.ranked[0][-1] else ""
        shift = f"{best.shift:+.2f}" + "*" * one.found.is_at_limit(best)
        rows.append(
            [one.name, best.site, f"{best.error_percent:.1f}", shift, f"{best.factor:.4g}", one.found.judged, flag]
        )
    console.listing(SUMMARY, _fitting(rows))
    if any(one.found.is_at_limit(one.found.ranked[0]) for one in every):
        console.out.print("* a shift as large as --max-shift allows; the true one may be larger")
    if any(one.mixed for one in every):
        console.listing(
            ("spectrum", "best mixture", "error %", "shift"),
            [
                [one.name, row[1], row[4], row[6] + "*" * one.found.is_at_limit(one.found.mixtures[0])]
                for one in every
                for row in one.mixed[:1]
            ],
        )
        if any(one.found.verdict for one in every):
            console.err.print(f"Note: {NOT_JUDGED}")
    if winner := most_frequent(every):
        site, n = winner
        console.err.print(
            f"Note: {site} is the best match of {n} of {len(every)} spectra; if these are different samples, this "
            "suggests that the store has no site like theirs"
        )
    for one in every:
        if one.own.shifted is not None:
            console.err.print(f"Note: {one.name}: {_in_words(one.own.shifted)}")
    n_unexplained = sum(bool(one.found.judged) for one in every)
    if n_unexplained:
        console.err.print(f"Note: {n_unexplained} of {len(every)} spectra are matched poorly or explained by no site")
    show_left_out(left_out)


def show_left_out(left_out: Sequence["LeftOut"]) -> None:
    """Print which measured spectra could not be used, and why."""
    console.reasons([f"left out: {one.reason}" for one in left_out], len(left_out))


def most_frequent(every: Sequence[Listed]) -> tuple[str, int] | None:
    """Return the site that matches most of the spectra best, and how many; None if no site stands out."""
    (site, n), *_ = Counter(one.found.ranked[0].site for one in every).most_common(1)
    return (site, n) if len(every) >= FEWEST and n >= MOST_WON * len(every) else None


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]], overwrite: bool) -> None:
    """Write a table of texts."""
    from xanes_hpc.runtime.outputs import whole_output

    with whole_output(path, overwrite) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([columns, *rows])


def csv_of_one(matched: Listed) -> tuple[list[str], list[list[str]]]:
    """Return the titles and rows of a table with the sites and mixtures of one measured spectrum."""
    return ["kind", *COLUMNS, LIMIT], matched.rows()


def csv_of_all(every: Sequence[Listed], left_out: Sequence["LeftOut"]) -> tuple[list[str], list[list[str]]]:
    """Return the titles and rows of a table with the sites and mixtures of several measured spectra."""
    rows = [[one.name, *row, one.found.judged] for one in every for row in one.rows()]
    rows += [[one.name, "not matched", *[""] * (len(COLUMNS) - 1), one.reason, "", ""] for one in left_out]
    return ["spectrum", "kind", *COLUMNS, LIMIT, "verdict"], rows


def every_as_dict(every: Sequence[Listed], left_out: Sequence["LeftOut"]) -> dict[str, Any]:
    """Return plain values of several measured spectra, for JSON."""
    winner = most_frequent(every)
    return {
        "spectra": [{"spectrum": one.name, **one.as_dict()} for one in every],
        "not_matched": [{"spectrum": one.name, "reason": one.reason} for one in left_out],
        "most_frequent": None if winner is None else {"site": winner[0], "count": winner[1]},
    }


def _fitting(rows: list[list[str]]) -> list[list[str]]:
    """Return rows whose first two cells, the names, are cut so that a listing of ``SUMMARY`` fits ``WIDTH``."""
    widths = [max(len(title), *(len(row[k]) for row in rows)) for k, title in enumerate(SUMMARY)]
    room = WIDTH - sum(widths[2:]) - 2 * (len(widths) - 1)
    first = max(min(widths[0], room - min(widths[1], room // 2)), 8)
    return [
        [console.shortened(row[0], first), console.shortened(row[1], max(room - first, 8)), *row[2:]] for row in rows
    ]


def _short(rows: list[list[str]], limited: list[bool]) -> list[list[str]]:
    """Return rows that fit ``WIDTH``, with a word for each flag and an asterisk after a shift as large as allowed."""
    shown = [
        [*row[:-2], row[-2] + "*" * at_limit, "out of domain" if row[-1] else ""]
        for row, at_limit in zip(rows, limited, strict=True)
    ]
    widths = [max(len(title), *(len(row[k]) for row in shown)) for k, title in enumerate(COLUMNS)]
    room = max(WIDTH - sum(widths) + widths[1] - 2 * (len(widths) - 1), 12)
    return [line for row in shown for line in _lines(row, room)]


def _lines(row: list[str], room: int) -> list[list[str]]:
    """Return the row of a site, or of a mixture ``0.60 A + 0.40 B``, which gets a line for each site if it is long."""
    first, *others = [row[1]] if len(row[1]) <= room else row[1].split(" + ")
    blank = [""] * (len(row) - 2)
    return [
        [row[0], console.shortened(first, room), *row[2:]],
        *(["", console.shortened(other, room), *blank] for other in others),
    ]


def _with_shift(shifted: "Match") -> dict[str, Any]:
    best = shifted.ranked[0]
    return {"site": best.site, "shift_ev": best.shift, "error_percent": best.error_percent}


def _in_words(shifted: "Match") -> str:
    best = shifted.ranked[0]
    return (
        f"with a shift of {best.shift:+.1f} eV, {best.site} would fit with an error of {best.error_percent:.1f} %; "
        f"--max-shift {shifted.max_shift:g} allows that"
    )


def _figures(found: Any) -> list[str]:
    score, chi2 = f"{found.score:.5g}", f"{found.chi2:.4g}"
    return [score, chi2, f"{found.error_percent:.2f}", f"{found.factor:.4g}", f"{found.shift:+.2f}"]
