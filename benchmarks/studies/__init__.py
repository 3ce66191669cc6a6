"""The studies of ``accuracy.py``, a file each, and what they share: inputs, a sitting, figures."""
