"""The studies of ``accuracy.py``, one per file, and their common inputs, runs and figures."""
