"""Read foreign files into a structure store."""
