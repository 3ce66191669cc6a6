"""From batches to a model folder."""
