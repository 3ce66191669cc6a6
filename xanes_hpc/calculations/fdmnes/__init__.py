"""Write FDMNES calculations for the sites of a store, and read their spectra back."""
