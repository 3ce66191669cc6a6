"""Measure how good predictions are, and find the structural features they depend on."""
