"""The processes in which nodes work."""
