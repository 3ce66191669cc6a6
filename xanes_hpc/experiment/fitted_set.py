"""Fit a set of sites to all spectra of a series.

Spectrum i is fitted by sum_k a_ik p_k(E) with a_ik >= 0, and its fractions are a_ik / sum_k a_ik, so that the factor
between measured and calculated spectra does not matter. Each spectrum may have smooth terms of its own (`Background`).

A site's error is the same in all spectra. With S the variances of the sites at one energy (their sigma and a misfit), A
the coefficients and f the noise, the spectra there scatter with the covariance C = f² + A S A^T. Sets are ranked by
chi² = sum over energies of r^T C^-1 r, or by -2 ln(likelihood), which adds ln det C.

The standard error of a fraction comes from the covariance of its fit with the variances f² + sum_k a_ik² S_k, scaled up
to the residual, and from the errors of the normalisation (`normalisation_errors`), which move a whole spectrum. It does
not know that coefficients are not negative, so that a fraction of 0 has an error too. The bootstrap repeats the fit
with blocks of energies drawn at random (Kuensch 1989).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.optimize import minimize_scalar

from xanes_hpc.experiment.compare import Array, Measured, Rows
from xanes_hpc.experiment.held_out_series import residual_percent
from xanes_hpc.experiment.joint_search import SiteSet
from xanes_hpc.experiment.nonnegative import fit_each
from xanes_hpc.experiment.normalisation_errors import interpolated, normalisation_errors
from xanes_hpc.experiment.principal_components import PrincipalComponents, principal_components
from xanes_hpc.experiment.series import Series
from xanes_hpc.experiment.standards import StandardsLibrary

BLOCK = 3.0
"""Width of the blocks of energies that the bootstrap draws, eV."""
N_DRAWS = 200
PRECISION = 0.005
"""Precision of the shift, eV."""


@dataclass(frozen=True)
class FittedSet:
    """A set of sites fitted to a series.

    Attributes
    ----------
    rows, sites
        Rows and names of the sites, the one that is largest at the start of the series first.
    shift
        How much higher in energy the series lies than the sites, eV.
    fractions, standard_errors, bootstrap_errors : (n_spectra, n_sites)
        Fractions along the series, and their errors from the covariance and from the bootstrap.
    factors : (n_spectra,)
        Factor of each measured spectrum.
    error_percent : (n_spectra,)
        Residual of each spectrum in %: the sum of its absolute values over that of the spectrum without its background.
    spoil, target_percent : (n_sites,)
        Target test of each site against the series' components.
    score
        -2 ln(likelihood) but for a constant.
    measured, fitted : (n_spectra, n_energies)
        The series on the library's grid at the shift, without its background, and the fit.
    spectra : (n_sites, n_energies)
        The sites' spectra.
    """

    rows: tuple[int, ...]
    sites: tuple[str, ...]
    shift: float
    fractions: Array
    standard_errors: Array
    bootstrap_errors: Array
    factors: Array
    error_percent: Array
    spoil: Array
    target_percent: Array
    score: float
    measured: Array
    fitted: Array
    spectra: Array


class Background:
    """Smooth terms that each measured spectrum has of its own: what they explain does not count.

    They are a constant and a line, for errors of its pre-edge line, and a line above the edge, from 0 at it, for its
    slope, which calculated spectra do not have.

    Parameters
    ----------
    energies
        Energies in eV from the edge, (n_energies,).
    there
        Whether there are such terms.
    """

    def __init__(self, energies: Array, there: bool = True) -> None:
        terms = [np.ones(energies.size), energies, np.maximum(energies, 0.0)]
        scaled = [own / np.abs(own).max() for own in terms if own.any()] if there else []
        self._terms = np.array(scaled).reshape(len(scaled), energies.size)

    @property
    def n_terms(self) -> int:
        """Number of terms."""
        return len(self._terms)

    def project(self, spectra: Array, roots: Array | float = 1.0) -> Array:
        """Return spectra (…, n_energies), weighted by ``roots``, without what the terms explain."""
        basis = np.linalg.qr((roots * self._terms).T)[0]
        return np.asarray(spectra - (spectra @ basis) @ basis.T)


class SetFits:
    """Fits sets of sites to all spectra of a series.

    ``noise`` is the standard deviation of the series' points, (n_energies,).
    """

    def __init__(
        self, series: Series, measured: Measured, noise: Array, background: Background, components: PrincipalComponents
    ) -> None:
        self._series, self._measured, self._noise, self._components = series, measured, noise, components
        self._background, self._project = background, background.project
        of_spectra = series.point_noise()
        typical = np.sqrt(np.square(of_spectra).mean(axis=0))
        self._sizes = np.sqrt(np.square(of_spectra).mean(axis=1) / max(float(np.square(typical).mean()), 1e-300))
        self._errors = normalisation_errors(series.normal, typical)

    def fitted(self, found: SiteSet) -> FittedSet:
        """Return the fit of a set at the shift that is best between those of the grid."""
        rows = np.sort(np.array(found.rows))
        mean, std = self._measured.read_on_one_axis(rows)
        variance = self._measured.variance(mean, std)
        shift = found.shift
        if self._measured.shifts.size > 1:
            step = self._measured.shifts[1] - self._measured.shifts[0]
            limits = max(shift - step, self._measured.shifts[0]), min(shift + step, self._measured.shifts[-1])
            best = minimize_scalar(partial(self._left, mean, variance), bounds=limits, method="bounded",
                                   options={"xatol": PRECISION})  # fmt: skip
            shift = float(best.x)
        y, a, roots = self._solved(mean, variance, shift)
        sides, plain = self._project(mean), self._project(y)
        total = np.maximum(a.sum(axis=1, keepdims=True), 1e-300)
        residual = self._project(roots * (y - a @ mean), roots) / roots
        order = np.argsort(-(a / total)[: max(len(a) // 3, 1)].mean(axis=0), kind="stable")
        n, noise = self._components.n, float(np.sqrt(np.square(self._noise).mean()))
        target, spoil = principal_components(plain, n, self._background.n_terms).target_test(sides, n, noise)
        return FittedSet(
            rows=tuple(rows[order].tolist()),
            sites=tuple(self._measured.library.names[row] for row in rows[order].tolist()),
            shift=shift,
            fractions=(a / total)[:, order],
            standard_errors=self._standard_errors(rows, sides, variance, a, residual, shift)[:, order],
            bootstrap_errors=self._bootstrap(roots * mean, roots * y, roots)[:, order],
            factors=1.0 / total[:, 0],
            error_percent=residual_percent(residual, a @ mean),
            spoil=spoil[order],
            target_percent=target[order],
            score=self._score(residual, a, variance),
            measured=a @ mean + residual,
            fitted=a @ mean,
            spectra=mean[order],
        )  # fmt: skip

    def _solved(self, mean: Array, variance: Array, shift: float) -> tuple[Array, Array, Array]:
        """Return the series at a shift, the coefficients (n_spectra, n_sites), and the roots of the weights."""
        y = self._series.at(self._measured.places(shift))
        roots = 1.0 / self._noise
        a = np.empty((len(y), len(mean)))
        for _ in range(2):  # the weights depend on the coefficients
            sides, target = self._project(roots * mean, roots), self._project(roots * y, roots)
            a = fit_each(sides @ sides.T, target @ sides.T)
            roots = 1.0 / np.sqrt(self._noise**2 + np.square(a).mean(axis=0) @ variance)
        return y, a, roots

    def _left(self, mean: Array, variance: Array, shift: float) -> float:
        y, a, roots = self._solved(mean, variance, shift)
        return float(np.square(self._project(roots * (y - a @ mean), roots)).sum())

    def _standard_errors(
        self, rows: Rows, sides: Array, variance: Array, a: Array, residual: Array, shift: float
    ) -> Array:
        """Return standard errors of the fractions from the covariance of each spectrum's fit and normalisation."""
        spread = self._noise**2 + np.square(a) @ variance
        free = max(residual.shape[1] - len(sides), 1)
        scale = np.maximum((np.square(residual) / spread).sum(axis=1) / free, 1.0)
        gram = np.einsum("ke,ie,le->ikl", sides, 1.0 / spread, sides)
        inverse = np.linalg.pinv(gram)
        follows = np.einsum("ikl,le,ie->ike", inverse, sides, 1.0 / spread)
        covariance = inverse * scale[:, None, None]
        for sizes, errors in self._sources(rows, a, shift):
            moved = sizes[:, None, None] * (follows @ self._project(errors).T)
            covariance += moved @ moved.swapaxes(1, 2)
        total = np.maximum(a.sum(axis=1), 1e-300)[:, None, None]
        slopes = (np.eye(len(sides)) - (a / total[:, 0])[:, :, None]) / total
        return np.asarray(np.sqrt(np.maximum(np.einsum("ikl,ilm,ikm->ik", slopes, covariance, slopes), 0.0)))

    def _sources(self, rows: Rows, a: Array, shift: float) -> Iterator[tuple[Array, Array]]:
        """Yield errors of normalisations, (n_terms, n_energies), and their size in each spectrum, (n_spectra,)."""
        places = self._measured.places(shift)
        yield self._sizes, interpolated(places, self._series.energies, self._errors)
        if isinstance(self._measured.library, StandardsLibrary):
            for k, row in enumerate(rows.tolist()):
                yield a[:, k], self._measured.taken(self._measured.library.normalisation_errors(row), None)[0]

    def _bootstrap(self, sides: Array, target: Array, roots: Array) -> Array:
        """Return standard deviations of the fractions when blocks of energies are drawn at random."""
        sides, target = self._project(sides, roots), self._project(target, roots)
        energies = self._measured.energies
        edges = np.searchsorted(energies, np.arange(energies[0], energies[-1], BLOCK))
        blocks = list(zip(*(np.split(own, np.unique(edges[1:]), axis=1) for own in (sides, target)), strict=True))
        grams = np.stack([side @ side.T for side, _ in blocks])
        towards = np.stack([y @ side.T for side, y in blocks])
        rng = np.random.default_rng(0)
        counts = rng.multinomial(len(grams), np.full(len(grams), 1.0 / len(grams)), N_DRAWS).astype(np.float64)
        found = fit_each(np.tensordot(counts, grams, 1), np.tensordot(counts, towards, 1))
        return np.asarray((found / np.maximum(found.sum(axis=-1, keepdims=True), 1e-300)).std(axis=0))

    def _score(self, residual: Array, a: Array, variance: Array) -> float:
        """Return -2 ln(likelihood) of residuals (n_spectra, n_energies), but for a constant, or only its chi-square."""
        n_spectra, n_sites = a.shape
        shared = a[None] * np.sqrt(variance.T)[:, None, :]
        squared = np.square(self._noise)
        inner = squared[:, None, None] * np.eye(n_sites) + shared.transpose(0, 2, 1) @ shared
        towards = np.einsum("eik,ie->ek", shared, residual)
        solved = np.linalg.solve(inner, towards[..., None])[..., 0]
        chi2 = ((np.square(residual).sum(axis=0) - (towards * solved).sum(axis=1)) / squared).sum()
        if self._measured.options.by == "chi2":
            return float(chi2)
        spread = (n_spectra - n_sites) * np.log(squared).sum()
        return float(chi2 + spread + np.linalg.slogdet(inner)[1].sum())
