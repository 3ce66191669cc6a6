"""Make structures: build complexes, and exchange elements."""
