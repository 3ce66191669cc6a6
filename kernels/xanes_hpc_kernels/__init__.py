"""Numba kernels of xanes-hpc: NumPy and Numba only; they fill arrays that the caller allocates and checks."""
