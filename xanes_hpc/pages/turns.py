"""In which order requests take their turns, and how those that take long are answered in time."""

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

from fastapi.concurrency import run_in_threadpool

from xanes_hpc.errors import FormatError, XanesHpcError
from xanes_hpc.runtime import threads

WAIT = 30.0
"""Longest time that a request waits for its turn, s."""
MOST_AT_ONCE = 4
PATIENCE = 1.0
"""Time after which an answer names the place in the line instead of the result, s."""
LOST = 20.0
"""Time after which work that nobody has asked for is given up, s."""
LONGEST = 64
"""Largest number of results that are awaited at a time."""
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
class _Place:
    """A place in a line: its work, and when its ticket was last shown."""

    task: asyncio.Task[dict[str, Any]]
    seen: float = field(default_factory=time.monotonic)

    @property
    def lost(self) -> bool:
        """Whether nobody asks for it any more."""
        return time.monotonic() - self.seen > LOST


class Line:
    """Work that is done one after the other, and whose result is fetched with a ticket, so that no answer takes long.

    An answer is the result or, after ``PATIENCE``, the ticket and the number of others that come first.
    """

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(1)
        self._places: dict[str, _Place] = {}

    async def enter(self, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Queue work, and return its result, or its ``ticket`` and how many are ``ahead``.

        Raises
        ------
        BusyError
            If the line is too long.
        """
        self._places = {own: place for own, place in self._places.items() if not (place.task.done() and place.lost)}
        if len(self._places) >= LONGEST:
            raise BusyError(f"the server is busy: {LONGEST} requests are in line; try again later")
        ticket = secrets.token_urlsafe(12)
        task = asyncio.create_task(self._done(ticket, work))
        task.add_done_callback(lambda own: own.cancelled() or own.exception())  # nobody may ask for it
        self._places[ticket] = _Place(task)
        return await self.ask(ticket)

    async def ask(self, ticket: str) -> dict[str, Any]:
        """Return the result of queued work, once, or its ``ticket`` and how many are ``ahead``.

        Raises
        ------
        FormatError
            If there is no such ticket.
        XanesHpcError
            If the work fails.
        """
        place = self._places.get(ticket)
        if place is None:
            raise FormatError("unknown ticket: its result was fetched, or nobody asked for it in time; ask again")
        place.seen = time.monotonic()
        done, _ = await asyncio.wait({place.task}, timeout=PATIENCE)
        place.seen = time.monotonic()
        if done:
            self._places.pop(ticket, None)
            return place.task.result()
        earlier = list(self._places)[: list(self._places).index(ticket)]
        return {"ticket": ticket, "ahead": sum(not self._places[own].task.done() for own in earlier)}

    async def _done(self, ticket: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        async with self._free:
            if self._places[ticket].lost:
                return {}
            return await run_in_threadpool(work)
