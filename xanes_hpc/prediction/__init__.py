"""Predict the spectra of sites, average, broaden and export them, and select sites to calculate next."""
