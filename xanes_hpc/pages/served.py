"""What a server serves: the model, its example and library, and in which order requests take their turns."""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ParamSpec, TypeVar

import numpy as np
from fastapi.concurrency import run_in_threadpool

from xanes_hpc import __version__
from xanes_hpc.errors import StoreError, XanesHpcError
from xanes_hpc.models.history import read_history
from xanes_hpc.pages.answers import structure_answer
from xanes_hpc.pages.uploads import SPECTRA, Limits
from xanes_hpc.prediction.predictor import SitePredictor
from xanes_hpc.runtime import threads
from xanes_hpc.spectra.spectrum import treatment_name
from xanes_hpc.structures.structure import Structure

WAIT = 30.0
"""Longest time that a request waits for its turn, s."""
MOST_AT_ONCE = 4
P = ParamSpec("P")
T = TypeVar("T")


class BusyError(XanesHpcError):
    """Too many requests are waiting."""


class Turns:
    """Runs work of one kind in threads, for as many requests at a time as there are cores, up to a limit."""

    def __init__(self, most: int = MOST_AT_ONCE) -> None:
        self._free = asyncio.Semaphore(min(threads.count(), most))

    async def run(self, work: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
        """Return the result of the work.

        Raises
        ------
        BusyError
            If the work of others takes too long.
        """
        async with self._turn():
            return await run_in_threadpool(work, *args, **more)

    @asynccontextmanager
    async def _turn(self) -> Any:
        try:
            await asyncio.wait_for(self._free.acquire(), WAIT)
        except TimeoutError:
            raise BusyError(f"the server is busy: no free turn within {WAIT:g} s; try again") from None
        try:
            yield
        finally:
            self._free.release()


@dataclass
class Served:
    """What a server serves.

    Attributes
    ----------
    predictor
        Predictor of the model.
    limits
        Limits of uploads.
    example
        Structure that the page opens with.
    library, library_name
        Spectra to match measured ones with, and their name; None for no library.
    held_out
        What is known of the library's held-out spectra, by element and edge.
    predicting, comparing, matching, fitting
        Turns of predictions, of measured spectra beside one prediction, and of matches and fits, which take longer.
    """

    predictor: SitePredictor
    limits: Limits = field(default_factory=Limits)
    example: Structure | None = None
    library: Any = None
    library_name: str = ""
    held_out: dict[tuple[str | None, str | None], dict[Any, Any]] = field(default_factory=dict)
    predicting: Turns = field(default_factory=Turns)
    comparing: Turns = field(default_factory=Turns)
    matching: Turns = field(default_factory=Turns)
    fitting: Turns = field(default_factory=partial(Turns, 1))

    def answer(self) -> dict[str, Any]:
        """Return what the model predicts, what it was trained on, and the limits and endings of uploads."""
        model, limits = self.predictor.model, self.limits
        description = model.description
        energies, origin = model.grid
        return {
            "name": model.path.resolve().name,
            "digest": model.digest,
            "absorbers": self.predictor.edges,
            "kind": description["target"]["kind"],
            "treatment": treatment_name(description["target"]["treatment"]),
            "broadened": description["target"]["treatment"] != "none",
            "unit": description["target"]["unit"],
            "properties": list(self.predictor.properties),
            "energies": {"start": float(energies[0]), "stop": float(energies[-1]), "n": int(energies.size)},
            "origin": origin,
            "training": self._training(),
            "domain": self._domain(),
            "example": None if self.example is None else structure_answer(self.example, self.predictor),
            "library": self.library and {"name": self.library_name, "sites": int(self.library.rows.size)},
            "limits": {"bytes": limits.bytes, "atoms": limits.atoms, "files": limits.files, "spectra": SPECTRA},
            "version": __version__,
        }

    def _training(self) -> dict[str, Any]:
        """Return the number of training sites, and the lowest error on the validation set, if it is known."""
        model = self.predictor.model
        description = model.description
        found: dict[str, Any] = {
            "sites": sum(own["sites"] for own in description["seen"]),
            "validation": description.get("provenance", {}).get("sites", {}).get("validation", 0),
        }
        try:
            errors = next(iter(read_history(model.path).values()))["validation_error_percent"]
        except (StoreError, KeyError):
            return found | {"error_percent": None}
        known = errors[np.isfinite(errors)]
        return found | {"error_percent": float(known.min()) if known.size else None}

    def _domain(self) -> dict[str, Any]:
        """Return the elements and the numbers of neighbours of training sites, as far as the model records them."""
        trust = self.predictor.model.trust
        return {name: trust.get(name) for name in ("elements", "neighbours")}
