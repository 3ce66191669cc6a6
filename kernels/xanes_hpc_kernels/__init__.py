"""Numba kernels of xanes-hpc. They use NumPy and Numba only, and fill arrays that callers allocate and check."""
