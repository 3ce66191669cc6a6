"""Cross-validation, and the search for hyperparameters."""
