"""A run's settings: sections, checks, TOML files."""
