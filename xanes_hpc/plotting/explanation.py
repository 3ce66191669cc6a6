"""Figures that explain predictions by features, shells, angles and atoms."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors

from xanes_hpc.analysis.explanation import AtomContributions, Explanation, Section, spread
from xanes_hpc.analysis.windows import in_words
from xanes_hpc.plotting.spectra import PREDICTION, SECOND, THIRD, figure_at
from xanes_hpc.structures.bonds import bonded_pairs

COLOURS = (PREDICTION, SECOND, THIRD, "#CC79A7", "#E69F00", "#56B4E9")
Drawing = Callable[[Explanation, Path], None]
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
    for k, atoms in enumerate(explanation.atoms):
        paths.append(folder / f"atoms-{k + 1}.{ending}")
        atoms_coloured(atoms, explanation.windows, paths[-1])
    return paths


def importance_of_distances(explanation: Explanation, path: Path) -> None:
    """Draw the importance of radial functions for the whole spectrum against distance, over the radial histogram."""
    with figure_at(path, (5.4, 3.6)) as figure:
        axis = figure.subplots()
        other = _histogram(axis, explanation)
        own = explanation.radial_fractions[:, -1]
        _against_distance(axis, explanation, 100 * own.mean(axis=0), 100 * spread(own), PREDICTION, "importance")
        axis.set(ylabel="importance (% of all radial functions)")
        axis.set_ylim(bottom=0.0)
        handles = [*axis.get_legend_handles_labels()[0], *(other.get_legend_handles_labels()[0] if other else [])]
        axis.legend(handles=handles, frameon=False)
        figure.suptitle(_title(explanation))


def windows_beside(explanation: Explanation, path: Path) -> None:
    """Draw the importance of radial functions in each window against distance."""
    with figure_at(path, (5.4, 3.6)) as figure:
        axis = figure.subplots()
        _histogram(axis, explanation)
        for w, colour in zip(range(len(explanation.windows) - 1), COLOURS, strict=False):
            own = explanation.radial_fractions[:, w]
            label = in_words(explanation.windows[w])
            _against_distance(axis, explanation, 100 * own.mean(axis=0), 100 * spread(own), colour, label)
        axis.set(ylabel="importance (% of all radial functions)")
        axis.set_ylim(bottom=0.0)
        axis.legend(frameon=False)
        figure.suptitle(_title(explanation))


def windows_apart(explanation: Explanation, path: Path) -> None:
    """Draw the difference of importance between the second and the first window against distance."""
    with figure_at(path, (5.4, 3.6)) as figure:
        axis = figure.subplots()
        _histogram(axis, explanation)
        apart = 100 * (explanation.radial_fractions[:, 1] - explanation.radial_fractions[:, 0])
        axis.axhline(0.0, color="0.6", lw=0.6, ls=":")
        _against_distance(axis, explanation, apart.mean(axis=0), spread(apart), PREDICTION, "")
        low, high = map(in_words, explanation.windows[:2])
        axis.set(ylabel=f"importance in {high}\nminus importance in {low} (percentage points)")
        figure.suptitle(_title(explanation))


def shells_beside(explanation: Explanation, path: Path) -> None:
    """Draw the change in each window when the radial functions of a shell are permuted."""
    labels = [f"{s.name}\n{s.start:.1f}–{s.stop:.1f} Å" for s in explanation.shell_ends]
    _bars(explanation, explanation.shells, labels, "radial functions of each shell", path)


def angles_beside(explanation: Explanation, path: Path) -> None:
    """Draw the change in each window when the angular functions of an angle are permuted."""
    labels = [group.label for group in explanation.angles.groups]
    _bars(explanation, explanation.angles, labels, "angular functions of each angle", path)


def kinds_beside(explanation: Explanation, path: Path) -> None:
    """Draw the change in each window when all features of a kind are permuted."""
    labels = [group.label for group in explanation.kinds.groups]
    _bars(explanation, explanation.kinds, labels, "all features of each kind", path)


def atoms_coloured(atoms: AtomContributions, windows: Sequence[tuple[float, float]], path: Path) -> None:
    """Draw a structure once per window, its atoms coloured by their contributions, viewed where it is widest."""
    centred = atoms.positions - atoms.positions.mean(axis=0)
    axes_of = np.linalg.svd(centred, full_matrices=False)[2]
    flat = centred @ axes_of.T
    shown = range(len(windows) - 1)
    radii = covalent_radii[atoms.numbers]
    bonds = bonded_pairs(atoms.numbers, atoms.positions)
    order = np.argsort(flat[:, 2])
    with figure_at(path, (3.6 * len(shown) + 0.4, 3.6)) as figure:
        axes = figure.subplots(1, len(shown), squeeze=False)[0]
        for axis, w in zip(axes, shown, strict=True):
            largest = float(np.abs(atoms.values[w]).max()) or 1.0
            for i, j in bonds:
                axis.plot(flat[[i, j], 0], flat[[i, j], 1], color="0.7", lw=1.0, zorder=1)
            drawn = axis.scatter(
                flat[order, 0], flat[order, 1], s=260 * radii[order], c=atoms.values[w][order], cmap="PuOr_r",
                vmin=-largest, vmax=largest, edgecolors=[_edge(z) for z in atoms.numbers[order]], linewidths=1.0,
                zorder=2,
            )  # fmt: skip
            for k in order:
                if atoms.numbers[k] > 1:
                    symbol = chemical_symbols[atoms.numbers[k]]
                    weight = "bold" if k == atoms.absorber else "normal"
                    colour = "white" if abs(atoms.values[w][k]) > DARK * largest else "black"
                    style = {"ha": "center", "va": "center", "fontsize": 6, "weight": weight, "color": colour}
                    axis.text(*flat[k, :2], symbol, zorder=3, **style)
            axis.set_aspect("equal")
            axis.axis("off")
            axis.set_title(in_words(windows[w]), fontsize=8)
            figure.colorbar(drawn, ax=axis, shrink=0.7, label="contribution to the intensity")
        figure.suptitle(atoms.site)


def _edge(number: int) -> Any:
    return tuple(0.6 * jmol_colors[number])


def _title(explanation: Explanation) -> str:
    """Return a title that names the number of sites and networks."""
    if explanation.n_networks == 1:
        return f"{explanation.n_sites} sites, 1 network"
    return f"{explanation.n_sites} sites, mean ± standard deviation over {explanation.n_networks} networks"


def _histogram(axis: Any, explanation: Explanation) -> Any:
    """Draw the radial histogram behind an axis, with the shells' limits, and return its axis; None without one."""
    for shell in explanation.shell_ends[:-1]:
        axis.axvline(shell.stop, color="0.6", lw=0.6, ls=":")
    axis.set(xlabel="distance from the absorber, μ (Å)")
    found = explanation.histogram
    if found is None:
        return None
    other = axis.twinx()
    width = found.distances[1] - found.distances[0]
    other.bar(found.distances, found.weighted, width=width, color="0.87", label="neighbours, weighted by Z")
    other.set(ylabel="Σ Z of neighbours per Å (grey), shell limits dotted")
    other.spines["right"].set_visible(True)
    axis.set_zorder(other.get_zorder() + 1)
    axis.patch.set_visible(False)
    return other


def _against_distance(axis: Any, explanation: Explanation, mean: Any, std: Any, colour: str, label: str) -> None:
    error = std if np.isfinite(std).all() else None
    axis.errorbar(
        explanation.distances, mean, error, color=colour, lw=1.0, marker="o", ms=3, capsize=2, label=label or None
    )


def _bars(explanation: Explanation, section: Section, labels: Sequence[str], what: str, path: Path) -> None:
    n = len(explanation.windows) - 1
    with figure_at(path, (max(4.0, 0.9 * len(labels) + 1.5), 3.4)) as figure:
        axis = figure.subplots()
        for w, colour in zip(range(n), COLOURS, strict=False):
            at = np.arange(len(labels)) + (w - (n - 1) / 2) * 0.8 / n
            error = section.std[w] if np.isfinite(section.std[w]).all() else None
            window = in_words(explanation.windows[w])
            axis.bar(
                at, section.mean[w], 0.8 / n, yerr=error, color=colour, capsize=2, label=window, error_kw={"lw": 0.8}
            )
        axis.set_xticks(np.arange(len(labels)), labels, fontsize=7)
        axis.set(ylabel="change of the spectrum (%)", xlabel=f"{what}, permuted among sites")
        axis.legend(frameon=False)
        figure.suptitle(_title(explanation))
