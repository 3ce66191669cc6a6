"""Limits that hold everywhere."""

LARGEST = 2**31 - 1
"""Of whole numbers, seeds among them; and of energies in eV."""
