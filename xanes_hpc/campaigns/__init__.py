"""Campaigns: select sites, calculate their spectra, train, measure, and again."""
