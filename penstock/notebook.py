"""Prototyping a pipeline in a notebook, under its public name."""

from penstock.surfaces.notebook import NodeFailed, Session

__all__ = ["NodeFailed", "Session"]
