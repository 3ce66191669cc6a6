"""The only place that decides how kernels are compiled.

``inline``         functions called by kernels
``exact_inline``   the same, with arithmetic exactly as written
``by_precision``   the same, with one implementation per floating-point type
``kernel``         kernels, whose outer loop runs over sites

Kernels release Python's lock and run on the calling thread; callers divide sites among threads.

Results must not depend on memory addresses. LLVM vectorises a loop only if it can prove that reads and writes do not
overlap, and a scalar loop rounds differently. Therefore scratch rows are kept apart (``compaction.aligned_rows``), and
loops count from 0 through a slice: LLVM must assume that an index such as ``p`` from ``start`` on may be negative and
wrap around.

Floating-point operations may be reassociated and contracted into fused multiply-adds, so that LLVM can vectorise sums;
NaN and infinity keep their meaning. Machine code is cached beside the sources, or in the user's cache folder if the
installation is read-only; if neither is writable, every process compiles anew. Numba's cache does not track functions
in other files, which kernels call, nor most of its own settings: so the stamp of each kernel's cache covers all
sources here and those settings.
"""

import hashlib
import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite
import numba
from numba import types
from numba.core.runtime import nrt
from numba.extending import overload

F = TypeVar("F", bound=Callable[..., object])

FASTMATH = {"reassoc", "contract", "arcp", "nsz"}
FLAGS: Any = {"nogil": True, "error_model": "numpy", "fastmath": FASTMATH}
INLINE: Any = {"forceinline": True}
COMPILER_SETTINGS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "DISABLE_INTEL_SVML")
"""Settings of ``NUMBA_*`` variables and ``.numba_config.yaml`` that change machine code; Numba does not track them."""


def _stamp() -> str:
    stamp = hashlib.sha256()
    for name in COMPILER_SETTINGS:
        stamp.update(f"{name} {getattr(numba.config, name, None)!r}\n".encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        source = path.read_bytes()
        stamp.update(f"{path.name} {len(source)}\n".encode() + source)
    return stamp.hexdigest()


STAMP = _stamp()
CODE = f"kernels {STAMP[:16]}, numba {numba.__version__}, llvmlite {llvmlite.__version__}"
"""Versions of everything, except the processor, that the last bits of results depend on."""


LOADS_ALONE = numba.version_info.short <= (0, 68)
"""True for versions of Numba whose cached machine code is known to need only its memory functions."""


def _compile(function: F, **flags: Any) -> F:
    flags = FLAGS | flags
    config: Any = numba.config
    before, config.DISABLE_JIT = config.DISABLE_JIT, 0  # meant for other code: kernels run compiled only
    try:
        compiled: Any = numba.njit(cache=True, **flags)(function)
    except RuntimeError:  # no folder is writable
        return cast(F, numba.njit(**flags)(function))
    finally:
        config.DISABLE_JIT = before
    compiled._cache._cache_file._source_stamp = STAMP
    if LOADS_ALONE:
        compiled._compilation_chain_init_hook = _nothing
        compiled._cache.load_overload = partial(_load, compiled._cache)
    return cast(F, compiled)


def _nothing() -> None:
    """Do nothing, instead of importing other packages' Numba extensions; the compiler imports them when it starts."""


def _load(cache: Any, signature: Any, target: Any) -> Any:
    """Return machine code from the cache, or None, without initialising the compiler.

    Numba itself initialises the compiler first. That imports its support of NumPy and SciPy's linear algebra and other
    packages' extensions, which takes 0.3 s of a process that may never compile. A process that compiles does it then.
    """
    runtime: Any = nrt.rtsys
    runtime.initialize(target)
    with cache._guard_against_spurious_io_errors():
        return cache._load_overload(signature, target)


def inline(function: F) -> F:
    """Compile a function that is always inlined into the kernels that call it.

    Without inlining, a process that compiles would use the function's own machine code, and one that loads the kernel
    from the cache the kernel's copy, and the two may round differently.
    """
    return _compile(function, **INLINE)


def exact_inline(function: F) -> F:
    """Compile as ``inline``, for results that are the same, bit for bit, in all callers."""
    return _compile(function, **INLINE, fastmath=False)


def by_precision(double: Callable[..., Any], single: Callable[..., Any]) -> Callable[[F], F]:
    """Return a decorator for a function that is ``single`` if its first argument is float32, and ``double`` otherwise.

    The decorated function only declares name, arguments and docstring; it cannot be called from Python.
    """

    def choose(*arguments: Any, **named: Any) -> Callable[..., Any]:
        return single if [*arguments, *named.values()][0] == types.float32 else double

    choose.__signature__ = inspect.signature(double)  # type: ignore[attr-defined]

    def declare(declaration: F) -> F:
        overload(declaration, jit_options=FLAGS | INLINE)(choose)
        return declaration

    return declare


def kernel(function: F) -> F:
    """Compile a kernel."""
    return _compile(function)
