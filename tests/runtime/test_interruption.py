"""The first signal requests an end; the second one interrupts."""

import os
import signal
import threading

import pytest

from xanes_hpc.runtime.interruption import SIGNALS, Interruption


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_asks_and_the_second_interrupts(number):
    before = [signal.getsignal(n) for n in SIGNALS]
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        with Interruption() as interruption:
            assert not interruption.asked
            os.kill(os.getpid(), number)
            assert interruption.asked
            assert interruption.at_once == (number == signal.SIGTERM)
            reached = True
            os.kill(os.getpid(), signal.SIGINT)
    assert reached
    assert [signal.getsignal(n) for n in SIGNALS] == before


def test_signal_handlers_are_unchanged_outside_the_main_thread():
    before = [signal.getsignal(n) for n in SIGNALS]
    seen = []

    def work():
        with Interruption() as interruption:
            seen.append((interruption.asked, [signal.getsignal(n) for n in SIGNALS]))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, before)]
