"""Neural networks for X-ray absorption spectroscopy, from structures to calibrated spectra, at scale."""

__version__ = "0.1.0"
