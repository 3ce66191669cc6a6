"""Open, style and save figures."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

from xanes_hpc.errors import ConfigError
from xanes_hpc.runtime.outputs import whole_output

REFERENCE, PREDICTION, SECOND, THIRD = "#000000", "#0072B2", "#D55E00", "#009E73"
"""Colours from the colour-blind-safe palette of Okabe and Ito."""
COLOURS = (PREDICTION, SECOND, THIRD, "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", REFERENCE)
"""The whole palette, for elements, models and windows."""
ENDINGS = ("png", "svg", "pdf")
STYLE: Any = {
    "font.size": 8, "axes.spines.top": False, "axes.spines.right": False, "pdf.fonttype": 42, "svg.fonttype": "none",
    "svg.hashsalt": "xanes-hpc",
}  # fmt: skip
"""Text stays text in SVG and PDF, as journals require; a figure drawn again has the same elements."""
resolution: ContextVar[int] = ContextVar("resolution", default=300)
"""Resolution of PNG files, dots per inch."""
SHOWN_DPI = 100
"""Resolution of figures in notebooks."""


def check_figure(path: Path | None) -> None:
    """Raise if a figure could not be written to ``path``; None stands for no figure.

    Raises
    ------
    ConfigError
        If the file's ending is not supported, or its folder does not exist.
    """
    if path is None:
        return
    if path.suffix.removeprefix(".").lower() not in ENDINGS:
        raise ConfigError(f"{path}: expected a file ending in .{', .'.join(ENDINGS)}, received {path.suffix!r}")
    if not path.parent.is_dir():
        raise ConfigError(f"{path.parent}: no such folder; create it before drawing {path.name}")


@contextmanager
def figure_at(path: Path, size: tuple[float, float]) -> Iterator[Any]:
    """Yield a figure and write it to ``path`` once it is drawn.

    Raises
    ------
    ConfigError
        If the path's ending is not supported.
    """
    check_figure(path)
    with new_figure(size) as figure:
        yield figure
        save(figure, path)


@contextmanager
def new_figure(size: tuple[float, float]) -> Iterator[Any]:
    """Yield a new figure, to be drawn in our style."""
    with our_style():
        yield _shown_figure()(figsize=size, layout="constrained")


@contextmanager
def our_style() -> Iterator[None]:
    """Draw in our style within the block, whatever the user's ``matplotlibrc`` or program has set."""
    mpl = _matplotlib()
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


@cache
def _matplotlib() -> Any:
    """Import Matplotlib without its warnings about the user's style files, which we do not use."""
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        import matplotlib as mpl
        import matplotlib.figure
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"Matplotlib cannot start; check its matplotlibrc and MPLBACKEND: {reason}") from None
    finally:
        log.setLevel(level)
    return mpl


@cache
def _shown_figure() -> Any:
    """Return the class of figures, which notebooks show without pyplot."""

    class ShownFigure(_matplotlib().figure.Figure):  # type: ignore[misc]
        def _repr_png_(self) -> bytes:
            stream = io.BytesIO()
            with our_style():
                self.savefig(stream, format="png", dpi=SHOWN_DPI)
            return stream.getvalue()

    return ShownFigure


def panels(figure: Any, n: int, n_columns: int, sharex: bool = True) -> list[Any]:
    """Return the axes of ``n`` panels in a grid, by row; the rest of the grid stays empty."""
    axes = list(figure.subplots(-(-n // n_columns), n_columns, sharex=sharex, squeeze=False).flat)
    for axis in axes[n:]:
        axis.axis("off")
    return axes[:n]


def save(figure: Any, path: Path) -> None:
    """Write a figure; the path's ending selects PNG, SVG or PDF."""
    with our_style(), whole_output(path, overwrite=True) as temporary:
        figure.savefig(temporary, dpi=resolution.get(), format=path.suffix.removeprefix(".").lower())
