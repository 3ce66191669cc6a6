"""How many components a series of spectra has, and whether a spectrum is made of them.

With eigenvalues l_1 >= … >= l_c of the second-moment matrix of r x c data (c the smaller number), Malinowski's real
error and factor indicator function (Anal. Chem. 49 (1977) 612) are

    RE(n) = sqrt(sum of l_j from n + 1 to c / (r (c - n)))        IND(n) = RE(n) / (c - n)²

IND is smallest at the number of components. This number is taken: for made mixtures of predicted spectra it was right
nearly always, whereas the F-test missed components of short series. Neighbours in long series are averaged first, as
IND fails for about as many spectra as energies whose noise is correlated. Malinowski's F-test (J. Chemom. 3 (1989) 49)
asks whether eigenvalue n stands out from those after it, which are taken for noise:

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
MOST_SPECTRA = 32
"""Largest number of spectra that are analysed; the neighbours of longer series are averaged."""
SIGNIFICANT = 0.05
"""Significance level of the F-tests of all components together (Bonferroni)."""
ROUNDING = 1e-6
"""Size of a component, relative to the largest, below which it is rounding."""


@dataclass(frozen=True)
class PrincipalComponents:
    """The principal components of a series, without its mean subtracted.

    Attributes
    ----------
    eigenvalues, explained, real_error, indicator, significance : (n_components,)
        Eigenvalues; the fraction of the data that the first n components explain; RE and IND with n components; and
        the significance level of component n in the F-test, small if it is real. The last two are NaN where nothing or
        only rounding is left to judge by.
    vectors : (n_components, n_energies)
        The components, with norm 1.
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
    n: int
    in_words: str

    def noise_of(self, spectra: Array, n_removed: int = 0) -> float:
        """Return the scatter of single spectra (n_spectra, n_energies) about the first ``n`` components."""
        basis = self.vectors[: self.n]
        residual = spectra - (spectra @ basis.T) @ basis
        free = max(len(spectra) - self.n, 1) * max(spectra.shape[1] - n_removed - self.n, 1)
        return float(np.sqrt(np.square(residual).sum() / free))

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


def principal_components(spectra: Array, n: int | None = None, n_removed: int = 0) -> PrincipalComponents:
    """Analyse a series.

    Parameters
    ----------
    spectra
        The normalised spectra, (n_spectra, n_energies).
    n
        Number of components, if it is known.
    n_removed
        Number of terms, such as a constant, that were removed from each spectrum: so many energies count less.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> two = np.sin(np.linspace(0.0, 3.0, 100) * np.array([[1.0], [2.0]]))
    >>> mixed = np.linspace(0.0, 1.0, 9)[:, None] * [[-1.0, 1.0]] + [1.0, 0.0]
    >>> principal_components(mixed @ two + rng.normal(0.0, 0.01, (9, 100))).n
    2
    """
    n_measured = len(spectra)
    spectra = neighbours_averaged(spectra)
    _, sizes, vectors = np.linalg.svd(spectra, full_matrices=False)
    c, r = sorted((len(spectra), max(spectra.shape[1] - n_removed, 1)))
    sizes, vectors = sizes[:c], vectors[:c]
    eigenvalues = np.square(sizes)
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
    significant = np.flatnonzero(significance[:real] < SIGNIFICANT / c)
    by_f = int(significant[-1]) + 1 if significant.size else 1
    indicator[real:], significance[real:] = np.nan, np.nan
    by_indicator = int(np.nanargmin(indicator[: max(real, 1)])) + 1 if c > 1 else 1
    if n is not None:
        how = f"as given; IND finds {by_indicator}, the F-test {by_f}"
    elif by_f == by_indicator:
        how = "by IND and the F-test"
    else:
        how = f"by IND; the F-test, which is cautious, finds {by_f}"
    if n_measured > MOST_SPECTRA:
        how += f", of {MOST_SPECTRA} means of neighbouring spectra"
    return PrincipalComponents(
        eigenvalues, np.cumsum(eigenvalues) / eigenvalues.sum(), real_error, indicator, significance, vectors,
        by_indicator if n is None else n, how,
    )  # fmt: skip


def neighbours_averaged(spectra: Array) -> Array:
    """Return means of neighbouring spectra (…, n_spectra, n_energies), so that at most ``MOST_SPECTRA`` are left."""
    n = spectra.shape[-2]
    if n <= MOST_SPECTRA:
        return spectra
    groups = np.array_split(np.arange(n), MOST_SPECTRA)
    return np.stack([spectra[..., own, :].mean(axis=-2) for own in groups], axis=-2)
