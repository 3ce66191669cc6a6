"""The recipe, how spectra are broadened and normalised, and checks of its values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xanes_hpc.errors import ConfigError
from xanes_hpc.runtime.limits import LARGEST

BROADENING_PRESETS: dict[str, dict[str, Any]] = {"published-fe": {"name": "summed", "core_hole": 1.25, "e_cut": -1.0}}
"""Named broadenings, with the parameters they stand for; ``published-fe`` is that of the published Fe K-edge set."""


EDGE_STEP, STEEPEST, HALF_STEP = "edge-step", "steepest", "half-step"


BROADENING_USES = {
    "none": (),
    "arctangent": ("core_hole", "gamma_max", "centre", "width", "e_cut", "gaussian"),
    "seah-dench": ("core_hole", "gamma_max", "seah", "e_cut", "gaussian"),
    "lorentzian": ("core_hole", "e_cut", "gaussian"),
    "summed": ("core_hole", "e_cut", "gaussian"),
    "gaussian": ("gaussian",),
}
"""Parameters of each broadening."""


NORMALISATION_USES = {
    "none": (),
    EDGE_STEP: ("pre_start", "pre_stop", "post_start", "post_stop", "order", "flatten"),
    "area": ("start", "stop"),
    "min-max": ("start", "stop"),
}
"""Parameters of each normalisation, besides those of the edge."""


LEAST_STEP = 1e-9
EDGES_AT = ("stored", STEEPEST, HALF_STEP)
EDGE_STEP_WINDOWS = ("pre_start", "pre_stop", "post_start", "post_stop")
MOST_ORDER = 3
BROADENINGS, NORMALISATIONS = tuple(BROADENING_USES), tuple(NORMALISATION_USES)


@dataclass(frozen=True)
class BroadeningConfig:
    """Parameters of the broadening; ``spectra.broadening`` has the formulas.

    Attributes
    ----------
    name
        ``arctangent``, ``seah-dench``, ``lorentzian``, ``summed``, ``gaussian`` or ``none``; in a file also one of
        ``BROADENING_PRESETS``.
    core_hole
        Full width of the core hole's Lorentzian in eV; by default XrayDB's value for each site's element and edge.
    gamma_max, centre, width, seah
        Parameters of the photoelectron's width, in eV; ``seah`` has no unit.
    e_cut
        Energy (eV from e0) above which states are empty; by default as recorded with each spectrum.
    gaussian
        Full width of the instrument's resolution in eV; 0 means none.
    """

    name: str = "none"
    core_hole: float | None = None
    gamma_max: float = 15.0
    centre: float = 30.0
    width: float = 30.0
    seah: float = 1.0
    e_cut: float | None = None
    gaussian: float = 0.0


@dataclass(frozen=True)
class NormalisationConfig:
    """Parameters of the normalisation, which follows the broadening; ``spectra.normalisation`` has the formulas.

    Attributes
    ----------
    name
        ``edge-step``, ``area``, ``min-max`` or ``none``.
    pre_start, pre_stop, post_start, post_stop
        Windows before and after the edge, in eV from it; ``edge-step`` requires them.
    order
        Degree of the polynomial through the post-edge window.
    flatten
        Whether the post-edge shape is subtracted above the edge.
    start, stop
        Window of ``area`` and ``min-max``, in eV from the edge; by default the whole spectrum.
    e0
        How the edge is located: ``stored``, ``steepest`` (largest slope) or ``half-step``.
    align
        Whether the spectrum moves so that its edge lies at the stored e0; otherwise e0 moves to the edge.
    """

    name: str = "none"
    pre_start: float | None = None
    pre_stop: float | None = None
    post_start: float | None = None
    post_stop: float | None = None
    order: int = 1
    flatten: bool = False
    start: float | None = None
    stop: float | None = None
    e0: str = "stored"
    align: bool = False


@dataclass(frozen=True)
class Recipe:
    """Broadening and then normalisation of spectra, before they become targets."""

    broadening: BroadeningConfig = field(default_factory=BroadeningConfig)
    normalisation: NormalisationConfig = field(default_factory=NormalisationConfig)

    @property
    def does_nothing(self) -> bool:
        """Whether spectra stay as they are."""
        return self == Recipe()


def check_broadening(broadening: BroadeningConfig) -> None:
    """Check the values of a broadening.

    Raises
    ------
    ConfigError
        If a value is out of range; the message names the key.
    """
    if broadening.name not in BROADENINGS:
        raise ConfigError(f"broadening.name: expected {' or '.join(BROADENINGS)}, received {broadening.name!r}")
    for name in ("core_hole", "gamma_max", "centre", "width", "seah", "gaussian"):
        value, low = getattr(broadening, name), 0.0 if name == "gaussian" else LEAST_STEP
        if value is not None and not low <= value <= LARGEST:
            raise ConfigError(f"broadening.{name}: expected a number above 0, received {value}")
    if broadening.e_cut is not None and not abs(broadening.e_cut) <= LARGEST:
        raise ConfigError(f"broadening.e_cut: expected an energy in eV, received {broadening.e_cut}")
    if broadening.name == "gaussian" and not broadening.gaussian:
        raise ConfigError("broadening.gaussian: expected a width in eV, received 0")
    _check_used("broadening", broadening, BROADENING_USES, BroadeningConfig())


def _check_used(section: str, given: Any, uses: Mapping[str, Sequence[str]], default: Any) -> None:
    """Raise an error if a parameter is given that the section's method does not use."""
    for key in dict.fromkeys(key for keys in uses.values() for key in keys):
        if key not in uses[given.name] and getattr(given, key) != getattr(default, key):
            of = " or ".join(name for name, keys in uses.items() if key in keys)
            if given.name == "none":
                raise ConfigError(f"{section}.{key}: expected `{section}` {of}, received none")
            raise ConfigError(f"{section}.{key}: applies to {section} {of} only, received {section} {given.name}")


def check_normalisation(normalisation: NormalisationConfig) -> None:
    """Check the values of a normalisation.

    Raises
    ------
    ConfigError
        If a value is out of range; the message names the key.
    """
    n = normalisation
    for key, value, allowed in (("name", n.name, NORMALISATIONS), ("e0", n.e0, EDGES_AT)):
        if value not in allowed:
            raise ConfigError(f"normalisation.{key}: expected {' or '.join(allowed)}, received {value!r}")
    for key in (*EDGE_STEP_WINDOWS, "start", "stop"):
        value = getattr(n, key)
        if value is not None and not abs(value) <= LARGEST:
            raise ConfigError(f"normalisation.{key}: expected an energy in eV from the edge, received {value}")
        if value is None and n.name == EDGE_STEP and key in EDGE_STEP_WINDOWS:
            raise ConfigError(
                f"normalisation.{key}: missing; edge-step needs {', '.join(EDGE_STEP_WINDOWS)}: the windows before "
                "and after the edge (`pre` and `post`), in eV from it"
            )
    for start, stop in (("pre_start", "pre_stop"), ("post_start", "post_stop"), ("start", "stop")):
        low, high = getattr(n, start), getattr(n, stop)
        if low is not None and high is not None and not low < high:
            raise ConfigError(f"normalisation: expected {start} below {stop}, received {low:g} and {high:g} eV")
    if n.name == EDGE_STEP and not (n.pre_stop or 0.0) <= 0.0 <= (n.post_start or 0.0):
        raise ConfigError(
            f"normalisation: expected pre_stop below the edge and post_start above it, received {n.pre_stop:g} and "
            f"{n.post_start:g} eV"
        )
    if not 0 <= n.order <= MOST_ORDER:
        raise ConfigError(f"normalisation.order: expected 0 to {MOST_ORDER}, received {n.order}")
    if n.e0 == HALF_STEP and n.name != EDGE_STEP:
        raise ConfigError("normalisation.e0: half-step needs normalisation edge-step and its windows")
    if n.align and n.e0 == EDGES_AT[0]:
        raise ConfigError(f"normalisation.align: needs normalisation.e0 {' or '.join(EDGES_AT[1:])}, received {n.e0}")
    _check_used("normalisation", n, NORMALISATION_USES, NormalisationConfig())
