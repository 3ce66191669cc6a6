"""Open what a server serves: the model's example structure, and a library of spectra."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ase.data import chemical_symbols

from xanes_hpc.errors import FormatError, StoreError
from xanes_hpc.experiment.library import open_library
from xanes_hpc.formats import read_structures
from xanes_hpc.pages import example as built_in
from xanes_hpc.pages.isolated_reading import prepare
from xanes_hpc.pages.served import Served
from xanes_hpc.pages.uploads import Limits
from xanes_hpc.prediction.predictor import SitePredictor
from xanes_hpc.structures.structure import Structure

MOST_SITES = 50_000
"""Largest number of sites in a library; more take too long to answer a request."""


@contextmanager
def opened(
    predictor: SitePredictor, limits: Limits, example: Path | None = None, library: Path | None = None
) -> Iterator[Served]:
    """Open what a server serves.

    Parameters
    ----------
    predictor, limits
        Predictor of the model, and limits of uploads.
    example
        File whose first structure the page opens with; by default an idealised complex.
    library
        Prediction store, or structure store with spectra, to match measured spectra with.

    Raises
    ------
    FormatError
        If the example cannot be read, or has no atom that the model knows.
    StoreError, SpectrumError
        If the library cannot be opened, or is too large.
    """
    prepare()
    shown = built_in.example(predictor) if example is None else _structure(example, predictor)
    with ExitStack() as stack:
        spectra = None if library is None else stack.enter_context(open_library(library))
        if spectra is not None and spectra.rows.size > MOST_SITES:
            raise StoreError(
                f"{library}: expected at most {MOST_SITES:,} sites to match on a page, received {spectra.rows.size:,}; "
                "use `xanes-hpc match`, or a store with fewer sites"
            )
        name = "" if library is None else library.name
        yield Served(predictor, limits, shown, spectra, name)


def _structure(path: Path, predictor: SitePredictor) -> Structure:
    """Return the first structure of a file."""
    structure = next(iter(read_structures(path)))
    if isinstance(structure, FormatError):
        raise structure
    if not {chemical_symbols[z] for z in structure.numbers} & set(predictor.edges):
        elements = ", ".join(predictor.edges)
        raise FormatError(f"{path}: expected a structure with an element that the model knows ({elements})")
    return structure
