"""Keep settings that other programs left in the environment out of a command's process.

A command gives the same results on every account. Settings that users make on purpose still work: threads, caches,
devices, machines, logging, colours, proxies. Keras's and Matplotlib's own files are ignored where those are loaded.
"""

import codecs
import io
import os
import sys
import warnings

from xanes_hpc.errors import ConfigError

NUMBA_KEPT = ("NUMBA_NUM_THREADS", "NUMBA_CACHE_DIR", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")
"""Numba's other variables are for debugging; they change how every kernel is compiled."""
DROPPED = (
    "TF_USE_LEGACY_KERAS",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",  # mostly set for JAX; an unknown flag makes TensorFlow end the process
    "MPLBACKEND",  # figures are written to files
    "HDF5_DEBUG",
    "HDF5_DRIVER",
    "HDF5_DRIVER_CONFIG",
    "HDF5_EXT_PREFIX",  # with this or the next, HDF5 looks elsewhere for the parts of virtual stores
    "HDF5_VDS_PREFIX",
)
NUMBERS = {"NUMBA_NUM_THREADS": (1, "a number of threads"), "SOURCE_DATE_EPOCH": (0, "seconds since 1970")}
"""Variables that must be whole numbers: smallest value and meaning. Other values give libraries' tracebacks."""
HIDDEN_BY_PYTHON = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
SPELT_OUT = str.maketrans({
    "σ": "sigma", "Δ": "Delta", "µ": "u", "μ": "u", "χ": "chi", "Å": "A", "²": "^2", "³": "^3", "±": "+-", "×": "x",
    "–": "-", "—": "-", "…": "...", "→": "->", "≤": "<=", "≥": ">=", "°": " deg", "·": "*",
})  # fmt: skip
"""Replacements of characters that we print, for terminals without them."""


def keep_out() -> None:
    """Drop settings that are not meant for us, and make the output work on any terminal.

    Raises
    ------
    ConfigError
        If a variable that we respect is not a number.
    """
    _open_standard_streams()
    for name in list(os.environ):
        stray = name.startswith("NUMBA_") and name not in NUMBA_KEPT
        empty = name in NUMBERS and not os.environ[name]
        if stray or empty or name in DROPPED or name.startswith("KERAS_"):
            del os.environ[name]
    if any(option.partition(":")[0] == "error" for option in sys.warnoptions):
        _show_warnings_as_usual()
    codecs.register_error("spell_out", _spell_out)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="spell_out")
    for name, (least, what) in NUMBERS.items():
        text = os.environ.get(name, str(least))
        if not text.isdecimal() or int(text) < least:
            raise ConfigError(f"the environment variable {name}: expected {what}, received {text!r}")


def start_anew_if_needed() -> None:
    """Start the program anew if the environment makes Python read file names, or our sources, in another way.

    Without UTF-8 a name such as ``Fe_µ.xyz`` would depend on the locale; what is printed keeps the locale's encoding.
    With ``PYTHONOPTIMIZE=2`` help pages would be empty.
    """
    options = []
    if not sys.flags.utf8_mode and sys.getfilesystemencoding() != "utf-8":
        options = ["-X", "utf8"]
        os.environ["PYTHONUTF8"] = "1"
        os.environ.setdefault("PYTHONIOENCODING", getattr(sys.stdout, "encoding", None) or "utf-8")
    without_texts = os.environ.get("PYTHONOPTIMIZE", "") not in ("", "0", "1")
    if without_texts:
        os.environ["PYTHONOPTIMIZE"] = "1"
    if options or without_texts:
        os.execv(sys.executable, [sys.executable, *options, *sys.orig_argv[1:]])


def _open_standard_streams() -> None:
    """Reopen standard streams that are closed; otherwise a store's file would get their file descriptors."""
    for number, (name, mode) in enumerate([("stdin", "r"), ("stdout", "w"), ("stderr", "w")]):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def _show_warnings_as_usual() -> None:
    """Undo ``PYTHONWARNINGS=error`` here and in child processes, where a library's warning would end them."""
    sys.warnoptions[:] = [option for option in sys.warnoptions if option.partition(":")[0] != "error"]
    os.environ.pop("PYTHONWARNINGS", None)
    warnings.resetwarnings()
    for category in HIDDEN_BY_PYTHON:
        warnings.simplefilter("ignore", category)


def _spell_out(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return replacements of characters that an encoding lacks; bytes of file names stay as they are.

    Examples
    --------
    >>> codecs.register_error("spell_out", _spell_out)
    >>> "1σ ± 2, 中".encode("ascii", "spell_out")
    b'1sigma +- 2, \\\\u4e2d'
    """
    if isinstance(error, UnicodeDecodeError):  # where a test reads back what it captured
        return "\ufffd", error.end
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    if all("\udc80" <= character <= "\udcff" for character in text):
        return text.encode("utf-8", "surrogateescape"), error.end
    return text.translate(SPELT_OUT).encode("ascii", "backslashreplace").decode(), error.end
