"""Find the sites that resemble one measured spectrum, or several."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from xanes_hpc.api.arguments import check_arguments
from xanes_hpc.api.inputs import PathLike, is_paths, listed, paths_of
from xanes_hpc.api.measured import choice_of, comparable, measured_of, named, options_of
from xanes_hpc.api.spectra import Spectra
from xanes_hpc.experiment.energy import EnergyOptions
from xanes_hpc.experiment.kinds import kinds_of
from xanes_hpc.experiment.library import library_of
from xanes_hpc.experiment.match import match as match_one
from xanes_hpc.experiment.match_options import MatchOptions
from xanes_hpc.experiment.match_set import match_set, options_for, placing
from xanes_hpc.experiment.matched import Match
from xanes_hpc.experiment.measured_files import LeftOut, check_some, each_usable, measured_files
from xanes_hpc.experiment.merged import Merged
from xanes_hpc.experiment.normalised import NormalisedSpectrum, NormaliseOptions
from xanes_hpc.spectra.edge_step import Window
from xanes_hpc.spectra.spectrum import Spectrum
from xanes_hpc.stores.predictions import PredictionStore
from xanes_hpc.stores.structures import StructureStore

One = PathLike | Spectrum | tuple[npt.ArrayLike, npt.ArrayLike]


class Matches(dict[str, Match]):
    """The matches of several measured spectra by name, and which spectra could not be used, with the reasons."""

    def __init__(self, found: Mapping[str, Match], left_out: Sequence[LeftOut]) -> None:
        super().__init__(found)
        self.left_out = list(left_out)

    def __repr__(self) -> str:
        n = sum(bool(own.judged) for own in self.values())
        judged = f", {n:,} matched poorly or explained by no site" if n else ""
        left_out = f", {len(self.left_out):,} left out" if self.left_out else ""
        return f"<Matches of {len(self):,} spectra{judged}{left_out}>"


def match(
    measured: One | Sequence[One],
    spectra: Spectra | PredictionStore | StructureStore | PathLike,
    *,
    absorber: str | None = None,
    edge: str | None = None,
    sites: PathLike | Sequence[str] | None = None,
    normalise: Literal["edge-step", "mback", "none"] = "edge-step",
    edge_at: float | None = None,
    pre: Window | None = None,
    post: Window | None = None,
    order: int | None = None,
    flatten: bool = True,
    calibrate: PathLike = "none",
    foil: str | None = None,
    deglitch: bool = False,
    range: Window | None = None,
    kind: str = "xanes",
    treatment: str | None = None,
    **options: Any,
) -> Any:
    """Rank sites by the similarity of their spectra to a measured one, or to each of several.

    Parameters
    ----------
    measured
        The measured spectrum: a file, a ``Spectrum``, or a tuple of energies in eV and intensities. Or several: a list
        of these, a folder, a pattern such as ``"scans/*.xdi"``, or an Athena project.
    spectra
        Predicted spectra or a prediction store, weighted by their sigma; or a structure store with spectra.
    absorber, edge
        Compare only sites of this element and edge. Default: those that the measured spectrum's file names, or at
        whose energy it rises.
    sites
        Compare only these sites: a table (``"chosen.csv"``) or names.
    normalise, edge_at, pre, post, order, flatten
        How to normalise the measured spectrum, as for ``normalise``.
    calibrate, foil, deglitch
        How to correct its energies, as for ``calibrate``.
    range
        Energies to compare, on the grid's axis.
    kind, treatment
        Kind and treatment of the spectra to compare in a structure store.
    **options
        Options of ``MatchOptions``: scale, by, max_shift, noise, keep, mixture.

    Returns
    -------
    Match or Matches
        The sites, best first (``ranked``), and what the best error means (``verdict``). For several spectra a
        dictionary of these by name; those that cannot be used are in ``left_out``.

    Raises
    ------
    ConfigError
        If an option is unknown or invalid.
    SpectrumError
        If no measured spectrum can be used, or no site resembles it.

    Examples
    --------
    >>> import xanes_hpc as xh
    >>> spectra = xh.Spectra.open("predictions.h5")["demo0003_Co_tetrahedral"]
    >>> found = xh.match((spectra.energies, spectra.mean[0]), "predictions.h5", absorber="Co")
    >>> found.ranked[0].site
    'demo0003_Co_tetrahedral'
    >>> both = xh.Spectra.open("predictions.h5")[3:5]
    >>> found = xh.match([(both.energies + both.e0[k], both.mean[k]) for k in (0, 1)], "predictions.h5")
    >>> [own.ranked[0].site for own in found.values()]
    ['demo0003_Co_tetrahedral', 'demo0004_Co_trigonal_bipyramidal']
    """
    check_arguments(match, locals())
    start, stop = range or (None, None)
    chosen = options_of(MatchOptions, {"start": start, "stop": stop, **options})
    store = comparable(spectra)
    how = NormaliseOptions(normalise, edge_at, pre, post, order, flatten)
    library = library_of(store, kind, treatment, how)
    kinds = kinds_of(library, choice_of(sites), store.path, absorber, edge)
    place = placing(kinds, EnergyOptions(str(calibrate), foil, deglitch), how)
    given = _several(listed(measured))
    if given is None:
        one = place("", measured_of(measured))
        own = options_for(one, chosen, options.get("scale"))
        return match_one(one.normal.spectrum, library, own, one.kind.rows)
    usable, left_out = each_usable(given, lambda own: place(own.name, measured_of(own.value)))
    check_some(usable, left_out)
    found, failed = match_set(usable, library, chosen, options.get("scale"))
    check_some(found, failed)
    return Matches({own.placed.name: own.found for own in found}, left_out + failed)


class _Given(NamedTuple):
    """A measured spectrum, or its file, and its name."""

    name: str
    value: Any


def _several(value: Any) -> list[_Given] | None:
    """Return the measured spectra that a value holds; None if it is a single one."""
    if is_paths(value):
        files = measured_files(paths_of(value))
        if isinstance(value, (str, os.PathLike)) and [own.path for own in files] == [Path(value)]:
            return None
        return [_Given(own.name, own.path) for own in files]
    if isinstance(value, (list, tuple)) and value and all(map(_is_measured, value)):
        return [_Given(*own) for own in named([measured_of(one) for one in value], "spectrum")]
    return None


def _is_measured(value: Any) -> bool:
    """Return whether an item of a sequence is a measured spectrum, and not one of its two arrays."""
    pair = isinstance(value, tuple) and len(value) == 2 and all(np.ndim(one) == 1 for one in value)
    return pair or isinstance(value, (Spectrum, Merged, NormalisedSpectrum, str, os.PathLike))
