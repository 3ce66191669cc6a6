"""Addresses of the interface that compare a measured spectrum with predicted ones."""

from collections.abc import Iterable
from functools import partial
from typing import Annotated, Any

from ase.data import atomic_numbers, chemical_symbols
from fastapi import APIRouter, Path, Response, UploadFile

from xanes_hpc.errors import SpectrumError
from xanes_hpc.experiment.normalised import normalised
from xanes_hpc.pages.comparison_requests import AlignRequest, FitRequest, MatchRequest, NormaliseRequest
from xanes_hpc.pages.comparisons import aligned, matched, normalised_answer, normalised_by
from xanes_hpc.pages.fits import fitted
from xanes_hpc.pages.served import Served
from xanes_hpc.pages.site_routes import RESPONSES
from xanes_hpc.pages.uploads import read_spectrum_file
from xanes_hpc.spectra.edges import check_absorber, in_ev
from xanes_hpc.spectra.spectrum import Spectrum

WAITING: dict[int | str, dict[str, Any]] = {
    202: {"description": "The fit is in line: `ahead` come first. Ask for it at `/api/fit/` followed by `ticket`."}
}


def comparison_routes(served: Served) -> APIRouter:
    """Return the addresses under ``/api`` about measured spectra."""
    routes = APIRouter(prefix="/api", responses=RESPONSES)

    @routes.post("/experiment")
    async def experiment(file: UploadFile) -> dict[str, Any]:
        """Read a measured spectrum from an uploaded file, and return it in eV, as read and normalised."""
        data, name = await file.read(served.limits.bytes + 1), file.filename or "spectrum.txt"
        return await served.comparing.run(_measured, served, name, data)

    @routes.post("/normalise")
    async def normalise(request: NormaliseRequest) -> dict[str, Any]:
        """Normalise a measured spectrum with given windows, edge energy or method."""
        return await served.comparing.run(normalised_by, request)

    @routes.post("/align")
    async def align(request: AlignRequest) -> dict[str, Any]:
        """Find the shift (eV) and the scale that align a measured spectrum with a predicted one."""
        return await served.comparing.run(aligned, request)

    @routes.post("/match")
    async def match(request: MatchRequest) -> dict[str, Any]:
        """Rank predictions, or the spectra of the server's library, by their likeness to a measured spectrum."""
        return await served.matching.run(matched, request, served)

    @routes.post("/fit", responses=WAITING)
    async def fit(request: FitRequest, response: Response) -> dict[str, Any]:
        """Fit shift, scale and broadening of a site's predicted spectrum to a measured one."""
        return _now_or_later(await served.fitting.enter(partial(fitted, request, served)), response)

    @routes.get("/fit/{ticket}", responses=WAITING)
    async def fit_in_line(ticket: Annotated[str, Path(max_length=40)], response: Response) -> dict[str, Any]:
        """Return a fit that had to wait, once."""
        return _now_or_later(await served.fitting.ask(ticket), response)

    return routes


def _now_or_later(answer: dict[str, Any], response: Response) -> dict[str, Any]:
    """Return an answer, with the status 202 if it is only a ticket."""
    if "ticket" in answer:
        response.status_code = 202
    return answer


def _measured(served: Served, name: str, data: bytes) -> dict[str, Any]:
    found = read_spectrum_file(name, data, served.limits)
    seen = served.predictor.model.seen
    _check_seen(found, seen)
    for e0 in seen.values():
        found = in_ev(found, e0)
    normal = normalised(found)
    return {
        "name": name[:200],
        "element": None if found.element is None else chemical_symbols[found.element],
        "edge": found.edge,
        "notes": [normal.in_words, *(f"{what}: {detail}" for what, detail in found.choices)],
        **normalised_answer(normal),
    }


def _check_seen(found: Spectrum, seen: Iterable[tuple[str, str]]) -> None:
    """Check that a measured spectrum is of an element and edge that the model predicts, as far as its file names them.

    Raises
    ------
    SpectrumError
        If it is of another one.
    """
    wrong: SpectrumError | None = None
    for symbol, edge in seen:
        try:
            check_absorber(found, atomic_numbers[symbol], edge)
        except SpectrumError as error:
            wrong = error
        else:
            return
    if wrong is not None:
        raise wrong
