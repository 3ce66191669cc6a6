"""Group features by meaning: kind, distance and angle."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from xanes_hpc.descriptors._meaning import NAN, Meaning

Columns = npt.NDArray[np.int64]
NOWHERE = -1.0
RADIAL = ("G2", "radial")
"""Kinds of features that describe single neighbours at a distance."""
KINDS = {
    "G1": "how many neighbours in all",
    "G2": "how many neighbours at each distance",
    "G4": "pairs of neighbours, by their distance and the angle between them",
    "path": "paths via two neighbours and back, by half their length",
    "power": "angles between neighbours, by their distances",
    "arms": "angles between neighbours, whatever their distance from each other",
    "bonded": "how many atoms are bonded to the neighbours at each distance",
    "radial": "how many neighbours at each distance",
}
"""What each kind of feature describes."""


@dataclass(frozen=True)
class FeatureGroup:
    """Features with the same meaning.

    Attributes
    ----------
    kind, distance, angle, half_width
        As in ``Meaning``; the distance of a radial feature is rounded to the common grid.
    columns
        Columns of the features.
    """

    kind: str
    columns: Columns
    distance: float = NAN
    angle: float = NAN
    half_width: float = NAN
    label: str = field(default="", compare=False)


def feature_groups(meanings: Sequence[Meaning]) -> list[FeatureGroup]:
    """Group features by kind and distance, and angular ones also by angle; each other feature is its own group.

    Every feature is in exactly one group. Radial functions of several sets are assigned to the distances of the set
    that reaches farthest.
    """
    grid = _grid(meanings)
    found: dict[tuple[str, str, float, float, float], list[int]] = {}
    for column, own in enumerate(meanings):
        distance = own.distance
        if own.kind in RADIAL and np.isfinite(distance):
            distance = float(grid[np.argmin(np.abs(grid - distance))])
        name = {"property": own.channel, "foreign": own.channel, "feature": str(column)}.get(own.kind, "")
        where = [NOWHERE if np.isnan(v) else round(v, 6) for v in (distance, own.angle, own.half_width)]
        found.setdefault((own.kind, name, where[0], where[1], where[2]), []).append(column)
    groups = []
    for (kind, name, *own_where), columns in found.items():
        distance, angle, half_width = (NAN if v == NOWHERE else v for v in own_where)
        label = name if kind == "foreign" else f"{kind} {name}" if name else _label(kind, distance, angle, half_width)
        groups.append(FeatureGroup(kind, np.array(columns), distance, angle, half_width, label))
    order = {kind: k for k, kind in enumerate(dict.fromkeys(group.kind for group in groups))}
    return sorted(groups, key=lambda g: (order[g.kind], np.nan_to_num(g.distance), np.nan_to_num(g.angle)))


def owners(groups: Sequence[FeatureGroup]) -> Columns:
    """Return the index of each feature's group, (n_features,), for groups that together hold every feature once."""
    columns = [group.columns for group in groups]
    found = np.empty(sum(own.size for own in columns), np.int64)
    found[np.concatenate(columns)] = np.repeat(np.arange(len(columns)), [own.size for own in columns])
    return found


def _grid(meanings: Sequence[Meaning]) -> npt.NDArray[np.float64]:
    """Return the distances of the radial set that reaches farthest."""
    sets: dict[tuple[str, float], list[float]] = {}
    for own in meanings:
        if own.kind in RADIAL and np.isfinite(own.distance):
            sets.setdefault((own.channel, own.cutoff), []).append(own.distance)
    return np.unique(np.round(max(sets.values(), key=max, default=[0.0]), 6))


def _label(kind: str, distance: float, angle: float, half_width: float) -> str:
    text = kind
    if np.isfinite(distance):
        text += f" {distance:.2f} Å"
    if np.isfinite(angle):
        text += f" {angle:.0f}° ± {half_width:.0f}°"
    return text


def joined(groups: Iterable[FeatureGroup], label: str, angle: float = NAN, half_width: float = NAN) -> FeatureGroup:
    """Join groups into one."""
    columns = [group.columns for group in groups]
    every = np.sort(np.concatenate(columns)) if columns else np.empty(0, np.int64)
    return FeatureGroup(label, every, NAN, angle, half_width, label)


def by_kind(groups: Sequence[FeatureGroup]) -> list[FeatureGroup]:
    """Return one group for each kind of feature."""
    kinds = dict.fromkeys(group.kind for group in groups)
    return [joined([g for g in groups if g.kind == kind], kind) for kind in kinds]


def by_angle(groups: Sequence[FeatureGroup]) -> list[FeatureGroup]:
    """Return one group for each angle, with the angular functions at that angle."""
    angles = dict.fromkeys((g.angle, g.half_width) for g in groups if np.isfinite(g.angle))
    return [
        joined([g for g in groups if (g.angle, g.half_width) == own], f"{own[0]:.0f}° ± {own[1]:.0f}°", *own)
        for own in sorted(angles)
    ]


def by_distance(groups: Sequence[FeatureGroup], ranges: Iterable[tuple[str, float, float]]) -> list[FeatureGroup]:
    """Return one group for each range of distances, with the radial functions in it.

    A range is a name, a start and an exclusive stop, in Å.
    """
    radial = [group for group in groups if group.kind in RADIAL]
    return [joined([g for g in radial if start <= g.distance < stop], name) for name, start, stop in ranges]
