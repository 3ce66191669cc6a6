"""How good predictions are, and which structural features they depend on."""
