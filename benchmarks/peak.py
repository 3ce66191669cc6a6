"""One core's clock, its theoretical peak, and the floating-point rate that simple code reaches."""

from typing import Any

import numpy as np
from numba import njit
from options import Options
from tables import paragraph, table
from timing import interleaved

TITLE = "One core's peak"
SHIFTS = np.array([13, 7, 17], np.uint64)
CYCLES_OF_XORSHIFT = 6
"""Three shifts and three exclusive ors, each waiting for the previous one; one cycle each on x86-64 and ARM64."""
DEGREE = 32
COLUMNS = 512
"""Number of independent polynomials; they fit in the first-level cache."""


@njit
def xorshift(n, x):
    for _ in range(n):
        x ^= x << np.uint64(13)
        x ^= x >> np.uint64(7)
        x ^= x << np.uint64(17)
    return x


@njit(fastmath={"contract"})
def dependent_fma(n, x, a, b):
    for _ in range(n):
        x = x * a + b
    return x


@njit(fastmath={"contract"})
def polynomials(steps, x_t, out_t):
    for _ in range(steps):
        for t in range(x_t.size):
            x = x_t[t]
            p = x
            for _ in range(DEGREE):
                p = p * x + x
            out_t[t] = p


def measure(options: Options) -> dict[str, Any]:
    n = options.size(20_000_000, 200_000)
    steps = options.size(20_000, 200)
    arrays = {t: (np.full(COLUMNS, 0.3, t), np.empty(COLUMNS, t)) for t in ("float64", "float32")}
    calls = {
        "clock": lambda: xorshift(n, np.uint64(88172645463325252)),
        "latency": lambda: dependent_fma(n, 0.5, 0.5, 0.5),
        **{t: lambda a=a: polynomials(steps, *a) for t, a in arrays.items()},
    }
    times = {name: t["min"] for name, t in interleaved(calls, options.repeats).items()}  # noise only ever slows a run
    clock = CYCLES_OF_XORSHIFT * n / times["clock"]
    rows = {}
    for i, t in enumerate(arrays):
        stated = clock * options.flop_per_cycle * (i + 1)
        rows[t] = {"stated": stated, "reached": 2 * DEGREE * COLUMNS * steps / times[t]}
    return {
        "clock": clock,
        "fma_cycles": clock * times["latency"] / n,
        "flop_per_cycle": options.flop_per_cycle,
        "types": rows,
    }


def section(result: dict[str, Any]) -> list[str]:
    per_cycle = result["flop_per_cycle"]
    rows = [
        [t, f"{per_cycle * (1 + i)}", f"{r['stated'] / 1e9:.1f}", f"{r['reached'] / 1e9:.1f}", _percent(r)]
        for i, (t, r) in enumerate(result["types"].items())
    ]
    return [
        paragraph(
            f"""The clock runs at {result["clock"] / 1e9:.2f} GHz, measured with a chain of shifts and exclusive ors
            that take one cycle each. In a chain of fused multiply-adds, each takes {result["fma_cycles"]:.1f} cycles.
            The peak is the clock times the stated operations per cycle: {per_cycle} in float64, which is two pipes of
            fused multiply-adds on 256 bits (set it with `--flop-per-cycle`). Independent polynomials of degree {DEGREE}
            in the first-level cache reach:"""
        ),
        "",
        *table(["type", "flop per cycle, stated", "peak, Gflop/s", "reached, Gflop/s", "of the peak"], rows),
    ]


def _percent(row: dict[str, float]) -> str:
    return f"{100 * row['reached'] / row['stated']:.0f} %"
