"""From stores to shuffled batches."""
