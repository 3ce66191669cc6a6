"""Settings that other programs left in the environment, kept out of a command's process.

A command computes the same on every account. What users rightly set for it keeps its effect: threads, caches, devices,
machines, logging, colours, proxies. Keras's own file and Matplotlib's are kept out where those are loaded.
"""

import codecs
import io
import os
import sys
import warnings

NUMBA_KEPT = ("NUMBA_NUM_THREADS", "NUMBA_CACHE_DIR", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")
"""Numba's other variables are for debugging, and change how every kernel is compiled."""
DROPPED = (
    "TF_USE_LEGACY_KERAS",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",  # mostly set for JAX; TensorFlow ends the process at a flag that it does not know
    "MPLBACKEND",  # figures are written to files
)
HIDDEN_BY_PYTHON = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
SPELT_OUT = str.maketrans({
    "σ": "sigma", "Δ": "Delta", "µ": "u", "μ": "u", "χ": "chi", "Å": "A", "²": "^2", "³": "^3", "±": "+-", "×": "x",
    "–": "-", "—": "-", "…": "...", "→": "->", "≤": "<=", "≥": ">=", "°": " deg", "·": "*",
})  # fmt: skip
"""Characters that we print, for terminals without them."""


def keep_out() -> None:
    """Drop settings that are not meant for us, and prepare the output for any terminal."""
    for name in list(os.environ):
        stray = name.startswith("NUMBA_") and (name not in NUMBA_KEPT or not os.environ[name])
        if stray or name in DROPPED or name.startswith("KERAS_"):
            del os.environ[name]
    if any(option.partition(":")[0] == "error" for option in sys.warnoptions):
        _show_warnings_as_usual()
    codecs.register_error("spell_out", _spell_out)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="spell_out")


def _show_warnings_as_usual() -> None:
    """Undo ``PYTHONWARNINGS=error``, for our process and those it starts: a library's warning would end them."""
    sys.warnoptions[:] = [option for option in sys.warnoptions if option.partition(":")[0] != "error"]
    os.environ.pop("PYTHONWARNINGS", None)
    warnings.resetwarnings()
    for category in HIDDEN_BY_PYTHON:
        warnings.simplefilter("ignore", category)


def _spell_out(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return what stands for characters that an encoding lacks; bytes of file names as they are.

    Examples
    --------
    >>> codecs.register_error("spell_out", _spell_out)
    >>> "1σ ± 2, 中".encode("ascii", "spell_out")
    b'1sigma +- 2, \\\\u4e2d'
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    if all("\udc80" <= character <= "\udcff" for character in text):
        return text.encode("utf-8", "surrogateescape"), error.end
    return text.translate(SPELT_OUT).encode("ascii", "backslashreplace").decode(), error.end
