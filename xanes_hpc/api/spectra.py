"""Predicted spectra, as ``Predictor.predict`` returns them."""

import base64
import io
from collections.abc import Callable, Sequence
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from xanes_hpc.api.arguments import check_arguments
from xanes_hpc.api.inputs import PathLike
from xanes_hpc.errors import ConfigError, StoreError
from xanes_hpc.formats.site_lists import SiteList
from xanes_hpc.prediction import export as library
from xanes_hpc.runtime.optional import need
from xanes_hpc.spectra.spectrum import treatment_name
from xanes_hpc.stores.predictions import PredictionStore, select_predictions

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Array = npt.NDArray[np.float64]
MOST_DRAWN = 6
"""Number of sites that ``plot`` draws by default."""
MOST_ROWS = 10
"""Number of sites listed in a notebook."""


class Spectra:
    """Predicted spectra of sites on one grid, with their uncertainty.

    Parameters
    ----------
    store
        The predictions.
    again
        Function that predicts the same sites again and keeps every draw.

    Examples
    --------
    >>> import xanes_hpc as xh
    >>> spectra = xh.Spectra.open("predictions.h5")
    >>> spectra
    <Spectra of 24 sites (Cr K, Mn K, Fe K, Co K, Ni K, …): 201 energies, -20 to 60 eV from e0>
    >>> spectra.mean.shape
    (24, 201)
    >>> spectra[:2].sites
    ['demo0000_Cu_trigonal_bipyramidal', 'demo0001_Cr_square_pyramidal']
    """

    def __init__(self, store: PredictionStore, again: Callable[[], PredictionStore] | None = None) -> None:
        self.store, self._again = store, again
        self._rows = np.arange(store.n_sites)

    @classmethod
    def open(cls, path: PathLike) -> "Spectra":
        """Open a prediction store.

        Raises
        ------
        StoreError
            If it is not a prediction store, or damaged.

        Examples
        --------
        >>> len(Spectra.open("predictions.h5"))
        24
        """
        check_arguments(cls.open, locals())
        return cls(PredictionStore(Path(path)))

    def __repr__(self) -> str:
        energies = self.energies
        origin = " from e0" if self.origin == "e0" else ""
        return (
            f"<Spectra of {self._table.in_words}: {energies.size} energies, {energies[0]:g} to {energies[-1]:g} eV"
            f"{origin}{self._flagged}>"
        )

    @property
    def _flagged(self) -> str:
        n = int(self.out_of_domain.sum())
        return f"; {n:,} out of domain" if n else ""

    def __len__(self) -> int:
        return int(self._rows.size)

    def __getitem__(self, which: int | str | Path | slice | Sequence[int | str] | npt.NDArray[Any]) -> "Spectra":
        """Return a selection of sites, by index, name, slice, list of indices or names, mask, or a table's ``Path``."""
        rows: Any = [which] if isinstance(which, str) else which
        if isinstance(rows, Path):
            rows = self._table.rows_of(SiteList(rows), self.store.path)
        elif isinstance(rows, list) and rows and all(isinstance(one, str) for one in rows):
            rows = [self._table.find(one, self.store.path) for one in rows]
        elif isinstance(rows, (int, np.integer)):
            if not -len(self) <= rows < len(self):
                raise IndexError(f"site {rows}: expected -{len(self)} to {len(self) - 1}")
            rows = [int(rows)]
        chosen = type(self)(self.store, self._again)
        chosen._rows = self._rows[rows]
        return chosen

    @cached_property
    def _table(self) -> Any:
        return self.store.sites.take(self._rows)

    @property
    def sites(self) -> list[str]:
        """Names of the sites."""
        return list(self._table.name)

    @property
    def elements(self) -> list[str]:
        """Symbol of each absorber."""
        return [chemical_symbols[int(z)] for z in self._table.element]

    @property
    def edges(self) -> list[str]:
        """Edge of each site."""
        return list(self._table.edge)

    @property
    def energies(self) -> Array:
        """The grid, (n_energies,), in eV: relative to each site's e0, or absolute, as ``origin`` says."""
        return self.store.energies

    @property
    def origin(self) -> str:
        """``e0`` or ``absolute``."""
        return self.store.origin

    @property
    def e0(self) -> Array:
        """Edge energy of each site, (n_sites,), in eV; NaN if unknown."""
        return self.store.read("sites/e0")[self._rows]

    @property
    def unit(self) -> str:
        """Unit of the intensities."""
        return self.store.attribute("unit")

    @property
    def treatment(self) -> str:
        """How the spectra were broadened and normalised."""
        return treatment_name(self.store.attribute("treatment"))

    @property
    def mean(self) -> Array:
        """Predicted spectra, (n_sites, n_energies)."""
        return self.store.read("mean")[self._rows]

    @property
    def std(self) -> Array:
        """Calibrated standard deviation, (n_sites, n_energies)."""
        return self.store.read("std")[self._rows]

    @property
    def reference(self) -> Array | None:
        """Reference spectra, (n_sites, n_energies), NaN where a site has none; None if no site has one."""
        return self.store.read("reference")[self._rows] if self.store.has_reference else None

    @property
    def reasons(self) -> list[str]:
        """Why each prediction is out of domain; empty for those that are not."""
        every = self.store.reasons
        return [every[row] for row in self._rows]

    @property
    def out_of_domain(self) -> npt.NDArray[np.bool_]:
        """Which predictions should not be trusted, (n_sites,)."""
        return np.array([bool(reason) for reason in self.reasons], np.bool_)

    @property
    def chosen_store(self) -> PredictionStore:
        """A store of these sites only: ``store`` itself, or one in memory for a selection."""
        return self._only_chosen(self.store)

    def _only_chosen(self, store: PredictionStore) -> PredictionStore:
        if self._rows.size == store.n_sites and (np.diff(self._rows) == 1).all():
            return store
        return select_predictions(store, self._rows)

    @property
    def draws(self) -> Array:
        """Monte Carlo draws whose standard deviation is ``std``, (n_sites, n_draws, n_energies).

        If they were not kept, they are computed when first asked for.

        Raises
        ------
        StoreError
            If they were not kept and cannot be computed, because the store was opened without its model.
        """
        store = self.with_draws
        draws = [store.calibrated_draws(int(row)) for row in self._rows]
        return np.array(draws).reshape(len(self), store.file["draws"].shape[1], self.energies.size)

    @cached_property
    def with_draws(self) -> PredictionStore:
        """A store of all sites of ``store`` with every draw, predicted again if they were not kept.

        Raises
        ------
        StoreError
            As for ``draws``.
        """
        if self.store.has_draws:
            return self.store
        if self._again is None:
            raise StoreError(f"{self.store.path}: has no draws; predict again and keep the draws (`keep_draws`)")
        return self._again()

    @property
    def chosen_with_draws(self) -> PredictionStore:
        """A store of these sites only, with every draw.

        Raises
        ------
        StoreError
            As for ``draws``.
        """
        return self._only_chosen(self.with_draws)

    def quantiles(self, levels: float | Sequence[float] = (0.05, 0.5, 0.95)) -> Array:
        """Return quantiles of the draws, (n_levels, n_sites, n_energies); for one level, (n_sites, n_energies).

        Raises
        ------
        ConfigError
            If a level is not between 0 and 1.
        StoreError
            As for ``draws``.

        Examples
        --------
        >>> import xanes_hpc as xh
        >>> spectra = xh.load_model("complexes.model").predict("complexes.h5", draws=20, force=True)
        >>> low, median, high = spectra.quantiles((0.16, 0.5, 0.84))
        >>> low.shape, bool((low <= high).all())
        ((24, 201), True)
        """
        check_arguments(Spectra.quantiles, locals())
        if not all(0 <= level <= 1 for level in np.ravel(levels)):
            raise ConfigError(f"`levels`: expected numbers from 0 to 1, received {np.ravel(levels).tolist()}")
        return np.asarray(np.quantile(self.draws, levels, axis=1))

    def interval(self, level: float = 0.9545) -> tuple[Array, Array]:
        """Return the ends of the intervals that cover the true spectra with this probability, each like ``mean``.

        Errors in units of ``std`` follow Student's t distribution, which was fitted with the model's calibration sites.

        Raises
        ------
        ConfigError
            If the level is not between 0 and 1.

        Examples
        --------
        >>> import xanes_hpc as xh
        >>> low, high = xh.Spectra.open("predictions.h5").interval(0.9)
        >>> low.shape, bool((low < high).all())
        ((24, 201), True)
        """
        check_arguments(Spectra.interval, locals())
        if not 0 < level < 1:
            raise ConfigError(f"`level`: expected a number between 0 and 1, received {level:g}")
        mean, half = self.mean, self.store.distribution.half_width(level) * self.std
        return mean - half, mean + half

    def plot(self, output: PathLike | None = None, sites: int | str | Sequence[int | str] | None = None) -> "Figure":
        """Plot predictions with their 68 and 95 % intervals, and their references.

        Parameters
        ----------
        output
            PNG, SVG or PDF file to save the figure to.
        sites
            Indices or names of the sites to plot. Default: the first six.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ConfigError
            If there are no sites, or no figure of that kind can be saved.
        StoreError
            If no site has one of the names.

        Examples
        --------
        >>> import xanes_hpc as xh
        >>> figure = xh.Spectra.open("predictions.h5").plot("spectra.png")
        """
        check_arguments(Spectra.plot, locals())
        from xanes_hpc.plotting import figures
        from xanes_hpc.plotting.spectra import chosen_sites_figure

        if sites is None:
            rows = self._rows[:MOST_DRAWN].tolist()
        else:
            several = [sites] if isinstance(sites, (int, str, np.integer)) else sites
            rows = [int(row) for site in several for row in self[site]._rows]
        if not rows:
            raise ConfigError("`sites`: expected at least one site to plot, received none")
        figures.check_figure(None if output is None else Path(output))
        figure: Figure = chosen_sites_figure(self.store, rows)
        if output is not None:
            figures.save(figure, Path(output))
        return figure

    def export(self, folder: PathLike, format: str = "xdi", overwrite: bool = False) -> list[Path]:
        """Write one file per site, and return their paths.

        Parameters
        ----------
        folder
            Folder to write to.
        format
            ``xdi``, ``nexus``, ``athena`` or ``csv``.
        overwrite
            Replace existing files.

        Raises
        ------
        FormatError
            If there is no such format.
        StoreError
            If the folder already holds such files, or cannot be written.

        Examples
        --------
        >>> import xanes_hpc as xh
        >>> [path.name for path in xh.Spectra.open("predictions.h5")[:1].export("csv", "csv")]
        ['demo0000_Cu_trigonal_bipyramidal.csv']
        """
        check_arguments(Spectra.export, locals())
        return library.export(self.store, Path(folder), format, overwrite, rows=self._rows)

    def to_xdi(self, folder: PathLike, overwrite: bool = False) -> list[Path]:
        """Write one XDI file per site, and return their paths; the same as ``export`` with ``format="xdi"``.

        Examples
        --------
        >>> import xanes_hpc as xh
        >>> [path.name for path in xh.Spectra.open("predictions.h5")[:1].to_xdi("xdi")]
        ['demo0000_Cu_trigonal_bipyramidal.xdi']
        """
        check_arguments(Spectra.to_xdi, locals())
        return self.export(folder, "xdi", overwrite)

    def to_dataframe(self) -> "pd.DataFrame":
        """Return a pandas table with a row per site and energy.

        Its columns are site, element, edge, energy, mean, std and, if there are references, reference.

        Raises
        ------
        ConfigError
            If pandas is not installed.

        Examples
        --------
        >>> import xanes_hpc as xh
        >>> list(xh.Spectra.open("predictions.h5").to_dataframe().columns)
        ['site', 'element', 'edge', 'energy', 'mean', 'std', 'reference']
        """
        need("pandas", "pandas", "to_dataframe")
        import pandas as pd

        n_sites, n_energies = len(self), self.energies.size
        columns: dict[str, Any] = {
            name: np.repeat(np.array(values, object), n_energies)
            for name, values in (("site", self.sites), ("element", self.elements), ("edge", self.edges))
        }
        columns |= {
            "energy": np.tile(self.energies, n_sites), "mean": self.mean.ravel(), "std": self.std.ravel(),
        }  # fmt: skip
        if (reference := self.reference) is not None:
            columns["reference"] = reference.ravel()
        return pd.DataFrame(columns)

    def _repr_html_(self) -> str:
        first = self[:MOST_ROWS]
        rows = "".join(
            f"<tr><td>{escape(site)}</td><td>{element} {edge}</td><td>{e0:.1f}</td>"
            f"<td>{escape(reason) or 'no'}</td></tr>"
            for site, element, edge, e0, reason in zip(
                first.sites, first.elements, first.edges, first.e0, first.reasons, strict=True
            )
        )
        more = f"<p>… and {len(self) - MOST_ROWS:,} more</p>" if len(self) > MOST_ROWS else ""
        head = "<tr><th>site</th><th>edge</th><th>e0 (eV)</th><th>out of domain</th></tr>"
        return f"<p>{escape(repr(self)[1:-1])}</p><table>{head}{rows}</table>{more}{self._image() if len(self) else ''}"

    def _image(self) -> str:
        from xanes_hpc.plotting.figures import our_style

        stream = io.BytesIO()
        with our_style():
            self.plot().savefig(stream, format="png", dpi=110)
        image = base64.b64encode(stream.getvalue()).decode()
        return f'<img alt="predicted spectra" src="data:image/png;base64,{image}">'
