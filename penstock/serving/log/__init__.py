"""The prediction log: what a server was asked and what it said, as rows in files by span."""
