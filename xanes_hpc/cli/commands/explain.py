"""``xanes-hpc explain``."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import PART
from xanes_hpc.cli.command import JsonCommand
from xanes_hpc.cli.options import PATH, json_option, output_option, overwrite_option, threads_option, windows_of

if TYPE_CHECKING:
    from xanes_hpc.analysis.explanation import AtomShares, Explanation, Section

CONTENTS = ("importance.csv", "atoms.csv", "explanation.json", "*.png", "*.svg", "*.pdf")
MOST_ATOMS = 8
"""Atoms of a site that are listed, those that add most in a window."""
COLUMNS = (
    "window", "section", "label", "distance", "start", "stop", "angle", "change_percent", "std",
    "error_increase_percent", "g2_importance", "shap",
)  # fmt: skip


def _distances(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[float, ...]:
    try:
        return () if text is None else tuple(map(float, text.split(",")))
    except ValueError:
        raise click.UsageError(
            f"--shells: expected distances in Å, such as 2.5,3.2,3.9, received {text!r}", context
        ) from None


@click.command("explain", cls=JsonCommand)
@click.argument("paths", type=PATH, nargs=-1, metavar="MODEL... STORE")
@click.option(
    "--window", "windows", multiple=True, metavar="START:STOP", callback=windows_of,
    help="Energies in eV from the edge. May be repeated.  [default: -3:3 and 50:56]",
)  # fmt: skip
@click.option(
    "--split", "part", type=PART, metavar="PART", help="Sites of a part of training only: test, validation, …"
)
@click.option("--sites", type=click.IntRange(min=2), default=300, show_default=True, help="At most so many, drawn.")
@click.option(
    "--repeats", type=click.IntRange(min=1), default=5, show_default=True, help="Times features are permuted."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of what is drawn.")
@click.option(
    "--shap", type=click.IntRange(min=0), default=0, show_default=True, help="Sites to find Shapley values of."
)
@click.option(
    "--background", type=click.IntRange(min=1), default=20, show_default=True, help="Sites they are told against."
)
@click.option(
    "--site", "atoms_of", multiple=True, metavar="NAME", help="A site whose atoms are told of. May be repeated."
)
@click.option("--shells", metavar="ENDS", callback=_distances, help="Ends of the shells in Å. Default: from the sites.")
@threads_option
@output_option("Folder for figures and a table.")
@overwrite_option
@json_option
def command(
    paths: tuple[Path, ...],
    windows: tuple[tuple[float, float], ...],
    part: str | None,
    sites: int,
    repeats: int,
    seed: int,
    shap: int,
    background: int,
    atoms_of: tuple[str, ...],
    shells: tuple[float, ...],
    threads: int | None,
    output: Path | None,
    overwrite: bool,
    json_target: str | None,
) -> None:
    """Tell which features, shells, angles and atoms predictions rest on.

    MODEL is a model folder, or several of one descriptor, such as of several seeds. STORE has the sites: structures, or
    features with their structures behind them. Features are permuted among the sites; what the spectrum changes
    by in a window of energies is their importance there. Error bars are over the networks of all models.

    Shapley values (--shap, --site) tell what each group of features adds at a site, and --site which atoms add it; they
    need shap: pip install 'xanes-hpc[explain]'.
    """
    from xanes_hpc.analysis.explain import ExplainOptions, explain
    from xanes_hpc.models.model import Model
    from xanes_hpc.prediction.sources import open_sources
    from xanes_hpc.runtime import threads as kernel_threads
    from xanes_hpc.runtime.outputs import check_output, whole_output

    if len(paths) < 2:
        given = f"received {paths[0]} only" if paths else "received nothing"
        raise click.UsageError(f"expected MODEL... and STORE, {given}", click.get_current_context())
    *models, store = paths
    if output is not None:
        check_output(output, overwrite, CONTENTS)
    kernel_threads.use(threads)
    options = ExplainOptions(windows, part, sites, repeats, seed, shap, background, atoms_of, shells)
    folders = [Model.open(path) for path in models]
    with open_sources([store]) as source, console.progress("explaining") as progress:
        found = explain(folders, source, options, progress)
    if output is not None:
        from xanes_hpc.plotting.explanation import draw_all

        with whole_output(output, overwrite, CONTENTS) as folder:
            folder.mkdir()
            with (folder / CONTENTS[0]).open("w", newline="", encoding="utf-8") as stream:
                csv.writer(stream).writerows([COLUMNS, *_rows(found)])
            if found.atoms:
                with (folder / CONTENTS[1]).open("w", newline="", encoding="utf-8") as stream:
                    csv.writer(stream).writerows(_atoms(found))
            draw_all(found, folder)
    if json_target != "-":
        _tell(found, store)
    console.write_json(json_target, found.as_dict())
    if output is not None:
        console.next_step(f"look at the figures in {output}")


def _tell(found: "Explanation", store: Path) -> None:
    from xanes_hpc.analysis.windows import in_words

    console.table(str(store), {"sites": f"{found.n_sites:,}", "networks": f"{found.n_networks}"})
    names = list(map(in_words, found.windows))
    for section, title in ((found.kinds, "features"), (found.shells, "shell"), (found.angles, "angle")):
        if section.groups:
            console.listing((title, *names), [[label, *values] for label, values in _changes(section, found, title)])

    for shares in found.atoms:
        listed = abs(shares.values[:-1]).max(axis=0).argsort()[::-1][:MOST_ATOMS]
        rows = [[_atom(shares, k), *(f"{value:+.3g}" for value in shares.values[:, k])] for k in listed.tolist()]
        console.listing((f"adds at {shares.site}", *names), rows)


def _atom(shares: "AtomShares", k: int) -> str:
    import numpy as np
    from ase.data import chemical_symbols

    apart = np.linalg.norm(shares.positions[k] - shares.positions[shares.absorber])
    return f"{chemical_symbols[shares.numbers[k]]}, atom {k}, {apart:.2f} Å"


def _atoms(found: "Explanation") -> list[list[Any]]:
    """What each atom adds, a row an atom."""
    import numpy as np
    from ase.data import chemical_symbols

    from xanes_hpc.analysis.windows import in_words

    rows: list[list[Any]] = [["site", "atom", "element", "distance", *map(in_words, found.windows)]]
    for shares in found.atoms:
        apart = np.linalg.norm(shares.positions - shares.positions[shares.absorber], axis=1)
        for k, (number, distance) in enumerate(zip(shares.numbers, apart, strict=True)):
            rows.append([shares.site, k, chemical_symbols[number], distance, *shares.values[:, k]])
    return rows


def _changes(section: "Section", found: "Explanation", title: str) -> list[tuple[str, list[str]]]:
    labels = [group.label for group in section.groups]
    if title == "shell":
        labels = [f"{s.name}, {s.start:.2f} to {s.stop:.2f} Å" for s in found.shell_ends]
    return [
        (label, [_figure(section.mean[w, k], section.std[w, k]) for w in range(len(found.windows))])
        for k, label in enumerate(labels)
    ]


def _figure(mean: float, std: float) -> str:
    return f"{mean:.2f} %" + (f" ± {std:.2f}" if std == std else "")


def _rows(found: "Explanation") -> list[list[Any]]:
    values = found.as_dict()
    rows = []
    for window in [*values["windows"], values["whole"]]:
        for section in ("kinds", "shells", "angles", "groups"):
            for row in window[section]:
                own = {"section": section, **row, "window": f"{window['start']:g}:{window['stop']:g}"}
                rows.append([own.get(name, "") for name in COLUMNS])
    return rows
