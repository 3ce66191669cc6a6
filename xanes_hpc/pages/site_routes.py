"""Addresses of the interface that read structures and predict their sites."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Response, UploadFile
from fastapi.concurrency import run_in_threadpool

from xanes_hpc.errors import FormatError, XanesHpcError, without_backticks
from xanes_hpc.pages.answers import as_file, effects_answer, predicted_site, prediction_answer, structure_answer
from xanes_hpc.pages.requests import PredictRequest, SiteRequest, recipe_of
from xanes_hpc.pages.served import Served
from xanes_hpc.pages.uploads import read_structure_file

RESPONSES: dict[int | str, dict[str, Any]] = {
    422: {"description": "The request is invalid; `error` says why."},
    503: {"description": "Too many requests are waiting; try again."},
}


def site_routes(served: Served) -> APIRouter:
    """Return the addresses under ``/api`` about structures and sites."""
    routes = APIRouter(prefix="/api", responses=RESPONSES)
    predictor, limits = served.predictor, served.limits

    @routes.get("/model")
    def model() -> dict[str, Any]:
        """Return what the model predicts and was trained on, an example structure, and the limits of uploads."""
        return served.answer()

    @routes.post("/structures")
    async def structures(structure_files: Annotated[list[UploadFile], File(alias="files")]) -> dict[str, Any]:
        """Read structures from uploaded files, and return them with the errors of files that cannot be used."""
        if len(structure_files) > limits.files:
            raise FormatError(f"expected at most {limits.files} files, received {len(structure_files)}")
        found: list[dict[str, Any]] = []
        errors: list[str] = []
        for file in structure_files:
            data = await file.read(limits.bytes + 1)
            await run_in_threadpool(_take, served, file.filename or "structure.xyz", data, found, errors)
        return {"structures": found, "errors": errors}

    @routes.post("/predict")
    async def predict(request: PredictRequest) -> dict[str, Any]:
        """Predict the spectrum of an atom with its uncertainty, and say why if it is out of domain."""
        site = await served.predicting.run(predicted_site, predictor, request, limits, recipe_of(request.broadening))
        return prediction_answer(site, predictor)

    @routes.post("/explain")
    async def explain(request: SiteRequest) -> dict[str, Any]:
        """Return how much the predicted spectrum of an atom changes without each of the atoms near it."""
        return await served.predicting.run(effects_answer, predictor, request, limits)

    @routes.post("/export/{kind}", responses={200: {"content": {"text/plain": {}}}})
    async def export(kind: Literal["csv", "xdi"], request: PredictRequest) -> Response:
        """Predict the spectrum of an atom, and return it as a CSV or XDI file."""
        site = await served.predicting.run(predicted_site, predictor, request, limits, recipe_of(request.broadening))
        text = await run_in_threadpool(as_file, kind, site, predictor)
        return Response(text, media_type="text/plain; charset=utf-8")

    return routes


def _take(served: Served, name: str, data: bytes, found: list[dict[str, Any]], errors: list[str]) -> None:
    """Add the structures of an uploaded file, or its errors."""
    limits = served.limits
    try:
        for k, structure in enumerate(read_structure_file(name, data, limits)):
            if k == limits.structures:
                errors.append(f"{name[:80]}: only the first {limits.structures} structures were read")
            elif isinstance(structure, FormatError):
                errors.append(str(structure))
            else:
                found.append(structure_answer(structure, served.predictor))
    except XanesHpcError as error:
        errors.append(without_backticks(str(error)))
    except Exception as error:  # a fault in one file must not stop the others
        errors.append(f"{name[:80]}: cannot be read: {type(error).__name__}")
