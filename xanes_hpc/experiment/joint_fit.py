"""Find the few sites of a library whose mixtures explain a whole measured series, and their fractions along it.

The same sites and one shift hold for all spectra. There are as many sites as the series has components;
`joint_search` finds candidates and `fitted_set` fits and ranks them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from xanes_hpc.errors import ConfigError
from xanes_hpc.experiment.compare import Array, Library, Measured, Rows
from xanes_hpc.experiment.fitted_set import Background, FittedSet, SetFits
from xanes_hpc.experiment.held_out import HeldOut
from xanes_hpc.experiment.held_out_series import held_out_beside
from xanes_hpc.experiment.isosbestic import isosbestic_points
from xanes_hpc.experiment.joint_search import JointSearch
from xanes_hpc.experiment.match_options import CRITERIA, MatchOptions
from xanes_hpc.experiment.principal_components import PrincipalComponents, principal_components
from xanes_hpc.experiment.series import Series
from xanes_hpc.experiment.standards import StandardsLibrary

Progress = Callable[[int, int], None]
MOST_SITES = 4
OF_SITES, OF_STANDARDS = 0.01, 0.002
"""Misfit that is assumed of calculated spectra, and of measured standards, as fractions."""
LEAST_NOISE = 1e-3
"""Smallest noise assumed, as a fraction of the largest value; spectra of two scans never agree better."""


@dataclass(frozen=True)
class SeriesOptions:
    """Options of the analysis.

    Attributes
    ----------
    components
        Number of components; by default chosen by ``principal_components``.
    by
        Criterion for ranking, ``chi2`` or ``likelihood``, which favours sites with a narrow sigma, such as those that
        a model was trained on.
    max_shift
        Largest shift of the series, eV; 0 for none.
    noise
        Misfit of the sites' spectra in addition to their sigma, as a fraction of each one's largest value; by default
        0.01, and 0.002 for measured standards.
    start, stop
        Range of energies, on the library's axis; None for the whole overlap.
    keep
        Number of other sets of sites to list.
    """

    components: int | None = None
    by: str = "chi2"
    max_shift: float = 0.0
    noise: float | None = None
    start: float | None = None
    stop: float | None = None
    keep: int = 10

    def check(self) -> None:
        """Check the values.

        Raises
        ------
        ConfigError
            If one is not possible.
        """
        if self.components is not None and not 1 <= self.components <= MOST_SITES:
            raise ConfigError(f"`components`: expected 1 to {MOST_SITES}, received {self.components}")
        if self.by not in CRITERIA:
            raise ConfigError(f"`by` {self.by!r}: expected {', '.join(CRITERIA)}")
        if self.noise is not None and not 0 < self.noise < np.inf:
            raise ConfigError(f"`noise`: expected a fraction above 0, received {self.noise:g}")
        if not 0 <= self.max_shift < np.inf:
            raise ConfigError(f"`max_shift`: expected 0 eV or more, received {self.max_shift:g}")


@dataclass(frozen=True, repr=False)
class JointFit:
    """The sets of sites that explain a series, best first, at ``energies`` (n_energies,) of the library's axis.

    ``noise`` is the typical standard deviation of the series' points that the fit assumes. ``isosbestic`` are the
    energies, on the series' own scale, at which it crosses. ``held_out`` says how well held-out spectra are explained;
    None if the library has too few.
    """

    series: Series
    energies: Array
    origin: str
    n_compared: int
    components: PrincipalComponents
    noise: float
    isosbestic: list[float]
    ranked: list[FittedSet]
    held_out: HeldOut | None = None

    @property
    def judged(self) -> list[str]:
        """``poor`` or ``unexplained`` for each spectrum whose error exceeds those of most held-out ones, or nothing."""
        own = self.held_out
        return [own.judged(error) if own is not None else "" for error in self.ranked[0].error_percent.tolist()]

    def __repr__(self) -> str:
        best = self.ranked[0]
        return (
            f"<JointFit of {len(self.series.names):,} spectra: {' + '.join(best.sites)}, shift {best.shift:+.2f} eV, "
            f"mean error {best.error_percent.mean():.1f} %>"
        )


def joint_fit(
    series: Series,
    library: Library,
    options: SeriesOptions | None = None,
    rows: Rows | None = None,
    progress: Progress = lambda done, total: None,
) -> JointFit:
    """Find the sites whose mixtures explain a series, as many as it has components.

    Parameters
    ----------
    series
        The measured series.
    library, rows
        The spectra to search, and which rows of them; all by default.
    options
        How to fit them.

    Raises
    ------
    ConfigError
        If an option is invalid.
    SpectrumError
        If the series and the library share too few energies.
    """
    options = options or SeriesOptions()
    options.check()
    rows = np.arange(len(library.names)) if rows is None else rows
    alike = isinstance(library, StandardsLibrary)
    how = MatchOptions(
        scale="none", by=options.by, max_shift=options.max_shift, start=options.start, stop=options.stop,
        noise=options.noise or (OF_STANDARDS if alike else OF_SITES),
    )  # fmt: skip
    measured = Measured(series.measured(0), library, how, rows)
    places = measured.places(0.0)
    inside = (places[0] <= series.energies) & (series.energies <= places[-1])
    within = series.spectra[:, inside]
    own = Background(series.energies[inside] - series.normal.e0)
    free = own.project(within)
    components = principal_components(free, options.components, own.n_terms)
    n = min(components.n, MOST_SITES, rows.size)
    largest = float(np.median(np.abs(within).max(axis=1)))
    noise = max(components.noise_of(free, own.n_terms), LEAST_NOISE * largest)
    y = np.stack([series.at(measured.places(shift)) for shift in measured.shifts])
    background = Background(places - series.normal.e0, not (alike and series.is_normalised))
    at_points = _noise_at(series, places, noise, LEAST_NOISE * largest)
    search = JointSearch(measured, y, at_points, background.project, rows)
    sets = search.found(n, components.n, partial(_report, progress, rows.size))
    fits = SetFits(series, measured, at_points, background, components)
    ranked = sorted((fits.fitted(own) for own in sets[: max(options.keep + 1, 1)]), key=lambda own: own.score)
    progress(rows.size, rows.size)
    crossing = isosbestic_points(series.energies[inside], within, noise) if series.is_normalised else []
    known = held_out_beside(measured, background.project, rows)
    return JointFit(series, measured.energies, library.origin, rows.size, components, noise, crossing, ranked, known)


def _noise_at(series: Series, places: Array, noise: float, least: float) -> Array:
    """Return the standard deviation of the series' points, (n_energies,): spread over them as the files' own are."""
    if series.sigma is None:
        return np.full(places.size, noise)
    sigma = np.interp(places, series.energies, np.sqrt(np.square(series.sigma).mean(axis=0)))
    size = float(np.sqrt(np.square(sigma).mean()))
    return np.asarray(np.sqrt(np.square(noise * sigma / size) + least**2)) if size > 0 else np.full(places.size, noise)


def _report(progress: Progress, total: int, done: int) -> None:
    progress(done, total)
