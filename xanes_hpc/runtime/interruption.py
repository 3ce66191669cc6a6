"""Interrupt work only where it is safe.

An exception that a signal raises inside TensorFlow or HDF5 may be lost, or damage a file.
"""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Within a ``with`` block, the first Ctrl-C or SIGTERM only sets ``asked``; the second raises KeyboardInterrupt.

    Attributes
    ----------
    asked
        Whether a signal has asked the work to end.
    at_once
        Whether that signal was SIGTERM, which leaves little time.
    """

    def __init__(self) -> None:
        self.asked = self.at_once = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked, self.at_once = True, number == signal.SIGTERM

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
