"""Texts of figures: titles, captions, legends, and labels of axes with units."""

from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from xanes_hpc.spectra.spectrum import treatment_name
from xanes_hpc.stores.predictions import PredictionStore

UNITS = {"arbitrary": "arbitrary units", "angstrom²": "Å²", "normalised": "edge step 1"}
"""Units as axes show them."""
MOST_NAMED = 3
"""Largest number of elements that a title names."""
PER_INCH = 15
"""Characters of a title that fit into an inch."""
MOST_OVER_PANEL = 42
"""Characters of a panel's title in a line."""
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def absorbers_in_words(kinds: Iterable[tuple[str, str]]) -> str:
    """Return elements and edges as titles name them.

    Examples
    --------
    >>> absorbers_in_words([("Fe", "K"), ("Fe", "K")])
    'Fe K edge'
    >>> absorbers_in_words([("Fe", "K"), ("Co", "K")])
    'Fe and Co K edge'
    >>> absorbers_in_words([(symbol, "L3") for symbol in ("Ti", "V", "Cr", "Mn")])
    '4 elements, L3 edge'
    """
    pairs = list(dict.fromkeys(kinds))
    elements, edges = (list(dict.fromkeys(pair[k] for pair in pairs)) for k in (0, 1))
    edge = f"{' and '.join(edges)} edge" + ("s" if len(edges) > 1 else "")
    if len(elements) > MOST_NAMED:
        return f"{len(elements)} elements, {edge}"
    return f"{' and '.join(elements)} {edge}"


def of_absorber(element: int, edge: str) -> str:
    """Return an element and edge as titles name them, from the atomic number."""
    return absorbers_in_words([(chemical_symbols[element], edge)])


def of_predictions(store: PredictionStore, named: str = "") -> str:
    """Return the element and edge of predictions, and their store or the name given, such as ``Fe K edge, p.h5``."""
    sites = store.sites
    kinds = dict.fromkeys(zip(sites.element.tolist(), sites.edge, strict=True))
    return f"{absorbers_in_words((chemical_symbols[z], edge) for z, edge in kinds)}, {named or store.path.name}"


def count_of_sites(n: int, used: int = 0) -> str:
    """Return a count of sites, and of those among them that were used to make the model.

    Examples
    --------
    >>> count_of_sites(1), count_of_sites(4079, 3875)
    ('1 site', '4,079 sites, 3,875 of them used to make the model')
    """
    return f"{n:,} site{'s' if n != 1 else ''}" + (f", {used:,} of them used to make the model" if used else "")


def synthetic(treatment: str) -> list[str]:
    """Return a line of a title for synthetic spectra; nothing for others."""
    return ["SYNTHETIC spectra, not calculated"] if treatment_name(treatment) == "synthetic" else []


def first_capital(text: str) -> str:
    """Return a sentence with a capital letter, and the others as they are.

    Examples
    --------
    >>> first_capital("no site explains it: A, the best match"), first_capital("")
    ('No site explains it: A, the best match', '')
    """
    return text[:1].upper() + text[1:]


def over_panel(axis: Any, text: str, size: int = 8) -> None:
    """Give a panel a title, wrapped so that it stays beside the next panel's."""
    axis.set_title("\n".join(part for line in text.splitlines() for part in wrap(line, MOST_OVER_PANEL)), fontsize=size)


def title(figure: Any, *lines: str) -> None:
    """Give a figure a title, wrapped to its width."""
    most = max(24, int(PER_INCH * figure.get_figwidth()))
    figure.suptitle("\n".join(part for line in lines for part in wrap(line, most)), fontsize=9)


def caption(figure: Any, *lines: str) -> None:
    """Write what a figure's terms mean below it, wrapped to its width."""
    most = max(24, int(1.25 * PER_INCH * figure.get_figwidth()))
    text = "\n".join(part for line in lines for part in wrap(line, most))
    figure.legend([], [], title=text, loc="outside lower center", frameon=False, title_fontsize=7, alignment="left")


def legend_below(axis: Any, columns: int = 1, **more: Any) -> None:
    """Draw a legend below an axis and its label, where no data cross it."""
    axis.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 0.0), borderaxespad=4.4, ncols=columns, **more)


def label_grid(figure: Any, n_panels: int, n_columns: int, x: str, y: str) -> None:
    """Label the lowest panel of each column of a grid of ``n_panels``, and the panels' left side together."""
    for k in range(max(0, n_panels - n_columns), n_panels):
        figure.axes[k].tick_params(labelbottom=True)
        figure.axes[k].set_xlabel(x)
    figure.supylabel(y, fontsize=8)


def energy_label(origin: str) -> str:
    """Return the label of an axis of energies."""
    return "energy from the edge, E − E₀ (eV)" if origin == "e0" else "energy (eV)"


def intensity_label(unit: str, power: int = 0, what: str = "intensity") -> str:
    """Return the label of an axis of intensities in units of a power of ten."""
    shown = UNITS.get(unit, unit)
    factor = f"10{str(power).translate(SUPERSCRIPTS)} " if power else ""
    factor = factor.replace(" ", ", ") if " " in shown else factor
    return f"{what} ({factor}{shown})"


def in_powers_of_ten(axes: Sequence[Any], names: str = "y") -> int:
    """Number axes in units of a power of ten if their values are very small or large, and return that power."""
    limits = [abs(end) for axis in axes for name in names for end in getattr(axis, f"get_{name}lim")()]
    power = int(np.floor(np.log10(max(limits, default=0.0) or 1.0)))
    if -3 < power < 4:
        return 0
    for axis in axes:
        for name in names:
            getattr(axis, f"{name}axis").set_major_formatter(lambda value, _: f"{value / 10.0**power:.4g}")
    return power
