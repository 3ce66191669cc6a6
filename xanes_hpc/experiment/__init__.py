"""A measured spectrum beside calculated ones."""
