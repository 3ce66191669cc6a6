"""Limits that apply everywhere."""

LARGEST = 2**31 - 1
"""Largest integer, including seeds, and largest energy in eV."""
