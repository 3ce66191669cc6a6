"""The one place that decides how kernels are compiled.

``inline``         functions called from inside kernels
``exact_inline``   the same, with arithmetic as it is written
``by_precision``   the same, with one implementation per floating-point type
``kernel``         kernels, whose outer loop runs over sites

Kernels run without Python's lock, on the thread that calls them: callers share their sites out over threads.

Results must not depend on where memory was free. LLVM runs a loop in vectors where it sees that what is read is not
what is written, else one by one, which rounds differently. So scratch rows stand apart (``compaction.aligned_rows``),
and loops count from 0 through a slice: an index that may be negative, such as ``p`` from ``start`` on, is to LLVM also
one from behind, and the array twice as long.

Floating point may be reassociated and contracted into fused multiply-adds, which is what lets
LLVM vectorise sums; NaN and infinity keep their meaning. Machine code is cached beside the sources or, from a read-only
installation, in the user's cache folder; where neither can be written to, it is compiled anew by every process. Kernels
call functions of other files, which Numba's cache does not look at: the stamp of each kernel's cache is that of all
sources here.
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


def _stamp_of_sources() -> str:
    stamp = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        source = path.read_bytes()
        stamp.update(f"{path.name} {len(source)}\n".encode() + source)
    return stamp.hexdigest()


STAMP = _stamp_of_sources()
CODE = f"kernels {STAMP[:16]}, numba {numba.__version__}, llvmlite {llvmlite.__version__}"
"""All that the last bits of results depend on, but for the processor."""


LOADS_ALONE = numba.version_info.short <= (0, 68)
"""Whether this is a version of Numba whose kept machine code is known to need its memory functions and no more."""


def _compile(function: F, **flags: Any) -> F:
    flags = FLAGS | flags
    try:
        compiled: Any = numba.njit(cache=True, **flags)(function)
    except RuntimeError:  # there is no folder to write to
        return cast(F, numba.njit(**flags)(function))
    compiled._cache._cache_file._source_stamp = STAMP
    if LOADS_ALONE:
        compiled._compilation_chain_init_hook = _nothing
        compiled._cache.load_overload = partial(_load, compiled._cache)
    return cast(F, compiled)


def _nothing() -> None:
    """In place of importing other packages' extensions of Numba; the compiler's refreshing does that too."""


def _load(cache: Any, signature: Any, target: Any) -> Any:
    """Machine code from the cache, or None, without what only compiling needs.

    Numba's own way refreshes the compiler first: that imports all that Numba knows of NumPy, SciPy's linear algebra and
    other packages' extensions, 0.3 s of a process that may never compile. One that does refreshes it then.
    """
    runtime: Any = nrt.rtsys
    runtime.initialize(target)
    with cache._guard_against_spurious_io_errors():
        return cache._load_overload(signature, target)


def inline(function: F) -> F:
    """Compile a function that kernels call, into each of them.

    Always: of a function that stands beside the kernel, a process that compiles takes the function's own machine code,
    and one that loads the kernel from the cache the kernel's, and the two may round differently.
    """
    return _compile(function, **INLINE)


def exact_inline(function: F) -> F:
    """As ``inline``, for results that are to be the same bit for bit wherever it is called from."""
    return _compile(function, **INLINE, fastmath=False)


def by_precision(double: Callable[..., Any], single: Callable[..., Any]) -> Callable[[F], F]:
    """Make a function for kernels that is ``single`` where its first argument is float32, and ``double`` elsewhere.

    What it decorates is the declaration: its name, arguments and docstring; it cannot be called from Python.
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
