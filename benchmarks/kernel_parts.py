"""Building blocks of the kernels, each alone in a loop over arrays in the first-level cache."""

import numpy as np
from counting import CUTOFF, EXP
from numba import njit
from options import Options
from timing import interleaved

from xanes_hpc_kernels._jit import FLAGS
from xanes_hpc_kernels.cutoff import cosine_cutoff
from xanes_hpc_kernels.vector_exp import exp_nonpositive
from xanes_hpc_kernels.wacsf_angular import add_eight

COLUMNS = 512
EXP_PART, CUTOFF_PART, SUM_PART = "exp_nonpositive", "cosine_cutoff", "add_eight"
OPERATIONS = {
    EXP_PART: EXP,
    CUTOFF_PART: CUTOFF,
    SUM_PART: {"float64": 32, "float32": 32},
}
"""Operations per element: a value, a squared distance, or a triplet with two Gaussians and eight factors."""


@njit(**FLAGS)
def repeat_exp(steps, x_t, out_t):
    for _ in range(steps):
        for t in range(x_t.size):
            out_t[t] = exp_nonpositive(x_t[t])


@njit(**FLAGS)
def repeat_cutoff(steps, x_t, limit, out_t):
    for _ in range(steps):
        for t in range(x_t.size):
            out_t[t] = cosine_cutoff(x_t[t], limit)


@njit(**FLAGS)
def repeat_sum(steps, gaussians_et, factors_gt, totals_eg):
    for _ in range(steps):
        add_eight(gaussians_et.shape[1], gaussians_et[0], gaussians_et[1], factors_gt, 0, 0, totals_eg)


def measure(options: Options) -> dict[str, dict[str, float]]:
    """Return nanoseconds per element, by part and type."""
    steps = options.size(10_000, 50)
    calls = {}
    for dtype in ("float64", "float32"):
        generator = np.random.default_rng(0)
        x, out = generator.uniform(-10.0, 0.0, COLUMNS).astype(dtype), np.empty(COLUMNS, dtype)
        squares, limit = generator.uniform(1.0, 36.0, COLUMNS).astype(dtype), np.dtype(dtype).type(36.0)
        tables = generator.uniform(size=(2, COLUMNS)).astype(dtype), generator.uniform(size=(8, COLUMNS)).astype(dtype)
        totals = np.zeros((2, 8))
        calls[f"{EXP_PART}/{dtype}"] = lambda x=x, out=out: repeat_exp(steps, x, out)
        calls[f"{CUTOFF_PART}/{dtype}"] = lambda x=squares, m=limit, out=out: repeat_cutoff(steps, x, m, out)
        calls[f"{SUM_PART}/{dtype}"] = lambda t=tables, totals=totals: repeat_sum(steps, *t, totals)
    found: dict[str, dict[str, float]] = {}
    for name, taken in interleaved(calls, options.repeats).items():
        part, _, dtype = name.partition("/")
        found.setdefault(part, {})[dtype] = 1e9 * taken["median"] / (steps * COLUMNS)
    return found
