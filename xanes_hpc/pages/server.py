"""A web page that predicts spectra from structures without a terminal, and the HTTP interface behind it.

The server keeps nothing between requests. It reads uploads only as one of a few formats, under file names it chooses,
and follows no path and runs no code in them. Everything the page loads comes from installed packages.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

import numpy as np
from ase.data import atomic_numbers
from fastapi import FastAPI, File, Request, Response, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from xanes_hpc import __version__
from xanes_hpc.errors import FormatError, SpectrumError, XanesHpcError, without_backticks
from xanes_hpc.experiment.normalised import normalised
from xanes_hpc.pages.answers import aligned, as_file, prediction_answer, structure_answer
from xanes_hpc.pages.requests import AlignRequest, PredictRequest, recipe_of, structure_of
from xanes_hpc.pages.uploads import Limits, read_spectrum_file, read_structure_file
from xanes_hpc.prediction.predictor import SitePredictor
from xanes_hpc.spectra.edges import check_absorber, in_ev
from xanes_hpc.spectra.recipe import BroadeningConfig, Recipe
from xanes_hpc.spectra.spectrum import Spectrum, treatment_name
from xanes_hpc.structures.structure import Structure

MOST_JSON = 16 << 20
"""Largest body other than a file upload, bytes; the largest spectrum fits."""
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

OWN = files("xanes_hpc.pages").joinpath("static")
PLOTLY = "plotly.js"
STATIC = {PLOTLY, *(path.name for path in OWN.iterdir() if path.name.endswith((".js", ".css")))}
"""Files that the page loads."""


def application(predictor: SitePredictor, hosts: list[str], limits: Limits | None = None) -> FastAPI:
    """Return the web application for one model.

    Parameters
    ----------
    predictor
        Predictor of the model.
    hosts
        Host names that requests may use. Others are refused, which protects against DNS rebinding by other web pages.
    limits
        Limits of uploads.
    """
    limits = limits or Limits()
    app = FastAPI(
        title="xanes-hpc", version=__version__, docs_url=None, redoc_url=None,
        description="Predicted X-ray absorption spectra of structures.",
    )  # fmt: skip
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts)
    one_at_a_time = asyncio.Semaphore(1)

    @app.middleware("http")
    async def guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
            return _error(403, "requests from other web pages are not allowed")
        length = request.headers.get("content-length")
        if request.method not in ("GET", "HEAD", "OPTIONS") and (length is None or not length.isdigit()):
            return _error(411, "expected a Content-Length header with the size of the body")
        files_too = request.headers.get("content-type", "").startswith("multipart/")
        most = limits.files * limits.bytes if files_too else max(limits.bytes, MOST_JSON)
        if length is not None and length.isdigit() and int(length) > most:
            return _error(413, f"request too large: expected at most {most >> 20} MiB")
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    @app.exception_handler(XanesHpcError)
    async def ours(request: Request, error: XanesHpcError) -> Response:
        return _error(422, without_backticks(str(error)))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        return _error(error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return _error(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    def page() -> str:
        return _static("page.html")

    @app.get("/static/{name}", include_in_schema=False)
    def static(name: str) -> Response:
        if name not in STATIC:
            raise HTTPException(404)
        kind = "text/css" if name.endswith(".css") else "text/javascript"
        keep = "max-age=86400" if name == PLOTLY else "no-cache"  # ours belong together, also after an upgrade
        return Response(_static(name), media_type=kind, headers={"Cache-Control": keep})

    responses: dict[int | str, dict[str, Any]] = {422: {"description": "The request is invalid; `error` says why."}}

    @app.get("/api/model")
    def model() -> dict[str, Any]:
        """Return what the model predicts: absorbers, edges, energies, and limits of uploads."""
        description = predictor.model.description
        energies, origin = predictor.model.grid
        return {
            "name": predictor.model.path.resolve().name,
            "digest": predictor.model.digest,
            "absorbers": predictor.edges,
            "kind": description["target"]["kind"],
            "treatment": treatment_name(description["target"]["treatment"]),
            "broadened": description["target"]["treatment"] != "none",
            "unit": description["target"]["unit"],
            "properties": list(predictor.properties),
            "energies": {"start": float(energies[0]), "stop": float(energies[-1]), "n": int(energies.size)},
            "origin": origin,
            "limits": {"bytes": limits.bytes, "atoms": limits.atoms, "files": limits.files},
            "version": __version__,
        }

    @app.post("/api/structures", responses=responses)
    async def structures(structure_files: Annotated[list[UploadFile], File(alias="files")]) -> dict[str, Any]:
        """Read structures from uploaded files, and return them with the errors of files that cannot be used."""
        if len(structure_files) > limits.files:
            raise FormatError(f"expected at most {limits.files} files, received {len(structure_files)}")
        found: list[dict[str, Any]] = []
        errors: list[str] = []
        for file in structure_files:
            data = await file.read(limits.bytes + 1)
            await run_in_threadpool(_take, file.filename or "structure.xyz", data, found, errors)
        return {"structures": found, "errors": errors}

    def _take(name: str, data: bytes, found: list[dict[str, Any]], errors: list[str]) -> None:
        try:
            for k, structure in enumerate(read_structure_file(name, data, limits)):
                if k == limits.structures:
                    errors.append(f"{name[:80]}: only the first {limits.structures} structures were read")
                elif isinstance(structure, FormatError):
                    errors.append(str(structure))
                else:
                    found.append(structure_answer(structure, predictor))
        except XanesHpcError as error:
            errors.append(without_backticks(str(error)))
        except Exception as error:  # a fault in one file must not stop the others
            errors.append(f"{name[:80]}: cannot be read: {type(error).__name__}")

    @app.post("/api/predict", responses=responses)
    async def predict(request: PredictRequest) -> dict[str, Any]:
        """Predict the spectrum of an atom with its uncertainty, and say why if it is out of domain."""
        structure = structure_of(request.structure, limits)
        recipe = recipe_of(request.broadening)
        async with one_at_a_time:
            found = await run_in_threadpool(predictor.predict, structure, request.absorber, request.edge, recipe)
        return prediction_answer(found, predictor, structure, request)

    @app.post("/api/export/{kind}", responses={**responses, 200: {"content": {"text/plain": {}}}})
    async def export(kind: Literal["csv", "xdi"], request: PredictRequest) -> Response:
        """Predict the spectrum of an atom, and return it as a CSV or XDI file."""
        structure = structure_of(request.structure, limits)
        async with one_at_a_time:
            found = await run_in_threadpool(
                predictor.predict, structure, request.absorber, request.edge, recipe_of(request.broadening)
            )
        text = await run_in_threadpool(as_file, kind, found, predictor, structure, request)
        return Response(text, media_type="text/plain; charset=utf-8")

    @app.post("/api/experiment", responses=responses)
    async def experiment(file: UploadFile) -> dict[str, Any]:
        """Read a measured spectrum from an uploaded file, in eV and normalised."""
        data = await file.read(limits.bytes + 1)
        found = await run_in_threadpool(read_spectrum_file, file.filename or "spectrum.txt", data, limits)
        check_absorber_seen(found, predictor.model.seen)
        for e0 in predictor.model.seen.values():
            found = in_ev(found, e0)
        normal = await run_in_threadpool(normalised, found)
        return {
            "name": (file.filename or "spectrum")[:200],
            "energies": found.energies.tolist(),
            "intensities": normal.spectrum.intensities.tolist(),
            "absolute": found.absolute,
            "notes": [normal.in_words, *(f"{what}: {detail}" for what, detail in found.choices)],
            "normalisation": normal.as_dict(),
        }

    @app.post("/api/align", responses=responses)
    async def align(request: AlignRequest) -> dict[str, Any]:
        """Find the shift (eV) and the factor that align a measured spectrum with a predicted one."""
        return await run_in_threadpool(aligned, request)

    return app


def check_absorber_seen(found: Spectrum, seen: Iterable[tuple[str, str]]) -> None:
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


def warm_up(predictor: SitePredictor) -> None:
    """Predict once, so that the first request need not wait for kernels and weights to load."""
    element, edges = next(iter(predictor.edges.items()))
    numbers = np.array([atomic_numbers[element], 8, 8], np.uint8)
    positions = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.8], [0.0, 1.8, 0.0]])
    known: dict[str, float | str] = {"charge": 0.0, "spin": 0.0}
    gaussian = Recipe(BroadeningConfig("gaussian", gaussian=1.0))
    for recipe in (None, gaussian):
        predictor.predict(Structure("warm", numbers, positions, properties=known), 0, edges[0], recipe)


def _error(status: int, message: str) -> JSONResponse:
    text = message.encode("utf-8", "replace").decode()
    return JSONResponse({"error": text[:1000]}, status)


@cache
def _static(name: str) -> str:
    """Return a file of the page; Plotly's bundle, several megabytes, comes from the installed package."""
    if name == PLOTLY:
        return files("plotly").joinpath("package_data", "plotly.min.js").read_text(encoding="utf-8")
    return OWN.joinpath(name).read_text(encoding="utf-8")
