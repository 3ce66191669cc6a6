"""Read training sites from stores in shuffled batches."""
