"""From a model and sites to a prediction store: averages, export, selection."""
