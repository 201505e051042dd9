"""The report of an evaluation: one HTML page with everything in it, that any browser shows without a network."""
