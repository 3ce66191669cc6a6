"""Train networks on batches and write the model folder."""
