"""Our HDF5 stores. Nothing else in the package opens them."""
