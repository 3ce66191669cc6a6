"""Results of explaining a model's predictions."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from xanes_hpc.analysis.feature_groups import RADIAL, FeatureGroup, owners
from xanes_hpc.analysis.permutation import Importance
from xanes_hpc.analysis.shells import RadialHistogram, Shell
from xanes_hpc.analysis.windows import Window
from xanes_hpc.errors import ConfigError

Array = npt.NDArray[np.float64]

SECTIONS = ("groups", "kinds", "shells", "angles")
"""Sections of an explanation: each group of features, and groups permuted together."""


@dataclass(frozen=True)
class Section:
    """Groups of features, and their importance: None if they were not permuted."""

    groups: list[FeatureGroup]
    importance: Importance | None = None

    @property
    def drawn(self) -> bool:
        """Whether there is an importance of at least one group."""
        return self.importance is not None and bool(self.groups)

    @property
    def change(self) -> Array:
        """Change in %, (n_networks, n_windows, n_groups).

        Raises
        ------
        ConfigError
            If the groups were not permuted.
        """
        if self.importance is None:
            raise ConfigError("these features were not permuted; name them in `permuted`")
        return self.importance.change

    @property
    def mean(self) -> Array:
        """Mean change in % over networks, (n_windows, n_groups)."""
        return np.asarray(self.change.mean(axis=0))

    @property
    def std(self) -> Array:
        """Standard deviation of the change over networks, (n_windows, n_groups); NaN for a single network."""
        return spread(self.change)


@dataclass(frozen=True)
class ShapleyValues:
    """Contributions of feature groups to the mean intensity in each window, by site.

    Attributes
    ----------
    sites
        Names of the sites.
    values : (n_sites, n_windows, n_groups)
        Contributions in the spectra's unit.
    base, output : (n_sites, n_windows)
        Mean over the background, evaluated with the site's element and edge, and the site's own output. The output is
        the base plus the site's values.
    """

    sites: list[str]
    values: Array
    base: Array
    output: Array


@dataclass(frozen=True)
class AtomContributions:
    """Contributions of the atoms of a site's structure to the mean intensity in each window.

    Attributes
    ----------
    site
        Name of the site.
    numbers, positions
        Atomic numbers, (n_atoms,), and positions in Å, (n_atoms, 3); in a crystal, of the images
        nearest to the absorber.
    absorber
        Index of the absorber.
    values : (n_windows, n_atoms)
        Contributions in the spectra's unit: Shapley values of features, divided by each atom's fraction of them.
    rest : (n_windows,)
        Contribution of features that depend on no single atom.
    """

    site: str
    numbers: npt.NDArray[np.uint8]
    positions: Array
    absorber: int
    values: Array
    rest: Array


@dataclass(frozen=True)
class Explanation:
    """The result of `explain`; importances have one entry per network of each model.

    Attributes
    ----------
    windows
        Energy windows, eV; the last is the whole range.
    groups
        All features, grouped by meaning.
    kinds, shells, angles
        Features permuted together: all of a kind, the radial ones of a shell, the angular ones of an angle.
    shell_ends
        The shells, with their limits in Å.
    histogram
        Neighbours by distance; None without structures.
    shapley, atoms
        Shapley values and contributions of atoms, if requested.
    n_sites, n_networks
        Number of sites among which features were permuted, and of networks over all models.
    scales
        Each feature's fraction of the distances in the kernel of the Gaussian process, averaged over the models; None
        without a process.
    models
        Names of the models.
    absorbers
        Elements and edges that the models were trained on.
    """

    windows: tuple[Window, ...]
    groups: Section
    kinds: Section
    shells: Section
    angles: Section
    shell_ends: list[Shell]
    histogram: RadialHistogram | None
    n_sites: int
    n_networks: int
    shapley: ShapleyValues | None = None
    atoms: list[AtomContributions] = field(default_factory=list)
    scales: Array | None = None
    models: tuple[str, ...] = ()
    absorbers: tuple[tuple[str, str], ...] = ()

    @property
    def radial(self) -> npt.NDArray[np.bool_]:
        """Mask of the groups that are radial functions, (n_groups,)."""
        return np.array([group.kind in RADIAL for group in self.groups.groups])

    @property
    def distances(self) -> Array:
        """Distances of the radial groups, Å, (n_radial,)."""
        return np.array([group.distance for group in self.groups.groups if group.kind in RADIAL])

    @property
    def radial_fractions(self) -> Array:
        """Changes due to radial groups as fractions of their sum, (n_networks, n_windows, n_radial)."""
        return fractions(self.groups.change[..., self.radial])

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        *found, whole = [self._window(w) for w in range(len(self.windows))]
        values: dict[str, Any] = {"n_sites": self.n_sites, "n_networks": self.n_networks, "windows": found}
        values["whole"] = whole
        values["columns"] = [f"{a:g}:{b:g}" for a, b in self.windows]
        values["shells"] = [{"shell": s.name, "start": s.start, "stop": s.stop} for s in self.shell_ends]
        if self.histogram is not None:
            names = ("distances", "atoms", "weighted")
            values["radial_histogram"] = {name: getattr(self.histogram, name).tolist() for name in names}
        if self.shapley is not None:
            s = self.shapley
            values["shapley"] = {
                "sites": s.sites, "groups": [group.label for group in self.groups.groups],
                "base": s.base.tolist(), "output": s.output.tolist(), "values": s.values.tolist(),
            }  # fmt: skip
        values["atoms"] = [
            {
                "site": a.site, "absorber": a.absorber, "numbers": a.numbers.tolist(),
                "positions": a.positions.tolist(), "values": a.values.tolist(), "rest": a.rest.tolist(),
            }
            for a in self.atoms
        ]  # fmt: skip
        return values

    def _window(self, w: int) -> dict[str, Any]:
        found: dict[str, Any] = {"start": self.windows[w][0], "stop": self.windows[w][1]}
        radial = self.radial
        if self.groups.importance is not None:
            own, change = self.radial_fractions[:, w], self.groups.change[:, w][:, radial]
            found |= {
                "mu": self.distances.tolist(),
                "g2_importance": own.mean(axis=0).tolist(),
                "g2_importance_std": plain(spread(own)),
                "g2_change_percent": change.mean(axis=0).tolist(),
            }
        if self.shapley is not None:
            size = np.abs(self.shapley.values[:, w][:, radial]).mean(axis=0)
            found["g2_shap"] = (size / max(size.sum(), np.finfo(float).tiny)).tolist()
        for name in SECTIONS:
            found[name] = self._section(getattr(self, name), w)
        limits = [{"start": shell.start, "stop": shell.stop} for shell in self.shell_ends]
        found["shells"] = [row | ends for row, ends in zip(found["shells"], limits, strict=True)]
        radial_rows = (row for row, is_radial in zip(found["groups"], radial, strict=True) if is_radial)
        for row, share in zip(radial_rows, found.get("g2_importance", ()), strict=False):
            row["g2_importance"] = share
        return found

    def _section(self, section: Section, w: int) -> list[dict[str, Any]]:
        rows = []
        for k, group in enumerate(section.groups):
            row: dict[str, Any] = {"label": group.label, "n_features": int(group.columns.size)}
            for name in ("distance", "angle", "half_width"):
                if np.isfinite(getattr(group, name)):
                    row[name] = getattr(group, name)
            if self.scales is not None:
                row["kernel_percent"] = 100.0 * float(self.scales[group.columns].sum())
            if section.importance is not None:
                increase = section.importance.error_increase[:, w, k].mean()
                row |= {
                    "change_percent": float(section.mean[w, k]), "std": plain(section.std[w, k]),
                    "error_increase_percent": plain(increase),
                }  # fmt: skip
            if self.shapley is not None:
                own = self.shapley.values[:, w, np.unique(self._owners[group.columns])]
                row["shap"] = float(np.abs(own.sum(axis=-1)).mean())
            rows.append(row)
        return rows

    @cached_property
    def _owners(self) -> npt.NDArray[np.int64]:
        return owners(self.groups.groups)


def fractions(values: Array) -> Array:
    """Return values as fractions of their sum over the last axis."""
    return np.asarray(values / np.maximum(values.sum(axis=-1, keepdims=True), np.finfo(float).tiny))


def spread(values: Array) -> Array:
    """Return the standard deviation over the first axis; NaN for a single row."""
    return np.asarray(values.std(axis=0, ddof=1) if len(values) > 1 else np.full(values.shape[1:], np.nan))


def plain(values: Any) -> Any:
    """Return numbers for JSON, with None in place of NaN and infinity."""
    array = np.asarray(values, np.float64)
    if array.ndim == 0:
        return float(array) if np.isfinite(array) else None
    return [plain(value) for value in array]
