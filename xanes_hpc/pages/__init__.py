"""Pages for a browser: the report of a model and the prediction server."""
