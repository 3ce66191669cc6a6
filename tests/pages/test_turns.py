"""Requests that take long wait in line with a ticket."""

import asyncio
import threading

import pytest

pytest.importorskip("fastapi")

from xanes_hpc.errors import FormatError, SpectrumError
from xanes_hpc.pages import turns


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE", 0.05)


def held(go, result):
    """Return work that waits until it may go."""

    def work():
        assert go.wait(10)
        return {"result": result}

    return work


def test_answers_are_in_time_and_results_are_fetched_once():
    async def three():
        line, go = turns.Line(), threading.Event()
        first = await line.enter(held(go, 1))
        second, third = [await line.enter(held(go, n)) for n in (2, 3)]
        assert [own["ahead"] for own in (first, second, third)] == [0, 1, 2]
        assert (await line.ask(third["ticket"]))["ahead"] == 2
        go.set()
        for n, own in enumerate((first, second, third), 1):
            while "ticket" in (answer := await line.ask(own["ticket"])):
                pass
            assert answer == {"result": n}
            with pytest.raises(FormatError, match="unknown ticket"):
                await line.ask(own["ticket"])
        assert await line.enter(dict) == {}

    asyncio.run(three())


def test_a_failure_is_told_to_the_one_who_asked():
    def failing():
        raise SpectrumError("flat")

    async def one():
        with pytest.raises(SpectrumError, match="flat"):
            await turns.Line().enter(failing)

    asyncio.run(one())


def test_what_nobody_asks_for_is_given_up(monkeypatch):
    monkeypatch.setattr(turns, "LONGEST", 2)
    monkeypatch.setattr(turns, "LOST", 0.1)
    done = []

    async def leave():
        line, go = turns.Line(), threading.Event()
        await line.enter(held(go, 1))
        await line.enter(lambda: done.append(2) or {})
        with pytest.raises(turns.BusyError, match="2 requests are in line"):
            await line.enter(dict)
        await asyncio.sleep(0.2)  # both leave
        go.set()
        await asyncio.sleep(0.2)
        assert await line.enter(dict) == {}
        assert not done

    asyncio.run(leave())
