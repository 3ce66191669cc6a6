"""Cross-validate models, and search for hyperparameters."""
