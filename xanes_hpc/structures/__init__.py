"""Atoms in memory: sites, absorbers, neighbours, symmetry."""
