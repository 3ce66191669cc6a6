"""Learn the kernel of the Gaussian process on a thread of its own while the networks are trained.

Neither depends on the other, and neither keeps all cores busy.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from types import TracebackType
from typing import Self

from xanes_hpc.data.datasets import TrainingData
from xanes_hpc.models.kernels import Matern
from xanes_hpc.training.gaussian_process_choice import learn_kernel
from xanes_hpc.training.gaussian_process_fit import Observations


class LearningBeside:
    """A context in which a kernel is learned; learning stops when the context is left."""

    def __init__(self) -> None:
        self._pool, self._stopped = ThreadPoolExecutor(1, "kernel"), Event()
        self._learning: Future[Matern] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._pool.shutdown()

    def begin(self, data: TrainingData, seen: Observations) -> None:
        """Begin to learn the kernel of sites with labels."""
        self._learning = self._pool.submit(learn_kernel, data, seen, lambda: not self._stopped.is_set())

    @property
    def kernel(self) -> Matern | None:
        """The kernel, once it is learned; None if learning has not begun."""
        return None if self._learning is None else self._learning.result()
