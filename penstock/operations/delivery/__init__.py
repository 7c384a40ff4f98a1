"""Bringing a changed pipeline to where it runs: what the change means, and whether it may."""
