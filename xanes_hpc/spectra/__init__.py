"""Spectra: edge energies, energy scales, grids, broadening and normalisation."""
