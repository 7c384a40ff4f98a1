"""Bringing a change of a pipeline to where it runs: what it means, whether it may go on, and how."""
