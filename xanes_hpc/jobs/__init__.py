"""One output made in parts: here, by a scheduler's job array, or by Dask."""
