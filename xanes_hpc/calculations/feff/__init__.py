"""Calculations by FEFF."""
