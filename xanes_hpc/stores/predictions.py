"""The prediction store: mean and sigma of every site's spectrum on a common grid."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from xanes_hpc.errors import StoreError
from xanes_hpc.runtime.hdf5_files import open_hdf5
from xanes_hpc.runtime.new_file import NewFile
from xanes_hpc.spectra.distribution import Distribution
from xanes_hpc.stores import hdf5
from xanes_hpc.stores.json_values import is_number, is_object
from xanes_hpc.stores.part_files import Table
from xanes_hpc.stores.sites import SiteTable
from xanes_hpc.stores.texts import read_text

SMALLEST_SPREAD = 1e-12
"""Smallest standard deviation of draws; draws with less are treated as equal."""
Array = npt.NDArray[np.float64]

SITE_COLUMNS = ("e0", "nearest", "formula", "part", "twin", "distrust")
"""Columns of sites that only prediction stores have."""
CHUNK_BYTES = 1 << 20
N_AVERAGED = "sites/n_averaged"


def prediction_tables(n_sites: int, n_energies: int, n_draws: int | None, with_reference: bool) -> list[Table]:
    """Return the datasets that have one row per site; ``n_draws`` is None if draws are not kept."""
    rows = max(1, min(n_sites, CHUNK_BYTES // (4 * n_energies)))
    names = ("mean", "std", *(("reference",) if with_reference else ()))
    tables = [Table(name, (n_energies,), np.dtype(np.float32), rows) for name in names]
    if n_draws is not None:
        tables.append(Table("draws", (n_draws, n_energies), np.dtype(np.float32), 1))
    return tables


@contextmanager
def create_predictions(
    path: Path | None,
    attributes: Mapping[str, Any],
    grid: tuple[npt.NDArray[np.float64], str],
    sites: SiteTable,
    overwrite: bool = False,
    temporary: Path | None = None,
) -> Iterator[NewFile]:
    """Create a prediction store; it is renamed to ``path`` when the block ends without an error.

    The caller writes the ``prediction_tables`` and the site columns.

    Parameters
    ----------
    attributes
        Attributes of the file, which record the model and the draws.
    grid
        Energies in eV, (n_energies,), and their origin.

    Raises
    ------
    StoreError
        If the output exists and may not be replaced, or cannot be written.
    """
    with _created(path, attributes, *grid, sites, overwrite, temporary) as file:
        yield file


@contextmanager
def create_derived(
    path: Path | None, store: "PredictionStore", sites: SiteTable, overwrite: bool = False,
    changed: Mapping[str, str] = {},
) -> Iterator[h5py.File]:  # fmt: skip
    """Create a prediction store with draws for spectra derived from another store's predictions.

    Its attributes are those of the other store, updated with ``changed``. The distribution of errors is taken to be the
    same. Conformal scores are left out: they are valid only for the predictions themselves.

    Raises
    ------
    StoreError
        If the output exists and may not be replaced, is the other store, or cannot be written.
    """
    if path is not None:
        hdf5.check_store(path, overwrite, [store.path])
    names = (
        "model_digest", "distance", "descriptor_hash", "kind", "treatment", "unit", "reference_unit", "method",
        "source_digest", "derivation",
    )  # fmt: skip
    attributes: dict[str, Any] = {name: store.attribute(name) for name in names if store.attribute(name)}
    attributes |= {name: int(store.file.attrs[name]) for name in ("n_draws", "seed")}
    calibration: dict[str, Any] = {"conformal": [], "degrees": store.distribution.value, "n_sites": 0}
    attributes |= {"calibration": json.dumps(calibration), **changed}
    tables = prediction_tables(len(sites), store.energies.size, int(attributes["n_draws"]), store.has_reference)
    with _created(path, attributes, store.energies, store.origin, sites, overwrite) as file:
        for table in tables:
            table.create(file, len(sites))
        yield file


def select_predictions(store: "PredictionStore", rows: npt.NDArray[np.integer]) -> "PredictionStore":
    """Return a prediction store in memory with the given rows of another."""
    with _created(None, dict(store.file.attrs), store.energies, store.origin, store.sites.take(rows), False) as file:
        for name in ("mean", "std", "reference", "draws", N_AVERAGED, *(f"sites/{name}" for name in SITE_COLUMNS)):
            if name in store.file:
                with hdf5.reading(store.path):
                    source = store.file[name]
                    values = source[:][rows] if source.dtype.kind != "O" else source.asstr()[:][rows]
                    file.create_dataset(name, data=values, dtype=source.dtype, fletcher32=True)
    return PredictionStore(file=file)


@contextmanager
def _created(
    path: Path | None, attributes: Mapping[str, Any], energies: npt.NDArray[np.float64], origin: str, sites: SiteTable,
    overwrite: bool, temporary: Path | None = None,
) -> Iterator[NewFile]:  # fmt: skip
    with hdf5.create_store(path, "predictions", overwrite, temporary=temporary) as file:
        for name, value in attributes.items():
            file.attrs[name] = value
        hdf5.write_whole(file, "energy", energies).attrs["origin"] = origin
        sites.write(file)
        yield file


def copy_site_columns(store: "PredictionStore", file: h5py.File) -> None:
    """Copy the site columns that only prediction stores have."""
    formulas, parts, twins = (store.texts(name) for name in ("formula", "part", "twin"))
    distrust = store.reasons
    write_site_columns(file, store.read("sites/e0"), formulas, parts, store.read("sites/nearest"), twins, distrust)
    if store.n_averaged is not None:
        hdf5.write_whole(file, N_AVERAGED, store.n_averaged)


def write_site_columns(
    file: h5py.File,
    e0: npt.NDArray[np.float64],
    formulas: Sequence[str],
    parts: Sequence[str],
    nearest: npt.NDArray[np.float64],
    twins: Sequence[str],
    distrust: Sequence[str],
) -> None:
    """Write the site columns that only prediction stores have."""
    hdf5.write_whole(file, "sites/e0", e0)
    hdf5.write_whole(file, "sites/nearest", nearest)
    for name, texts in (("formula", formulas), ("part", parts), ("twin", twins), ("distrust", distrust)):
        hdf5.write_strings(file, f"sites/{name}", texts)


def gather_site_columns(file: h5py.File, parts: Sequence[Path]) -> None:
    """Join the site columns of parts, in the order of the parts, and write them.

    Raises
    ------
    StoreError
        If a part cannot be read.
    """
    numbers: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in ("e0", "nearest")}
    texts: dict[str, list[str]] = {name: [] for name in ("formula", "part", "twin", "distrust")}
    for path in parts:
        with hdf5.reading(path), open_hdf5(path) as part:
            for name, found in numbers.items():
                found.append(part[f"sites/{name}"][:])
            for name, column in texts.items():
                column += hdf5.read_strings(part, f"sites/{name}")
    e0, nearest = (np.concatenate([np.empty(0), *found]) for found in numbers.values())
    write_site_columns(file, e0, texts["formula"], texts["part"], nearest, texts["twin"], texts["distrust"])


class PredictionStore(hdf5.Store):
    """A prediction store open for reading."""

    kind = "predictions"

    def __repr__(self) -> str:
        energies = self.energies
        origin = " from e0" if self.origin == "e0" else ""
        grid = f"{energies.size} energies, {energies[0]:g} to {energies[-1]:g} eV{origin}"
        return self.described(f"{self.sites.in_words}, {grid}{', with references' if self.has_reference else ''}")

    @property
    def energies(self) -> npt.NDArray[np.float64]:
        """The grid, eV, (n_energies,)."""
        return self.read("energy")

    @property
    def origin(self) -> str:
        """``e0`` or ``absolute``."""
        return read_text(self.file["energy"], "origin")

    @property
    def n_sites(self) -> int:
        """Number of sites."""
        return int(self.file["mean"].shape[0])

    @property
    def distance(self) -> str:
        """What the distance to the nearest training site is: ``features`` or ``kernel``."""
        return self.attribute("distance") or "features"

    @property
    def has_reference(self) -> bool:
        """Whether the store has reference spectra."""
        return "reference" in self.file

    @property
    def has_draws(self) -> bool:
        """Whether the store keeps every draw."""
        return "draws" in self.file

    @property
    def n_averaged(self) -> npt.NDArray[np.int64] | None:
        """Number of predicted sites that each spectrum averages; None if the store has single predictions."""
        with hdf5.reading(self.path):
            return np.asarray(self.file[N_AVERAGED][:]) if N_AVERAGED in self.file else None

    def calibrated_draws(self, row: int) -> npt.NDArray[np.float64]:
        """Return the draws of a site, (n_draws, n_energies), scaled to the calibrated standard deviation.

        Raises
        ------
        StoreError
            If the data are damaged.
        """
        drawn, sigma = self.read("draws", row), self.read("std", row)
        return scale_draws(drawn, sigma)

    @property
    def conformal(self) -> list[dict[str, float]]:
        """Level of each conformal interval, and its score in calibrated sigmas.

        Raises
        ------
        StoreError
            If the attribute is damaged.
        """
        scores: list[dict[str, float]] = self._calibration["conformal"]
        return scores

    @property
    def distribution(self) -> Distribution:
        """The distribution of errors in calibrated sigmas: Gaussian in stores by earlier versions.

        Raises
        ------
        StoreError
            If the attribute is damaged.
        """
        return Distribution.of(self._calibration.get("degrees"))

    @property
    def _calibration(self) -> dict[str, Any]:
        text = self.attribute("calibration")
        try:
            value: Any = json.loads(text)
        except ValueError:
            value = None
        if not (is_object(value) and are_scores(value.get("conformal")) and are_degrees(value.get("degrees"))):
            raise StoreError(
                f"{self.path}: attribute calibration: expected an object with a list conformal of levels and scores, "
                f"and degrees above 2 or null, received {text[:60]!r}"
            )
        found: dict[str, Any] = value
        return found

    @property
    def sites(self) -> SiteTable:
        """All sites."""
        return SiteTable.read(self.file)

    @property
    def distrust(self) -> list[str] | None:
        """Why each site is out of domain, empty for the others; None if the store does not record it."""
        return self.texts("distrust") if "sites/distrust" in self.file else None

    @property
    def reasons(self) -> list[str]:
        """Why each site is out of domain; empty for the others, and if the store does not record it."""
        return self.distrust or [""] * self.n_sites

    def texts(self, name: str) -> list[str]:
        """Return a text column of ``sites``: ``part``, ``twin``, ``formula`` or ``distrust``."""
        with hdf5.reading(self.path):
            return hdf5.read_strings(self.file, f"sites/{name}")

    def check_finite(self, rows: npt.NDArray[np.integer], *values: npt.NDArray[np.float64]) -> None:
        """Check that values (n_rows, …) of the sites at ``rows`` are finite.

        Raises
        ------
        StoreError
            If one is not; names the site.
        """
        for own in values:
            finite = np.isfinite(own).reshape(rows.size, -1).all(axis=1)
            if not finite.all():
                name = self.sites.name[int(rows[np.argmin(finite)])]
                raise StoreError(f"{self.path}: the spectrum of {name} has NaN or infinite values; predict it again")

    def read(self, name: str, rows: Any = slice(None), energies: slice | None = None) -> npt.NDArray[np.float64]:
        """Return ``mean``, ``std``, ``reference`` or ``draws`` of sites, or a column of numbers such as ``sites/e0``.

        Parameters
        ----------
        name
            The dataset: spectra are (n_rows, n_energies).
        rows
            A row, a slice, or ascending rows; by default all.
        energies
            Which energies of spectra; by default all.

        Raises
        ------
        KeyError, TypeError
            If there is no such dataset.
        StoreError
            If the data are damaged.

        Examples
        --------
        >>> PredictionStore(Path("predictions.h5")).read("mean", slice(0, 3)).shape
        (3, 201)
        """
        if not isinstance(name, str):
            raise TypeError(f"`name`: expected the name of a dataset, such as 'mean', received {name!r}")
        if name not in self.file:
            raise KeyError(f"{self.path}: no dataset {name!r}; expected one of {', '.join(self.file)}")
        with hdf5.reading(self.path):
            which = rows if energies is None else (rows, energies)
            values: npt.NDArray[np.float64] = self.file[name][which].astype(np.float64)
            return values


def are_scores(value: Any) -> bool:
    """Return whether a value is a list of conformal levels and scores."""
    return isinstance(value, list) and all(
        is_object(s) and is_number(s.get("level")) and is_number(s.get("score")) for s in value
    )


def are_degrees(value: Any) -> bool:
    """Return whether a value is the degrees of freedom of a distribution, or None for a Gaussian."""
    return value is None or (is_number(value) and value > 2)


def scale_draws(draws: Array, sigma: Array) -> Array:
    """Scale draws (n_draws, n_energies) about their mean so that their standard deviation is ``sigma``."""
    centre, spread = draws.mean(axis=0), draws.std(axis=0, ddof=1)
    return np.asarray(centre + (draws - centre) * (sigma / np.maximum(spread, SMALLEST_SPREAD)))
