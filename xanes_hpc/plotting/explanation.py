"""Figures that explain predictions by features, shells, angles and atoms."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors

from xanes_hpc.analysis.explanation import Explanation, Section, spread
from xanes_hpc.analysis.feature_groups import KINDS
from xanes_hpc.analysis.windows import in_words
from xanes_hpc.plotting.figures import COLOURS, PREDICTION, figure_at
from xanes_hpc.plotting.views import clearest_view
from xanes_hpc.plotting.words import absorbers_in_words, caption, count_of_sites, legend_below, title
from xanes_hpc.structures.bonds import bonded_pairs

Drawing = Callable[[Explanation, Path], None]
RADIAL = (
    "Radial functions (G2): each says how many neighbours there are at about one distance. Their values are exchanged "
    "among the sites; importance is how much the spectra change."
)
PERMUTED = "Change of the spectrum: mean |ΔI| in % of mean |I| when these features are exchanged among the sites."
KIND_TICKS = {
    "G1": "G1\nneighbours\nin all",
    "G2": "G2\nneighbours at\neach distance",
    "radial": "radial\nneighbours at\neach distance",
    "G4": "G4\ndistances and\nangles of pairs",
    "path": "path\nvia two\nneighbours",
    "power": "power\nangles of\nneighbours",
    "arms": "arms\nangles of\nneighbours",
    "bonded": "bonded\natoms at the\nneighbours",
}
"""Kinds of features in a few words."""
DARK = 0.6
"""Fraction of the largest value above which a colour needs white text."""


def draw_all(explanation: Explanation, folder: Path, ending: str = "png") -> list[Path]:
    """Draw every figure that the explanation has data for into a folder, and return their paths."""
    figures: list[tuple[str, Drawing]] = []
    if explanation.groups.drawn and explanation.radial.any():
        figures += [("importance", importance_of_distances), ("windows", windows_beside)]
        if len(explanation.windows) == 3:
            figures.append(("difference", windows_apart))
    beside: dict[str, Drawing] = {"shells": shells_beside, "angles": angles_beside, "kinds": kinds_beside}
    figures += [own for own in beside.items() if getattr(explanation, own[0]).drawn]
    paths = []
    for name, draw in figures:
        paths.append(folder / f"{name}.{ending}")
        draw(explanation, paths[-1])
    for k in range(len(explanation.atoms)):
        paths.append(folder / f"atoms-{k + 1}.{ending}")
        atoms_coloured(explanation, k, paths[-1])
    return paths


def importance_of_distances(explanation: Explanation, path: Path) -> None:
    """Draw the importance of radial functions for the whole spectrum against distance, over the radial histogram."""
    whole = explanation.radial_fractions[:, -1]
    curves = [(f"importance, {_window(explanation.windows[-1])}", PREDICTION, whole)]
    _radial(explanation, curves, "What the spectrum depends on, by distance", path)


def windows_beside(explanation: Explanation, path: Path) -> None:
    """Draw the importance of radial functions in each window against distance."""
    curves = [
        (f"importance, {_window(explanation.windows[w])}", colour, explanation.radial_fractions[:, w])
        for w, colour in zip(range(len(explanation.windows) - 1), COLOURS, strict=False)
    ]
    _radial(explanation, curves, "What parts of the spectrum depend on, by distance", path)


def windows_apart(explanation: Explanation, path: Path) -> None:
    """Draw the difference of importance between the second and the first window against distance."""
    low, high = map(_window, explanation.windows[:2])
    apart = explanation.radial_fractions[:, 1] - explanation.radial_fractions[:, 0]
    curves = [(f"importance for {high} minus that for {low}", PREDICTION, apart)]
    _radial(explanation, curves, "Importance by distance: difference of two parts of the spectrum", path)


Curve = tuple[str, str, npt.NDArray[np.float64]]


def _radial(explanation: Explanation, curves: Sequence[Curve], what: str, path: Path) -> None:
    """Draw curves against distance over the radial histogram: label, colour, and fractions by network and distance."""
    with figure_at(path, (5.8, 5.0)) as figure:
        axis = figure.subplots()
        other = _histogram(axis, explanation)
        for label, colour, fractions in curves:
            mean, error = 100 * fractions.mean(axis=0), 100 * spread(fractions)
            shown = error if np.isfinite(error).all() else None
            axis.errorbar(
                explanation.distances, mean, shown, color=colour, lw=1.0, marker="o", ms=3, capsize=2, label=label
            )
        if min(float(fractions.min()) for _, _, fractions in curves) < 0.0:
            axis.axhline(0.0, color="0.6", lw=0.6, ls=":")
            axis.set(ylabel="difference of importance (percentage points)")
        else:
            axis.set(ylabel="importance (% of all radial functions)", ylim=(0.0, None))
        if other is not None:
            own, behind = (one.get_legend_handles_labels() for one in (axis, other))
            handles, labels = (a + b for a, b in zip(own, behind, strict=True))
            legend_below(axis, handles=handles, labels=labels)
        else:
            legend_below(axis)
        caption(figure, RADIAL)
        title(figure, what, *_of(explanation))


def shells_beside(explanation: Explanation, path: Path) -> None:
    """Draw the change in each window when the radial functions of a shell are permuted."""
    labels = [f"{s.name}\n{s.start:.1f}–{s.stop:.1f} Å" for s in explanation.shell_ends]
    _bars(
        explanation,
        explanation.shells,
        labels,
        "What the spectrum depends on, by shell of neighbours",
        f"{RADIAL} {PERMUTED}",
        path,
    )


def angles_beside(explanation: Explanation, path: Path) -> None:
    """Draw the change in each window when the angular functions of an angle are permuted."""
    labels = [group.label for group in explanation.angles.groups]
    meaning = (
        "Angular functions (G4): each says how many pairs of neighbours the absorber sees at about one angle; ± is "
        f"where the function falls to half. {PERMUTED}"
    )
    _bars(
        explanation,
        explanation.angles,
        labels,
        "What the spectrum depends on, by angle of two neighbours",
        meaning,
        path,
    )


def kinds_beside(explanation: Explanation, path: Path) -> None:
    """Draw the change in each window when all features of a kind are permuted."""
    kinds = [group.kind for group in explanation.kinds.groups]
    labels = [KIND_TICKS.get(kind, kind) for kind in kinds]
    meaning = "".join(f"{kind}: {KINDS[kind]}. " for kind in kinds if kind in KINDS) + PERMUTED
    _bars(explanation, explanation.kinds, labels, "What the spectrum depends on, by kind of feature", meaning, path)


def atoms_coloured(explanation: Explanation, k: int, path: Path) -> None:
    """Draw an explained structure once per window, its atoms coloured by their contributions.

    The absorber is in front, and the view is the one that hides least of what contributes most.
    """
    atoms, shapley = explanation.atoms[k], explanation.shapley
    assert shapley is not None  # atoms have their contributions from it
    intensities = np.abs(shapley.output[k])
    shown = range(len(explanation.windows) - 1)
    every = np.abs(atoms.values[: len(shown)])
    weights = (every / np.maximum(every.max(axis=1, keepdims=True), 1e-300)).max(axis=0)
    flat = clearest_view(atoms.positions, covalent_radii[atoms.numbers], weights, atoms.absorber)
    flat[atoms.absorber, 2] = np.inf
    sizes = 260 * covalent_radii[atoms.numbers]
    bonds = bonded_pairs(atoms.numbers, atoms.positions)
    with figure_at(path, (3.8 * len(shown) + 0.4, 4.2)) as figure:
        axes = figure.subplots(1, len(shown), squeeze=False)[0]
        for axis, w in zip(axes, shown, strict=True):
            values = 100 * atoms.values[w] / intensities[w]
            largest = float(np.abs(values).max()) or 1.0
            for i, j in bonds:
                axis.plot(flat[[i, j], 0], flat[[i, j], 1], color="0.7", lw=1.0, zorder=1)
            for depth, i in enumerate(np.argsort(flat[:, 2]).tolist(), 2):
                drawn = axis.scatter(
                    *flat[i, :2], s=sizes[i], c=values[i], cmap="PuOr_r", vmin=-largest, vmax=largest,
                    edgecolors=["black" if i == atoms.absorber else _edge(atoms.numbers[i])],
                    linewidths=2.0 if i == atoms.absorber else 1.0, zorder=depth,
                )  # fmt: skip
                if atoms.numbers[i] > 1:
                    symbol = chemical_symbols[atoms.numbers[i]]
                    weight = "bold" if i == atoms.absorber else "normal"
                    colour = "white" if abs(values[i]) > DARK * largest else "black"
                    style = {"ha": "center", "va": "center", "fontsize": 6, "weight": weight, "color": colour}
                    axis.text(*flat[i, :2], symbol, zorder=depth, **style)
            axis.set_aspect("equal")
            axis.margins(0.12)
            axis.axis("off")
            axis.set_title(_window(explanation.windows[w]), fontsize=8)
            figure.colorbar(drawn, ax=axis, shrink=0.8, label="added to the mean intensity (%)")
        caption(
            figure,
            "Fill: what the atom adds to the site's mean intensity at these energies, compared with the mean of other "
            "sites (Shapley values of its features). Outline: element; black and in front: the absorber.",
        )
        title(figure, f"What each atom of {atoms.site} adds", _models(explanation))


def _edge(number: int) -> Any:
    return tuple(0.6 * jmol_colors[number])


def _window(window: tuple[float, float]) -> str:
    return in_words(window).replace("-", "−")


def _models(explanation: Explanation) -> str:
    """Return the element, edge and models."""
    return f"{absorbers_in_words(explanation.absorbers)}, {', '.join(explanation.models)}"


def _of(explanation: Explanation) -> list[str]:
    """Return lines of a title that name the models and the numbers of sites and networks."""
    n = explanation.n_networks
    over = "1 network" if n == 1 else f"mean ± standard deviation over {n} networks"
    return [f"{_models(explanation)}: {count_of_sites(explanation.n_sites)}, {over}"]


def _histogram(axis: Any, explanation: Explanation) -> Any:
    """Draw the radial histogram behind an axis, with the shells' limits, and return its axis; None without one."""
    for k, shell in enumerate(explanation.shell_ends[:-1]):
        axis.axvline(shell.stop, color="0.6", lw=0.8, ls=":", label="" if k else "end of a shell of neighbours")
    axis.set(xlabel="distance from the absorber (Å)")
    found = explanation.histogram
    if found is None:
        return None
    other = axis.twinx()
    width = found.distances[1] - found.distances[0]
    other.bar(
        found.distances, found.weighted, width=width, color="0.87", label="neighbours of these sites (right axis)"
    )
    other.set(ylabel="neighbours per Å, weighted by atomic number")
    other.spines["right"].set_visible(True)
    axis.set_zorder(other.get_zorder() + 1)
    axis.patch.set_visible(False)
    return other


def _bars(
    explanation: Explanation, section: Section, labels: Sequence[str], what: str, meaning: str, path: Path
) -> None:
    n = len(explanation.windows) - 1
    with figure_at(path, (min(8.0, max(5.2, 0.62 * len(labels) + 1.5)), 4.6)) as figure:
        axis = figure.subplots()
        for w, colour in zip(range(n), COLOURS, strict=False):
            at = np.arange(len(labels)) + (w - (n - 1) / 2) * 0.8 / n
            error = section.std[w] if np.isfinite(section.std[w]).all() else None
            window = _window(explanation.windows[w])
            axis.bar(
                at, section.mean[w], 0.8 / n, yerr=error, color=colour, capsize=2, label=window, error_kw={"lw": 0.8}
            )
        axis.set_xticks(np.arange(len(labels)), labels, fontsize=7)
        axis.set(ylabel="change of the spectrum (%)")
        axis.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=n)
        caption(figure, meaning)
        title(figure, what, *_of(explanation))
