"""Read and write our HDF5 stores; no other package opens them."""
