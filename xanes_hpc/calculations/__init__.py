"""Prepare, run and read back calculations by other programs, and treat calculated spectra."""
