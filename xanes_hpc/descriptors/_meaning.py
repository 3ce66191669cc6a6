"""The meaning of features: their kind, their neighbours, and the distance and angle at which they are largest."""

from dataclasses import dataclass, replace

import numpy as np

NAN = float("nan")


@dataclass(frozen=True)
class Meaning:
    """The meaning of one feature.

    Attributes
    ----------
    kind
        ``G1``, ``G2``, ``G4``, ``path``, ``power``, ``arms``, ``bonded``, ``radial``, ``property``, ``foreign``, or
        ``feature`` if nothing is known about it.
    channel
        Weights of the neighbours: ``Z``, ``one``, an element, …; for a property or a foreign feature its name.
    distance
        Distance (Å) at which the feature is largest: from the site to a neighbour, along the legs of an angle, or half
        the length of a path; NaN if it has none.
    angle
        Angle between two neighbours, in degrees, at which the feature is largest: 0 or 180; NaN if it has none.
    half_width
        Distance from that angle, in degrees, at which the feature falls to half.
    cutoff
        Distance (Å) beyond which neighbours do not count.
    """

    kind: str = "feature"
    channel: str = ""
    distance: float = NAN
    angle: float = NAN
    half_width: float = NAN
    cutoff: float = NAN

    def towards(self, sign: float, zeta: float) -> "Meaning":
        """Return the same meaning with the angle of 2^(1 - zeta) (1 + sign cos(angle))^zeta."""
        half = np.degrees(np.arccos(np.clip(2.0 * 2.0 ** (-1.0 / zeta) - 1.0, -1.0, 1.0))) if zeta > 0 else 180.0
        return replace(self, angle=0.0 if sign > 0 else 180.0, half_width=float(half))


def largest_at(mu: float, eta: float) -> float:
    """Return the distance (Å) at which exp(-eta (r - mu)²) is largest; for mu = 0 its width, 1 / sqrt(2 eta)."""
    if mu > 0:
        return mu
    return 1.0 / np.sqrt(2.0 * eta) if eta > 0 else NAN
