"""From a structure store to a feature store."""
