"""The one place that decides how kernels are compiled.

``inline``          functions called from inside kernels (``always_inline``: for a few pairs at a time)
``exact_inline``    the same, with arithmetic as it is written
``by_precision``    the same, with one implementation per floating-point type
``kernel`` kernels whose outer ``prange`` runs over sites, one site per iteration

Floating point may be reassociated and contracted into fused multiply-adds, which is what lets
LLVM vectorise sums; NaN and infinity keep their meaning. Machine code is cached beside the sources or, from a read-only
installation, in the user's cache folder; where neither can be written to, it is compiled anew by every process. Kernels
call functions of other files, which Numba's cache does not look at: the stamp of each kernel's cache is that of all
sources here.
"""

import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba import types
from numba.extending import overload

F = TypeVar("F", bound=Callable[..., object])

FASTMATH = {"reassoc", "contract", "arcp", "nsz"}
FLAGS: Any = {"nogil": True, "error_model": "numpy", "fastmath": FASTMATH}


def _stamp_of_sources() -> str:
    stamp = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        source = path.read_bytes()
        stamp.update(f"{path.name} {len(source)}\n".encode() + source)
    return stamp.hexdigest()


STAMP = _stamp_of_sources()


def _compile(function: F, **flags: Any) -> F:
    flags = FLAGS | flags
    try:
        compiled: Any = numba.njit(cache=True, **flags)(function)
    except RuntimeError:  # there is no folder to write to
        return cast(F, numba.njit(**flags)(function))
    compiled._cache._cache_file._source_stamp = STAMP
    return cast(F, compiled)


def inline(function: F) -> F:
    """Compile a function that other kernels call."""
    return _compile(function)


def always_inline(function: F) -> F:
    """As ``inline``, for what is called so often that handing over its arguments would cost as much as its work."""
    return _compile(function, forceinline=True)


def exact_inline(function: F) -> F:
    """As ``always_inline``, for results that are to be the same bit for bit wherever it is called from."""
    return _compile(function, forceinline=True, fastmath=False)


def by_precision(double: Callable[..., Any], single: Callable[..., Any]) -> Callable[[F], F]:
    """Make a function for kernels that is ``single`` where its first argument is float32, and ``double`` elsewhere.

    What it decorates is the declaration: its name, arguments and docstring; it cannot be called from Python.
    """

    def choose(*arguments: Any, **named: Any) -> Callable[..., Any]:
        return single if [*arguments, *named.values()][0] == types.float32 else double

    choose.__signature__ = inspect.signature(double)  # type: ignore[attr-defined]

    def declare(declaration: F) -> F:
        overload(declaration, jit_options=FLAGS)(choose)
        return declaration

    return declare


def kernel(function: F) -> F:
    """Compile a kernel."""
    return _compile(function)
