"""New versions of models come to serve in stages, and what serves is brought back on an alarm."""
