"""Read, compute and write at the same time, in bounded memory."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Read = TypeVar("Read")
Result = TypeVar("Result")
AHEAD = 2
"""Number of items read ahead of the computation, and of results that wait to be written."""


def prefetch(items: Iterable[Item], read: Callable[[Item], Read], n_threads: int) -> Iterator[Read]:
    """Yield ``read(item)`` for every item, in order; several threads read a few items ahead."""
    rest = iter(items)
    with ThreadPoolExecutor(n_threads, "read") as readers:
        reading = deque(readers.submit(read, item) for item in islice(rest, n_threads + AHEAD))
        try:
            while reading:
                done = reading.popleft().result()
                reading.extend(readers.submit(read, item) for item in islice(rest, 1))
                yield done
        finally:
            for unread in reading:
                unread.cancel()


def overlap(
    items: Iterable[Item],
    read: Callable[[Item], Read],
    compute: Callable[[Item, Read], Result],
    write: Callable[[Item, Result], None],
) -> Generator[Item]:
    """Read, compute and write every item; yield each item after it was written, in order.

    ``compute`` runs in the calling thread, ``read`` and ``write`` in one thread each, in the order of the items. An
    exception in any of them ends the work, and nothing is written after it.
    """
    rest = iter(items)
    reading: deque[tuple[Item, Future[Read]]] = deque()
    writing: deque[tuple[Item, Future[None]]] = deque()
    failed = False

    def write_unless_failed(item: Item, result: Result) -> None:
        nonlocal failed
        if failed:
            raise CancelledError
        try:
            write(item, result)
        except BaseException:
            failed = True
            raise

    with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(1, "write") as writer:
        try:
            reading.extend((item, reader.submit(read, item)) for item in islice(rest, AHEAD))
            while reading:
                item, future = reading.popleft()
                result = compute(item, future.result())
                del future
                reading.extend((item, reader.submit(read, item)) for item in islice(rest, 1))
                writing.append((item, writer.submit(write_unless_failed, item, result)))
                del result
                while len(writing) > AHEAD or (writing and writing[0][1].done()):
                    yield _written(writing)
            while writing:
                yield _written(writing)
        finally:
            for _, read_ahead in reading:
                read_ahead.cancel()
            for _, unwritten in writing:
                unwritten.cancel()


def _written(writing: deque[tuple[Item, Future[None]]]) -> Item:
    item, future = writing.popleft()
    future.result()
    return item
