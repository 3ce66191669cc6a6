"""Compare measured spectra with calculated and predicted ones."""
