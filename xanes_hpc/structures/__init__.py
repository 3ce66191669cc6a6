"""Structures in memory: sites, absorbers, neighbours, symmetry."""
