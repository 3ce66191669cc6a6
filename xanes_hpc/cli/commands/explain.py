"""``xanes-hpc explain``."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xanes_hpc.cli import console
from xanes_hpc.cli.choices import SET
from xanes_hpc.cli.command import JsonCommand
from xanes_hpc.cli.options import (
    PATH,
    gathered,
    json_option,
    output_option,
    overwrite_option,
    sites_option,
    threads_option,
    windows_of,
)

if TYPE_CHECKING:
    from xanes_hpc.analysis.explain import ExplainOptions
    from xanes_hpc.analysis.explanation import AtomContributions, Explanation, Section

CONTENTS = ("importance.csv", "atoms.csv", "explanation.json", "*.png", "*.svg", "*.pdf")
MOST_ATOMS = 8
"""Number of a site's atoms listed, those with the largest contributions."""
COLUMNS = (
    "window", "section", "label", "distance", "start", "stop", "angle", "change_percent", "std",
    "error_increase_percent", "g2_importance", "kernel_percent", "shap",
)  # fmt: skip


def _distances(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[float, ...]:
    try:
        return () if text is None else tuple(map(float, text.split(",")))
    except ValueError:
        raise click.UsageError(
            f"--shells: expected distances in Å, such as 2.5,3.2,3.9, received {text!r}", context
        ) from None


def _explain_options(sites: Path | None, permute: bool, **values: Any) -> "ExplainOptions":
    from xanes_hpc.analysis.explain import ExplainOptions
    from xanes_hpc.analysis.explanation import SECTIONS
    from xanes_hpc.formats.site_lists import SiteList

    permuted = SECTIONS if permute or not values["atoms_of"] else ()
    return ExplainOptions(sites=None if sites is None else SiteList(sites), permuted=permuted, **values)


@click.command("explain", cls=JsonCommand)
@click.argument("paths", type=PATH, nargs=-1, metavar="MODEL... STORE")
@gathered(
    "options",
    _explain_options,
    click.option(
        "--window",
        "windows",
        multiple=True,
        metavar="START:STOP",
        callback=windows_of,
        help="Explain these energies, in eV from the edge (repeatable)  [default: -3:3 and 50:56]",
    ),
    sites_option,
    click.option("--split", type=SET, metavar="SET", help="Use only sites of this set: test, validation, …"),
    click.option(
        "--most-sites",
        type=click.IntRange(min=2),
        metavar="N",
        default=300,
        show_default=True,
        help="Use at most N sites, drawn at random",
    ),
    click.option(
        "--repeats",
        type=click.IntRange(min=1),
        metavar="N",
        default=5,
        show_default=True,
        help="Permute each group of features N times",
    ),
    click.option(
        "--seed",
        type=click.IntRange(min=0),
        metavar="N",
        default=0,
        show_default=True,
        help="Seed of all random choices",
    ),
    click.option(
        "--shap",
        "shap_sites",
        type=click.IntRange(min=0),
        metavar="N",
        default=0,
        show_default=True,
        help="Also compute Shapley values of N sites",
    ),
    click.option(
        "--background",
        type=click.IntRange(min=1),
        metavar="N",
        default=20,
        show_default=True,
        help="Use N background sites for Shapley values",
    ),
    click.option(
        "--site",
        "atoms_of",
        multiple=True,
        metavar="NAME",
        help="Compute what each atom of this site contributes, and permute nothing (repeatable)",
    ),
    click.option("--permute", is_flag=True, help="With --site: also permute features among the sites"),
    click.option(
        "--shells",
        metavar="ENDS",
        callback=_distances,
        help="Set where shells end, in Å, such as 2.5,3.2,3.9  [default: from the distances in the sites]",
    ),
)
@threads_option
@output_option("Folder to write, with figures and tables", folder=True)
@overwrite_option
@json_option
def command(
    paths: tuple[Path, ...],
    options: "ExplainOptions",
    threads: int | None,
    output: Path | None,
    overwrite: bool,
    json_target: str | None,
) -> None:
    """Show which distances, shells, angles and atoms predictions depend on.

    MODEL is a model folder, or several with the same descriptor, such as of different seeds. STORE holds the sites: a
    structure store, or a feature store whose structure store is still there.

    Each group of features is permuted among the sites. Its importance in a window of energies is how much the
    predicted spectra change there. Error bars are the spread over the networks of all models.

    With --site, only that site is explained, in seconds: how much each group of features, and each atom, adds to the
    mean intensity of a window (Shapley values), compared with the mean of other sites.
    """
    from xanes_hpc.analysis.explain import explain
    from xanes_hpc.models.model import Model
    from xanes_hpc.prediction.sources import open_sources
    from xanes_hpc.runtime import threads as kernel_threads
    from xanes_hpc.runtime.outputs import check_output, whole_output

    if len(paths) < 2:
        given = f"received only {paths[0]}" if paths else "received nothing"
        raise click.UsageError(f"expected MODEL... and STORE, {given}", click.get_current_context())
    *models, store = paths
    if output is not None:
        check_output(output, overwrite, CONTENTS)
    kernel_threads.use(threads)
    if output is None and json_target is None:
        options = replace(options, permuted=tuple(name for name in options.permuted if name != "groups"))
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
        _print_summary(found, store)
    console.write_json(json_target, found.as_dict())
    if output is not None:
        console.next_step(f"open the figures in {output}")


def _print_summary(found: "Explanation", store: Path) -> None:
    from xanes_hpc.analysis.feature_groups import KINDS
    from xanes_hpc.analysis.windows import in_words

    permuted = any(section.drawn for section in (found.kinds, found.shells, found.angles))
    what = {"permuted among": f"{found.n_sites:,} sites"} if permuted else {}
    console.table(str(store), what | {"networks": f"{found.n_networks}"})
    names = list(map(in_words, found.windows))
    for section, title in ((found.kinds, "features"), (found.shells, "shell"), (found.angles, "angle")):
        if section.drawn:
            console.listing((title, *names), [[label, *values] for label, values in _changes(section, found, title)])
    if permuted:
        console.out.print("change of the spectrum when these features are exchanged among the sites")
    for k, atoms in enumerate(found.atoms):
        console.listing((f"intensity at {atoms.site}", *names), _sums(found, k))
        listed = abs(atoms.values[:-1]).max(axis=0).argsort()[::-1][:MOST_ATOMS]
        rows = [[_atom(atoms, k), *(f"{value:+.3g}" for value in atoms.values[:, k])] for k in listed.tolist()]
        console.listing((f"contribution at {atoms.site}", *names), rows)
    for kind in dict.fromkeys(group.kind for group in found.kinds.groups):
        if kind in KINDS:
            console.out.print(f"{kind}: {KINDS[kind]}")


def _sums(found: "Explanation", k: int) -> list[list[str]]:
    """Return rows that add up to a site's mean intensity in each window: of other sites, and what each kind adds."""
    assert found.shapley is not None
    kinds = [group.kind for group in found.groups.groups]
    values = found.shapley.values[k]
    return [
        ["mean of other sites", *(f"{value:.3g}" for value in found.shapley.base[k])],
        *(
            [f"{kind} adds", *(f"{v[[own == kind for own in kinds]].sum():+.3g}" for v in values)]
            for kind in dict.fromkeys(kinds)
        ),
        ["predicted", *(f"{value:.3g}" for value in found.shapley.output[k])],
    ]


def _atom(atoms: "AtomContributions", k: int) -> str:
    import numpy as np
    from ase.data import chemical_symbols

    apart = np.linalg.norm(atoms.positions[k] - atoms.positions[atoms.absorber])
    return f"{chemical_symbols[atoms.numbers[k]]}, atom {k}, {apart:.2f} Å"


def _atoms(found: "Explanation") -> list[list[Any]]:
    """Return a table of the atoms' contributions, one row per atom."""
    import numpy as np
    from ase.data import chemical_symbols

    from xanes_hpc.analysis.windows import in_words

    rows: list[list[Any]] = [["site", "atom", "element", "distance", *map(in_words, found.windows)]]
    for atoms in found.atoms:
        apart = np.linalg.norm(atoms.positions - atoms.positions[atoms.absorber], axis=1)
        for k, (number, distance) in enumerate(zip(atoms.numbers, apart, strict=True)):
            rows.append([atoms.site, k, chemical_symbols[number], distance, *atoms.values[:, k]])
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
