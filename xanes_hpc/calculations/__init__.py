"""Calculations by other programs: written, run, read back."""
