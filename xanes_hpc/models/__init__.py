"""A trained model: its folder, its numbers, its calibration, and running it in NumPy."""
