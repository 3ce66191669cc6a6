"""What a browser shows: the report and the prediction server."""
