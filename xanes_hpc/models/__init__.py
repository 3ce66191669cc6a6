"""Trained models: their folders, numbers and calibration, and running them in NumPy."""
