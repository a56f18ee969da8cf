"""From the log to the request: pure functions."""
