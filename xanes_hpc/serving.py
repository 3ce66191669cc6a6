"""A web page and an interface to a model, for people without a terminal: structures in, spectra out.

Nothing is kept between requests. What is handed in is read as text of a few formats under names of our own; no path and
no code of it is ever followed. All that the page loads comes from installed packages.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers, chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors
from fastapi import FastAPI, File, Request, Response, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from xanes_hpc import __version__
from xanes_hpc.absorbers import formula
from xanes_hpc.comparing import MatchOptions
from xanes_hpc.config import BroadeningConfig, NormalisationConfig, Recipe
from xanes_hpc.config_checks import check_broadening
from xanes_hpc.errors import FormatError, SpectrumError, XanesHpcError
from xanes_hpc.formats import csv_columns, xdi
from xanes_hpc.formats.predicted import PredictedSpectrum
from xanes_hpc.matching import match
from xanes_hpc.records import Spectrum, Structure, treatment_name
from xanes_hpc.site_prediction import SitePrediction, SitePredictor
from xanes_hpc.uploads import Limits, check_structure, read_spectrum_file, read_structure_file

BOND = 1.2
"""Of the sum of two covalent radii: atoms nearer to each other are drawn bonded."""
MOST_JSON = 16 << 20
"""Bytes of a body that is no file: room for the largest spectrum."""
MOST_BONDED = 2000
"""Atoms of a structure whose bonds are looked for."""
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]


class Strict(BaseModel):
    """A body none of whose names may be unknown."""

    model_config = ConfigDict(extra="forbid")


class Atoms(Strict):
    """A structure: atomic numbers, positions in Å; of a crystal the cell vectors in Å."""

    name: Annotated[str, Field(max_length=200)] = "structure"
    numbers: Annotated[list[Annotated[int, Field(ge=1, le=118)]], Field(min_length=1, max_length=100_000)]
    positions: Annotated[
        list[Annotated[list[Finite], Field(min_length=3, max_length=3)]], Field(min_length=1, max_length=100_000)
    ]
    cell: Annotated[
        list[Annotated[list[Finite], Field(min_length=3, max_length=3)]] | None, Field(min_length=3, max_length=3)
    ] = None
    charge: Annotated[float | None, Field(allow_inf_nan=False, ge=-100, le=100)] = None
    spin: Annotated[float | None, Field(allow_inf_nan=False, ge=0, le=100)] = None


Width = Annotated[float, Field(allow_inf_nan=False, ge=0, le=100)]


class Broadening(Strict):
    """A further broadening; names and widths as in a configuration's [broadening]."""

    name: Literal["none", "gaussian", "lorentzian", "arctangent", "seah-dench"] = "none"
    gaussian: Width = 0.0
    core_hole: Width | None = None
    gamma_max: Width | None = None
    centre: Width | None = None
    e_cut: Annotated[float | None, Field(allow_inf_nan=False, ge=-100, le=100)] = None


class PredictRequest(Strict):
    """Whose spectrum is asked for: an atom, from 0 on, of a structure."""

    structure: Atoms
    absorber: Annotated[int, Field(ge=0)]
    edge: Annotated[str, Field(max_length=4)] = "K"
    broadening: Broadening = Broadening()


Energies = Annotated[list[Finite], Field(min_length=2, max_length=200_000)]
Intensities = Annotated[
    list[Annotated[float, Field(allow_inf_nan=False, ge=-1e30, le=1e30)]], Field(min_length=2, max_length=200_000)
]


class Curve(Strict):
    """A spectrum: energies in eV, from the edge or absolute, and intensities."""

    energies: Energies
    intensities: Intensities
    absolute: bool | None = None


class AlignRequest(Strict):
    """A measured spectrum and a predicted one to lay it over."""

    experiment: Curve
    energies: Energies
    mean: Intensities
    std: Intensities
    e0: Finite | None = None
    origin: Literal["e0", "absolute"] = "e0"
    max_shift: Annotated[float, Field(allow_inf_nan=False, ge=0, le=30)] = 10.0


def application(predictor: SitePredictor, hosts: list[str], limits: Limits | None = None) -> FastAPI:
    """The application for one model.

    Parameters
    ----------
    predictor
        Of the model.
    hosts
        Names under which it may be asked for: others are refused, so that no page elsewhere can reach it by its own.
    limits
        Of what is taken.
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
            return _error(403, "requests from pages elsewhere are refused")
        length = request.headers.get("content-length")
        if request.method not in ("GET", "HEAD", "OPTIONS") and (length is None or not length.isdigit()):
            return _error(411, "expected a body whose length is told")
        files_too = request.headers.get("content-type", "").startswith("multipart/")
        most = limits.files * limits.bytes if files_too else max(limits.bytes, MOST_JSON)
        if length is not None and length.isdigit() and int(length) > most:
            return _error(413, f"expected {most >> 20} MiB or less")
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    @app.exception_handler(XanesHpcError)
    async def ours(request: Request, error: XanesHpcError) -> Response:
        return _error(422, str(error))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        return _error(error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return _error(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    def page() -> str:
        return _own("serve.html")

    @app.get("/static/{name}", include_in_schema=False)
    def static(name: Literal["serve.js", "serve.css", "plotly.js"]) -> Response:
        if name == "plotly.js":
            text = files("plotly").joinpath("package_data", "plotly.min.js").read_text(encoding="utf-8")
        else:
            text = _own(name)
        kind = "text/css" if name.endswith(".css") else "text/javascript"
        return Response(text, media_type=kind, headers={"Cache-Control": "max-age=3600"})

    responses: dict[int | str, dict[str, Any]] = {422: {"description": "what is wrong with the request"}}

    @app.get("/api/model")
    def model() -> dict[str, Any]:
        """What the model predicts."""
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
        """The structures of files, and what is wrong with those that cannot be used."""
        if len(structure_files) > limits.files:
            raise FormatError(f"expected {limits.files} files or fewer, received {len(structure_files)}")
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
                    errors.append(f"{name[:80]}: the first {limits.structures} structures are taken")
                elif isinstance(structure, FormatError):
                    errors.append(str(structure))
                else:
                    found.append(_described(structure, predictor))
        except XanesHpcError as error:
            errors.append(str(error))

    @app.post("/api/predict", responses=responses)
    async def predict(request: PredictRequest) -> dict[str, Any]:
        """The spectrum of an atom with its uncertainty, and why it should not be trusted if so."""
        structure = _structure(request.structure, limits)
        recipe = _recipe(request.broadening)
        async with one_at_a_time:
            found = await run_in_threadpool(predictor.predict, structure, request.absorber, request.edge, recipe)
        return _told(found, predictor, structure, request)

    @app.post("/api/export/{kind}", responses={**responses, 200: {"content": {"text/plain": {}}}})
    async def export(kind: Literal["csv", "xdi"], request: PredictRequest) -> Response:
        """The same spectrum as a file."""
        structure = _structure(request.structure, limits)
        async with one_at_a_time:
            found = await run_in_threadpool(
                predictor.predict, structure, request.absorber, request.edge, _recipe(request.broadening)
            )
        text = await run_in_threadpool(_file, kind, found, predictor, structure, request)
        return Response(text, media_type="text/plain; charset=utf-8")

    @app.post("/api/experiment", responses=responses)
    async def experiment(file: UploadFile) -> dict[str, Any]:
        """A measured spectrum out of its file."""
        data = await file.read(limits.bytes + 1)
        found = await run_in_threadpool(read_spectrum_file, file.filename or "spectrum.txt", data, limits)
        first, last = found.energies[0], found.energies[-1]
        kilo = any(first <= e0 / 1000.0 <= last < 0.1 * e0 for e0 in predictor.model.seen.values())
        return {
            "name": (file.filename or "spectrum")[:200],
            "energies": (found.energies * (1000.0 if kilo else 1.0)).tolist(),
            "intensities": found.intensities.tolist(),
            "absolute": found.absolute,
        }

    @app.post("/api/align", responses=responses)
    async def align(request: AlignRequest) -> dict[str, Any]:
        """How far (eV) a measured spectrum lies above a predicted one, and the factor that brings it to its height."""
        return await run_in_threadpool(_aligned, request)

    return app


def warm_up(predictor: SitePredictor) -> None:
    """Predict once, so that nobody waits for kernels and weights to be loaded."""
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


def _own(name: str) -> str:
    return files("xanes_hpc").joinpath("templates", name).read_text(encoding="utf-8")


def _structure(given: Atoms, limits: Limits) -> Structure:
    n_atoms = len(given.numbers)
    if n_atoms > limits.atoms:
        raise FormatError(f"structure: expected {limits.atoms:,} atoms or fewer, received {n_atoms:,}")
    if len(given.positions) != n_atoms:
        raise FormatError(f"structure: expected {n_atoms} positions, one a number, received {len(given.positions)}")
    cell = np.zeros((3, 3)) if given.cell is None else np.array(given.cell, np.float64)
    properties = {name: float(value) for name in ("charge", "spin") if (value := getattr(given, name)) is not None}
    found = check_structure(
        Structure(
            given.name or "structure", np.array(given.numbers, np.uint8), np.array(given.positions, np.float64), cell,
            np.full(3, given.cell is not None), dict(properties),
        )
    )  # fmt: skip
    if isinstance(found, FormatError):
        raise found
    return found


def _recipe(given: Broadening) -> Recipe | None:
    if given.name == "none":
        return None
    values = {
        name: value
        for name in ("gaussian", "core_hole", "gamma_max", "centre", "e_cut")
        if (value := getattr(given, name)) is not None
    }
    broadening = BroadeningConfig(given.name, **values)
    check_broadening(broadening)
    return Recipe(broadening, NormalisationConfig())


def _described(structure: Structure, predictor: SitePredictor) -> dict[str, Any]:
    symbols = [chemical_symbols[z] for z in structure.numbers]
    known = [k for k, symbol in enumerate(symbols) if symbol in predictor.edges]
    properties = {n: v for n, v in structure.properties.items() if n in ("charge", "spin") and not isinstance(v, str)}
    return {
        "name": structure.name,
        "formula": formula(structure.numbers),
        "numbers": structure.numbers.tolist(),
        "symbols": symbols,
        "positions": structure.positions.tolist(),
        "cell": structure.cell.tolist() if structure.pbc.any() else None,
        "bonds": _bonds(structure),
        "colours": [f"#{''.join(f'{round(255 * c):02x}' for c in jmol_colors[z])}" for z in structure.numbers],
        "radii": np.round(covalent_radii[structure.numbers], 2).tolist(),
        "absorbers": known,
        **properties,
    }


def _bonds(structure: Structure) -> list[list[int]]:
    if structure.numbers.size > MOST_BONDED:
        return []
    radii = covalent_radii[structure.numbers]
    apart = np.linalg.norm(structure.positions[:, None] - structure.positions[None], axis=-1)
    near = np.triu(apart < BOND * (radii[:, None] + radii[None]), k=1)
    pairs: list[list[int]] = np.argwhere(near).tolist()
    return pairs


def _told(
    found: SitePrediction, predictor: SitePredictor, structure: Structure, request: PredictRequest
) -> dict[str, Any]:
    return {
        "site": f"{structure.name}#{request.absorber}",
        "element": chemical_symbols[structure.numbers[request.absorber]],
        "edge": request.edge,
        "origin": predictor.model.grid[1],
        "energies": found.energies.tolist(),
        "mean": found.mean.tolist(),
        "std": found.std.tolist(),
        "e0": found.e0 if np.isfinite(found.e0) else None,
        "treatment": treatment_name(found.treatment),
        "unit": found.unit,
        "nearest": found.nearest if np.isfinite(found.nearest) else None,
        "distrust": found.distrust,
    }


def _file(
    kind: str, found: SitePrediction, predictor: SitePredictor, structure: Structure, request: PredictRequest
) -> str:
    """A prediction as text of a format."""
    relative = predictor.model.grid[1] == "e0"
    known = bool(np.isfinite(found.e0))
    predicted = PredictedSpectrum(
        site=f"{structure.name}#{request.absorber}",
        formula=formula(structure.numbers),
        element=chemical_symbols[structure.numbers[request.absorber]],
        edge=request.edge,
        kind=predictor.model.description["target"]["kind"],
        energies=found.energies + found.e0 if relative and known else found.energies,
        e0=found.e0,
        mean=found.mean,
        std=found.std,
        reference=None,
        treatment=found.treatment,
        unit=found.unit,
        provenance={
            "model": predictor.model.digest,
            "draws": str(predictor.draws),
            "seed": str(predictor.seed),
            "method": predictor.model.method,
            "program": f"xanes-hpc {__version__}",
        },
        distrust=found.distrust,
    )
    with tempfile.TemporaryDirectory(prefix="xanes-hpc-") as folder:
        path = Path(folder) / "spectrum"
        (xdi.write if kind == "xdi" else csv_columns.write)(path, predicted)
        return path.read_text(encoding="utf-8", errors="replace")


class _One:
    """A library of one predicted spectrum."""

    def __init__(self, request: AlignRequest) -> None:
        self.energies: npt.NDArray[np.float64] = np.array(request.energies)
        self.origin: str = request.origin
        self._mean, self._std = np.array([request.mean]), np.array([request.std])
        self.names: Sequence[str] = ["prediction"]
        self.e0: npt.NDArray[np.float64] = np.array([np.nan if request.e0 is None else request.e0])

    def read(self, rows: Any) -> tuple[Any, Any]:
        """Its mean and sigma."""
        return self._mean.copy(), self._std.copy()


def _aligned(request: AlignRequest) -> dict[str, Any]:
    lengths = {len(request.energies), len(request.mean), len(request.std)}
    if len(lengths) > 1 or len(request.experiment.energies) != len(request.experiment.intensities):
        raise FormatError("expected energies and intensities of one length")
    for name, values in (("energies", request.energies), ("experiment.energies", request.experiment.energies)):
        if not (np.diff(values) > 0).all():
            raise FormatError(f"{name}: expected them to ascend")
    if min(request.std) < 0:
        raise FormatError("std: expected none below 0")
    curve = request.experiment
    measured = Spectrum(
        np.array(curve.energies), np.array(curve.intensities), absolute=curve.absolute, source="the measured spectrum"
    )
    span = request.energies[-1] - request.energies[0]
    options = MatchOptions(by="chi2", max_shift=min(request.max_shift, span), keep=1)
    try:
        found = match(measured, _One(request), options).ranked[0]
    except SpectrumError as error:
        if "rises and falls" not in str(error):
            raise
        raise FormatError(
            f"it cannot be aligned within ±{options.max_shift:g} eV: it may lie farther away (move it by hand), be "
            "upside down or flat, or stand on a background"
        ) from None
    return {
        "shift": found.shift,
        "factor": found.factor,
        "chi2": found.chi2,
        "error_percent": found.error_percent,
        "max_shift": float(options.max_shift),
    }
