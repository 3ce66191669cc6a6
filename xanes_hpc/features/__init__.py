"""Compute a feature store from a structure store, or import one from arrays."""
