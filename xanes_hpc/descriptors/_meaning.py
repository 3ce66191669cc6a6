"""What features mean: of which kind each is, of which neighbours, at which distance and angle it is largest."""

from dataclasses import dataclass, replace

import numpy as np

NAN = float("nan")


@dataclass(frozen=True)
class Meaning:
    """What one feature is of.

    Attributes
    ----------
    kind
        ``G1``, ``G2``, ``G4``, ``path``, ``radial``, ``property``, or ``feature`` where nothing is known of it.
    channel
        What its neighbours are weighted with: ``Z``, ``one``, an element, …; of a property its name.
    distance
        Å at which it is largest: of neighbours, of the legs of an angle, or half the length of a path; NaN where it has
        none.
    angle
        In degrees, between two neighbours, at which it is largest: 0 or 180; NaN where it has none.
    half_width
        In degrees, how far from there it falls to half.
    cutoff
        Å beyond which nothing counts.
    """

    kind: str = "feature"
    channel: str = ""
    distance: float = NAN
    angle: float = NAN
    half_width: float = NAN
    cutoff: float = NAN

    def towards(self, sign: float, zeta: float) -> "Meaning":
        """The same with the angle of 2^(1 - zeta) (1 + sign cos(angle))^zeta."""
        half = np.degrees(np.arccos(np.clip(2.0 * 2.0 ** (-1.0 / zeta) - 1.0, -1.0, 1.0))) if zeta > 0 else 180.0
        return replace(self, angle=0.0 if sign > 0 else 180.0, half_width=float(half))


def largest_at(mu: float, eta: float) -> float:
    """Å at which exp(-eta (r - mu)²) is largest; with mu = 0 its width, 1 / sqrt(2 eta)."""
    if mu > 0:
        return mu
    return 1.0 / np.sqrt(2.0 * eta) if eta > 0 else NAN
