"""Dividing rows among threads."""

import threading

import pytest

from xanes_hpc.errors import ConfigError
from xanes_hpc.runtime import threads

needs_two = pytest.mark.skipif(threads.MOST < 2, reason="this machine has one core")


@pytest.mark.parametrize("n", sorted({1, threads.MOST}))
@pytest.mark.parametrize(("n_rows", "at_once"), [(0, 5), (1, 5), (2, 5), (5, 1), (11, 5), (1000, 7), (1001, 2048)])
def test_every_row_is_done_once_in_pieces_of_limited_size(n, n_rows, at_once):
    pieces = []
    with threads.limited_to(n):
        threads.share_out(n_rows, at_once, lambda start, stop: pieces.append((start, stop)))
    assert sorted(row for start, stop in pieces for row in range(start, stop)) == list(range(n_rows))
    assert all(0 < stop - start <= at_once for start, stop in pieces)


@needs_two
def test_a_few_rows_are_divided_too():
    pieces = []
    with threads.limited_to(2):
        threads.share_out(6, 100, lambda start, stop: pieces.append((start, stop)))
    assert sorted(pieces) == [(0, 3), (3, 6)]


@needs_two
def test_every_item_is_done_once():
    done = []
    with threads.limited_to(2):
        threads.each(range(3, 30, 4), done.append)
        threads.each([], done.append)
    assert sorted(done) == list(range(3, 30, 4))


def test_two_threads_work_at_the_same_time():
    together = threading.Barrier(2, timeout=30)
    with threads.limited_to(2):
        threads.share_out(2, 1, lambda start, stop: together.wait() and None)


@pytest.mark.parametrize("n", sorted({1, threads.MOST}))
def test_an_error_in_a_call_propagates_and_ends_the_work(n):
    done = []

    def work(start, stop):
        if start >= 3:
            raise ValueError(f"row {start}")
        done.append(start)

    with threads.limited_to(n), pytest.raises(ValueError, match="row 3"):
        threads.share_out(10_000, 1, work)
    assert done == [0, 1, 2]


def test_a_single_thread_is_the_calling_one():
    seen = set()
    with threads.limited_to(1):
        threads.share_out(100, 1, lambda start, stop: seen.add(threading.get_ident()))
    assert seen == {threading.get_ident()}


@pytest.mark.parametrize("n", [0, -1, threads.MOST + 1])
def test_an_invalid_number_of_threads_is_refused(n):
    before = threads.count()
    with pytest.raises(ConfigError, match=f"`threads`: expected 1 to {threads.MOST}, .*, received {n}"):
        threads.use(n)
    assert threads.count() == before


def test_the_limit_applies_only_within_the_block():
    before = threads.count()
    with threads.limited_to(1):
        assert threads.count() == 1
    assert threads.count() == before
