"""The configuration of a training run: sections, checks and TOML files."""
