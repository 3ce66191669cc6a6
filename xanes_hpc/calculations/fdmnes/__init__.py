"""FDMNES calculations: written for a store's sites, and read back."""
