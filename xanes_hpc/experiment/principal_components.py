"""How many components a series of spectra has, and whether a spectrum is made of them.

With eigenvalues l_1 >= … >= l_c of the second-moment matrix of r x c data (c the smaller number), Malinowski's real
error and factor indicator function (Anal. Chem. 49 (1977) 612) are

    RE(n) = sqrt(sum of l_j from n + 1 to c / (r (c - n)))        IND(n) = RE(n) / (c - n)²

IND is smallest at the number of components. His F-test (J. Chemom. 3 (1989) 49) asks whether eigenvalue n stands out
from those after it, which are taken for noise:

    F(1, c - n) = l_n / ((r - n + 1)(c - n + 1)) / [sum of l_j / sum of (r - j + 1)(c - j + 1), j from n + 1 to c]

A target test (Malinowski, Anal. Chim. Acta 103 (1978) 339) projects a spectrum x onto the components. With t the
transformation vector, its apparent error AET = |x - x'| / sqrt(r - n), real error REP = RE |t| and
RET = sqrt(AET² - REP²), SPOIL = RET / REP: below 3 a spectrum is a good component, above 6 it is none.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import f as f_distribution

Array = npt.NDArray[np.float64]
SIGNIFICANT = 0.05
"""Significance level of the F-test."""
ROUNDING = 1e-6
"""Size of a component, relative to the largest, below which it is rounding."""
MOST_SHOWN = 8


@dataclass(frozen=True)
class PrincipalComponents:
    """The principal components of a series, without its mean subtracted.

    Attributes
    ----------
    eigenvalues, explained, real_error, indicator, significance : (n_components,)
        Eigenvalues; the fraction of the data that the first n components explain; RE and IND with n components; and
        the significance level of component n in the F-test, small if it is real. The last is NaN where noise cannot
        be judged.
    vectors : (n_components, n_energies)
        The components, with norm 1.
    scores : (n_spectra, n_components)
        The data are ``scores @ vectors``.
    n
        Number of components that stand out from noise.
    in_words
        How it was chosen.
    """

    eigenvalues: Array
    explained: Array
    real_error: Array
    indicator: Array
    significance: Array
    vectors: Array
    scores: Array
    n: int
    in_words: str

    def noise(self, n: int) -> float:
        """Return the real error with ``n`` components, in units of the data."""
        return float(self.real_error[n - 1]) if n <= self.real_error.size else 0.0

    def target_test(self, spectra: Array, n: int, noise: float) -> tuple[Array, Array]:
        """Return the residual in %, and SPOIL, of spectra (n_spectra, n_energies) projected on ``n`` components.

        ``noise`` stands for the real error RE.
        """
        basis, sizes = self.vectors[:n], np.sqrt(self.eigenvalues[:n])
        along = spectra @ basis.T
        residual = spectra - along @ basis
        percent = 100.0 * np.abs(residual).sum(axis=1) / np.maximum(np.abs(spectra).sum(axis=1), 1e-300)
        apparent = np.sqrt(np.square(residual).sum(axis=1) / max(spectra.shape[1] - n, 1))
        predicted = noise * np.sqrt(np.square(along / sizes).sum(axis=1))
        real = np.sqrt(np.maximum(np.square(apparent) - np.square(predicted), 0.0))
        return percent, real / np.where(predicted > 0, predicted, np.nan)


def principal_components(spectra: Array, n: int | None = None) -> PrincipalComponents:
    """Analyse a series.

    Parameters
    ----------
    spectra
        The normalised spectra, (n_spectra, n_energies).
    n
        Number of components, if it is known.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> two = np.sin(np.linspace(0.0, 3.0, 100) * np.array([[1.0], [2.0]]))
    >>> mixed = np.linspace(0.0, 1.0, 9)[:, None] * [[-1.0, 1.0]] + [1.0, 0.0]
    >>> principal_components(mixed @ two + rng.normal(0.0, 0.01, (9, 100))).n
    2
    """
    left, sizes, vectors = np.linalg.svd(spectra, full_matrices=False)
    eigenvalues = np.square(sizes)
    c, r = sizes.size, max(spectra.shape)
    after = np.append(np.cumsum(eigenvalues[::-1])[::-1][1:], 0.0)
    k = np.arange(1, c + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        real_error = np.sqrt(np.where(k < c, after / (r * (c - k)), 0.0))
        indicator = np.where(k < c, real_error / np.square(c - k, dtype=np.float64), np.nan)
        reduced = (r - k + 1.0) * (c - k + 1.0)
        pooled = after / np.append(np.cumsum(reduced[::-1])[::-1][1:], np.nan)
        ratio = eigenvalues / reduced / pooled
    significance = np.array([f_distribution.sf(ratio[j], 1, c - j - 1) if j < c - 1 else np.nan for j in range(c)])
    real = int(np.sum(sizes > ROUNDING * sizes[0]))
    by_f = _by_significance(significance[:real])
    by_indicator = int(np.nanargmin(indicator[: max(real, 1)])) + 1 if c > 1 else 1
    chosen = n if n is not None else min(by_f, by_indicator)
    if n is not None:
        how = f"as given; the F-test finds {by_f}, IND {by_indicator}"
    elif by_f == by_indicator:
        how = "by the F-test and IND"
    else:
        how = f"the F-test finds {by_f}, IND {by_indicator}; the smaller is taken"
    return PrincipalComponents(
        eigenvalues, np.cumsum(eigenvalues) / eigenvalues.sum(), real_error, indicator, significance, vectors,
        left * sizes, chosen, how,
    )  # fmt: skip


def _by_significance(significance: Array) -> int:
    """Return the number of the last component that is significant; at least 1."""
    found = np.flatnonzero(significance < SIGNIFICANT)
    return int(found[-1]) + 1 if found.size else 1
