"""Spectra: edge energies, energy scales, grids."""
