"""Draw figures of predictions, training, explanations and comparisons with experiment."""
