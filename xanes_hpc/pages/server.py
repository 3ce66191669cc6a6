"""A web page that predicts spectra from structures without a terminal, and the HTTP interface behind it.

The server keeps nothing between requests. It reads uploads only as one of a few formats, under file names it chooses,
and follows no path and runs no code in them. Everything the page loads comes from installed packages.
"""

from collections.abc import Awaitable, Callable
from functools import cache
from importlib.resources import files

import numpy as np
from ase.data import atomic_numbers
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from xanes_hpc import __version__
from xanes_hpc.errors import XanesHpcError, without_backticks
from xanes_hpc.experiment.normalised import normalised
from xanes_hpc.pages.comparison_routes import comparison_routes
from xanes_hpc.pages.served import Served
from xanes_hpc.pages.site_routes import site_routes
from xanes_hpc.pages.turns import BusyError
from xanes_hpc.prediction.predictor import SitePredictor
from xanes_hpc.spectra.edges import tabulated
from xanes_hpc.spectra.recipe import BroadeningConfig, Recipe
from xanes_hpc.spectra.spectrum import Spectrum
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


def application(served: Served, hosts: list[str]) -> FastAPI:
    """Return the web application for one model.

    Parameters
    ----------
    served
        The model, its example and library, and the limits of uploads.
    hosts
        Host names that requests may use. Others are refused, which protects against DNS rebinding by other web pages.
    """
    limits = served.limits
    app = FastAPI(
        title="xanes-hpc", version=__version__, docs_url=None, redoc_url=None,
        description="Predicted X-ray absorption spectra of structures.",
    )  # fmt: skip
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts)

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

    @app.exception_handler(BusyError)
    async def busy(request: Request, error: BusyError) -> Response:
        return _error(503, str(error))

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

    app.include_router(site_routes(served))
    app.include_router(comparison_routes(served))
    return app


def warm_up(predictor: SitePredictor) -> None:
    """Predict and normalise once, so that the first requests need not wait for kernels and packages to load."""
    element, edges = next(iter(predictor.edges.items()))
    numbers = np.array([atomic_numbers[element], 8, 8], np.uint8)
    positions = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.8], [0.0, 1.8, 0.0]])
    known: dict[str, float | str] = {"charge": 0.0, "spin": 0.0}
    gaussian = Recipe(BroadeningConfig("gaussian", gaussian=1.0))
    for recipe in (None, gaussian):
        predictor.predict(Structure("warm", numbers, positions, properties=known), 0, edges[0], recipe)
    e0 = tabulated(atomic_numbers[element], edges[0]) or 7112.0
    energies = np.arange(e0 - 200.0, e0 + 400.0, 2.0)
    normalised(Spectrum(energies, np.arctan(energies - e0), absolute=True, source="warm"))


def _error(status: int, message: str) -> JSONResponse:
    text = message.encode("utf-8", "replace").decode()
    return JSONResponse({"error": text[:1000]}, status)


@cache
def _static(name: str) -> str:
    """Return a file of the page; Plotly's bundle, several megabytes, comes from the installed package."""
    if name == PLOTLY:
        return files("plotly").joinpath("package_data", "plotly.min.js").read_text(encoding="utf-8")
    return OWN.joinpath(name).read_text(encoding="utf-8")
