"""Make an output in parts: in this process, in a scheduler's job array, or on a Dask cluster."""
